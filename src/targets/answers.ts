// The child's side of child.ts: what a process that is asked says.

import type { Reply } from './child.ts'

/** Answers each message with what `answer` gives, or with its error; ends with whoever asked. */
export function answerQuestions<Question>(answer: (question: Question) => unknown): void {
  process.on('message', async (question: Question) => {
    let reply: Reply
    try {
      reply = { ok: await answer(question) }
    } catch (e) {
      const error = e instanceof Error ? e : new Error(String(e))
      reply = { error: error.message, name: error.name }
    }
    process.send!(reply)
  })
  process.on('disconnect', () => process.exit())
}
