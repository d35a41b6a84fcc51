/* SPDX-License-Identifier: MIT */
#include "agent/vm/life.h"

#include <stddef.h>
#include <string.h>

#include "agent/base/text.h"

const char *const vm_rung_names[] = {"none", "powerdown", "quit", "term", "kill", NULL};

/* The actions of a rung: when the stop reaches it, and again when a new agent takes the stop over. */
static const unsigned rung_actions[] = {
    [VM_RUNG_NONE] = 0,
    [VM_RUNG_POWERDOWN] = VM_DO_POWERDOWN | VM_DO_ARM_RESEND | VM_DO_ARM_RUNG,
    [VM_RUNG_QUIT] = VM_DO_QUIT | VM_DO_ARM_RUNG,
    [VM_RUNG_TERM] = VM_DO_TERM | VM_DO_ARM_RUNG,
    [VM_RUNG_KILL] = VM_DO_KILL | VM_DO_ARM_RUNG,
};
static const unsigned needs_monitor = VM_DO_POWERDOWN | VM_DO_ARM_RESEND | VM_DO_QUIT;

/* The guest may run on: a save has failed, or a load has succeeded. */
static bool is_restored(const struct vm_life *life)
{
    return life->state == VM_RESTORING && life->committed;
}

/* QEMU is being killed because it runs no guest, or loads no saved state. Only its exit and requests to stop count
 * now. */
static bool is_condemned(const struct vm_life *life)
{
    return (life->state == VM_STARTING || vm_life_is_loading(life)) && life->rung == VM_RUNG_KILL;
}

static bool is_unfit(const struct vm_life *life)
{
    return life->state == VM_STOPPING && life->unfit;
}

/* It is going to be "failed", or "saved" again if its load fails. The first reason says why. */
static bool is_failing(const struct vm_life *life)
{
    return life->state == VM_STARTING || vm_life_is_loading(life) || is_unfit(life);
}

static unsigned enter_rung(struct vm_life *life, enum vm_rung rung)
{
    life->state = VM_STOPPING;
    life->rung = rung;
    life->was_ready = life->committed = life->paused = false;
    return rung_actions[rung] | VM_DO_SAVE;
}

static unsigned life_launch(struct vm_life *life)
{
    *life = (struct vm_life){.state = VM_STARTING};
    return VM_DO_LAUNCH | VM_DO_SAVE;
}

/* The life of a saved state is that of the guest in it: what it was when it was saved. */
static unsigned enter_saved(struct vm_life *life, enum vm_state state, bool committed)
{
    life->state = state;
    life->rung = VM_RUNG_NONE;
    life->committed = committed;
    life->shutdown_seen = false;
    return VM_DO_SAVE;
}

static unsigned life_on_start(struct vm_life *life, bool cold)
{
    if (life->state == VM_STARTING || life->state == VM_RESTORING || vm_state_runs(life->state))
        return VM_DO_NOTHING;
    if (life->state == VM_SAVED)
        return cold ? life_launch(life) : enter_saved(life, VM_RESTORING, false) | VM_DO_LAUNCH;
    return vm_state_is_live(life->state) || life->state == VM_CREATED ? VM_DO_REFUSE : life_launch(life);
}

/* The creation. */

static bool life_is_creating(const struct vm_life *life)
{
    return life->state == VM_CREATED && life->creation < VM_CREATION_UNDOING;
}

static unsigned enter_creation(struct vm_life *life, enum vm_creation creation)
{
    static const unsigned actions[] = {
        [VM_CREATION_NONE] = 0,
        [VM_CREATION_FOLDER] = VM_DO_SAVE_STEP,
        [VM_CREATION_FILES] = VM_DO_PREPARE,
        [VM_CREATION_UNDOING] = VM_DO_UNDO,
        [VM_CREATION_CANCELLING] = VM_DO_UNDO,
        [VM_CREATION_GONE] = 0,
    };
    life->creation = creation;
    return actions[creation];
}

static unsigned life_on_create(struct vm_life *life, const struct vm_event *event)
{
    if (life->state != VM_CREATED || life->creation != VM_CREATION_NONE)
        return 0;
    life->left_stopped = event->stopped;
    life->made_saved = event->saved;
    return enter_creation(life, VM_CREATION_FOLDER);
}

static unsigned end_creation(struct vm_life *life)
{
    bool left = life->left_stopped;
    *life = (struct vm_life){.state = life->made_saved ? VM_SAVED : VM_STOPPED};
    return left ? VM_DO_SAVE : life_on_start(life, false);
}

static unsigned life_on_step_done(struct vm_life *life)
{
    if (!life_is_creating(life) || life->creation == VM_CREATION_NONE)
        return 0;
    return life->creation == VM_CREATION_FILES ? end_creation(life) : enter_creation(life, VM_CREATION_FILES);
}

static unsigned life_on_step_failed(struct vm_life *life)
{
    return life_is_creating(life) ? enter_creation(life, VM_CREATION_UNDOING) : 0;
}

static unsigned life_on_cancel(struct vm_life *life)
{
    return life_is_creating(life) ? enter_creation(life, VM_CREATION_CANCELLING) : 0;
}

static unsigned life_on_undone(struct vm_life *life, bool success)
{
    if ((vm_life_has_ended(life) || life->state == VM_SAVED) && success)
        return enter_creation(life, VM_CREATION_GONE);
    if (life->state != VM_CREATED)
        return 0;
    if (life->creation == VM_CREATION_UNDOING) /* the next agent removes the rest of its folder */
        return enter_creation(life, VM_CREATION_GONE) | VM_DO_TELL_FAILURE;
    if (life->creation != VM_CREATION_CANCELLING)
        return 0;
    return success ? enter_creation(life, VM_CREATION_GONE) | VM_DO_FORGET
                   : enter_creation(life, VM_CREATION_NONE) | VM_DO_SAVE;
}

static unsigned life_on_launched(const struct vm_life *life)
{
    if (vm_life_is_loading(life) && !is_condemned(life))
        return VM_DO_LOAD_STATE;
    if (life->state == VM_STARTING && !is_condemned(life))
        return VM_DO_CONT | VM_DO_WATCH_SIGN;
    /* A stop came before QMP could send quit. */
    if (life->state == VM_STOPPING && life->rung == VM_RUNG_QUIT)
        return VM_DO_QUIT;
    return 0;
}

static unsigned life_on_continued(struct vm_life *life)
{
    if (is_condemned(life) ||
        (life->state != VM_STARTING && !is_restored(life) && !vm_state_stands_still(life->state)))
        return 0;
    life->state = life->was_ready ? VM_READY : VM_RUNNING;
    life->was_ready = life->committed = false;
    return VM_DO_SAVE;
}

static unsigned stand_still(struct vm_life *life, enum vm_state how)
{
    if (life->state == how ||
        (!vm_state_runs(life->state) && !is_restored(life) && !vm_state_stands_still(life->state)))
        return 0;
    if (vm_state_runs(life->state))
        life->was_ready = life->state == VM_READY;
    life->state = how;
    life->committed = false;
    return VM_DO_SAVE;
}

static unsigned life_on_suspended(struct vm_life *life)
{
    /* A guest may suspend itself when its power button is pressed. It hears the button only while it is
     * awake. */
    if (life->state == VM_STOPPING && life->rung == VM_RUNG_POWERDOWN)
        return VM_DO_WAKE;
    return stand_still(life, VM_SUSPENDED);
}

/* Suspending and restoring. */

static unsigned life_on_save(struct vm_life *life, bool snapshot)
{
    bool paused = life->state == VM_PAUSED;
    if (!snapshot && (life->state == VM_SAVING || life->state == VM_SAVED))
        return VM_DO_NOTHING;
    if (!vm_state_runs(life->state) && !(snapshot && paused))
        return VM_DO_REFUSE;
    if (!paused)
        life->was_ready = life->state == VM_READY;
    life->paused = paused;
    return enter_saved(life, VM_SAVING, false) | VM_DO_SAVE_STATE;
}

static unsigned life_on_state_saved(struct vm_life *life, bool frozen)
{
    if (life->state != VM_SAVING || life->committed)
        return 0;
    life->committed = true;
    life->rung = frozen ? VM_RUNG_KILL : VM_RUNG_QUIT;
    return rung_actions[life->rung] | VM_DO_SAVE;
}

/* The record says that the saved state does not count any more before the guest runs. */
static unsigned go_on_from_saved(struct vm_life *life)
{
    bool paused = life->paused;
    life->paused = false;
    if (paused)
        return enter_saved(life, VM_PAUSED, false);
    return enter_saved(life, VM_RESTORING, true) | VM_DO_CONT;
}

static unsigned life_on_state_loaded(struct vm_life *life)
{
    return vm_life_is_loading(life) && !is_condemned(life) ? go_on_from_saved(life) : 0;
}

/* Ends a QEMU whose guest has not run since its state was saved. */
static unsigned end_loading(struct vm_life *life)
{
    life->rung = VM_RUNG_KILL;
    return VM_DO_KILL | VM_DO_SAVE;
}

static unsigned life_on_state_failed(struct vm_life *life)
{
    /* QEMU is told to end only when the record says that the saved state counts. */
    if (life->state == VM_SAVING && (!life->committed || life->rung != VM_RUNG_TERM))
        return go_on_from_saved(life);
    return vm_life_is_loading(life) && !is_condemned(life) ? end_loading(life) : 0;
}

static unsigned life_on_launch_failed(struct vm_life *life)
{
    if (vm_life_is_loading(life))
        return enter_saved(life, VM_SAVED, false) | VM_DO_DISARM | VM_DO_CLEAN;
    if (life->state != VM_STARTING && life->state != VM_STOPPING)
        return 0;
    life->state = life->state == VM_STOPPING ? VM_STOPPED : VM_FAILED;
    life->relaunch = false;
    return VM_DO_DISARM | VM_DO_CLEAN | VM_DO_SAVE;
}

/* Sends signals and starts the rung's time without waiting for the monitor, which may never answer. */
static unsigned life_on_found(const struct vm_life *life)
{
    if (is_condemned(life))
        return VM_DO_KILL;
    return life->state == VM_STOPPING || vm_life_is_saved_whole(life)
               ? rung_actions[life->rung] & ~needs_monitor
               : 0;
}

static unsigned life_on_adopted(struct vm_life *life, bool running)
{
    switch (life->state) {
    case VM_STARTING:
        return running ? life_on_continued(life) : life_on_launched(life);
    case VM_STOPPING:
        return (rung_actions[life->rung] & needs_monitor) |
               (life->rung == VM_RUNG_POWERDOWN && !running ? VM_DO_CONT : 0);
    case VM_SAVING: /* nobody knows how far QEMU has come with it */
        return life->committed ? rung_actions[life->rung] & needs_monitor : go_on_from_saved(life);
    case VM_RESTORING:
        if (!life->committed && !running)
            return life_on_launched(life);
        life->committed = true; /* its guest ran before that was on record */
        return running ? life_on_continued(life) : VM_DO_CONT;
    default:
        return running ? life_on_continued(life) : stand_still(life, VM_PAUSED);
    }
}

static unsigned life_on_guest_done(struct vm_life *life, bool success)
{
    bool rests = vm_state_rests(life->state);
    if (life->state == VM_RUNNING && success)
        life->state = VM_READY;
    else if (rests && success)
        life->was_ready = true;
    else if (!vm_state_runs(life->state) && !rests)
        return 0;
    return VM_DO_SAVE;
}

/* The guest boots again, or its kernel panicked. After a panic the guest's own setting decides. */
static unsigned not_ready(struct vm_life *life)
{
    if (life->state == VM_READY)
        life->state = VM_RUNNING;
    else if (vm_state_rests(life->state))
        life->was_ready = false;
    else if (life->state != VM_RUNNING)
        return 0;
    return VM_DO_SAVE;
}

/* If QEMU resets a suspended guest, the guest does not go on by itself. */
static unsigned life_on_reset(struct vm_life *life)
{
    bool slept = life->state == VM_SUSPENDED;
    unsigned actions = not_ready(life);
    if (!vm_state_stands_still(life->state))
        life->reason[0] = '\0';
    if (slept)
        life->state = VM_PAUSED;
    return actions | (slept ? VM_DO_CONT : 0);
}

static unsigned life_on_panicked(struct vm_life *life, bool again)
{
    if (!again || life->begun_again || life->state != VM_RUNNING)
        return not_ready(life);
    life->begun_again = true;
    return VM_DO_RESET | VM_DO_SAVE;
}

static unsigned life_on_shutdown(struct vm_life *life, bool guest)
{
    if (!vm_state_is_live(life->state) || is_condemned(life) || vm_life_is_loading(life) ||
        vm_life_is_saved_whole(life))
        return 0;
    bool asked = life->state == VM_STOPPING && life->rung > VM_RUNG_POWERDOWN;
    life->cut_off |= !guest && !asked && !life->guest_powered_off;
    life->shutdown_seen = true;
    life->guest_powered_off |= guest;
    /* The guest is off, and QEMU waits until it is told to quit, so that an agent that starts later sees the
     * shutdown too. */
    if (life->state == VM_STOPPING)
        return VM_DO_QUIT | VM_DO_SAVE;
    return enter_rung(life, VM_RUNG_QUIT);
}

/* Kills a QEMU whose guest never ran. If relaunch, the next start is under TCG. */
static unsigned life_condemn(struct vm_life *life, bool relaunch)
{
    life->state = VM_STARTING;
    life->rung = VM_RUNG_KILL;
    life->relaunch = relaunch;
    return VM_DO_KILL | (relaunch ? VM_DO_DISTRUST_KVM : 0) | VM_DO_SAVE;
}

static unsigned life_on_accelerator_failed(struct vm_life *life, const struct vm_event *event)
{
    bool relaunch = event->fallback && !life->fell_back;
    bool error = event->type == VM_EVENT_INTERNAL_ERROR;
    if (is_condemned(life) || (!error && life->state == VM_PAUSED))
        return 0;
    if (vm_life_boots(life))
        return error || relaunch ? life_condemn(life, relaunch) : 0;
    /* A guest that was up is kept, with its disk and its last screen: the user decides. */
    return error ? stand_still(life, VM_PAUSED) : 0;
}

static unsigned life_on_unusable(struct vm_life *life)
{
    if (vm_life_is_loading(life))
        return life_on_state_failed(life);
    return life->state == VM_STARTING && !is_condemned(life) ? life_condemn(life, false) : 0;
}

/* A guest that stands still must not go on either. */
static unsigned life_on_unfit(struct vm_life *life)
{
    if (!vm_state_runs(life->state) && !vm_state_stands_still(life->state))
        return 0;
    life->unfit = true;
    return enter_rung(life, VM_RUNG_KILL);
}

static unsigned life_on_exited(struct vm_life *life, const struct vm_event *event)
{
    if (event->again && vm_life_is_loading(life) && !is_condemned(life))
        return enter_saved(life, VM_RESTORING, false) | VM_DO_DISARM | VM_DO_CLEAN | VM_DO_LAUNCH;
    if (vm_life_is_saved_whole(life) || vm_life_is_loading(life))
        return enter_saved(life, VM_SAVED, false) | VM_DO_DISARM | VM_DO_CLEAN;
    bool starting = life->state == VM_STARTING && !is_condemned(life);
    /* If KVM cannot set up the CPU, QEMU aborts before its guest runs. */
    bool aborted = starting && event->fallback && !life->fell_back;
    bool repeated = starting && event->again;
    if (aborted || repeated || (life->state == VM_STARTING && life->relaunch)) {
        *life = (struct vm_life){.state = VM_STARTING, .fell_back = !repeated || life->fell_back};
        return VM_DO_DISARM | VM_DO_CLEAN | (aborted ? VM_DO_DISTRUST_KVM : 0) | VM_DO_LAUNCH | VM_DO_SAVE;
    }
    /* Only the button was pressed. A guest that heard it would have powered off first. */
    bool crashed = life->cut_off ||
                   (life->state == VM_STOPPING && life->rung == VM_RUNG_POWERDOWN && !life->shutdown_seen);
    if (life->state == VM_STARTING || is_unfit(life))
        life->state = VM_FAILED;
    else if (life->state == VM_STOPPING && !crashed)
        life->state = VM_STOPPED;
    else if (vm_state_is_live(life->state))
        life->state = VM_LOST;
    life->was_ready = life->committed = life->paused = false;
    return VM_DO_DISARM | VM_DO_CLEAN | VM_DO_SAVE;
}

/* A stop without a QEMU. An instance that is being created is not stopped, but undone. */
static unsigned stop_ended(const struct vm_life *life)
{
    return life->state == VM_CREATED ? VM_DO_REFUSE : VM_DO_NOTHING;
}

/* A stop while QEMU is being killed only forbids the second start. */
static unsigned stop_condemned(struct vm_life *life)
{
    life->relaunch = false;
    return enter_rung(life, VM_RUNG_KILL);
}

static unsigned life_on_powerdown(struct vm_life *life)
{
    switch (life->state) {
    case VM_STARTING:
        /* No guest has booted yet that could hear the button. */
        return is_condemned(life) ? stop_condemned(life) : enter_rung(life, VM_RUNG_QUIT);
    case VM_RUNNING:
    case VM_READY:
        return enter_rung(life, VM_RUNG_POWERDOWN);
    case VM_PAUSED:
        return VM_DO_CONT | enter_rung(life, VM_RUNG_POWERDOWN);
    case VM_SUSPENDED:
        return VM_DO_WAKE | enter_rung(life, VM_RUNG_POWERDOWN);
    case VM_STOPPING:
        return 0;
    case VM_SAVING:
    case VM_SAVED: /* a guest that does not run cannot power itself off */
    case VM_RESTORING:
        return VM_DO_REFUSE;
    default:
        return stop_ended(life);
    }
}

static unsigned life_on_kill(struct vm_life *life)
{
    if (!vm_state_is_live(life->state))
        return stop_ended(life);
    if (vm_life_is_saved_whole(life) ||
        vm_life_is_loading(life)) /* killed or not, the saved state is what is left */
        return is_condemned(life) || vm_life_is_saved_whole(life) ? 0 : end_loading(life);
    if (is_condemned(life))
        return stop_condemned(life);
    return life->rung < VM_RUNG_QUIT ? enter_rung(life, VM_RUNG_QUIT) : 0;
}

static unsigned life_on_rung_expired(struct vm_life *life)
{
    enum vm_rung next = life->rung < VM_RUNG_KILL ? life->rung + 1 : VM_RUNG_KILL;
    if (vm_life_is_saved_whole(life)) {
        life->rung = next;
        return rung_actions[next] | VM_DO_SAVE;
    }
    return life->state == VM_STOPPING ? enter_rung(life, next) : 0;
}

static unsigned life_on_resend(const struct vm_life *life)
{
    if (life->state != VM_STOPPING || life->rung != VM_RUNG_POWERDOWN || life->shutdown_seen)
        return 0;
    return VM_DO_POWERDOWN | VM_DO_ARM_RESEND;
}

static unsigned life_on_goes_on(struct vm_life *life)
{
    if (!vm_state_runs(life->state))
        return 0;
    life->reason[0] = '\0';
    return VM_DO_SAVE;
}

static unsigned life_react(struct vm_life *life, const struct vm_event *event)
{
    switch (event->type) {
    case VM_EVENT_START:
    case VM_EVENT_START_COLD:
        return life_on_start(life, event->type == VM_EVENT_START_COLD);
    case VM_EVENT_SAVE:
    case VM_EVENT_SNAPSHOT:
        return life_on_save(life, event->type == VM_EVENT_SNAPSHOT);
    case VM_EVENT_STATE_SAVED:
        return life_on_state_saved(life, event->frozen);
    case VM_EVENT_STATE_LOADED:
        return life_on_state_loaded(life);
    case VM_EVENT_STATE_COPIED: /* the guest goes on, as if it had failed */
    case VM_EVENT_STATE_FAILED:
        return life_on_state_failed(life);
    case VM_EVENT_LAUNCHED:
        return life_on_launched(life);
    case VM_EVENT_CONTINUED:
        return life_on_continued(life);
    case VM_EVENT_LAUNCH_FAILED:
        return life_on_launch_failed(life);
    case VM_EVENT_UNUSABLE:
        return life_on_unusable(life);
    case VM_EVENT_FOUND:
        return life_on_found(life);
    case VM_EVENT_ADOPTED:
        return life_on_adopted(life, event->running);
    case VM_EVENT_GUEST_DONE:
        return life_on_guest_done(life, event->success);
    case VM_EVENT_STOPPED:
        return stand_still(life, VM_PAUSED);
    case VM_EVENT_SUSPENDED:
        return life_on_suspended(life);
    case VM_EVENT_RESET:
        return life_on_reset(life);
    case VM_EVENT_PANICKED:
        return life_on_panicked(life, event->again);
    case VM_EVENT_SHUTDOWN:
        return life_on_shutdown(life, event->guest);
    case VM_EVENT_INTERNAL_ERROR:
    case VM_EVENT_NO_SIGN:
        return life_on_accelerator_failed(life, event);
    case VM_EVENT_EXITED:
        return life_on_exited(life, event);
    case VM_EVENT_POWERDOWN:
        return life_on_powerdown(life);
    case VM_EVENT_KILL:
        return life_on_kill(life);
    case VM_EVENT_RUNG_EXPIRED:
        return life_on_rung_expired(life);
    case VM_EVENT_RESEND:
        return life_on_resend(life);
    case VM_EVENT_CREATE:
        return life_on_create(life, event);
    case VM_EVENT_STEP_DONE:
        return life_on_step_done(life);
    case VM_EVENT_STEP_FAILED:
        return life_on_step_failed(life);
    case VM_EVENT_CANCEL:
        return life_on_cancel(life);
    case VM_EVENT_UNDONE:
        return life_on_undone(life, event->success);
    case VM_EVENT_GOES_ON:
        return life_on_goes_on(life);
    case VM_EVENT_UNFIT:
        return life_on_unfit(life);
    }
    return 0;
}

/* The reason of a failed start says more than how its QEMU ended. A start that was cancelled needs no
 * reason. */
static bool is_news(const struct vm_life *life, const struct vm_event *event)
{
    if (is_failing(life))
        return event->type != VM_EVENT_EXITED || !life->reason[0];
    return event->type != VM_EVENT_LAUNCH_FAILED && event->type != VM_EVENT_UNUSABLE;
}

unsigned vm_life_next(struct vm_life *life, const struct vm_event *event)
{
    enum vm_state before = life->state;
    bool fails = is_failing(life) && life->reason[0];
    bool explains = event->reason && is_news(life, event), had = vm_life_has_saved_state(life);
    unsigned actions = life_react(life, event);
    if (had && !vm_life_has_saved_state(life))
        actions |= VM_DO_DROP_STATE;
    if (explains) {
        pi_text_clean(event->reason, strlen(event->reason), life->reason, sizeof life->reason);
        return actions | VM_DO_SAVE;
    }
    if (life->state != before && !fails)
        life->reason[0] = '\0';
    return actions;
}
