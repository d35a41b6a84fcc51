/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/base/environ.h"

/* This process has these settings and no other. */
static void set_environment(const char *const *settings)
{
    clearenv();
    for (; *settings; settings++)
        assert_int_equal(putenv((char *)*settings), 0);
}

static void assert_common(const char *const *expected)
{
    pi_auto_strv struct pi_strv got = {0};
    size_t count = 0;
    assert_int_equal(pi_environ_add(pi_environ_is_common, &got), 0);
    for (; expected[count]; count++)
        assert_string_equal(count < got.count ? got.items[count] : "(none)", expected[count]);
    assert_int_equal(got.count, count);
}

static void a_child_gets_what_it_needs_by_name(void **state)
{
    static const char *const all[] = {"AWS_SECRET_ACCESS_KEY=x",
                                      "SSH_AUTH_SOCK=/x",
                                      "PATH=/bin",
                                      "LC_TIME=C",
                                      "LC=x",
                                      "HOMES=x",
                                      "HOM=x",
                                      "HOME=/h",
                                      "LD_PRELOAD=",
                                      "XDG_RUNTIME_DIR=/r",
                                      "NOTIFY_SOCKET=/n",
                                      "https_proxy=x",
                                      "XDG_SESSION=x",
                                      NULL};
    static const char *const common[] = {"PATH=/bin", "LC_TIME=C", "HOME=/h", "XDG_RUNTIME_DIR=/r", NULL};
    (void)state;
    set_environment(all);
    assert_common(common);
}

static void the_user_adds_names(void **state)
{
    static const char *const all[] = {
        "A=1", "B=2", "AB=3", "A_=4", "C==", "PIAGENT_PASS_ENVIRONMENT= A,C, ,none", NULL};
    static const char *const common[] = {"A=1", "C==", "PIAGENT_PASS_ENVIRONMENT= A,C, ,none", NULL};
    static const char *const empty[] = {"A=1", "PIAGENT_PASS_ENVIRONMENT=", NULL};
    static const char *const none[] = {"PIAGENT_PASS_ENVIRONMENT=", NULL};
    (void)state;
    set_environment(all);
    assert_common(common);
    set_environment(empty);
    assert_common(none);
}

static bool is_anything(const char *setting)
{
    return setting[0] != '\0';
}

static void a_setting_that_is_there_is_not_added_again(void **state)
{
    static const char *const all[] = {"A=1", "AB=2", NULL};
    pi_auto_strv struct pi_strv got = {0};
    (void)state;
    set_environment(all);
    assert_int_equal(pi_strv_add(&got, "A="), 0);
    assert_int_equal(pi_environ_add(is_anything, &got), 0);
    assert_int_equal(got.count, 2);
    assert_string_equal(got.items[0], "A=");
    assert_string_equal(got.items[1], "AB=2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_gets_what_it_needs_by_name),
        cmocka_unit_test(the_user_adds_names),
        cmocka_unit_test(a_setting_that_is_there_is_not_added_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
