/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/cli/terminal/screen.h"

static void the_status_is_a_line_after_five_seconds_and_then_every_thirty(void **state)
{
    (void)state;
    struct cli_screen screen = {.spoken_ms = 1000};
    assert_false(cli_screen_is_due(&screen, 5999));
    assert_true(cli_screen_is_due(&screen, 6000));
    screen.spoken_ms = 6000;
    screen.status_told = true;
    assert_false(cli_screen_is_due(&screen, 35999));
    assert_true(cli_screen_is_due(&screen, 36000));
    screen.calm = true;
    assert_false(cli_screen_is_due(&screen, 3600000));
}

static void a_line_of_a_step_begins_the_count_anew(void **state)
{
    (void)state;
    struct cli_screen screen = {.status_told = true};
    cli_screen_line(&screen, "%s", "");
    assert_false(screen.status_told);
    assert_true(cli_screen_is_due(&screen, screen.spoken_ms + 5000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_status_is_a_line_after_five_seconds_and_then_every_thirty),
        cmocka_unit_test(a_line_of_a_step_begins_the_count_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
