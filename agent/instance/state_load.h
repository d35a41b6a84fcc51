/* SPDX-License-Identifier: MIT */
/*
 * Loads a saved state into a QEMU that waits for it (saved_state.h). A thread reads the file of the RAM first and compares
 * its SHA-256: QEMU itself loads a file with a bit that has changed, and the guest would go on with it. That takes 0.17 s
 * for the 245 MB of a Debian guest, on a processor that knows SHA-256; the load itself takes as long. A template's RAM is in a
 * file of its own, which is not read for that: its size and time are compared (vm/saved.h).
 *
 * The file is not compressed: zstd -1 makes a third of it, but takes 1.3 s, where a save takes 0.2 s (tests/bench/README.md).
 */
#ifndef PIAGENT_INSTANCE_STATE_LOAD_H
#define PIAGENT_INSTANCE_STATE_LOAD_H

#include "agent/base/error.h"

struct instance;

/* Before a start of a saved instance: PI_CONFLICT if its state does not fit what is there now, or cannot be read. */
int state_load_check(struct instance *instance, struct pi_error *err);
/* The same of a saved state in another folder, which is going to be the instance's. No error if it has none. */
int state_load_check_copy(const struct instance *instance, int dir_fd, struct pi_error *err);
/* The machine type with its version that the QEMU has to have that will load it; NULL if none will. */
const char *state_load_machine(const struct instance *instance);
/* VM_DO_LOAD_STATE. */
void state_load_begin(struct instance *instance);

#endif
