/* SPDX-License-Identifier: MIT */
/* What another host says of a network: it is taken only if the two can be one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/lan/lan_hello.h"

#define OWN_ID   "00000000000000aa"
#define OTHER_ID "00000000000000bb"

static struct vm_subnet own_subnet(void)
{
    struct vm_subnet subnet;
    assert_int_equal(vm_subnet_parse("10.77.5.0/24", &subnet, NULL), 0);
    return subnet;
}

/* The result of a hello with this subnet and these members, JSON text, to a network that has "server" at 10.77.5.2. */
static int check_hello(const char *id, const char *subnet, const char *members, json_t **ret,
                       struct pi_error *err)
{
    char line[1024];
    struct lan_hello hello = {0};
    struct vm_subnet own = own_subnet();
    json_auto_t *taken = json_pack("[{s:s, s:s}]", "name", "server", "address", "10.77.5.2");
    snprintf(line, sizeof line,
             "{\"piagent_network\": 1, \"id\": \"%s\", \"host\": \"h\", \"subnet\": \"%s\", \"members\": %s}",
             id, subnet, members);
    int r = lan_hello_parse(line, strlen(line), &hello, err);
    if (r == 0)
        r = lan_hello_check(&hello, OWN_ID, &own, taken, ret, err);
    lan_hello_done(&hello);
    return r;
}

static void what_is_rendered_is_taken_by_the_other_host(void **state)
{
    (void)state;
    struct lan_hello hello = {0};
    struct vm_subnet own = own_subnet();
    json_auto_t *members =
        json_pack("[{s:s, s:s, s:b}]", "name", "node", "address", "10.77.5.3", "plugged", 1);
    json_auto_t *taken = json_array(), *there = NULL;
    pi_auto_free char *line = lan_hello_render(OTHER_ID, &own, members);
    assert_non_null(line);
    assert_int_equal(lan_hello_parse(line, strlen(line), &hello, NULL), 0);
    assert_int_equal(lan_hello_check(&hello, OWN_ID, &own, taken, &there, NULL), 0);
    json_auto_t *wanted =
        json_pack("[{s:s, s:s, s:s}]", "name", "node", "address", "10.77.5.3", "mac", "52:54:0a:4d:05:03");
    assert_true(json_equal(there, wanted));
    lan_hello_done(&hello);
}

static void a_network_that_is_not_this_one_is_refused_with_the_reason(void **state)
{
    (void)state;
    static const struct {
        const char *id, *subnet, *members, *said;
    } cases[] = {
        {OWN_ID, "10.77.5.0/24", "[]", "itself"},
        {OTHER_ID, "10.77.6.0/24", "[]", "--subnet 10.77.5.0/24"},
        {"x", "10.77.5.0/24", "[]", "id"},
        {OTHER_ID, "10.77.5.0/24", "{}", "version"},
        {OTHER_ID, "10.77.5.0/24", "[1]", "member"},
        {OTHER_ID, "10.77.5.0/24", "[{\"name\": \"server\", \"address\": \"10.77.5.9\"}]", "same name"},
        {OTHER_ID, "10.77.5.0/24", "[{\"name\": \"node\", \"address\": \"10.77.5.2\"}]", "same name"},
        {OTHER_ID, "10.77.5.0/24", "[{\"name\": \"node\", \"address\": \"10.77.5.1\"}]", "network's own"},
        {OTHER_ID, "10.77.5.0/24", "[{\"name\": \"node\", \"address\": \"10.77.6.9\"}]", "subnet"},
        {OTHER_ID, "10.77.5.0/24", "[{\"name\": \"-node\", \"address\": \"10.77.5.9\"}]", "member"},
        {OTHER_ID, "10.77.5.0/24",
         "[{\"name\": \"a\", \"address\": \"10.77.5.9\"}, {\"name\": \"b\", \"address\": \"10.77.5.9\"}]",
         "same name or address"},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct pi_error err = {0};
        json_t *members = NULL;
        assert_true(check_hello(cases[i].id, cases[i].subnet, cases[i].members, &members, &err) < 0);
        assert_null(members);
        if (!strstr(err.text, cases[i].said))
            fail_msg("case %zu: '%s' does not say '%s'", i, err.text, cases[i].said);
    }
}

static void a_line_that_is_no_hello_is_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "", "{", "{}", "[]", "{\"piagent_network\": 2}", "{\"piagent_network\": 1, \"id\": 7}"};
    for (size_t i = 0; i < PI_ARRAY_SIZE(lines); i++) {
        struct lan_hello hello = {0};
        struct pi_error err = {0};
        assert_true(lan_hello_parse(lines[i], strlen(lines[i]), &hello, &err) < 0);
        assert_null(hello.members);
        assert_non_null(strstr(err.text, "first line"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_rendered_is_taken_by_the_other_host),
        cmocka_unit_test(a_network_that_is_not_this_one_is_refused_with_the_reason),
        cmocka_unit_test(a_line_that_is_no_hello_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
