// The option `schedule` of targets that our compiler makes code for: JSON of schedules by node name, by kernel's shape, or `*`.

import { kernelKeys } from '../compile/kernels.ts'
import { parseSchedules } from '../compile/schedule.ts'
import type { Graph } from '../ir/types.ts'
import type { Scheduled } from './schedule-facts.ts'

/** Chooses schedules for a prepared graph. Throws InputError for what is no schedule. */
export function schedulesFor(graph: Graph, options: Scheduled): ReturnType<typeof parseSchedules> {
  if (options.schedule == null) return parseSchedules('{}')
  return parseSchedules(String(options.schedule), kernelKeys(graph))
}
