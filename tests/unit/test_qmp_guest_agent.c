/* SPDX-License-Identifier: MIT */
/* The conversation about the guest's clock, with guests that keep to it and guests that don't. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "qmp/guest_agent.h"

#define NOW UINT64_C(1700000000000)

static void say(struct guest_clock *clock, const char *text, uint64_t now)
{
    guest_clock_receive(clock, text, strlen(text), now);
}

static void tell_time(struct guest_clock *clock, uint64_t guest_ms, uint64_t now)
{
    char line[64];
    snprintf(line, sizeof line, "{\"return\": %llu000000}\n", (unsigned long long)guest_ms);
    say(clock, line, now);
}

static struct guest_clock synced(void)
{
    struct guest_clock clock;
    guest_clock_start(&clock, 7, 1000, NOW);
    assert_string_equal(clock.request,
                        "\xff{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":7}}\n");
    say(&clock, "\xff{\"return\": 7}\n", NOW);
    assert_int_equal(clock.step, GUEST_CLOCK_GET);
    assert_string_equal(clock.request, "{\"execute\":\"guest-get-time\"}\n");
    return clock;
}

static void a_right_clock_is_left_alone(void **state)
{
    (void)state;
    struct guest_clock clock = synced();
    tell_time(&clock, NOW + 20, NOW + 50);
    assert_int_equal(clock.step, GUEST_CLOCK_DONE);
    assert_string_equal(clock.request, "");
    assert_int_equal(clock.offset_ms, 0);
}

static void a_clock_that_is_off_is_set_and_looked_at_again(void **state)
{
    (void)state;
    static const struct {
        uint64_t guest_ms;
        int64_t was_ms;
    } cases[] = {{NOW - 312000, -312000}, {NOW + 5000 + 50, 5000}, {1, 1 - (int64_t)NOW}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct guest_clock clock = synced();
        tell_time(&clock, cases[i].guest_ms, NOW + 50);
        assert_int_equal(clock.step, GUEST_CLOCK_SET);
        assert_string_equal(
            clock.request, "{\"execute\":\"guest-set-time\",\"arguments\":{\"time\":1700000000050000000}}\n");
        /* As in a guest without hwclock: it was set all the same. */
        say(&clock,
            i ? "{\"return\": {}}\n" : "{\"error\": {\"class\": \"GenericError\", \"desc\": \"hwclock\"}}\n",
            NOW + 60);
        assert_int_equal(clock.step, GUEST_CLOCK_VERIFY);
        tell_time(&clock, NOW + 65, NOW + 70);
        assert_int_equal(clock.step, GUEST_CLOCK_DONE);
        assert_int_equal(clock.was_ms, cases[i].was_ms);
        assert_int_equal(clock.offset_ms, 0);
    }
}

static void a_clock_that_does_not_let_itself_be_set_is_told(void **state)
{
    (void)state;
    struct guest_clock clock = synced();
    tell_time(&clock, NOW - 9000, NOW);
    say(&clock, "{\"error\": {}}\n", NOW);
    tell_time(&clock, NOW - 9000, NOW);
    assert_int_equal(clock.step, GUEST_CLOCK_DONE);
    assert_int_equal(clock.offset_ms, -9000);
}

static void what_a_slow_answer_may_account_for_is_no_offset(void **state)
{
    (void)state;
    struct guest_clock clock = synced();
    tell_time(&clock, NOW + 100, NOW + 15000);
    assert_int_equal(clock.step, GUEST_CLOCK_DONE);
}

static void what_was_left_over_is_passed_over(void **state)
{
    (void)state;
    struct guest_clock clock;
    guest_clock_start(&clock, 7, 1000, NOW);
    say(&clock,
        "{\"return\": 6}\n{\"error\": {}}\nno JSON\n[7]\n7\n{\"event\": 7}\n{\"return\": \"7\"}\n{\"half",
        NOW);
    assert_int_equal(clock.step, GUEST_CLOCK_SYNC);
    assert_string_equal(clock.request, "");
    for (const char *byte = "\xff{\"return\": 7}\n"; *byte; byte++)
        guest_clock_receive(&clock, byte, 1, NOW);
    assert_int_equal(clock.step, GUEST_CLOCK_GET);
}

static void a_guest_that_lies_or_floods_ends_it(void **state)
{
    (void)state;
    static const char *const answers[] = {"{\"return\": -5}\n", "{\"return\": \"now\"}\n",
                                          "{\"return\": 1.5}\n", "{\"return\": {}}\n", "{\"error\": {}}\n"};
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct guest_clock clock = synced();
        say(&clock, answers[i], NOW);
        assert_int_equal(clock.step, GUEST_CLOCK_FAILED);
        assert_string_equal(clock.request, "");
        say(&clock, "{\"return\": 1700000000000000000}\n", NOW);
        assert_int_equal(clock.step, GUEST_CLOCK_FAILED);
    }
    static char endless[GUEST_AGENT_LINE_MAX + 1];
    memset(endless, 'x', sizeof endless);
    struct guest_clock clock = synced();
    guest_clock_receive(&clock, endless, GUEST_AGENT_LINE_MAX, NOW);
    assert_int_equal(clock.step, GUEST_CLOCK_GET);
    guest_clock_receive(&clock, endless, 1, NOW);
    assert_int_equal(clock.step, GUEST_CLOCK_FAILED);

    memset(endless, '\n', sizeof endless);
    clock = synced();
    for (size_t sent = 0; sent <= GUEST_AGENT_BYTES_MAX; sent += sizeof endless)
        guest_clock_receive(&clock, endless, sizeof endless, NOW);
    assert_int_equal(clock.step, GUEST_CLOCK_FAILED);
}

static void without_a_conversation_bytes_are_dropped(void **state)
{
    (void)state;
    struct guest_clock clock = {0};
    say(&clock, "\xff{\"return\": 7}\n", NOW);
    assert_int_equal(clock.step, GUEST_CLOCK_NONE);
    assert_string_equal(clock.request, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_right_clock_is_left_alone),
        cmocka_unit_test(a_clock_that_is_off_is_set_and_looked_at_again),
        cmocka_unit_test(a_clock_that_does_not_let_itself_be_set_is_told),
        cmocka_unit_test(what_a_slow_answer_may_account_for_is_no_offset),
        cmocka_unit_test(what_was_left_over_is_passed_over),
        cmocka_unit_test(a_guest_that_lies_or_floods_ends_it),
        cmocka_unit_test(without_a_conversation_bytes_are_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
