/* SPDX-License-Identifier: MIT */
/*
 * An instance's life as one pure function: (life, event) -> (life, actions). No clock, no I/O. The agent
 * feeds it requests, QMP events, process exits and timers, writes the record if asked, and carries out the
 * actions. Actions that QEMU or the guest would notice wait until the record is written.
 *
 * created -> starting -> running -> ready -> stopping -> stopped. Beside these: paused, suspended, failed
 * (QEMU did not start) and lost (QEMU ended unexpectedly).
 *
 * A saved instance has no QEMU: its RAM and devices are in files, the saved state, which fits its disk as long as
 * the guest has not run since. So the record says what counts, and it changes before the guest may run:
 *
 *   running -> saving -> saving, committed -> saved -> restoring -> restoring, committed -> running
 *              (whole in QEMU)  (the saved state counts)               (QEMU counts again)
 *
 * A snapshot of a guest is a save that ends as one that fails: QEMU keeps the guest.
 * A save that fails, or is not on record, goes on as "restoring, committed". A load that fails, or whose QEMU ends, is "saved" again.
 *
 * The steps of a creation are all "created" for the API, and in the record:
 *
 *   folder -> files -> starting, or stopped if that was asked for; of a template: saved, restoring
 *      |        |
 *      +--------+-- failed ----> undoing ---------------> gone (its followers read why)
 *               \-- cancelled -> cancelling -- removed -> gone
 *                                ^        \-- not removed: none
 *                                +--- cancelled again ------+
 */
#ifndef PIAGENT_VM_LIFE_H
#define PIAGENT_VM_LIFE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/error.h"
#include "agent/vm/state.h"

/* The step of a creation (VM_CREATED). An agent that finds a created instance removes it. */
enum vm_creation {
    VM_CREATION_NONE,    /* none: it has not begun, or its folder could not be removed */
    VM_CREATION_FOLDER,  /* the agent writes its folder: the user's user-data, the record */
    VM_CREATION_FILES,   /* a worker finds, fetches and verifies its image, and makes its disk and its keys */
    VM_CREATION_UNDOING, /* it failed: the agent removes its folder */
    VM_CREATION_CANCELLING, /* the same, by request */
    VM_CREATION_GONE, /* its folder is removed, in whatever state: only its events are left, for followers */
};

/* How far a stop has gone. The next rung is tried when the time of a rung is over. */
enum vm_rung { VM_RUNG_NONE, VM_RUNG_POWERDOWN, VM_RUNG_QUIT, VM_RUNG_TERM, VM_RUNG_KILL };
extern const char *const vm_rung_names[];

enum vm_event_type {
    VM_EVENT_START,         /* request: everything is in place, start QEMU */
    VM_EVENT_LAUNCHED,      /* QEMU runs (stopped vCPUs), QMP has negotiated and its uuid is proven */
    VM_EVENT_CONTINUED,     /* cont or system_wakeup was answered, or a RESUME or WAKEUP event */
    VM_EVENT_LAUNCH_FAILED, /* QEMU could not be started at all */
    VM_EVENT_UNUSABLE,      /* QEMU runs, but its monitor fails while it starts, or it refuses cont */
    VM_EVENT_FOUND,         /* a new agent has found QEMU's process; its monitor has not answered yet */
    VM_EVENT_ADOPTED,       /* a new agent has taken over a running QEMU; .running: its vCPUs run */
    VM_EVENT_GUEST_DONE,    /* modules-final finished; .success */
    VM_EVENT_STOPPED,       /* stop was answered, or a STOP event: vCPUs were stopped */
    VM_EVENT_SUSPENDED,     /* SUSPEND event, or query-status says so */
    VM_EVENT_RESET,         /* system_reset was answered, or a RESET event: the guest boots again */
    VM_EVENT_SHUTDOWN,      /* SHUTDOWN event; .guest: by the guest, else someone told QEMU to end */
    VM_EVENT_PANICKED, /* GUEST_PANICKED, or the boot got stuck: QEMU and its vCPUs run on, but the guest is
                            not ready any more */
    VM_EVENT_INTERNAL_ERROR, /* the accelerator gave up: query-status says internal-error */
    VM_EVENT_NO_SIGN,        /* under KVM: the guest gave no sign of life in time */
    VM_EVENT_EXITED,         /* the process ended */
    VM_EVENT_POWERDOWN,      /* request */
    VM_EVENT_KILL,           /* request: end QEMU at once, by quit */
    VM_EVENT_RUNG_EXPIRED,   /* the rung's time is over */
    VM_EVENT_RESEND,         /* time to send the powerdown again */
    VM_EVENT_CREATE, /* request: a new instance, which has passed every check; .stopped: do not start it; .saved: it is
                           made with a saved state */
    VM_EVENT_STEP_DONE,   /* a step of the creation is done: a file is written, or a worker has succeeded */
    VM_EVENT_STEP_FAILED, /* the step failed, or the agent ends; .kind */
    VM_EVENT_CANCEL,      /* request: undo the creation */
    VM_EVENT_UNDONE, /* its folder is removed, or, without .success, could not be; also of one that has ended, or is
                        saved */
    VM_EVENT_GOES_ON,      /* a boot that seemed stuck goes on: the reason is taken back */
    VM_EVENT_START_COLD,   /* request: start; a saved state is dropped, and the disk boots */
    VM_EVENT_SAVE,         /* request, which has passed every check: save its state and end QEMU */
    VM_EVENT_SNAPSHOT,     /* request, which has passed every check: save its state for a snapshot */
    VM_EVENT_STATE_SAVED,  /* all of it is on disk */
    VM_EVENT_STATE_COPIED, /* the snapshot has it: the guest goes on */
    VM_EVENT_STATE_LOADED, /* QEMU has all of it; the vCPUs stand still */
    VM_EVENT_STATE_FAILED, /* it could not be saved, or that not be noted on record before QEMU was told to end; or it is not to be
                              loaded */
    VM_EVENT_UNFIT, /* its guest must not go on: it resumed from a template and did not take an identity of its own, or it is a
                       template that could not be saved */
};

#define VM_REASON_MAX 512

struct vm_event {
    enum vm_event_type type;
    bool guest;          /* SHUTDOWN */
    bool success;        /* GUEST_DONE, UNDONE */
    bool running;        /* ADOPTED */
    bool stopped, saved; /* CREATE */
    bool frozen;         /* STATE_SAVED: its QEMU stands still, and is not let go on to quit */
    bool
        again; /* PANICKED: not the guest's fault, so the agent may begin the boot again. EXITED before the guest ran: nobody
                            knows how, or another program has taken a port meanwhile, so the start is repeated */
    bool fallback; /* INTERNAL_ERROR, NO_SIGN, and EXITED before the guest ran: KVM may be the cause, and the
                      user allows TCG (accelerator auto) */
    enum pi_kind kind;  /* STEP_FAILED */
    const char *reason; /* why, for people; borrowed; NULL = none */
};

/* The state of a life. Zeroed memory is a created instance. */
struct vm_life {
    enum vm_state state;
    enum vm_creation creation;
    enum vm_rung rung; /* of the stop under way, or the one that ended the last run */
    bool left_stopped; /* CREATED: its creation ends in STOPPED, or in SAVED */
    bool made_saved;   /* CREATED: its creation makes it SAVED, and goes on from there unless it is left so */
    bool was_ready;    /* PAUSED, SUSPENDED, SAVING, SAVED, RESTORING: it was ready before */
    bool paused;       /* SAVING: it was paused before, and will be */
    bool committed;    /* SAVING: the saved state counts; RESTORING: it does not count any more */
    bool shutdown_seen;     /* SHUTDOWN came: the exit that follows is expected */
    bool guest_powered_off; /* the guest itself powered off last time */
    bool cut_off;           /* someone other than piagent told QEMU to end while its guest ran */
    bool fell_back;         /* this run is a second start, under TCG, because KVM ran no guest */
    bool begun_again;       /* the agent has begun a boot again in this run, which it does only once */
    bool relaunch;          /* STARTING, rung KILL: QEMU is being killed, and then started under TCG */
    bool unfit;             /* STOPPING: its guest must not go on, so that it ends in FAILED */
    /* Why it is in its state, or what is wrong with its guest: one clean line for people; "" = none. */
    char reason[VM_REASON_MAX];
};

/* Cleaning up comes before a start, and saving after all actions that change the record. */
enum vm_action {
    VM_DO_DISARM = 1 << 0,       /* stop both timers */
    VM_DO_CLEAN = 1 << 1,        /* the process is gone: reap it, close QMP and console, remove sockets */
    VM_DO_DISTRUST_KVM = 1 << 2, /* remember for this boot of the host that KVM runs no guest here */
    VM_DO_LAUNCH = 1 << 3,       /* start QEMU (under TCG if life.fell_back) */
    VM_DO_CONT = 1 << 4,         /* send cont */
    VM_DO_RESET = 1 << 5,        /* send system_reset */
    VM_DO_WAKE = 1 << 6,         /* send system_wakeup */
    VM_DO_POWERDOWN = 1 << 7,    /* send system_powerdown */
    VM_DO_QUIT = 1 << 8,         /* send quit; nothing before QMP is there: LAUNCHED asks for it again */
    VM_DO_TERM = 1 << 9,         /* SIGTERM */
    VM_DO_KILL = 1 << 10,        /* SIGKILL */
    VM_DO_ARM_RESEND = 1 << 11,  /* VM_EVENT_RESEND after the resend interval */
    VM_DO_ARM_RUNG = 1 << 12,    /* VM_EVENT_RUNG_EXPIRED after the rung's time */
    VM_DO_WATCH_SIGN = 1 << 13,  /* under KVM: VM_EVENT_NO_SIGN unless the guest shows life in time */
    VM_DO_SAVE = 1 << 14,        /* write the record */
    VM_DO_REFUSE = 1 << 15,      /* the request does not fit the state: tell the client */
    VM_DO_NOTHING = 1 << 16,     /* the request is fulfilled already: tell the client */

    /* For a creation. STEP_DONE or STEP_FAILED follows each of the first two. */
    VM_DO_SAVE_STEP = 1 << 17,    /* write the folder */
    VM_DO_PREPARE = 1 << 18,      /* start the worker for the image, the disk and the keys */
    VM_DO_UNDO = 1 << 19,         /* end the worker, remove the folder: UNDONE follows */
    VM_DO_TELL_FAILURE = 1 << 20, /* tell followers and callers why it failed, then forget it */
    VM_DO_FORGET = 1 << 21,       /* it was removed by request: forget it */

    VM_DO_SAVE_STATE = 1 << 22, /* STATE_SAVED or STATE_FAILED follows */
    VM_DO_LOAD_STATE = 1 << 23, /* into a QEMU that waits for it: STATE_LOADED or STATE_FAILED follows */
    VM_DO_DROP_STATE = 1 << 24, /* remove its files */
};

/*
 * Returns the actions (a set of enum vm_action) and updates *life. The event's reason becomes the life's
 * reason; a change of state without a reason clears it. So do RESET, unless the guest stands still, and
 * GOES_ON, while the guest runs. Exceptions: the reason of a failed start, and of an unfit guest, stays until its QEMU has ended, and a
 * start that was cancelled fails without a reason. A reason adds VM_DO_SAVE, even to an event that the state
 * ignores.
 */
unsigned vm_life_next(struct vm_life *life, const struct vm_event *event);

/* Tells if the guest has not come up yet in this run. If the accelerator then fails, the run is over. A guest
 * that was up is paused instead. */
bool vm_life_boots(const struct vm_life *life);

/* Tells if only its events are left, for followers. */
bool vm_life_is_gone(const struct vm_life *life);

/* Tells if no QEMU runs and nothing is saved that could go on: stopped, failed or lost. */
bool vm_life_has_ended(const struct vm_life *life);

/* Tells if it is being started or restored, up to the point from which its guest may run, and nobody has asked its QEMU
 * to end since. */
bool vm_life_is_starting(const struct vm_life *life);

/* Tells if QEMU loads a saved state, which still counts. */
bool vm_life_is_loading(const struct vm_life *life);

/* Tells if the saved state is whole, and its QEMU is being ended. */
bool vm_life_is_saved_whole(const struct vm_life *life);

/* Tells if QEMU writes its saved state, or if that still counts: its files stay. */
bool vm_life_has_saved_state(const struct vm_life *life);

#endif
