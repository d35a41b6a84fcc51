/* SPDX-License-Identifier: MIT */
/*
 * An instance's life as one pure function: (life, event) -> (life, actions). No clock, no I/O: the supervisor
 * feeds it requests, QMP events, process exits and timers, writes the record where asked, and carries out the
 * actions; those that QEMU, or the guest in it, would notice wait until the record is written.
 *
 * created -> starting -> running -> ready -> stopping -> stopped, with paused, suspended, failed (did not
 * start) and lost (its QEMU is gone without a word) beside them.
 *
 * The steps of a creation are all "created" for the API, and in the record:
 *
 *   folder -> image -> record -> disk -> starting
 *      |        |        |        |
 *      +--------+--------+--------+-- failed ----> undoing ---------------> gone (its followers read why)
 *                                 \-- cancelled -> cancelling -- removed -> gone
 *                                                  ^        \-- not removed: none
 *                                                  +--- cancelled again ------+
 */
#ifndef PIAGENT_VM_LIFE_H
#define PIAGENT_VM_LIFE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/error.h"

enum vm_state {
    VM_CREATED,   /* being prepared: image, disk, keys */
    VM_STARTING,  /* QEMU is being started, up to the answer to cont */
    VM_RUNNING,   /* the guest boots, or runs without having reported ready */
    VM_READY,     /* cloud-init's modules-final finished */
    VM_PAUSED,    /* stopped vCPUs: by request, or by QEMU (reason) */
    VM_SUSPENDED, /* the guest has put itself to sleep (ACPI S3): it waits to be woken */
    VM_STOPPING,
    VM_STOPPED,
    VM_FAILED, /* QEMU could not be started, or the accelerator asked for runs no guest */
    VM_LOST,   /* QEMU ended without piagent having asked it to and without its guest's shutdown */
    VM_STATES
};
extern const char *const vm_state_names[]; /* ends with NULL */

/* The step of a creation (VM_CREATED). An agent that finds a created instance removes it. */
enum vm_creation {
    VM_CREATION_NONE,       /* nothing: it has not begun, or its folder could not be removed */
    VM_CREATION_FOLDER,     /* its folder is written: the user's user-data, the record */
    VM_CREATION_IMAGE,      /* a worker finds, fetches and verifies its image */
    VM_CREATION_RECORD,     /* the record is written, which names the image now */
    VM_CREATION_DISK,       /* a worker makes its disk and its keys */
    VM_CREATION_UNDOING,    /* it failed: its folder is removed */
    VM_CREATION_CANCELLING, /* the same, by request */
    VM_CREATION_GONE,       /* its folder is removed: what is left is for those who follow its events */
};

/* How far a stop has gone: each rung is tried when the one before had its time. */
enum vm_rung { VM_RUNG_NONE, VM_RUNG_POWERDOWN, VM_RUNG_QUIT, VM_RUNG_TERM, VM_RUNG_KILL };
extern const char *const vm_rung_names[];

enum vm_event_type {
    VM_EVENT_START,         /* request: everything is in place, start QEMU */
    VM_EVENT_LAUNCHED,      /* QEMU runs (stopped vCPUs), QMP has negotiated and its uuid is proven */
    VM_EVENT_CONTINUED,     /* cont or system_wakeup was answered, or a RESUME or WAKEUP event */
    VM_EVENT_LAUNCH_FAILED, /* it could not be started at all */
    VM_EVENT_UNUSABLE,      /* QEMU runs, but its monitor fails while it starts, or it refuses cont */
    VM_EVENT_FOUND,         /* a new agent has found QEMU's process, and not heard its monitor yet */
    VM_EVENT_ADOPTED,    /* a new agent has taken over a running QEMU; .running tells whether its vCPUs run */
    VM_EVENT_GUEST_DONE, /* modules-final finished; .success */
    VM_EVENT_STOPPED,    /* stop was answered, or a STOP event: vCPUs were stopped */
    VM_EVENT_SUSPENDED,  /* SUSPEND event, or query-status says so */
    VM_EVENT_RESET,      /* system_reset was answered, or a RESET event: the guest boots anew */
    VM_EVENT_SHUTDOWN,   /* SHUTDOWN event; .guest: the guest did it, else QEMU was told to end */
    VM_EVENT_PANICKED,   /* GUEST_PANICKED, or the boot got stuck: QEMU and its vCPUs go on, the guest is not
                            ready any more */
    VM_EVENT_INTERNAL_ERROR, /* the accelerator gave up: query-status says internal-error */
    VM_EVENT_NO_SIGN,        /* no sign of life from the guest in its time, under KVM */
    VM_EVENT_EXITED,         /* the process ended */
    VM_EVENT_POWERDOWN,      /* request */
    VM_EVENT_KILL,           /* request: at once, by quit */
    VM_EVENT_RUNG_EXPIRED,   /* the rung's time is over */
    VM_EVENT_RESEND,         /* time to send the powerdown again */
    VM_EVENT_CREATE,         /* request, of a new instance that has passed every check */
    VM_EVENT_STEP_DONE,      /* what its creation waited for is there: it is written, or a worker has ended */
    VM_EVENT_STEP_FAILED,    /* that failed, or the agent ends; .kind */
    VM_EVENT_CANCEL,         /* request: undo the creation */
    VM_EVENT_UNDONE,         /* its folder is removed; without .success: it could not be */
    VM_EVENT_GOES_ON,        /* the boot goes on that seemed stuck: the reason is taken back */
};

#define VM_REASON_MAX 512

struct vm_event {
    enum vm_event_type type;
    bool guest;    /* SHUTDOWN */
    bool success;  /* GUEST_DONE, UNDONE */
    bool running;  /* ADOPTED */
    bool again;    /* PANICKED: not the guest's own fault, so that its boot may be begun again */
    bool fallback; /* INTERNAL_ERROR, NO_SIGN, and EXITED before the guest ran: KVM may be to blame, and TCG
                      is allowed (accelerator auto) */
    enum pi_kind kind;  /* STEP_FAILED */
    const char *reason; /* why, for people; borrowed. NULL: nothing to say */
};

/* What a life remembers. Zeroed memory is a created instance. */
struct vm_life {
    enum vm_state state;
    enum vm_creation creation;
    enum vm_rung rung;      /* of the stop under way, or the one that ended the last run */
    bool was_ready;         /* PAUSED, SUSPENDED: it was ready before */
    bool shutdown_seen;     /* SHUTDOWN came: the exit that follows is expected */
    bool guest_powered_off; /* the last stop was the guest's own poweroff */
    bool cut_off;           /* someone else than piagent told QEMU to end while its guest ran */
    bool fell_back;         /* this run is a fresh start under TCG after KVM ran no guest */
    bool begun_again;       /* in this run a boot was begun again: once is enough */
    bool relaunch;          /* STARTING, rung KILL: it is killed to be started afresh under TCG */
    /* Why it is in its state, or what is wrong with its guest: one clean line for people. "": nothing to say. */
    char reason[VM_REASON_MAX];
};

/* Cleaning up comes before a fresh start, and saving after all that the record speaks of. */
enum vm_action {
    VM_DO_DISARM = 1 << 0,       /* both timers off */
    VM_DO_CLEAN = 1 << 1,        /* the process is gone: reap it, close QMP and console, remove sockets */
    VM_DO_DISTRUST_KVM = 1 << 2, /* remember for this boot of the host that KVM runs no guest here */
    VM_DO_LAUNCH = 1 << 3,       /* start QEMU (under TCG where life.fell_back) */
    VM_DO_CONT = 1 << 4,         /* send cont */
    VM_DO_RESET = 1 << 5,        /* send system_reset */
    VM_DO_WAKE = 1 << 6,         /* send system_wakeup */
    VM_DO_POWERDOWN = 1 << 7,    /* send system_powerdown */
    VM_DO_QUIT = 1 << 8,         /* send quit; without QMP yet: nothing, LAUNCHED brings it again */
    VM_DO_TERM = 1 << 9,         /* SIGTERM */
    VM_DO_KILL = 1 << 10,        /* SIGKILL */
    VM_DO_ARM_RESEND = 1 << 11,  /* VM_EVENT_RESEND after the resend interval */
    VM_DO_ARM_RUNG = 1 << 12,    /* VM_EVENT_RUNG_EXPIRED after the rung's time */
    VM_DO_WATCH_SIGN = 1 << 13,  /* under KVM: VM_EVENT_NO_SIGN unless the guest shows life in time */
    VM_DO_SAVE = 1 << 14,        /* write the record */
    VM_DO_REFUSE = 1 << 15,      /* the request does not fit the state: tell who asked */
    VM_DO_NOTHING = 1 << 16,     /* what was asked for is so already: tell who asked */

    /* Of a creation. STEP_DONE or STEP_FAILED follows each of the first three. */
    VM_DO_SAVE_STEP = 1 << 17,    /* write the folder, or the record */
    VM_DO_FETCH = 1 << 18,        /* start the worker for the image */
    VM_DO_PREPARE = 1 << 19,      /* start the worker for the disk and the keys */
    VM_DO_UNDO = 1 << 20,         /* end the worker, remove the folder: UNDONE follows */
    VM_DO_TELL_FAILURE = 1 << 21, /* tell followers and callers why it failed, then forget it */
    VM_DO_FORGET = 1 << 22,       /* it was removed by request: forget it */
};

/*
 * Returns the actions (a set of enum vm_action) and updates *life. The event's reason becomes the life's; a change of
 * state without one clears it. But the reason for which a start fails stays until its QEMU has ended, and a start
 * that was called off fails without a reason.
 */
unsigned vm_life_next(struct vm_life *life, const struct vm_event *event);

/* Whether its guest has not worked yet in this run: where the accelerator fails, the run is over. One that
 * has is paused, as it is. */
bool vm_life_boots(const struct vm_life *life);

/* Whether all that is left of it is for those who follow its events. */
bool vm_life_is_gone(const struct vm_life *life);

/* Whether a QEMU process belongs to the state. */
bool vm_state_is_live(enum vm_state state);

/* Whether its guest stands still, and goes on as what it was: paused or suspended. */
bool vm_state_stands_still(enum vm_state state);

#endif
