/* SPDX-License-Identifier: MIT */
/* The life of an instance whose state is saved: which of QEMU and the saved state counts at each moment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/vm/life.h"

#define SAVING                                \
    {                                         \
        .state = VM_SAVING, .was_ready = true \
    }
#define COPYING                                               \
    {                                                         \
        .state = VM_SAVING, .was_ready = true, .paused = true \
    }
#define PAUSED                                \
    {                                         \
        .state = VM_PAUSED, .was_ready = true \
    }
#define KEPT                                                                           \
    {                                                                                  \
        .state = VM_SAVING, .was_ready = true, .committed = true, .rung = VM_RUNG_QUIT \
    }
#define ENDED                                                                          \
    {                                                                                  \
        .state = VM_SAVING, .was_ready = true, .committed = true, .rung = VM_RUNG_TERM \
    }
#define FROZEN                                                                         \
    {                                                                                  \
        .state = VM_SAVING, .was_ready = true, .committed = true, .rung = VM_RUNG_KILL \
    }
#define SAVED                                \
    {                                        \
        .state = VM_SAVED, .was_ready = true \
    }
#define LOADING                                  \
    {                                            \
        .state = VM_RESTORING, .was_ready = true \
    }
#define BEATEN                                                         \
    {                                                                  \
        .state = VM_RESTORING, .was_ready = true, .rung = VM_RUNG_KILL \
    }
#define RESTORED                                                    \
    {                                                               \
        .state = VM_RESTORING, .was_ready = true, .committed = true \
    }
#define READY             \
    {                     \
        .state = VM_READY \
    }
#define LOST             \
    {                    \
        .state = VM_LOST \
    }
#define GONE    (VM_DO_DISARM | VM_DO_CLEAN | VM_DO_SAVE)
#define GOES_ON (VM_DO_CONT | VM_DO_SAVE)

static const struct {
    struct vm_life before;
    struct vm_event event;
    struct vm_life after;
    unsigned actions;
} rules[] = {
    /* A guest that runs on was restored, whatever its record says. */
    {LOADING, {.type = VM_EVENT_ADOPTED, .running = true}, READY, VM_DO_SAVE | VM_DO_DROP_STATE},
    /* One that resumes from a template is made saved. */
    {{.state = VM_CREATED, .creation = VM_CREATION_FILES, .made_saved = true},
     {.type = VM_EVENT_STEP_DONE},
     {.state = VM_RESTORING},
     VM_DO_SAVE | VM_DO_LAUNCH},
    {{.state = VM_CREATED, .creation = VM_CREATION_FILES, .made_saved = true, .left_stopped = true},
     {.type = VM_EVENT_STEP_DONE},
     {.state = VM_SAVED},
     VM_DO_SAVE},
    /* The save. */
    {READY, {.type = VM_EVENT_SAVE}, SAVING, VM_DO_SAVE | VM_DO_SAVE_STATE},
    {{.state = VM_RUNNING}, {.type = VM_EVENT_SAVE}, {.state = VM_SAVING}, VM_DO_SAVE | VM_DO_SAVE_STATE},
    {SAVING, {.type = VM_EVENT_SAVE}, SAVING, VM_DO_NOTHING},
    {SAVED, {.type = VM_EVENT_SAVE}, SAVED, VM_DO_NOTHING},
    {{.state = VM_PAUSED}, {.type = VM_EVENT_SAVE}, {.state = VM_PAUSED}, VM_DO_REFUSE},
    {{.state = VM_STOPPED}, {.type = VM_EVENT_SAVE}, {.state = VM_STOPPED}, VM_DO_REFUSE},
    {LOADING, {.type = VM_EVENT_SAVE}, LOADING, VM_DO_REFUSE},
    {SAVING, {.type = VM_EVENT_STOPPED}, SAVING, 0},
    {SAVING, {.type = VM_EVENT_POWERDOWN}, SAVING, VM_DO_REFUSE},
    {SAVING, {.type = VM_EVENT_START}, SAVING, VM_DO_REFUSE},
    {{.state = VM_SAVING}, {.type = VM_EVENT_GUEST_DONE, .success = true}, SAVING, VM_DO_SAVE},
    {SAVING, {.type = VM_EVENT_RESET}, {.state = VM_SAVING}, VM_DO_SAVE},
    /* A snapshot: a save after which the guest goes on, or is paused again. */
    {READY, {.type = VM_EVENT_SNAPSHOT}, SAVING, VM_DO_SAVE | VM_DO_SAVE_STATE},
    {{.state = VM_PAUSED, .was_ready = true},
     {.type = VM_EVENT_SNAPSHOT},
     COPYING,
     VM_DO_SAVE | VM_DO_SAVE_STATE},
    {{.state = VM_SUSPENDED}, {.type = VM_EVENT_SNAPSHOT}, {.state = VM_SUSPENDED}, VM_DO_REFUSE},
    {SAVED, {.type = VM_EVENT_SNAPSHOT}, SAVED, VM_DO_REFUSE},
    {SAVING, {.type = VM_EVENT_SNAPSHOT}, SAVING, VM_DO_REFUSE},
    {SAVING, {.type = VM_EVENT_STATE_COPIED}, RESTORED, GOES_ON | VM_DO_DROP_STATE},
    {READY, {.type = VM_EVENT_STATE_COPIED}, READY, 0},
    {COPYING, {.type = VM_EVENT_STATE_COPIED}, PAUSED, VM_DO_SAVE | VM_DO_DROP_STATE},
    {COPYING, {.type = VM_EVENT_STATE_FAILED}, PAUSED, VM_DO_SAVE | VM_DO_DROP_STATE},
    {COPYING, {.type = VM_EVENT_ADOPTED}, PAUSED, VM_DO_SAVE | VM_DO_DROP_STATE},
    {COPYING, {.type = VM_EVENT_EXITED}, LOST, GONE | VM_DO_DROP_STATE},
    /* QEMU still has the guest: it goes on, or is ended, and the files are removed. */
    {SAVING, {.type = VM_EVENT_STATE_FAILED}, RESTORED, GOES_ON | VM_DO_DROP_STATE},
    {SAVING, {.type = VM_EVENT_ADOPTED}, RESTORED, GOES_ON | VM_DO_DROP_STATE},
    {SAVING,
     {.type = VM_EVENT_KILL},
     {.state = VM_STOPPING, .rung = VM_RUNG_QUIT},
     VM_DO_QUIT | VM_DO_ARM_RUNG | VM_DO_SAVE | VM_DO_DROP_STATE},
    {SAVING, {.type = VM_EVENT_EXITED}, LOST, GONE | VM_DO_DROP_STATE},
    /* The saved state counts, and QEMU is ended, whoever asks for what. */
    {SAVING, {.type = VM_EVENT_STATE_SAVED}, KEPT, VM_DO_QUIT | VM_DO_ARM_RUNG | VM_DO_SAVE},
    {KEPT, {.type = VM_EVENT_STATE_SAVED}, KEPT, 0},
    /* That could not be noted on record, so that nobody has told QEMU to quit. */
    {KEPT, {.type = VM_EVENT_STATE_FAILED}, RESTORED, GOES_ON | VM_DO_DROP_STATE},
    {ENDED, {.type = VM_EVENT_STATE_FAILED}, ENDED, 0},
    {KEPT, {.type = VM_EVENT_SHUTDOWN}, KEPT, 0},
    {KEPT, {.type = VM_EVENT_KILL}, KEPT, 0},
    {KEPT, {.type = VM_EVENT_FOUND}, KEPT, VM_DO_ARM_RUNG},
    {KEPT, {.type = VM_EVENT_ADOPTED}, KEPT, VM_DO_QUIT},
    {KEPT, {.type = VM_EVENT_RUNG_EXPIRED}, ENDED, VM_DO_TERM | VM_DO_ARM_RUNG | VM_DO_SAVE},
    {KEPT, {.type = VM_EVENT_EXITED}, SAVED, GONE},
    {KEPT, {.type = VM_EVENT_EXITED, .again = true}, SAVED, GONE},
    /* A QEMU that must not touch its RAM's file any more is killed at once, by the next agent, too. */
    {SAVING,
     {.type = VM_EVENT_STATE_SAVED, .frozen = true},
     FROZEN,
     VM_DO_KILL | VM_DO_ARM_RUNG | VM_DO_SAVE},
    {FROZEN, {.type = VM_EVENT_STATE_FAILED}, RESTORED, GOES_ON | VM_DO_DROP_STATE},
    {FROZEN, {.type = VM_EVENT_KILL}, FROZEN, 0},
    {FROZEN, {.type = VM_EVENT_FOUND}, FROZEN, VM_DO_KILL | VM_DO_ARM_RUNG},
    {FROZEN, {.type = VM_EVENT_ADOPTED}, FROZEN, 0},
    {FROZEN, {.type = VM_EVENT_RUNG_EXPIRED}, FROZEN, VM_DO_KILL | VM_DO_ARM_RUNG | VM_DO_SAVE},
    {FROZEN, {.type = VM_EVENT_EXITED}, SAVED, GONE},
    {SAVED, {.type = VM_EVENT_KILL}, SAVED, VM_DO_NOTHING},
    {SAVED, {.type = VM_EVENT_POWERDOWN}, SAVED, VM_DO_REFUSE},
    /* The load: until the state is in QEMU, the files count. */
    {SAVED, {.type = VM_EVENT_START}, LOADING, VM_DO_LAUNCH | VM_DO_SAVE},
    {SAVED,
     {.type = VM_EVENT_START_COLD},
     {.state = VM_STARTING},
     VM_DO_LAUNCH | VM_DO_SAVE | VM_DO_DROP_STATE},
    {LOADING, {.type = VM_EVENT_START}, LOADING, VM_DO_NOTHING},
    {LOADING, {.type = VM_EVENT_LAUNCHED}, LOADING, VM_DO_LOAD_STATE},
    {LOADING, {.type = VM_EVENT_ADOPTED}, LOADING, VM_DO_LOAD_STATE},
    {LOADING, {.type = VM_EVENT_LAUNCH_FAILED}, SAVED, GONE},
    {LOADING, {.type = VM_EVENT_EXITED}, SAVED, GONE},
    {LOADING, {.type = VM_EVENT_EXITED, .again = true}, LOADING, GONE | VM_DO_LAUNCH},
    {BEATEN, {.type = VM_EVENT_EXITED, .again = true}, SAVED, GONE},
    {LOADING, {.type = VM_EVENT_SHUTDOWN}, LOADING, 0},
    {LOADING, {.type = VM_EVENT_STATE_FAILED}, BEATEN, VM_DO_KILL | VM_DO_SAVE},
    {LOADING, {.type = VM_EVENT_UNUSABLE}, BEATEN, VM_DO_KILL | VM_DO_SAVE},
    {LOADING, {.type = VM_EVENT_KILL}, BEATEN, VM_DO_KILL | VM_DO_SAVE},
    {BEATEN, {.type = VM_EVENT_KILL}, BEATEN, 0},
    {BEATEN, {.type = VM_EVENT_FOUND}, BEATEN, VM_DO_KILL},
    {BEATEN, {.type = VM_EVENT_LAUNCHED}, BEATEN, 0},
    {BEATEN, {.type = VM_EVENT_STATE_LOADED}, BEATEN, 0},
    {BEATEN, {.type = VM_EVENT_EXITED}, SAVED, GONE},
    /* Then QEMU counts, before its guest runs. */
    {LOADING, {.type = VM_EVENT_STATE_LOADED}, RESTORED, GOES_ON | VM_DO_DROP_STATE},
    {RESTORED, {.type = VM_EVENT_CONTINUED}, READY, VM_DO_SAVE},
    {RESTORED, {.type = VM_EVENT_ADOPTED}, RESTORED, VM_DO_CONT},
    {RESTORED, {.type = VM_EVENT_ADOPTED, .running = true}, READY, VM_DO_SAVE},
    {RESTORED, {.type = VM_EVENT_STOPPED}, {.state = VM_PAUSED, .was_ready = true}, VM_DO_SAVE},
    {RESTORED, {.type = VM_EVENT_EXITED}, LOST, GONE},
    {RESTORED,
     {.type = VM_EVENT_KILL},
     {.state = VM_STOPPING, .rung = VM_RUNG_QUIT},
     VM_DO_QUIT | VM_DO_ARM_RUNG | VM_DO_SAVE},
    {{.state = VM_RESTORING, .committed = true},
     {.type = VM_EVENT_CONTINUED},
     {.state = VM_RUNNING},
     VM_DO_SAVE},
};

static void either_qemu_or_the_saved_state_counts(void **state)
{
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(rules); i++) {
        struct vm_life life = rules[i].before;
        const struct vm_life *after = &rules[i].after;
        unsigned actions = vm_life_next(&life, &rules[i].event);
        if (actions != rules[i].actions || life.state != after->state || life.rung != after->rung ||
            life.was_ready != after->was_ready || life.paused != after->paused ||
            life.committed != after->committed)
            fail_msg("rule %zu: %s, rung %s, ready %d, committed %d, actions %x instead of %x", i,
                     vm_state_names[life.state], vm_rung_names[life.rung], life.was_ready, life.committed,
                     actions, rules[i].actions);
    }
}

static void reason_of_a_failed_load_stays_until_the_next_start(void **state)
{
    (void)state;
    struct vm_life life = LOADING;
    vm_life_next(&life, &(struct vm_event){.type = VM_EVENT_STATE_FAILED, .reason = "it is damaged"});
    vm_life_next(&life, &(struct vm_event){.type = VM_EVENT_EXITED, .reason = "QEMU was killed"});
    assert_int_equal(life.state, VM_SAVED);
    assert_string_equal(life.reason, "it is damaged");
    vm_life_next(&life, &(struct vm_event){.type = VM_EVENT_START});
    assert_string_equal(life.reason, "");
}

static void ephemeral_one_that_could_not_resume_is_gone_when_its_folder_is(void **state)
{
    (void)state;
    struct vm_life life = SAVED;
    assert_int_equal(vm_life_next(&life, &(struct vm_event){.type = VM_EVENT_UNDONE}), 0);
    assert_false(vm_life_is_gone(&life));
    assert_int_equal(vm_life_next(&life, &(struct vm_event){.type = VM_EVENT_UNDONE, .success = true}), 0);
    assert_true(vm_life_is_gone(&life));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(either_qemu_or_the_saved_state_counts),
        cmocka_unit_test(reason_of_a_failed_load_stays_until_the_next_start),
        cmocka_unit_test(ephemeral_one_that_could_not_resume_is_gone_when_its_folder_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
