/* SPDX-License-Identifier: MIT */
/* How long a guest that does not report is waited for, and what is said of it then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/vm/silence.h"

static const struct vm_landmarks boots = {.reached = VM_LANDMARK_INIT},
                                 prompts = {.reached = VM_LANDMARK_LOGIN},
                                 full = {.reached = VM_LANDMARK_LOGIN, .disk_full = true},
                                 died = {.reached = VM_LANDMARK_LOGIN, .cloud_init_died = true};

static void who_may_still_be_at_work_is_waited_for_much_longer(void **state)
{
    static const struct {
        struct vm_silence seen;
        uint64_t end_ms;
    } cases[] = {
        {{.console = &prompts, .heard_ms = 1000}, 1000 + VM_SILENCE_MS},
        {{.console = &prompts, .seeded = true, .heard_ms = 1000}, 1000 + VM_SILENCE_MS},
        {{.console = &prompts, .heard_ms = 1000, .printed_ms = 9000}, 9000 + VM_SILENCE_MS},
        {{.console = &prompts, .heard_ms = 1000, .printed_ms = 900000}, 1000 + VM_SILENCE_CAP_MS},
        {{.console = &boots, .heard_ms = 1000}, 1000 + VM_SILENCE_LONG_MS},
        {{.console = &prompts, .reported = true, .heard_ms = 1000, .printed_ms = 900000},
         900000 + VM_SILENCE_LONG_MS},
        {{.console = &full, .heard_ms = 1000}, 1000 + VM_SILENCE_MS},
        {{.console = &full, .reported = true, .heard_ms = 1000}, 1000 + VM_SILENCE_CAP_MS},
        {{.console = &died, .reported = true, .heard_ms = 1000}, 1000 + VM_SILENCE_CAP_MS},
        {{.console = &boots, .missed = true, .heard_ms = 1000}, 1000 + VM_SILENCE_MS},
        {{.console = &boots, .missed = true, .reported = true, .heard_ms = 1000}, 1000 + VM_SILENCE_LONG_MS},
        {{.console = &prompts, .missed = true, .reported = true, .heard_ms = 1000},
         1000 + VM_SILENCE_LONG_MS},
        {{.console = &died, .missed = true, .reported = true, .heard_ms = 1000}, 1000 + VM_SILENCE_CAP_MS},
        {{.console = &prompts, .resumed = true, .heard_ms = 1000}, 1000 + VM_SILENCE_LONG_MS},
        {{.console = &full, .resumed = true, .heard_ms = 1000}, 1000 + VM_SILENCE_MS},
        {{.console = &prompts, .missed = true, .resumed = true, .heard_ms = 1000}, 1000 + VM_SILENCE_MS},
        {{.console = &prompts, .announced = true, .reported = true, .heard_ms = 1000, .printed_ms = 9000},
         9000 + VM_REBOOT_MS},
        {{.console = &prompts, .announced = true, .reported = true, .heard_ms = 1000, .printed_ms = 900000},
         1000 + VM_NO_REBOOT_MS},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++)
        if (vm_silence_end_ms(&cases[i].seen) != cases[i].end_ms)
            fail_msg("case %zu", i);
}

static void the_most_certain_cause_is_named(void **state)
{
    static const struct {
        struct vm_silence seen;
        const char *word;
    } cases[] = {
        {{.console = &full, .missed = true, .reported = true}, "disk is full"},
        {{.console = &died, .seeded = true}, "failed to start"},
        {{.console = &boots, .missed = true}, "while no agent"},
        {{.console = &prompts, .missed = true, .seeded = true}, "while no agent"},
        {{.console = &prompts, .missed = true, .booted = true}, "/etc/cloud/cloud-init.disabled"},
        {{.console = &prompts, .seeded = true, .reported = true}, "stopped reporting"},
        {{.console = &prompts, .seeded = true}, "\"reporting\""},
        {{.console = &prompts, .booted = true}, "/etc/cloud/cloud-init.disabled"},
        {{.console = &prompts}, "not have cloud-init"},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++)
        if (!strstr(vm_silence_cause(&cases[i].seen), cases[i].word))
            fail_msg("case %zu: %s", i, vm_silence_cause(&cases[i].seen));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_may_still_be_at_work_is_waited_for_much_longer),
        cmocka_unit_test(the_most_certain_cause_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
