/* SPDX-License-Identifier: MIT */
/*
 * The saved state of an instance: QEMU is asked, step by step, to write it into a file or to load it from there. It
 * goes through a descriptor that QEMU gets over its monitor (getfd), because its sandbox lets it start no program.
 * Which of disk and saved state counts, the life says (vm/life.h); what a state needs, vm/saved.h.
 */
#ifndef PIAGENT_INSTANCE_SAVED_STATE_H
#define PIAGENT_INSTANCE_SAVED_STATE_H

#include <stdbool.h>

#include "agent/base/error.h"
#include "agent/vm/saved.h"

struct instance;
struct saved_step;
struct timer;

struct saved_state {
    const struct saved_step *step; /* that QEMU is asked for now; NULL: none */
    struct timer *timer;           /* asks the same again */
    int fd;                        /* of the file of the RAM, while QEMU may use it; -1 */
    bool keeping;          /* a thread makes a state durable, perhaps one that does not count any more */
    struct vm_saved saved; /* the state that is being saved or loaded */
};

/* 0 or -ENOMEM. */
int saved_state_init(struct instance *instance);
void saved_state_reset(struct instance *instance);
void saved_state_done(struct instance *instance);

/* Before a save: PI_HOST if there may not be room for it on the disk, PI_CONFLICT if an earlier one is still being
 * written, PI_FAILED if QEMU cannot be asked now. */
int saved_state_check_save(const struct instance *instance, struct pi_error *err);
/* Before a start of a saved instance: PI_CONFLICT if its state does not fit what is there now, or cannot be read. */
int saved_state_check_load(struct instance *instance, struct pi_error *err);
/* The machine type with its version that the QEMU has to have that will load it; NULL if none will. */
const char *saved_state_machine(const struct instance *instance);

/* VM_DO_SAVE_STATE, VM_DO_LOAD_STATE and VM_DO_DROP_STATE. */
void saved_state_save(struct instance *instance);
void saved_state_load(struct instance *instance);
void saved_state_drop(struct instance *instance);
/* Removes what an agent that was killed left of saved states that do not count. */
void saved_state_sweep(const struct instance *instance);

#endif
