/* SPDX-License-Identifier: MIT */
/* The states of an instance, and what they have in common. What leads from one to another: life.h. */
#ifndef PIAGENT_VM_STATE_H
#define PIAGENT_VM_STATE_H

#include <stdbool.h>

enum vm_state {
    VM_CREATED,   /* being prepared: image, disk, keys */
    VM_STARTING,  /* QEMU is being started, up to the answer to cont */
    VM_RUNNING,   /* the guest boots, or runs and has not reported ready */
    VM_READY,     /* cloud-init's modules-final finished */
    VM_PAUSED,    /* vCPUs stopped, by request or by QEMU (reason) */
    VM_SUSPENDED, /* the guest has suspended itself (ACPI S3), and waits until someone wakes it */
    VM_STOPPING,
    VM_STOPPED,
    VM_FAILED, /* QEMU could not be started, or the requested accelerator runs no guest */
    VM_LOST,   /* QEMU ended, though neither piagent nor its guest asked for that */
    VM_SAVING, /* by request: the vCPUs are stopped, QEMU writes the saved state and is then told to quit */
    VM_SAVED,  /* no QEMU runs; its next start loads the saved state, and the guest goes on */
    VM_RESTORING, /* QEMU loads the saved state, up to the answer to cont */
    VM_STATES
};
extern const char *const vm_state_names[]; /* ends with NULL */

/* Tells if an instance in this state has a QEMU process. (It may have ended without an agent.) One of a newer agent, which
 * is not known here (VM_STATES), is taken to have one: nobody starts it a second time. */
bool vm_state_is_live(enum vm_state state);

/* Tells if the guest runs: running or ready. */
bool vm_state_runs(enum vm_state state);

/* Tells if the instance has run to its end, or could not be started: stopped, failed, lost. */
bool vm_state_has_ended(enum vm_state state);

/* Tells if the guest stands still, and later goes on in its old state: paused or suspended. */
bool vm_state_stands_still(enum vm_state state);

/* Tells if the guest is in a saved state, or on its way there or back: saving, saved, restoring. */
bool vm_state_is_saved(enum vm_state state);

/* Tells if the guest stands still or is saved: its boot is over or goes on later, as it was. */
bool vm_state_rests(enum vm_state state);

#endif
