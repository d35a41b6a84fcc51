/* SPDX-License-Identifier: MIT */
/* Tells by two clocks if the host slept: one goes on during sleep, the other does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/daemon/sleep.h"

static void a_sleep_is_seen_once_and_not_before_the_first_look(void **state)
{
    (void)state;
    struct host_sleep sleep = {0};
    assert_int_equal(host_slept_ms(&sleep, 90000, 60000), 0); /* it had slept before */
    assert_int_equal(host_slept_ms(&sleep, 100000, 70000), 0);
    assert_int_equal(host_slept_ms(&sleep, 3710000, 80000), 3600000);
    assert_int_equal(host_slept_ms(&sleep, 3720000, 90000), 0);
    assert_int_equal(host_slept_ms(&sleep, 3730400, 100000),
                     0); /* what is read in turn is not quite the same */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sleep_is_seen_once_and_not_before_the_first_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
