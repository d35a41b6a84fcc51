/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/loop/budget.h"

#define NOW 1000000u

static unsigned spent(struct budget *budget, unsigned price, uint64_t now_ms)
{
    unsigned count = 0;
    while (count < 1000 && budget_spend(budget, price, 100, 10, now_ms))
        count++;
    return count;
}

static void a_burst_is_all_that_is_spent_at_once(void **state)
{
    struct budget cheap = {0}, dear = {0};
    (void)state;
    assert_int_equal(spent(&cheap, 1, NOW), 100);
    assert_int_equal(spent(&dear, 30, NOW), 3);
    assert_int_equal(spent(&dear, 1, NOW), 10);
}

static void what_is_spent_comes_back_with_time_up_to_the_burst(void **state)
{
    struct budget budget = {0};
    (void)state;
    spent(&budget, 1, NOW);
    assert_int_equal(spent(&budget, 1, NOW + 99), 0);
    assert_int_equal(spent(&budget, 1, NOW + 100), 1);
    assert_int_equal(spent(&budget, 1, NOW + 2100), 20);
    assert_int_equal(spent(&budget, 1, NOW + 3600000), 100);
}

static void time_that_is_asked_about_often_is_not_lost(void **state)
{
    struct budget budget = {0};
    unsigned count = 0;
    (void)state;
    spent(&budget, 1, NOW);
    for (unsigned ms = 1; ms <= 1000; ms++)
        count += spent(&budget, 1, NOW + ms);
    assert_int_equal(count, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_is_all_that_is_spent_at_once),
        cmocka_unit_test(what_is_spent_comes_back_with_time_up_to_the_burst),
        cmocka_unit_test(time_that_is_asked_about_often_is_not_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
