// A Cortex-M board without a system (Arm MPS2): memory map, vectors, and files of the host through semihosting.

/** Bytes of the board's external memory (PSRAM), where data, heap and stack lie; code lies in 4 MB at 0. */
export const boardBytes = (16 << 20) - (256 << 10)

export const boardFlags: readonly string[] = [
  '-T',
  'board.ld',
  '-nostartfiles',
  '-lm',
  '--specs=rdimon.specs',
]

export function boardFiles(processor: string): Readonly<Record<string, string>> {
  const unit = processor !== 'cortex-m3'
  return {
    'board.ld': `MEMORY {
  code (rx) : ORIGIN = 0x00000000, LENGTH = 4M
  data (rwx) : ORIGIN = ${processor === 'cortex-m7' ? '0x60000000' : '0x21000000'}, LENGTH = 16M
}
ENTRY(reset)
SECTIONS {
  .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) *(.init) *(.fini) *(.eh_frame*) *(.ARM.extab*) } > code
  .ARM.exidx : { __exidx_start = .; *(.ARM.exidx*) __exidx_end = .; } > code
  .data : { *(.data*) *(.jcr*) } > data
  .bss (NOLOAD) : { __bss_start__ = .; *(.bss*) *(COMMON) . = ALIGN(8); __bss_end__ = .; } > data
  end = .;
  __end__ = .;
  __stack = ORIGIN(data) + LENGTH(data);
}
`,
    // The unit must be on before the first instruction that uses it. QEMU's memory starts as zeros.
    'startup.c': `#include <stdint.h>
#include <stdlib.h>
extern int main(void);
extern void initialise_monitor_handles(void);
extern char __stack;
void reset(void);
static void fault(void) { _Exit(99); }
__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
  &__stack, (void *)reset, (void *)fault, (void *)fault, (void *)fault, (void *)fault, (void *)fault,
};
void _init(void) {}
void _fini(void) {}
void reset(void) {
${unit ? '  *(volatile uint32_t *)0xe000ed88 |= 0xfu << 20;\n  __asm volatile("dsb; isb");\n' : ''}  initialise_monitor_handles();
  exit(main());
}
`,
  }
}
