// A plugin for QEMU that counts executed instructions and prints the sum at the end. The few functions of the interface are declared
// by hand, so that QEMU's header is not needed.

import { InputError } from '../../core/errors.ts'
import { build, type Compiler } from '../c/compiler.ts'

const source = `#include <stdint.h>
#include <stdio.h>
typedef uint64_t plugin_id;
struct tb;
__attribute__((visibility("default"))) int qemu_plugin_version = 1;
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct tb *, void (*)(unsigned, void *), int, void *);
void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
size_t qemu_plugin_tb_n_insns(const struct tb *);
void qemu_plugin_outs(const char *);

static uint64_t count;
static void execute(unsigned cpu, void *instructions) { (void)cpu; count += (uintptr_t)instructions; }
static void translate(plugin_id id, struct tb *tb) {
  (void)id;
  qemu_plugin_register_vcpu_tb_exec_cb(tb, execute, 0, (void *)(uintptr_t)qemu_plugin_tb_n_insns(tb));
}
static void end(plugin_id id, void *unused) {
  char text[32];
  (void)id; (void)unused;
  snprintf(text, sizeof text, "%llu\\n", (unsigned long long)count);
  qemu_plugin_outs(text);
}
__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
  (void)info; (void)argc; (void)argv;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
  qemu_plugin_register_atexit_cb(id, end, NULL);
  return 0;
}
`

/** The plugin's path; undefined where there is no compiler for this machine, or the emulator is of another interface. */
export async function countPlugin(compiler: Compiler | null, emulator: string): Promise<string | undefined> {
  // Version 1 of the interface: QEMU 4.2 to 8.1.
  const version = Number(/version (\d+)\.\d/.exec(emulator)?.[1])
  if (!compiler || !(version >= 5 && version <= 8)) return undefined
  try {
    return await build({
      compiler,
      files: { 'count.c': source },
      sources: ['count.c'],
      flags: ['-O2', '-fPIC'],
      linkFlags: ['-shared'],
      output: 'count.so',
      limit: 60_000,
    })
  } catch (e) {
    if (e instanceof InputError) return undefined
    throw e
  }
}
