// What is said beside every figure of code whose schedules were given (schedules.ts). Apart from the compiler: loaded code says it too.

import type { TargetOptions } from './target.ts'

export type Scheduled = { readonly schedule?: TargetOptions[string] | undefined }

export function scheduleFacts(options: Scheduled): { schedules?: string } {
  if (options.schedule == null) return {}
  const given = Object.keys(JSON.parse(String(options.schedule))).length
  return { schedules: `${given} given` }
}
