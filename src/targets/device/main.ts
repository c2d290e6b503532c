// The program around a model on a device: reads raw files, runs once, writes raw files.

import type { Port } from '../device.ts'

/** `ticks`: the board's timer counts the run; an instruction is a nanosecond under -icount shift=0, a tick 40 of them. */
export function deviceMain(
  name: string,
  weightBytes: number,
  inputs: readonly Port[],
  outputs: readonly Port[],
  ticks: boolean,
): string {
  // Every array starts where any element may.
  const array = (id: string, bytes: number): string => `static double ${id}[${Math.ceil(bytes / 8) + 1}];`
  const ports = [...inputs.map((_, i) => `(void *)in${i}`), ...outputs.map((_, i) => `(void *)out${i}`)]
  return `#include <stdio.h>
#include <stdint.h>
#include "${name}.h"

${array('weights', weightBytes)}
${inputs.map((p, i) => array(`in${i}`, p.bytes)).join('\n')}
${outputs.map((p, i) => array(`out${i}`, p.bytes)).join('\n')}

static int get(const char *file, void *to, size_t bytes) {
  FILE *f = fopen(file, "rb");
  if (!f) return 1;
  size_t n = fread(to, 1, bytes, f);
  fclose(f);
  return n != bytes;
}
static int put(const char *file, const void *from, size_t bytes) {
  FILE *f = fopen(file, "wb");
  if (!f) return 1;
  size_t n = fwrite(from, 1, bytes, f);
  return (fclose(f) != 0) | (n != bytes);
}
${
  ticks
    ? `
/* CMSDK timer 0: counts down at 25 MHz. */
#define TIMER ((volatile uint32_t *)0x40000000)
`
    : ''
}
int main(void) {
  if (get("weights", weights, ${weightBytes})) return 2;
${inputs.map((p, i) => `  if (get("in${i}", in${i}, ${p.bytes})) return 3;`).join('\n')}
  ${name}_init(weights);
${ticks ? '  TIMER[2] = 0xffffffffu; TIMER[1] = 0xffffffffu; TIMER[0] = 1;\n  uint32_t start = TIMER[1];\n' : ''}  ${name}_run(${ports.join(', ')});
${
  ticks
    ? `  uint32_t ticks = start - TIMER[1];
  FILE *f = fopen("count", "wb");
  if (f) { fprintf(f, "%llu\\n", 40ull * ticks); fclose(f); }
`
    : ''
}${outputs.map((p, i) => `  if (put("out${i}", out${i}, ${p.bytes})) return 4;`).join('\n')}
  return 0;
}
`
}
