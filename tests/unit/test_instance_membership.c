/* SPDX-License-Identifier: MIT */
/* Who is in a network: instances and a network of the test's own, in memory only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/instance/instance.h"
#include "agent/instance/membership.h"

struct fixture {
    struct instance_host host;
    struct lan lan;
    struct instance *instances; /* VM_NETWORK_MEMBERS_MAX, of which the host has some */
    size_t count;
};

/* The next instance, in the network at 10.77.0.0 + number. */
static struct instance *add(struct fixture *f, unsigned number, enum vm_state state, uint64_t created_ms)
{
    struct instance *instance = &f->instances[f->count];
    char network[64];
    instance->host = &f->host;
    instance->record.life.state = state;
    instance->record.created_ms = created_ms;
    snprintf(instance->record.spec.name, sizeof instance->record.spec.name, "node-%zu", f->count++);
    snprintf(network, sizeof network, "lab,ip=10.77.%u.%u", number / 256, number % 256);
    assert_int_equal(pi_strv_add(&instance->record.spec.networks, network), 0);
    LIST_INSERT_HEAD(&f->host.instances, instance, entry);
    return instance;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->instances = calloc(VM_NETWORK_MEMBERS_MAX, sizeof *f->instances);
    strcpy(f->lan.name, "lab");
    assert_int_equal(vm_subnet_parse("10.77.0.0/16", &f->lan.subnet, NULL), 0);
    LIST_INSERT_HEAD(&f->host.lans.list, &f->lan, entry);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < f->count; i++)
        pi_strv_done(&f->instances[i].record.spec.networks);
    free(f->instances);
    free(f);
    return 0;
}

/* Whether the switch is told of the instance. */
static bool is_listed(struct fixture *f, const struct instance *instance)
{
    json_auto_t *members = membership_list(&f->lan, &f->host);
    const json_t *member;
    size_t i;
    json_array_foreach(members, i, member)
        if (!strcmp(json_string_value(json_object_get(member, "name")), instance->record.spec.name))
            return true;
    return false;
}

static void the_switch_is_told_of_one_member_with_an_address_and_the_other_says_why_not(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum vm_state first, second;
        uint64_t first_ms, second_ms;
        unsigned listed;
    } cases[] = {
        {VM_STOPPED, VM_STOPPED, 1, 2, 0}, {VM_STOPPED, VM_STOPPED, 2, 1, 1},
        {VM_STOPPED, VM_RUNNING, 1, 2, 1}, {VM_READY, VM_STOPPED, 2, 1, 0},
        {VM_READY, VM_READY, 2, 1, 1},     {VM_STOPPED, VM_STOPPED, 1, 1, 0},
    };
    struct instance *pair[] = {add(f, 5, VM_STOPPED, 0), add(f, 5, VM_STOPPED, 0)};
    const struct instance *other = add(f, 6, VM_STOPPED, 3);
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        char why[VM_REASON_MAX];
        struct pi_error err = {0};
        pair[0]->record.life.state = cases[i].first, pair[0]->record.created_ms = cases[i].first_ms;
        pair[1]->record.life.state = cases[i].second, pair[1]->record.created_ms = cases[i].second_ms;
        const struct instance *in = pair[cases[i].listed], *out = pair[1 - cases[i].listed];
        assert_true(is_listed(f, in) && is_listed(f, other) && !is_listed(f, out));
        assert_true(out->left_out && !in->left_out && !other->left_out);
        assert_true(membership_tell_trouble(out, why, sizeof why) && strstr(why, in->record.spec.name));
        assert_int_equal(membership_check_start(in, &err), 0);
        assert_true(membership_check_start(out, &err) < 0);
        assert_int_equal(err.kind, PI_CONFLICT);
        assert_non_null(strstr(err.text, "10.77.0.5"));
    }
    LIST_REMOVE(pair[0], entry);
    assert_true(is_listed(f, pair[1]) && !pair[1]->left_out);
}

static void a_network_that_has_as_many_members_as_it_can_takes_no_other(void **state)
{
    struct fixture *f = *state;
    struct vm_spec spec = {.name = "more"};
    struct pi_error err = {0};
    for (unsigned i = 0; i < VM_NETWORK_MEMBERS_MAX - 1; i++)
        add(f, 2 + i, VM_STOPPED, i);
    assert_int_equal(pi_strv_add(&spec.networks, "lab"), 0);
    assert_int_equal(membership_resolve(&f->host, &spec, &err), 0);
    add(f, 2 + VM_NETWORK_MEMBERS_MAX, VM_STOPPED, 0);
    pi_strv_done(&spec.networks);
    assert_int_equal(pi_strv_add(&spec.networks, "lab,ip=10.77.99.1"), 0);
    assert_true(membership_resolve(&f->host, &spec, &err) < 0);
    assert_int_equal(err.kind, PI_CONFLICT);
    assert_non_null(strstr(err.text, "1024"));
    pi_strv_done(&spec.networks);
}

static void no_more_members_run_at_once_than_the_switch_has_ports(void **state)
{
    struct fixture *f = *state;
    struct pi_error err = {0};
    const struct instance *next = add(f, 2, VM_STOPPED, 0), *running = NULL;
    struct instance *made = add(f, 3, VM_CREATED, 0);
    made->record.life.left_stopped = true;
    for (unsigned i = 1; i < VM_NETWORK_RUNNING_MAX; i++)
        running = add(f, 3 + i, VM_RUNNING, i);
    assert_int_equal(membership_check_start(next, &err), 0);
    add(f, 1000, VM_PAUSED, 0);
    assert_true(membership_check_start(next, &err) < 0);
    assert_int_equal(err.kind, PI_CONFLICT);
    assert_non_null(strstr(err.text, "256"));
    assert_int_equal(membership_check_start(made, &err), 0);
    LIST_REMOVE(running, entry);
    assert_int_equal(membership_check_start(next, &err), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_switch_is_told_of_one_member_with_an_address_and_the_other_says_why_not),
        TEST(a_network_that_has_as_many_members_as_it_can_takes_no_other),
        TEST(no_more_members_run_at_once_than_the_switch_has_ports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
