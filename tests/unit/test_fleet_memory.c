/* SPDX-License-Identifier: MIT */
#include "memory_fixture.h"

#include "agent/base/auto.h"
#include "agent/fleet/fleet_check.h"
#include "agent/fleet/plan.h"

static const struct fleet_option options[] = {{"memory", FLEET_VALUE_ONE},
                                              {"network", FLEET_VALUE_LIST},
                                              {"label", FLEET_VALUE_MAP},
                                              {"host", FLEET_VALUE_ONE},
                                              {0}};

static const char text[] =
    "defaults: {memory: 1G}\n"
    "networks: {lab: {subnet: 10.77.0.0/24}, new: {}}\n"
    "instances: {a: {label: {x: y}, network: \"lab,ip=10.77.0.5\"}, b: {count: 2, host: B, network: [lab, new], after: {a: ready}},"
    "c: {network: new}}\n";

static int read_and_check(struct fleet *fleet)
{
    static struct seed_findings findings;
    findings = (struct seed_findings){0};
    int r = fleet_read(text, sizeof text - 1, "x.yaml", options, &findings, fleet);
    if (r == 0)
        r = fleet_check(fleet, &findings);
    memory_promise(findings.errors == 0);
    return r;
}

static int a_file_is_read(struct pi_error *err)
{
    pi_auto_fleet struct fleet fleet = {0};
    (void)err;
    return read_and_check(&fleet);
}

static int a_plan_is_made(struct pi_error *err)
{
    static const struct pi_strv none;
    pi_auto_fleet struct fleet fleet = {0};
    pi_auto_plan struct fleet_plan plan = {0};
    char name[] = "a";
    struct api_instance now = {.name = name, .state = VM_STOPPED, .arch = VM_AARCH64, .spec.fleet.name = "x"};
    const struct fleet_have have = {&now, 1, NULL, 0, 0}, haves[] = {have, have};
    const struct fleet_ask ask = {.recreate = &none};
    static struct seed_findings findings;
    json_auto_t *request = json_pack("{s:s, s:s, s:i}", "name", "a", "user_data_sha256", "aa", "cpus", 3);
    json_t *requests[] = {request, request, request};
    (void)err;
    int r = request ? read_and_check(&fleet) : -ENOMEM;
    return r < 0 ? r : fleet_plan_make(&fleet, requests, haves, &ask, &findings, &plan);
}

static void without_memory_nothing_is_left_behind(void **state)
{
    static const struct memory_operation operations[] = {
        MEMORY_OPERATION(a_file_is_read, .silent = true, .own_only = true),
        MEMORY_OPERATION(a_plan_is_made, .silent = true, .own_only = true, .parses = true),
    };
    (void)state;
    memory_check(operations, sizeof operations / sizeof operations[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(without_memory_nothing_is_left_behind)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
