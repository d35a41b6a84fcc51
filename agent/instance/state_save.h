/* SPDX-License-Identifier: MIT */
/* Saves the guest's RAM and devices into a file (saved_state.h). */
#ifndef PIAGENT_INSTANCE_STATE_SAVE_H
#define PIAGENT_INSTANCE_STATE_SAVE_H

#include "agent/base/error.h"

struct instance;

/* Before a save: PI_HOST if there may not be room for it on the disk, PI_CONFLICT if an earlier one is still being
 * written, PI_FAILED if QEMU cannot be asked now. */
int state_save_check(const struct instance *instance, struct pi_error *err);
/* VM_DO_SAVE_STATE. */
void state_save_begin(struct instance *instance);

#endif
