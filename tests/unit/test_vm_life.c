/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/vm/life.h"

/* Every kind of moment that a life can be in. */
enum moment {
    CREATED,
    FOLDER, /* being created, by its steps */
    FILES,
    FILES_ONLY, /* the last step, and it is not to be started */
    UNDOING,
    CANCELLING,
    FORGOTTEN,
    STARTING,
    STARTING_TCG, /* afresh, after KVM ran no guest */
    CONDEMNED,    /* being killed for a fresh start */
    DOOMED,       /* being killed, with nothing to fall back on */
    RUNNING,
    RUNNING_TCG,
    READY,
    PAUSED,
    PAUSED_READY,
    SUSPENDED,
    SUSPENDED_READY,
    ASKED, /* powerdown was sent */
    HEARD, /* and the guest has powered off */
    QUITTING,
    TERMINATING,
    KILLING,
    ENDING, /* its guest must not go on */
    STOPPED,
    FAILED,
    LOST,
    MOMENTS
};

static const struct vm_life moments[MOMENTS] = {
    [CREATED] = {.state = VM_CREATED},
    [FOLDER] = {.state = VM_CREATED, .creation = VM_CREATION_FOLDER},
    [FILES] = {.state = VM_CREATED, .creation = VM_CREATION_FILES},
    [FILES_ONLY] = {.state = VM_CREATED, .creation = VM_CREATION_FILES, .left_stopped = true},
    [UNDOING] = {.state = VM_CREATED, .creation = VM_CREATION_UNDOING},
    [CANCELLING] = {.state = VM_CREATED, .creation = VM_CREATION_CANCELLING},
    [FORGOTTEN] = {.state = VM_CREATED, .creation = VM_CREATION_GONE},
    [STARTING] = {.state = VM_STARTING},
    [STARTING_TCG] = {.state = VM_STARTING, .fell_back = true},
    [CONDEMNED] = {.state = VM_STARTING, .rung = VM_RUNG_KILL, .relaunch = true},
    [DOOMED] = {.state = VM_STARTING, .rung = VM_RUNG_KILL},
    [RUNNING] = {.state = VM_RUNNING},
    [RUNNING_TCG] = {.state = VM_RUNNING, .fell_back = true},
    [READY] = {.state = VM_READY},
    [PAUSED] = {.state = VM_PAUSED},
    [PAUSED_READY] = {.state = VM_PAUSED, .was_ready = true},
    [SUSPENDED] = {.state = VM_SUSPENDED},
    [SUSPENDED_READY] = {.state = VM_SUSPENDED, .was_ready = true},
    [ASKED] = {.state = VM_STOPPING, .rung = VM_RUNG_POWERDOWN},
    [HEARD] = {.state = VM_STOPPING,
               .rung = VM_RUNG_POWERDOWN,
               .shutdown_seen = true,
               .guest_powered_off = true},
    [QUITTING] = {.state = VM_STOPPING, .rung = VM_RUNG_QUIT},
    [TERMINATING] = {.state = VM_STOPPING, .rung = VM_RUNG_TERM},
    [KILLING] = {.state = VM_STOPPING, .rung = VM_RUNG_KILL},
    [ENDING] = {.state = VM_STOPPING, .rung = VM_RUNG_KILL, .unfit = true},
    [STOPPED] = {.state = VM_STOPPED,
                 .rung = VM_RUNG_POWERDOWN,
                 .shutdown_seen = true,
                 .guest_powered_off = true},
    [FAILED] = {.state = VM_FAILED},
    [LOST] = {.state = VM_LOST},
};

enum happening {
    CREATE,
    CREATE_ONLY,
    STEP_DONE,
    STEP_FAILED,
    CANCEL,
    UNDONE,
    NOT_UNDONE,
    START,
    LAUNCHED,
    CONTINUED,
    LAUNCH_FAILED,
    UNUSABLE,
    FOUND,
    ADOPTED_RUNNING,
    ADOPTED_HALTED,
    DONE_WELL,
    DONE_BADLY,
    HALTED,
    SLEPT,
    RESET,
    GUEST_SHUTDOWN,
    HOST_SHUTDOWN,
    PANICKED,
    DIED, /* not by its own fault */
    ERROR_FALLBACK,
    ERROR_FINAL,
    NO_SIGN_FALLBACK,
    NO_SIGN_FINAL,
    EXITED,
    ABORTED, /* and KVM may be to blame */
    MISSED,  /* EXITED, and no agent saw how, or it was not its fault */
    POWERDOWN,
    KILL,
    EXPIRED,
    RESEND,
    GOES_ON,
    UNFIT,
    HAPPENINGS
};

static const struct vm_event happenings[HAPPENINGS] = {
    [CREATE] = {.type = VM_EVENT_CREATE},
    [CREATE_ONLY] = {.type = VM_EVENT_CREATE, .stopped = true},
    [STEP_DONE] = {.type = VM_EVENT_STEP_DONE},
    [STEP_FAILED] = {.type = VM_EVENT_STEP_FAILED},
    [CANCEL] = {.type = VM_EVENT_CANCEL},
    [UNDONE] = {.type = VM_EVENT_UNDONE, .success = true},
    [NOT_UNDONE] = {.type = VM_EVENT_UNDONE},
    [START] = {.type = VM_EVENT_START},
    [LAUNCHED] = {.type = VM_EVENT_LAUNCHED},
    [CONTINUED] = {.type = VM_EVENT_CONTINUED},
    [LAUNCH_FAILED] = {.type = VM_EVENT_LAUNCH_FAILED},
    [UNUSABLE] = {.type = VM_EVENT_UNUSABLE},
    [FOUND] = {.type = VM_EVENT_FOUND},
    [ADOPTED_RUNNING] = {.type = VM_EVENT_ADOPTED, .running = true},
    [ADOPTED_HALTED] = {.type = VM_EVENT_ADOPTED},
    [DONE_WELL] = {.type = VM_EVENT_GUEST_DONE, .success = true},
    [DONE_BADLY] = {.type = VM_EVENT_GUEST_DONE},
    [HALTED] = {.type = VM_EVENT_STOPPED},
    [SLEPT] = {.type = VM_EVENT_SUSPENDED},
    [RESET] = {.type = VM_EVENT_RESET},
    [GUEST_SHUTDOWN] = {.type = VM_EVENT_SHUTDOWN, .guest = true},
    [HOST_SHUTDOWN] = {.type = VM_EVENT_SHUTDOWN},
    [PANICKED] = {.type = VM_EVENT_PANICKED},
    [DIED] = {.type = VM_EVENT_PANICKED, .again = true},
    [ERROR_FALLBACK] = {.type = VM_EVENT_INTERNAL_ERROR, .fallback = true},
    [ERROR_FINAL] = {.type = VM_EVENT_INTERNAL_ERROR},
    [NO_SIGN_FALLBACK] = {.type = VM_EVENT_NO_SIGN, .fallback = true},
    [NO_SIGN_FINAL] = {.type = VM_EVENT_NO_SIGN},
    [EXITED] = {.type = VM_EVENT_EXITED},
    [ABORTED] = {.type = VM_EVENT_EXITED, .fallback = true},
    [MISSED] = {.type = VM_EVENT_EXITED, .again = true},
    [POWERDOWN] = {.type = VM_EVENT_POWERDOWN},
    [KILL] = {.type = VM_EVENT_KILL},
    [EXPIRED] = {.type = VM_EVENT_RUNG_EXPIRED},
    [RESEND] = {.type = VM_EVENT_RESEND},
    [GOES_ON] = {.type = VM_EVENT_GOES_ON},
    [UNFIT] = {.type = VM_EVENT_UNFIT},
};

/* Short for the table. */
#define IN(moment) (1u << (moment))
#define ENDS       (IN(STOPPED) | IN(FAILED) | IN(LOST))
#define STEPS      (IN(FOLDER) | IN(FILES))
#define CREATING   (IN(CREATED) | STEPS | IN(FILES_ONLY) | IN(UNDOING) | IN(CANCELLING) | IN(FORGOTTEN))
#define DEAD       (CREATING | ENDS)
#define UP \
    (IN(STARTING) | IN(STARTING_TCG) | IN(CONDEMNED) | IN(DOOMED) | IN(RUNNING) | IN(RUNNING_TCG) | IN(READY))
#define LIVE  ((1u << MOMENTS) - 1 - DEAD)
#define STILL (IN(PAUSED) | IN(PAUSED_READY) | IN(SUSPENDED) | IN(SUSPENDED_READY))
#define GONE  (VM_DO_DISARM | VM_DO_CLEAN | VM_DO_SAVE)
#define UNCHANGED          \
    {                      \
        .state = VM_STATES \
    }

/* Every transition. A pair that is not here changes nothing and has no action. */
static const struct {
    enum happening what;
    unsigned in; /* set of moments */
    struct vm_life then;
    unsigned actions;
} rules[] = {
    {CREATE, IN(CREATED), {.creation = VM_CREATION_FOLDER}, VM_DO_SAVE_STEP},
    {CREATE_ONLY, IN(CREATED), {.creation = VM_CREATION_FOLDER, .left_stopped = true}, VM_DO_SAVE_STEP},
    {STEP_DONE, IN(FOLDER), {.creation = VM_CREATION_FILES}, VM_DO_PREPARE},
    {STEP_DONE, IN(FILES), {.state = VM_STARTING}, VM_DO_LAUNCH | VM_DO_SAVE},
    {STEP_DONE, IN(FILES_ONLY), {.state = VM_STOPPED}, VM_DO_SAVE},
    {STEP_FAILED, IN(FILES_ONLY), {.creation = VM_CREATION_UNDOING, .left_stopped = true}, VM_DO_UNDO},
    {CANCEL, IN(FILES_ONLY), {.creation = VM_CREATION_CANCELLING, .left_stopped = true}, VM_DO_UNDO},
    {STEP_FAILED, IN(CREATED) | STEPS, {.creation = VM_CREATION_UNDOING}, VM_DO_UNDO},
    {CANCEL, IN(CREATED) | STEPS, {.creation = VM_CREATION_CANCELLING}, VM_DO_UNDO},
    {UNDONE, IN(UNDOING), {.creation = VM_CREATION_GONE}, VM_DO_TELL_FAILURE},
    {NOT_UNDONE, IN(UNDOING), {.creation = VM_CREATION_GONE}, VM_DO_TELL_FAILURE},
    {UNDONE, IN(CANCELLING), {.creation = VM_CREATION_GONE}, VM_DO_FORGET},
    {NOT_UNDONE, IN(CANCELLING), {.creation = VM_CREATION_NONE}, VM_DO_SAVE},
    {UNDONE,
     IN(STOPPED),
     {.state = VM_STOPPED,
      .rung = VM_RUNG_POWERDOWN,
      .shutdown_seen = true,
      .guest_powered_off = true,
      .creation = VM_CREATION_GONE},
     0},
    {UNDONE, IN(FAILED), {.state = VM_FAILED, .creation = VM_CREATION_GONE}, 0},
    {UNDONE, IN(LOST), {.state = VM_LOST, .creation = VM_CREATION_GONE}, 0},

    {START, CREATING, UNCHANGED, VM_DO_REFUSE},
    {START, ENDS, {.state = VM_STARTING}, VM_DO_LAUNCH | VM_DO_SAVE},
    {START, UP, UNCHANGED, VM_DO_NOTHING},
    {START, LIVE & ~UP, UNCHANGED, VM_DO_REFUSE},

    {LAUNCHED, IN(STARTING) | IN(STARTING_TCG), UNCHANGED, VM_DO_CONT | VM_DO_WATCH_SIGN},
    {LAUNCHED, IN(QUITTING), UNCHANGED, VM_DO_QUIT},

    {CONTINUED, IN(STARTING) | IN(PAUSED) | IN(SUSPENDED), {.state = VM_RUNNING}, VM_DO_SAVE},
    {CONTINUED, IN(STARTING_TCG), {.state = VM_RUNNING, .fell_back = true}, VM_DO_SAVE},
    {CONTINUED, IN(PAUSED_READY) | IN(SUSPENDED_READY), {.state = VM_READY}, VM_DO_SAVE},

    {LAUNCH_FAILED, IN(STARTING), {.state = VM_FAILED}, GONE},
    {LAUNCH_FAILED, IN(STARTING_TCG), {.state = VM_FAILED, .fell_back = true}, GONE},
    {LAUNCH_FAILED, IN(CONDEMNED), {.state = VM_FAILED, .rung = VM_RUNG_KILL}, GONE},
    {LAUNCH_FAILED, IN(DOOMED), {.state = VM_FAILED, .rung = VM_RUNG_KILL}, GONE},
    {LAUNCH_FAILED, IN(ASKED), {.state = VM_STOPPED, .rung = VM_RUNG_POWERDOWN}, GONE},
    {LAUNCH_FAILED,
     IN(HEARD),
     {.state = VM_STOPPED, .rung = VM_RUNG_POWERDOWN, .shutdown_seen = true, .guest_powered_off = true},
     GONE},
    {LAUNCH_FAILED, IN(QUITTING), {.state = VM_STOPPED, .rung = VM_RUNG_QUIT}, GONE},
    {LAUNCH_FAILED, IN(TERMINATING), {.state = VM_STOPPED, .rung = VM_RUNG_TERM}, GONE},
    {LAUNCH_FAILED, IN(KILLING), {.state = VM_STOPPED, .rung = VM_RUNG_KILL}, GONE},

    {FOUND, IN(CONDEMNED) | IN(DOOMED), UNCHANGED, VM_DO_KILL},
    {FOUND, IN(ASKED) | IN(HEARD) | IN(QUITTING), UNCHANGED, VM_DO_ARM_RUNG},
    {FOUND, IN(TERMINATING), UNCHANGED, VM_DO_TERM | VM_DO_ARM_RUNG},
    {FOUND, IN(KILLING), UNCHANGED, VM_DO_KILL | VM_DO_ARM_RUNG},

    {ADOPTED_RUNNING, IN(STARTING) | IN(PAUSED) | IN(SUSPENDED), {.state = VM_RUNNING}, VM_DO_SAVE},
    {ADOPTED_RUNNING, IN(STARTING_TCG), {.state = VM_RUNNING, .fell_back = true}, VM_DO_SAVE},
    {ADOPTED_RUNNING, IN(PAUSED_READY) | IN(SUSPENDED_READY), {.state = VM_READY}, VM_DO_SAVE},
    {ADOPTED_RUNNING, IN(ASKED) | IN(HEARD), UNCHANGED, VM_DO_POWERDOWN | VM_DO_ARM_RESEND},
    {ADOPTED_HALTED, IN(STARTING) | IN(STARTING_TCG), UNCHANGED, VM_DO_CONT | VM_DO_WATCH_SIGN},
    {ADOPTED_HALTED, IN(RUNNING) | IN(SUSPENDED), {.state = VM_PAUSED}, VM_DO_SAVE},
    {ADOPTED_HALTED, IN(RUNNING_TCG), {.state = VM_PAUSED, .fell_back = true}, VM_DO_SAVE},
    {ADOPTED_HALTED, IN(READY) | IN(SUSPENDED_READY), {.state = VM_PAUSED, .was_ready = true}, VM_DO_SAVE},
    {ADOPTED_HALTED, IN(ASKED) | IN(HEARD), UNCHANGED, VM_DO_CONT | VM_DO_POWERDOWN | VM_DO_ARM_RESEND},
    {ADOPTED_RUNNING, IN(QUITTING), UNCHANGED, VM_DO_QUIT},
    {ADOPTED_HALTED, IN(QUITTING), UNCHANGED, VM_DO_QUIT},

    {DONE_WELL, IN(RUNNING), {.state = VM_READY}, VM_DO_SAVE},
    {DONE_WELL, IN(RUNNING_TCG), {.state = VM_READY, .fell_back = true}, VM_DO_SAVE},
    {DONE_WELL, IN(PAUSED), {.state = VM_PAUSED, .was_ready = true}, VM_DO_SAVE},
    {DONE_WELL, IN(SUSPENDED), {.state = VM_SUSPENDED, .was_ready = true}, VM_DO_SAVE},
    {DONE_WELL, IN(READY) | IN(PAUSED_READY) | IN(SUSPENDED_READY), UNCHANGED, VM_DO_SAVE},
    {DONE_BADLY, IN(RUNNING) | IN(RUNNING_TCG) | IN(READY) | STILL, UNCHANGED, VM_DO_SAVE},

    {HALTED, IN(RUNNING) | IN(SUSPENDED), {.state = VM_PAUSED}, VM_DO_SAVE},
    {HALTED, IN(RUNNING_TCG), {.state = VM_PAUSED, .fell_back = true}, VM_DO_SAVE},
    {HALTED, IN(READY) | IN(SUSPENDED_READY), {.state = VM_PAUSED, .was_ready = true}, VM_DO_SAVE},

    {SLEPT, IN(RUNNING) | IN(PAUSED), {.state = VM_SUSPENDED}, VM_DO_SAVE},
    {SLEPT, IN(RUNNING_TCG), {.state = VM_SUSPENDED, .fell_back = true}, VM_DO_SAVE},
    {SLEPT, IN(READY) | IN(PAUSED_READY), {.state = VM_SUSPENDED, .was_ready = true}, VM_DO_SAVE},
    {SLEPT, IN(ASKED) | IN(HEARD), UNCHANGED, VM_DO_WAKE},

#define NOT_READY(event)                                                        \
    {event, IN(RUNNING) | IN(RUNNING_TCG) | IN(PAUSED), UNCHANGED, VM_DO_SAVE}, \
        {event, IN(READY), {.state = VM_RUNNING}, VM_DO_SAVE},                  \
    {                                                                           \
        event, IN(PAUSED_READY), {.state = VM_PAUSED}, VM_DO_SAVE               \
    }
    NOT_READY(RESET),
    {RESET, IN(SUSPENDED) | IN(SUSPENDED_READY), {.state = VM_PAUSED}, VM_DO_CONT | VM_DO_SAVE},
    NOT_READY(PANICKED),
    {PANICKED, IN(SUSPENDED) | IN(SUSPENDED_READY), {.state = VM_SUSPENDED}, VM_DO_SAVE},
    {DIED, IN(RUNNING), {.state = VM_RUNNING, .begun_again = true}, VM_DO_RESET | VM_DO_SAVE},
    {DIED,
     IN(RUNNING_TCG),
     {.state = VM_RUNNING, .fell_back = true, .begun_again = true},
     VM_DO_RESET | VM_DO_SAVE},
    {DIED, IN(PAUSED), UNCHANGED, VM_DO_SAVE},
    {DIED, IN(READY), {.state = VM_RUNNING}, VM_DO_SAVE},
    {DIED, IN(PAUSED_READY), {.state = VM_PAUSED}, VM_DO_SAVE},
    {DIED, IN(SUSPENDED) | IN(SUSPENDED_READY), {.state = VM_SUSPENDED}, VM_DO_SAVE},

#define SEEN(in, at, ...)                                                                            \
    {GUEST_SHUTDOWN,                                                                                 \
     (in),                                                                                           \
     {.state = VM_STOPPING, .rung = at, .shutdown_seen = true, .guest_powered_off = true},           \
     VM_DO_QUIT | VM_DO_SAVE},                                                                       \
    {                                                                                                \
        HOST_SHUTDOWN, (in), {.state = VM_STOPPING, .rung = at, .shutdown_seen = true, __VA_ARGS__}, \
            VM_DO_QUIT | VM_DO_SAVE                                                                  \
    }
    SEEN(IN(ASKED), VM_RUNG_POWERDOWN, .cut_off = true),
    SEEN(IN(HEARD), VM_RUNG_POWERDOWN, .guest_powered_off = true),
    SEEN(IN(QUITTING), VM_RUNG_QUIT),
    SEEN(IN(TERMINATING), VM_RUNG_TERM),
    SEEN(IN(KILLING), VM_RUNG_KILL),
#define UNASKED(in, ...)                             \
    {GUEST_SHUTDOWN,                                 \
     (in),                                           \
     {.state = VM_STOPPING,                          \
      .rung = VM_RUNG_QUIT,                          \
      .shutdown_seen = true,                         \
      .guest_powered_off = true,                     \
      __VA_ARGS__},                                  \
     VM_DO_QUIT | VM_DO_ARM_RUNG | VM_DO_SAVE},      \
    {                                                \
        HOST_SHUTDOWN, (in),                         \
            {.state = VM_STOPPING,                   \
             .rung = VM_RUNG_QUIT,                   \
             .shutdown_seen = true,                  \
             .cut_off = true,                        \
             __VA_ARGS__},                           \
            VM_DO_QUIT | VM_DO_ARM_RUNG | VM_DO_SAVE \
    }
    UNASKED(IN(STARTING) | IN(RUNNING) | IN(READY) | STILL),
    UNASKED(IN(STARTING_TCG) | IN(RUNNING_TCG), .fell_back = true),

#define FALL_BACK                                                   \
    {.state = VM_STARTING, .rung = VM_RUNG_KILL, .relaunch = true}, \
        VM_DO_DISTRUST_KVM | VM_DO_KILL | VM_DO_SAVE
    {ERROR_FALLBACK, IN(STARTING) | IN(RUNNING) | IN(PAUSED), FALL_BACK},
    {NO_SIGN_FALLBACK, IN(STARTING) | IN(RUNNING), FALL_BACK},
    {ERROR_FINAL,
     IN(STARTING) | IN(RUNNING) | IN(PAUSED),
     {.state = VM_STARTING, .rung = VM_RUNG_KILL},
     VM_DO_KILL | VM_DO_SAVE},
#define NO_SECOND_FALL_BACK                                                                              \
    IN(STARTING_TCG) | IN(RUNNING_TCG), {.state = VM_STARTING, .rung = VM_RUNG_KILL, .fell_back = true}, \
        VM_DO_KILL | VM_DO_SAVE
    {ERROR_FALLBACK, NO_SECOND_FALL_BACK},
    {ERROR_FINAL, NO_SECOND_FALL_BACK},
#define ERROR_AFTER_IT_WORKED(error)                                                               \
    {error, IN(READY) | IN(SUSPENDED_READY), {.state = VM_PAUSED, .was_ready = true}, VM_DO_SAVE}, \
    {                                                                                              \
        error, IN(SUSPENDED), {.state = VM_PAUSED}, VM_DO_SAVE                                     \
    }
    ERROR_AFTER_IT_WORKED(ERROR_FALLBACK),
    ERROR_AFTER_IT_WORKED(ERROR_FINAL),

    {UNUSABLE, IN(STARTING), {.state = VM_STARTING, .rung = VM_RUNG_KILL}, VM_DO_KILL | VM_DO_SAVE},
    {UNUSABLE,
     IN(STARTING_TCG),
     {.state = VM_STARTING, .rung = VM_RUNG_KILL, .fell_back = true},
     VM_DO_KILL | VM_DO_SAVE},

#define ENDING_LIFE .state = VM_STOPPING, .rung = VM_RUNG_KILL, .unfit = true
#define KILLS       (VM_DO_KILL | VM_DO_ARM_RUNG | VM_DO_SAVE)
    {UNFIT, IN(RUNNING) | IN(READY) | STILL, {ENDING_LIFE}, KILLS},
    {UNFIT, IN(RUNNING_TCG), {ENDING_LIFE, .fell_back = true}, KILLS},
    {FOUND, IN(ENDING), UNCHANGED, VM_DO_KILL | VM_DO_ARM_RUNG},
    {EXPIRED, IN(ENDING), UNCHANGED, KILLS},
    {HOST_SHUTDOWN, IN(ENDING), {ENDING_LIFE, .shutdown_seen = true}, VM_DO_QUIT | VM_DO_SAVE},
    {GUEST_SHUTDOWN,
     IN(ENDING),
     {ENDING_LIFE, .shutdown_seen = true, .guest_powered_off = true},
     VM_DO_QUIT | VM_DO_SAVE},
    {LAUNCH_FAILED, IN(ENDING), {.state = VM_STOPPED, .rung = VM_RUNG_KILL, .unfit = true}, GONE},

    {EXITED, IN(STARTING), {.state = VM_FAILED}, GONE},
    {ABORTED,
     IN(STARTING),
     {.state = VM_STARTING, .fell_back = true},
     GONE | VM_DO_DISTRUST_KVM | VM_DO_LAUNCH},
    {MISSED, IN(STARTING), {.state = VM_STARTING}, GONE | VM_DO_LAUNCH},
    {EXITED, IN(STARTING_TCG), {.state = VM_FAILED, .fell_back = true}, GONE},
    {ABORTED, IN(STARTING_TCG), {.state = VM_FAILED, .fell_back = true}, GONE},
    {MISSED, IN(STARTING_TCG), {.state = VM_STARTING, .fell_back = true}, GONE | VM_DO_LAUNCH},
#define ENDED(in, ...)                                                     \
    {EXITED, (in), __VA_ARGS__, GONE}, {ABORTED, (in), __VA_ARGS__, GONE}, \
    {                                                                      \
        MISSED, (in), __VA_ARGS__, GONE                                    \
    }
    ENDED(DEAD, UNCHANGED),
    ENDED(IN(DOOMED), {.state = VM_FAILED, .rung = VM_RUNG_KILL}),
    ENDED(IN(RUNNING) | IN(READY) | STILL, {.state = VM_LOST}),
    ENDED(IN(RUNNING_TCG), {.state = VM_LOST, .fell_back = true}),
    ENDED(IN(ASKED), {.state = VM_LOST, .rung = VM_RUNG_POWERDOWN}),
    ENDED(IN(HEARD),
          {.state = VM_STOPPED, .rung = VM_RUNG_POWERDOWN, .shutdown_seen = true, .guest_powered_off = true}),
    ENDED(IN(QUITTING), {.state = VM_STOPPED, .rung = VM_RUNG_QUIT}),
    ENDED(IN(TERMINATING), {.state = VM_STOPPED, .rung = VM_RUNG_TERM}),
    ENDED(IN(KILLING), {.state = VM_STOPPED, .rung = VM_RUNG_KILL}),
    ENDED(IN(ENDING), {.state = VM_FAILED, .rung = VM_RUNG_KILL, .unfit = true}),
    {EXITED, IN(CONDEMNED), {.state = VM_STARTING, .fell_back = true}, GONE | VM_DO_LAUNCH},
    {ABORTED, IN(CONDEMNED), {.state = VM_STARTING, .fell_back = true}, GONE | VM_DO_LAUNCH},
    {MISSED, IN(CONDEMNED), {.state = VM_STARTING, .fell_back = true}, GONE | VM_DO_LAUNCH},

#define ASK (VM_DO_POWERDOWN | VM_DO_ARM_RESEND | VM_DO_ARM_RUNG | VM_DO_SAVE)
    {POWERDOWN, CREATING, UNCHANGED, VM_DO_REFUSE},
    {POWERDOWN, ENDS, UNCHANGED, VM_DO_NOTHING},
    {POWERDOWN, IN(RUNNING) | IN(READY), {.state = VM_STOPPING, .rung = VM_RUNG_POWERDOWN}, ASK},
    {POWERDOWN, IN(RUNNING_TCG), {.state = VM_STOPPING, .rung = VM_RUNG_POWERDOWN, .fell_back = true}, ASK},
    {POWERDOWN,
     IN(PAUSED) | IN(PAUSED_READY),
     {.state = VM_STOPPING, .rung = VM_RUNG_POWERDOWN},
     VM_DO_CONT | ASK},
    {POWERDOWN,
     IN(SUSPENDED) | IN(SUSPENDED_READY),
     {.state = VM_STOPPING, .rung = VM_RUNG_POWERDOWN},
     VM_DO_WAKE | ASK},

#define QUIT (VM_DO_QUIT | VM_DO_ARM_RUNG | VM_DO_SAVE)
    {KILL, CREATING, UNCHANGED, VM_DO_REFUSE},
    {KILL, ENDS, UNCHANGED, VM_DO_NOTHING},
    {KILL, IN(RUNNING) | IN(READY) | STILL | IN(ASKED), {.state = VM_STOPPING, .rung = VM_RUNG_QUIT}, QUIT},
    {KILL, IN(RUNNING_TCG), {.state = VM_STOPPING, .rung = VM_RUNG_QUIT, .fell_back = true}, QUIT},
    {KILL,
     IN(HEARD),
     {.state = VM_STOPPING, .rung = VM_RUNG_QUIT, .shutdown_seen = true, .guest_powered_off = true},
     QUIT},
#define STOP_BEFORE_BOOT(request)                                                                           \
    {request, IN(STARTING), {.state = VM_STOPPING, .rung = VM_RUNG_QUIT}, QUIT},                            \
        {request, IN(STARTING_TCG), {.state = VM_STOPPING, .rung = VM_RUNG_QUIT, .fell_back = true}, QUIT}, \
    {                                                                                                       \
        request, IN(CONDEMNED) | IN(DOOMED), {.state = VM_STOPPING, .rung = VM_RUNG_KILL},                  \
            VM_DO_KILL | VM_DO_ARM_RUNG | VM_DO_SAVE                                                        \
    }
    STOP_BEFORE_BOOT(POWERDOWN),
    STOP_BEFORE_BOOT(KILL),

    {EXPIRED, IN(ASKED), {.state = VM_STOPPING, .rung = VM_RUNG_QUIT}, QUIT},
    {EXPIRED,
     IN(HEARD),
     {.state = VM_STOPPING, .rung = VM_RUNG_QUIT, .shutdown_seen = true, .guest_powered_off = true},
     QUIT},
    {EXPIRED,
     IN(QUITTING),
     {.state = VM_STOPPING, .rung = VM_RUNG_TERM},
     VM_DO_TERM | VM_DO_ARM_RUNG | VM_DO_SAVE},
    {EXPIRED,
     IN(TERMINATING) | IN(KILLING),
     {.state = VM_STOPPING, .rung = VM_RUNG_KILL},
     VM_DO_KILL | VM_DO_ARM_RUNG | VM_DO_SAVE},
    {RESEND, IN(ASKED), UNCHANGED, VM_DO_POWERDOWN | VM_DO_ARM_RESEND},
    {GOES_ON, IN(RUNNING) | IN(RUNNING_TCG) | IN(READY), UNCHANGED, VM_DO_SAVE},
};

static void assert_life(const struct vm_life *got, const struct vm_life *wanted, int moment, int happening)
{
    if (got->state == wanted->state && got->creation == wanted->creation && got->rung == wanted->rung &&
        got->was_ready == wanted->was_ready && got->shutdown_seen == wanted->shutdown_seen &&
        got->guest_powered_off == wanted->guest_powered_off && got->cut_off == wanted->cut_off &&
        got->fell_back == wanted->fell_back && got->begun_again == wanted->begun_again &&
        got->relaunch == wanted->relaunch && got->unfit == wanted->unfit &&
        got->left_stopped == wanted->left_stopped && !strcmp(got->reason, wanted->reason))
        return;
    fail_msg("moment %d, happening %d: %s/%s, wanted %s/%s (or a flag differs)", moment, happening,
             vm_state_names[got->state], vm_rung_names[got->rung], vm_state_names[wanted->state],
             vm_rung_names[wanted->rung]);
}

static void every_moment_answers_every_event_as_the_rules_say(void **state)
{
    (void)state;
    for (int moment = 0; moment < MOMENTS; moment++) {
        for (int what = 0; what < HAPPENINGS; what++) {
            struct vm_life wanted = moments[moment], life = moments[moment];
            unsigned actions = 0, found = 0;
            for (size_t i = 0; i < PI_ARRAY_SIZE(rules); i++) {
                if ((int)rules[i].what != what || !(rules[i].in & IN(moment)))
                    continue;
                found++;
                actions = rules[i].actions;
                if (rules[i].then.state != VM_STATES)
                    wanted = rules[i].then;
            }
            assert_true(found <= 1);
            unsigned got = vm_life_next(&life, &happenings[what]);
            assert_life(&life, &wanted, moment, what);
            if (got != actions)
                fail_msg("moment %d, happening %d: actions %x, wanted %x", moment, what, got, actions);
        }
    }
}

/* A scenario: events in order from a new instance, checked at its end. */
static struct vm_life live(const enum happening *events, size_t count, unsigned *ret_last)
{
    struct vm_life life = {0};
    for (size_t i = 0; i < count; i++)
        *ret_last = vm_life_next(&life, &happenings[events[i]]);
    return life;
}

#define LIVE_THROUGH(...)                          \
    unsigned last = 0;                             \
    const enum happening events[] = {__VA_ARGS__}; \
    struct vm_life life = live(events, PI_ARRAY_SIZE(events), &last)

#define BEGIN CREATE, STEP_DONE, STEP_DONE
#define BOOT  BEGIN, LAUNCHED, CONTINUED

static void guest_that_reports_done_is_ready(void **state)
{
    (void)state;
    LIVE_THROUGH(BOOT, DONE_WELL);
    assert_int_equal(life.state, VM_READY);
    assert_int_equal(last, VM_DO_SAVE);
}

static void instance_that_is_only_made_ends_stopped_and_can_be_started(void **state)
{
    (void)state;
    LIVE_THROUGH(CREATE_ONLY, STEP_DONE, STEP_DONE);
    assert_int_equal(life.state, VM_STOPPED);
    assert_int_equal(last, VM_DO_SAVE);
    assert_true(vm_life_next(&life, &happenings[START]) & VM_DO_LAUNCH);
}

static void guest_whose_cloud_init_failed_stays_running(void **state)
{
    (void)state;
    LIVE_THROUGH(BOOT, DONE_BADLY);
    assert_int_equal(life.state, VM_RUNNING);
}

static void reset_takes_ready_away_until_the_guest_reports_again(void **state)
{
    (void)state;
    LIVE_THROUGH(BOOT, DONE_WELL, RESET);
    assert_int_equal(life.state, VM_RUNNING);
    vm_life_next(&life, &happenings[DONE_WELL]);
    assert_int_equal(life.state, VM_READY);
}

static void pause_remembers_ready(void **state)
{
    (void)state;
    LIVE_THROUGH(BOOT, DONE_WELL, HALTED, CONTINUED);
    assert_int_equal(life.state, VM_READY);
}

static void guest_that_powers_itself_off_is_stopped(void **state)
{
    (void)state;
    LIVE_THROUGH(BOOT, DONE_WELL, GUEST_SHUTDOWN, EXITED);
    assert_int_equal(life.state, VM_STOPPED);
    assert_true(life.guest_powered_off);
    assert_int_equal(last, GONE);
}

static void qemu_that_dies_is_lost(void **state)
{
    (void)state;
    LIVE_THROUGH(BOOT, DONE_WELL, EXITED);
    assert_int_equal(life.state, VM_LOST);
    assert_int_equal(last, GONE);
}

static void qemu_that_dies_before_its_guest_boots_has_failed(void **state)
{
    (void)state;
    LIVE_THROUGH(BEGIN, EXITED);
    assert_int_equal(life.state, VM_FAILED);
}

static void qemu_that_is_of_no_use_at_its_start_is_killed_and_has_failed(void **state)
{
    (void)state;
    LIVE_THROUGH(BEGIN, UNUSABLE, ABORTED);
    assert_int_equal(life.state, VM_FAILED);
    assert_int_equal(last, GONE);
}

static void guest_that_panicked_is_not_ready_until_its_next_boot_is_done(void **state)
{
    (void)state;
    LIVE_THROUGH(BOOT, DONE_WELL, PANICKED);
    assert_int_equal(life.state, VM_RUNNING);
    vm_life_next(&life, &happenings[RESET]);
    vm_life_next(&life, &happenings[DONE_WELL]);
    assert_int_equal(life.state, VM_READY);
}

static void boot_that_died_by_no_fault_of_the_guest_is_begun_again_once_in_a_run(void **state)
{
    (void)state;
    LIVE_THROUGH(BOOT, DIED);
    assert_int_equal(last, VM_DO_RESET | VM_DO_SAVE);
    vm_life_next(&life, &happenings[RESET]);
    assert_int_equal(vm_life_next(&life, &happenings[DIED]), VM_DO_SAVE);
    vm_life_next(&life, &happenings[EXITED]);
    vm_life_next(&life, &happenings[START]);
    assert_false(life.begun_again);
}

static void stop_resends_powerdown_until_the_guest_listens(void **state)
{
    (void)state;
    LIVE_THROUGH(BOOT, POWERDOWN, RESEND, RESEND);
    assert_int_equal(last, VM_DO_POWERDOWN | VM_DO_ARM_RESEND);
    vm_life_next(&life, &happenings[GUEST_SHUTDOWN]);
    assert_int_equal(vm_life_next(&life, &happenings[RESEND]), 0);
    vm_life_next(&life, &happenings[EXITED]);
    assert_int_equal(life.state, VM_STOPPED);
    assert_int_equal(life.rung, VM_RUNG_POWERDOWN);
    assert_true(life.guest_powered_off);
}

static void stop_climbs_every_rung_and_stays_on_the_last(void **state)
{
    (void)state;
    static const unsigned steps[] = {VM_DO_QUIT, VM_DO_TERM, VM_DO_KILL, VM_DO_KILL};
    LIVE_THROUGH(BOOT, POWERDOWN);
    for (size_t i = 0; i < PI_ARRAY_SIZE(steps); i++) {
        last = vm_life_next(&life, &happenings[EXPIRED]);
        assert_int_equal(last, steps[i] | VM_DO_ARM_RUNG | VM_DO_SAVE);
    }
    vm_life_next(&life, &happenings[EXITED]);
    assert_int_equal(life.state, VM_STOPPED);
    assert_int_equal(life.rung, VM_RUNG_KILL);
    assert_false(life.guest_powered_off);
}

static void qemu_that_dies_while_its_guest_is_to_power_off_is_lost(void **state)
{
    (void)state;
    LIVE_THROUGH(BOOT, POWERDOWN, RESEND, EXITED);
    assert_int_equal(life.state, VM_LOST);
    assert_int_equal(last, GONE);
    assert_false(life.guest_powered_off);
}

static void qemu_that_someone_else_told_to_end_is_lost_and_no_stop(void **state)
{
    (void)state;
    LIVE_THROUGH(BOOT, DONE_WELL, HOST_SHUTDOWN);
    assert_true(last & VM_DO_QUIT);
    vm_life_next(&life, &happenings[HOST_SHUTDOWN]); /* of the quit */
    vm_life_next(&life, &happenings[EXITED]);
    assert_int_equal(life.state, VM_LOST);
    assert_false(life.guest_powered_off);
}

static void qemu_that_someone_else_told_to_end_while_its_guest_is_to_power_off_is_lost(void **state)
{
    (void)state;
    LIVE_THROUGH(BOOT, POWERDOWN, HOST_SHUTDOWN, EXITED);
    assert_int_equal(life.state, VM_LOST);
}

static void quit_after_the_guests_poweroff_is_no_one_elses(void **state)
{
    (void)state;
    LIVE_THROUGH(BOOT, POWERDOWN, GUEST_SHUTDOWN, HOST_SHUTDOWN, EXITED);
    assert_int_equal(life.state, VM_STOPPED);
    assert_true(life.guest_powered_off);
}

static void second_powerdown_changes_nothing(void **state)
{
    (void)state;
    LIVE_THROUGH(BOOT, POWERDOWN, EXPIRED, POWERDOWN);
    assert_int_equal(last, 0);
    assert_int_equal(life.rung, VM_RUNG_QUIT);
}

static void paused_guest_is_woken_to_hear_the_power_button(void **state)
{
    (void)state;
    LIVE_THROUGH(BOOT, HALTED, POWERDOWN);
    assert_true(last & VM_DO_CONT);
    assert_true(VM_DO_CONT < VM_DO_POWERDOWN);
    vm_life_next(&life, &happenings[CONTINUED]);
    assert_int_equal(life.state, VM_STOPPING);
}

static void suspended_guest_is_woken_to_hear_the_power_button_also_where_that_suspends_it(void **state)
{
    (void)state;
    LIVE_THROUGH(BOOT, DONE_WELL, SLEPT, POWERDOWN);
    assert_true(last & VM_DO_WAKE);
    assert_true(VM_DO_WAKE < VM_DO_POWERDOWN);
    vm_life_next(&life, &happenings[CONTINUED]);
    assert_int_equal(life.state, VM_STOPPING);
    assert_int_equal(vm_life_next(&life, &happenings[SLEPT]), VM_DO_WAKE);
}

static void suspended_guest_goes_on_as_what_it_was(void **state)
{
    (void)state;
    LIVE_THROUGH(BOOT, DONE_WELL, SLEPT, CONTINUED);
    assert_int_equal(life.state, VM_READY);
}

static void suspended_guest_that_is_reset_boots_anew(void **state)
{
    (void)state;
    LIVE_THROUGH(BOOT, DONE_WELL, SLEPT, RESET);
    assert_true(last & VM_DO_CONT);
    vm_life_next(&life, &happenings[CONTINUED]);
    assert_int_equal(life.state, VM_RUNNING);
}

static void qemu_that_outlives_its_guest_is_ended(void **state)
{
    (void)state;
    LIVE_THROUGH(BOOT, GUEST_SHUTDOWN, EXPIRED);
    assert_int_equal(life.state, VM_STOPPING);
    assert_true(last & VM_DO_TERM);
}

static void stop_during_start_sends_quit_as_soon_as_qmp_is_there(void **state)
{
    (void)state;
    LIVE_THROUGH(BEGIN, POWERDOWN, LAUNCHED);
    assert_int_equal(last, VM_DO_QUIT);
    vm_life_next(&life, &happenings[EXITED]);
    assert_int_equal(life.state, VM_STOPPED);
}

static void kvm_internal_error_starts_afresh_under_tcg_once(void **state)
{
    (void)state;
    LIVE_THROUGH(BOOT, HALTED, ERROR_FALLBACK);
    assert_int_equal(last, VM_DO_DISTRUST_KVM | VM_DO_KILL | VM_DO_SAVE);
    assert_false(life.fell_back);
    last = vm_life_next(&life, &happenings[EXITED]);
    assert_int_equal(last, GONE | VM_DO_LAUNCH);
    assert_true(life.fell_back);
    assert_int_equal(life.state, VM_STARTING);

    vm_life_next(&life, &happenings[LAUNCHED]);
    vm_life_next(&life, &happenings[CONTINUED]);
    vm_life_next(&life, &happenings[ERROR_FALLBACK]);
    vm_life_next(&life, &happenings[EXITED]);
    assert_int_equal(life.state, VM_FAILED);
}

static void no_sign_of_life_under_kvm_starts_afresh_under_tcg(void **state)
{
    (void)state;
    LIVE_THROUGH(BOOT, NO_SIGN_FALLBACK, EXITED);
    assert_true(last & VM_DO_LAUNCH);
    assert_true(life.fell_back);
}

static void qemu_that_kvm_aborts_starts_afresh_under_tcg_once(void **state)
{
    (void)state;
    LIVE_THROUGH(BEGIN, ABORTED);
    assert_int_equal(last, GONE | VM_DO_DISTRUST_KVM | VM_DO_LAUNCH);
    assert_int_equal(life.state, VM_STARTING);
    vm_life_next(&life, &happenings[ABORTED]);
    assert_int_equal(life.state, VM_FAILED);
}

static void kvm_that_was_asked_for_fails_instead_of_falling_back(void **state)
{
    (void)state;
    LIVE_THROUGH(BOOT, ERROR_FINAL, EXITED);
    assert_int_equal(life.state, VM_FAILED);
    assert_int_equal(last, GONE);
}

static void cleaning_up_comes_before_the_fresh_start_and_saving_last(void **state)
{
    (void)state;
    assert_true(VM_DO_DISARM < VM_DO_ARM_RUNG && VM_DO_DISARM < VM_DO_ARM_RESEND);
    assert_true(VM_DO_CLEAN < VM_DO_LAUNCH && VM_DO_LAUNCH < VM_DO_SAVE && VM_DO_WATCH_SIGN < VM_DO_SAVE);
}

static void creation_goes_step_by_step_to_its_start(void **state)
{
    (void)state;
    LIVE_THROUGH(BEGIN);
    assert_int_equal(life.state, VM_STARTING);
    assert_int_equal(last, VM_DO_LAUNCH | VM_DO_SAVE);
}

static void creation_that_failed_is_undone_and_then_there_for_its_followers_only(void **state)
{
    (void)state;
    LIVE_THROUGH(CREATE, STEP_DONE);
    const struct vm_event failure = {.type = VM_EVENT_STEP_FAILED, .kind = PI_NETWORK, .reason = "no mirror"};
    assert_true(vm_life_next(&life, &failure) & VM_DO_UNDO);
    assert_string_equal(life.reason, "no mirror");
    assert_false(vm_life_is_gone(&life));
    assert_int_equal(vm_life_next(&life, &happenings[CANCEL]), 0);
    assert_int_equal(vm_life_next(&life, &happenings[UNDONE]), VM_DO_TELL_FAILURE);
    assert_true(vm_life_is_gone(&life));
}

static void creation_whose_folder_could_not_be_removed_can_be_cancelled_again(void **state)
{
    (void)state;
    LIVE_THROUGH(CREATE, STEP_DONE, CANCEL, STEP_DONE, NOT_UNDONE);
    assert_int_equal(life.state, VM_CREATED);
    assert_false(vm_life_is_gone(&life));
    assert_int_equal(vm_life_next(&life, &happenings[STEP_DONE]), 0);
    assert_int_equal(vm_life_next(&life, &happenings[CANCEL]), VM_DO_UNDO);
    assert_int_equal(vm_life_next(&life, &happenings[UNDONE]), VM_DO_FORGET);
    assert_true(vm_life_is_gone(&life));
}

static void new_start_forgets_the_last_run(void **state)
{
    (void)state;
    LIVE_THROUGH(BOOT, ERROR_FALLBACK, EXITED, LAUNCHED, CONTINUED, GUEST_SHUTDOWN, EXITED, START);
    const struct vm_life fresh = {.state = VM_STARTING};
    assert_life(&life, &fresh, STOPPED, START);
}

/* The same, with a reason: what the life's reason is then. */
static const char *reason_after(struct vm_life *life, enum happening what, const char *reason)
{
    struct vm_event event = happenings[what];
    event.reason = reason;
    vm_life_next(life, &event);
    return life->reason;
}

static void reason_of_an_event_stands_until_the_state_changes_again(void **state)
{
    (void)state;
    LIVE_THROUGH(BOOT);
    assert_string_equal(reason_after(&life, HALTED, "the disk is full"), "the disk is full");
    assert_int_equal(life.state, VM_PAUSED);
    assert_string_equal(reason_after(&life, DONE_WELL, NULL), "the disk is full");
    assert_string_equal(reason_after(&life, CONTINUED, NULL), "");
}

static void reason_without_a_change_of_state_is_saved(void **state)
{
    (void)state;
    LIVE_THROUGH(BOOT, HALTED);
    const struct vm_event again = {.type = VM_EVENT_STOPPED, .reason = "its disk image is damaged"};
    assert_int_equal(vm_life_next(&life, &again), VM_DO_SAVE);
    assert_string_equal(life.reason, "its disk image is damaged");
}

static void reason_is_one_clean_line_within_its_bound(void **state)
{
    (void)state;
    char text[2 * VM_REASON_MAX];
    LIVE_THROUGH(BOOT);
    assert_null(strpbrk(reason_after(&life, PANICKED, "a\nb\033[1mc"), "\n\033"));
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_in_range(strlen(reason_after(&life, PANICKED, text)), VM_REASON_MAX / 2, VM_REASON_MAX - 1);
}

static void why_a_start_failed_says_more_than_how_its_qemu_ended(void **state)
{
    (void)state;
    LIVE_THROUGH(BEGIN);
    assert_string_equal(reason_after(&life, UNUSABLE, "its monitor answers for another"),
                        "its monitor answers for another");
    assert_string_equal(reason_after(&life, EXITED, "QEMU ended"), "its monitor answers for another");
    assert_int_equal(life.state, VM_FAILED);
    assert_string_equal(reason_after(&life, START, NULL), "");
    assert_string_equal(reason_after(&life, EXITED, "QEMU ended"), "QEMU ended");
}

static void guest_that_must_not_go_on_is_ended_and_has_failed_with_the_reason(void **state)
{
    (void)state;
    LIVE_THROUGH(BOOT, HALTED);
    assert_string_equal(reason_after(&life, UNFIT, "it says nothing"), "it says nothing");
    assert_int_equal(life.state, VM_STOPPING);
    assert_string_equal(reason_after(&life, KILL, NULL), "it says nothing");
    assert_string_equal(reason_after(&life, EXITED, "QEMU was killed"), "it says nothing");
    assert_int_equal(life.state, VM_FAILED);
    assert_string_equal(reason_after(&life, START, NULL), "");
    assert_string_equal(reason_after(&life, CONTINUED, NULL), "");
    assert_string_equal(reason_after(&life, KILL, NULL), "");
    assert_string_equal(reason_after(&life, EXITED, NULL), "");
    assert_int_equal(life.state, VM_STOPPED);
}

static void start_that_was_called_off_needs_no_reason(void **state)
{
    (void)state;
    LIVE_THROUGH(BEGIN, POWERDOWN);
    assert_string_equal(reason_after(&life, UNUSABLE, "its monitor does not answer"), "");
    assert_string_equal(reason_after(&life, LAUNCH_FAILED, "its monitor does not answer"), "");
    assert_int_equal(life.state, VM_STOPPED);
}

static void reset_and_a_boot_that_goes_on_take_the_reason_back(void **state)
{
    (void)state;
    LIVE_THROUGH(BOOT);
    reason_after(&life, PANICKED, "stuck");
    assert_string_equal(reason_after(&life, GOES_ON, NULL), "");
    reason_after(&life, PANICKED, "stuck");
    assert_string_equal(reason_after(&life, RESET, NULL), "");
    reason_after(&life, HALTED, "the disk is full");
    assert_string_equal(reason_after(&life, GOES_ON, NULL), "the disk is full");
    assert_string_equal(reason_after(&life, RESET, NULL), "the disk is full");
}

static void live_states_are_those_with_a_process(void **state)
{
    (void)state;
    for (int i = 0; i < MOMENTS; i++)
        assert_int_equal(vm_state_is_live(moments[i].state), !(DEAD & IN(i)));
    assert_null(vm_state_names[VM_STATES]);
    assert_string_equal(vm_rung_names[VM_RUNG_KILL], "kill");
    assert_null(vm_rung_names[VM_RUNG_KILL + 1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_moment_answers_every_event_as_the_rules_say),
        cmocka_unit_test(guest_that_reports_done_is_ready),
        cmocka_unit_test(instance_that_is_only_made_ends_stopped_and_can_be_started),
        cmocka_unit_test(guest_whose_cloud_init_failed_stays_running),
        cmocka_unit_test(reset_takes_ready_away_until_the_guest_reports_again),
        cmocka_unit_test(pause_remembers_ready),
        cmocka_unit_test(guest_that_powers_itself_off_is_stopped),
        cmocka_unit_test(qemu_that_dies_is_lost),
        cmocka_unit_test(qemu_that_dies_before_its_guest_boots_has_failed),
        cmocka_unit_test(qemu_that_is_of_no_use_at_its_start_is_killed_and_has_failed),
        cmocka_unit_test(guest_that_panicked_is_not_ready_until_its_next_boot_is_done),
        cmocka_unit_test(boot_that_died_by_no_fault_of_the_guest_is_begun_again_once_in_a_run),
        cmocka_unit_test(stop_resends_powerdown_until_the_guest_listens),
        cmocka_unit_test(stop_climbs_every_rung_and_stays_on_the_last),
        cmocka_unit_test(qemu_that_dies_while_its_guest_is_to_power_off_is_lost),
        cmocka_unit_test(qemu_that_someone_else_told_to_end_is_lost_and_no_stop),
        cmocka_unit_test(qemu_that_someone_else_told_to_end_while_its_guest_is_to_power_off_is_lost),
        cmocka_unit_test(quit_after_the_guests_poweroff_is_no_one_elses),
        cmocka_unit_test(second_powerdown_changes_nothing),
        cmocka_unit_test(paused_guest_is_woken_to_hear_the_power_button),
        cmocka_unit_test(suspended_guest_is_woken_to_hear_the_power_button_also_where_that_suspends_it),
        cmocka_unit_test(suspended_guest_goes_on_as_what_it_was),
        cmocka_unit_test(suspended_guest_that_is_reset_boots_anew),
        cmocka_unit_test(qemu_that_outlives_its_guest_is_ended),
        cmocka_unit_test(stop_during_start_sends_quit_as_soon_as_qmp_is_there),
        cmocka_unit_test(kvm_internal_error_starts_afresh_under_tcg_once),
        cmocka_unit_test(no_sign_of_life_under_kvm_starts_afresh_under_tcg),
        cmocka_unit_test(qemu_that_kvm_aborts_starts_afresh_under_tcg_once),
        cmocka_unit_test(kvm_that_was_asked_for_fails_instead_of_falling_back),
        cmocka_unit_test(cleaning_up_comes_before_the_fresh_start_and_saving_last),
        cmocka_unit_test(creation_goes_step_by_step_to_its_start),
        cmocka_unit_test(creation_that_failed_is_undone_and_then_there_for_its_followers_only),
        cmocka_unit_test(creation_whose_folder_could_not_be_removed_can_be_cancelled_again),
        cmocka_unit_test(new_start_forgets_the_last_run),
        cmocka_unit_test(reason_of_an_event_stands_until_the_state_changes_again),
        cmocka_unit_test(reason_without_a_change_of_state_is_saved),
        cmocka_unit_test(reason_is_one_clean_line_within_its_bound),
        cmocka_unit_test(why_a_start_failed_says_more_than_how_its_qemu_ended),
        cmocka_unit_test(guest_that_must_not_go_on_is_ended_and_has_failed_with_the_reason),
        cmocka_unit_test(start_that_was_called_off_needs_no_reason),
        cmocka_unit_test(reset_and_a_boot_that_goes_on_take_the_reason_back),
        cmocka_unit_test(live_states_are_those_with_a_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
