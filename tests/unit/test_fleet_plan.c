/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/fleet/down_order.h"
#include "agent/fleet/fleet_check.h"
#include "agent/fleet/plan.h"

#define HAVE_MAX 8

static const struct fleet_option options[] = {{"memory", FLEET_VALUE_ONE},   {"arch", FLEET_VALUE_ONE},
                                              {"network", FLEET_VALUE_LIST}, {"forward", FLEET_VALUE_LIST},
                                              {"host", FLEET_VALUE_ONE},     {0}};

/* An instance that the agent has. */
struct case_have {
    const char *name, *fleet, *role;
    enum vm_state state;
    uint64_t memory_mib;
    const char *forward, *network;
};

static struct api_instance instance_of(const struct case_have *have)
{
    struct api_instance instance = {.name = strdup(have->name), .state = have->state, .arch = vm_arch_host()};
    instance.spec.memory_mib = have->memory_mib ? have->memory_mib : 1024;
    instance.spec.arch = vm_arch_host();
    assert_int_equal(vm_spec_complete(&instance.spec), 0);
    if (have->forward)
        assert_int_equal(pi_strv_add(&instance.spec.forwards, have->forward), 0);
    if (have->network)
        assert_int_equal(pi_strv_add(&instance.spec.networks, have->network), 0);
    snprintf(instance.spec.fleet.name, sizeof instance.spec.fleet.name, "%s", have->fleet ? have->fleet : "");
    snprintf(instance.spec.fleet.role, sizeof instance.spec.fleet.role, "%s", have->role ? have->role : "");
    if (have->role && !strcmp(have->role, "node")) /* as the file TWO says */
        assert_int_equal(pi_strv_add(&instance.spec.fleet.after, "server=ready"), 0);
    return instance;
}

/* "+" is created, ">" started, "-" removed, "=" left; then what is told of it. */
static void plan_text(const struct fleet_plan *plan, struct pi_buf *ret)
{
    for (size_t i = 0; i < plan->network_count; i++)
        pi_buf_printf(ret, "%snetwork %s", ret->size ? "; " : "", plan->networks[i].network->name);
    for (size_t i = 0; i < plan->count; i++) {
        const struct fleet_change *c = &plan->changes[i];
        bool left = !c->remove && !c->create && !c->start;
        pi_buf_printf(ret, "%s%s%s%s%s%s%s", ret->size ? "; " : "", c->remove ? "-" : "",
                      c->create ? "+" : "", c->start ? ">" : "", left ? "=" : "", c->name,
                      c->entry ? "" : "?");
        for (size_t k = 0; k < c->differences.count; k++)
            pi_buf_printf(ret, " (%s)", c->differences.items[k]);
    }
}

struct plan_case {
    const char *instances; /* of the file */
    struct case_have have[HAVE_MAX];
    const char *names, *recreate; /* one each */
    bool prune;
    uint64_t host_mib;
    const char *plan, *fault; /* one of these */
};

static void check_plan(const struct plan_case *c, const struct fleet *fleet, const struct fleet_have *have,
                       struct seed_findings *findings)
{
    pi_auto_buf struct pi_buf text = {0};
    pi_auto_plan struct fleet_plan plan = {0};
    pi_auto_strv struct pi_strv recreate = {0};
    json_t *requests[8] = {NULL};
    char *names[] = {(char *)c->names, NULL};
    const struct fleet_ask ask = {names, c->names != NULL, &recreate, c->prune};
    if (c->recreate)
        assert_int_equal(pi_strv_add(&recreate, c->recreate), 0);
    for (size_t i = 0; i < fleet->entry_count; i++) {
        size_t at = 0;
        uint64_t bytes = 0;
        const struct fleet_word *memory = fleet_next_word(&fleet->entries[i], "memory", &at);
        if (memory)
            assert_int_equal(pi_size_parse(memory->value, &bytes, NULL), 0);
        const struct fleet_word *arch = fleet_next_word(&fleet->entries[i], "arch", (at = 0, &at));
        requests[i] = json_pack("{s:s, s:I, s:s*}", "name", "x", "memory_mib", (json_int_t)(bytes >> 20),
                                "arch", arch ? arch->value : NULL);
    }
    assert_int_equal(fleet_plan_make(fleet, requests, have, &ask, findings, &plan), 0);
    plan_text(&plan, &text);
    for (size_t i = 0; i < fleet->entry_count; i++)
        json_decref(requests[i]);
    if (c->fault)
        return;
    assert_int_equal(findings->errors, 0);
    assert_string_equal(text.data, c->plan);
}

static void check_case(const struct plan_case *c)
{
    static struct seed_findings findings;
    pi_auto_buf struct pi_buf text = {0};
    pi_auto_fleet struct fleet fleet = {0};
    struct api_instance instances[HAVE_MAX];
    struct fleet_lan network = {.name = "old"};
    struct fleet_have have = {instances, 0, &network, 1, c->host_mib};
    char line[640] = "";
    findings = (struct seed_findings){0};
    assert_int_equal(vm_subnet_parse("10.99.0.0/24", &network.subnet, NULL), 0);
    pi_buf_printf(&text, "name: lab\n%s", c->instances);
    assert_int_equal(fleet_read(text.data, text.size, "x.yaml", options, &findings, &fleet), 0);
    assert_int_equal(fleet_check(&fleet, &findings), 0);
    assert_int_equal(findings.errors, 0);
    while (have.count < HAVE_MAX && c->have[have.count].name) {
        instances[have.count] = instance_of(&c->have[have.count]);
        have.count++;
    }
    check_plan(c, &fleet, &have, &findings);
    for (size_t i = 0; i < have.count; i++)
        api_done(instance, &instances[i]);
    if (!c->fault)
        return;
    assert_int_equal(findings.errors, 1);
    seed_finding_format(&findings.items[0], line, sizeof line);
    if (!strstr(line, c->fault))
        fail_msg("%s\nnot: %s", line, c->fault);
}

#define TWO "instances: {server: {}, node: {count: 2, after: {server: ready}}}"

static void the_plan_is_what_the_file_has_and_the_agent_has_not(void **state)
{
    (void)state;
    static const struct plan_case cases[] = {
        {.instances = TWO, .plan = "+>server; +>node-1; +>node-2"},
        {.instances = TWO,
         .have = {{"server", "lab", "server", VM_READY, 0, NULL, NULL},
                  {"node-1", "lab", "node", VM_STOPPED, 0, NULL, NULL}},
         .plan = "=server; >node-1; +>node-2"},
        {.instances = TWO,
         .have = {{"server", "lab", "server", VM_RUNNING, 0, NULL, NULL},
                  {"node-1", "lab", "node", VM_FAILED, 0, NULL, NULL},
                  {"node-2", "lab", "node", VM_LOST, 0, NULL, NULL}},
         .plan = "=server; >node-1; >node-2"},
        {.instances = TWO, /* it is being created: an earlier command was interrupted */
         .have = {{"server", "lab", "server", VM_CREATED, 0, NULL, NULL}},
         .plan = ">server; +>node-1; +>node-2"},
        {.instances = TWO, .names = "node-2", .plan = "+>server; +>node-2"},
        {.instances = TWO, .names = "server", .plan = "+>server"},
        {.instances = TWO, .names = "node", .plan = "+>server; +>node-1; +>node-2"},
        {.instances = TWO,
         .have = {{"server", "lab", "server", VM_READY, 0, NULL, NULL},
                  {"node-1", "lab", "node", VM_READY, 0, NULL, NULL},
                  {"node-2", "lab", "node", VM_READY, 0, NULL, NULL},
                  {"node-3", "lab", "node", VM_READY, 0, NULL, NULL},
                  {"node", "lab", "node", VM_STOPPED, 0, NULL, NULL},
                  {"web", "other", "web", VM_READY, 0, NULL, NULL}},
         .plan = "=server; =node-1; =node-2; =node-3?; =node?"},
        {.instances = TWO,
         .have = {{"server", "lab", "server", VM_READY, 0, NULL, NULL},
                  {"node-3", "lab", "node", VM_READY, 0, NULL, NULL},
                  {"web", "other", "web", VM_READY, 0, NULL, NULL}},
         .prune = true,
         .names = "server",
         .plan = "=server; -node-3?"},
        {.instances = TWO,
         .have = {{"server", "lab", "server", VM_READY, 0, NULL, NULL},
                  {"node-1", "lab", "node", VM_READY, 0, NULL, NULL},
                  {"node-2", "lab", "node", VM_READY, 0, NULL, NULL}},
         .recreate = "node",
         .plan = "=server; -+>node-1; -+>node-2"},
        {.instances = "instances: {a: {memory: 2G}, b: {}}",
         .have = {{"a", "lab", "a", VM_READY, 0, NULL, NULL}, {"b", "lab", "b", VM_STOPPED, 512, NULL, NULL}},
         .plan = "=a (memory is 1 GiB, the file says 2 GiB); >b (memory is 512 MiB, the file says 1 GiB)"},
        {.instances =
             "networks: {old: {}, new: {subnet: 10.98.0.0/24}}\ninstances: {a: {network: [old, new]}}",
         .plan = "network new; +>a"},
        {.instances = "networks: {old: {subnet: 10.99.0.0/24}}\ninstances: {a: {network: old}}",
         .plan = "+>a"},
        {.instances = TWO,
         .have = {{"web", NULL, NULL, VM_RUNNING, 0, NULL, NULL},
                  {"old", NULL, NULL, VM_STOPPED, 0, NULL, NULL}},
         .host_mib = 4 * (1024 + VM_OVERHEAD_MIB),
         .plan = "+>server; +>node-1; +>node-2"},
        {.instances = TWO, .names = "server", .host_mib = 1024 + VM_OVERHEAD_MIB, .plan = "+>server"},
        {.instances =
             "instances: {a: {forward: 8080:80}}", /* the removed one gives back its memory and its port */
         .have = {{"old", "lab", "old", VM_READY, 0, "8080:80", NULL}},
         .prune = true,
         .host_mib = 1024 + VM_OVERHEAD_MIB,
         .plan = "+>a; -old?"},
        {.instances = "networks: {old: {}}\ninstances: {a: {network: \"old,ip=10.99.0.5\"}}",
         .have = {{"b", "lab", "b", VM_STOPPED, 0, NULL, "old,ip=10.99.0.5"}},
         .prune = true,
         .plan = "+>a; -b?"},
        {.instances = "instances: {a: {}}", /* a state of a newer agent */
         .have = {{"a", "lab", "a", VM_STATES, 0, NULL, NULL}},
         .plan = "=a"},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++)
        check_case(&cases[i]);
}

static void what_the_agent_has_can_forbid_to_begin(void **state)
{
    (void)state;
    static const struct plan_case cases[] = {
        {.instances = TWO,
         .have = {{"node-2", NULL, NULL, VM_STOPPED, 0, NULL, NULL}},
         .fault = "an instance node-2 is there already, of no fleet: rename the entry"},
        {.instances = TWO,
         .have = {{"server", "web", "server", VM_READY, 0, NULL, NULL}},
         .fault = "line 2: instances.server: an instance server is there already, of the fleet web"},
        {.instances = TWO,
         .names = "nodes",
         .fault = "it has no entry and no instance 'nodes': did you mean node?"},
        {.instances = TWO, .recreate = "node-3", .fault = "it has no entry and no instance 'node-3'"},
        {.instances = "networks: {old: {subnet: 10.98.0.0/24}}\ninstances: {a: {}}",
         .fault = "line 2: networks.old.subnet: the network is there, and is 10.99.0.0/24"},
        {.instances = "networks: {new: {subnet: 10.99.0.0/25}}\ninstances: {a: {}}",
         .fault = "10.99.0.0/25 overlaps with the network old, which is 10.99.0.0/24"},
        {.instances = "instances: {a: {forward: 8080:80}}",
         .have = {{"web", NULL, NULL, VM_STOPPED, 0, "0.0.0.0:8080:80", NULL}},
         .fault = "instances.a.forward: port 8080 of this host is forwarded to the instance web"},
        {.instances = "instances: {a: {forward: 8080:80}}", /* it is not in the file any more, and stays */
         .have = {{"old", "lab", "old", VM_STOPPED, 0, "8080:80", NULL}},
         .fault = "port 8080 of this host is forwarded to the instance old"},
        {.instances = "instances: {a: {}}",
         .have = {{"old", "lab", "old", VM_READY, 0, NULL, NULL}},
         .host_mib = 2 * (1024 + VM_OVERHEAD_MIB) - 1,
         .fault = "take up to 1.3 GiB, other instances that run 1.3 GiB, with"},
        {.instances = "networks: {old: {}}\ninstances: {a: {network: \"old,ip=10.99.0.5\"}}",
         .have = {{"b", "lab", "b", VM_STOPPED, 0, NULL, "old,ip=10.99.0.5"}},
         .fault = "line 3: instances.a.network: the instance b has the address 10.99.0.5: choose another"},
        {.instances = TWO,
         .host_mib = 3 * (1024 + VM_OVERHEAD_MIB) - 1,
         .fault =
             "instances.node: all instances together take up to 3.8 GiB, with what QEMU itself takes for each, and this host has"},
        {.instances = "instances: {a: {arch: aarch64}}", /* with its flash */
         .host_mib = 1024 + VM_OVERHEAD_MIB + 127,
         .fault = "all instances together take up to 1.4 GiB, with"},
        {.instances = TWO,
         .have = {{"web", NULL, NULL, VM_READY, 0, NULL, NULL}},
         .host_mib = 4 * (1024 + VM_OVERHEAD_MIB) - 1,
         .fault = "take up to 3.8 GiB, other instances that run 1.3 GiB, with"},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++)
        check_case(&cases[i]);
}

/* Two hosts: this one has one instance, and B another one; each may have a network. */
struct hosts_case {
    const char *file;
    struct case_have here, there;
    const char *network_here, *network_there; /* subnets of "lab", whose id is "here" and "there" */
    const char *links_here, *links_there;     /* JSON */
    uint64_t here_mib, there_mib;
    bool prune;
    const char *plan, *fault; /* one of these */
};

/* "+>a@1 lab,ip=10.77.0.2": on the second host, with this network. */
static void hosts_text(const struct fleet_plan *plan, struct pi_buf *ret)
{
    for (size_t i = 0; i < plan->network_count; i++)
        pi_buf_printf(ret, "%s%s@%zu %s", ret->size ? "; " : "", plan->networks[i].network->name,
                      plan->networks[i].host, plan->networks[i].subnet);
    for (size_t i = 0; i < plan->link_count; i++)
        pi_buf_printf(ret, "%s%s %zu>%zu", ret->size ? "; " : "", plan->links[i].network->name,
                      plan->links[i].from, plan->links[i].to);
    for (size_t i = 0; i < plan->count; i++) {
        const struct fleet_change *c = &plan->changes[i];
        pi_buf_printf(ret, "%s%s%s%s%s@%zu", ret->size ? "; " : "", c->remove ? "-" : "",
                      c->create ? "+" : "", c->start ? ">" : "", c->name, c->host);
        for (size_t k = 0; k < c->networks.count; k++)
            pi_buf_printf(ret, " %s", c->networks.items[k]);
    }
}

static void check_hosts(const struct hosts_case *c)
{
    static struct seed_findings findings;
    const struct case_have *const given[] = {&c->here, &c->there};
    const char *const subnets[] = {c->network_here, c->network_there};
    struct api_instance instances[2];
    struct fleet_lan networks[2] = {{.name = "lab", .id = "here"}, {.name = "lab", .id = "there"}};
    json_t *links[2] = {c->links_here ? json_loads(c->links_here, 0, NULL) : NULL,
                        c->links_there ? json_loads(c->links_there, 0, NULL) : NULL};
    struct fleet_have have[2] = {{.host_mib = c->here_mib}, {.host_mib = c->there_mib}};
    pi_auto_fleet struct fleet fleet = {0};
    pi_auto_plan struct fleet_plan plan = {0};
    pi_auto_buf struct pi_buf text = {0};
    pi_auto_strv struct pi_strv recreate = {0};
    const struct fleet_ask ask = {.recreate = &recreate, .prune = c->prune};
    json_t *requests[4] = {NULL};
    char line[640] = "";
    findings = (struct seed_findings){0};
    assert_int_equal(fleet_read(c->file, strlen(c->file), "lab.yaml", options, &findings, &fleet), 0);
    assert_int_equal(fleet_check(&fleet, &findings), 0);
    assert_int_equal(fleet.host_count, 2);
    for (size_t i = 0; i < 2; i++) {
        if (given[i]->name)
            instances[i] = instance_of(given[i]);
        have[i].instances = &instances[i];
        have[i].count = given[i]->name != NULL;
        if (subnets[i])
            assert_int_equal(vm_subnet_parse(subnets[i], &networks[i].subnet, NULL), 0);
        have[i].networks = &networks[i];
        networks[i].links = links[i];
        have[i].network_count = subnets[i] != NULL;
    }
    for (size_t i = 0; i < fleet.entry_count; i++)
        requests[i] = json_pack("{s:s}", "name", "x");
    assert_int_equal(fleet_plan_make(&fleet, requests, have, &ask, &findings, &plan), 0);
    hosts_text(&plan, &text);
    json_decref(links[0]);
    json_decref(links[1]);
    for (size_t i = 0; i < fleet.entry_count; i++)
        json_decref(requests[i]);
    for (size_t i = 0; i < 2; i++)
        if (given[i]->name)
            api_done(instance, &instances[i]);
    assert_int_equal(findings.errors, c->fault != NULL);
    if (c->plan)
        assert_string_equal(text.data, c->plan);
    if (c->fault)
        seed_finding_format(&findings.items[0], line, sizeof line);
    if (c->fault && !strstr(line, c->fault))
        fail_msg("%s\nnot: %s", line, c->fault);
}

#define ON_BOTH "networks: {lab: {}}\ninstances: {a: {network: lab}, b: {network: lab, host: B, count: 2}}"

static void a_network_of_several_hosts_has_one_subnet_and_no_address_twice(void **state)
{
    (void)state;
    static const struct hosts_case cases[] = {
        {.file = ON_BOTH,
         .plan =
             "lab@0 10.77.0.0/24; lab@1 10.77.0.0/24; lab 0>1; +>a@0 lab,ip=10.77.0.2; +>b-1@1 lab,ip=10.77.0.3; "
             "+>b-2@1 lab,ip=10.77.0.4"},
        {.file = ON_BOTH, /* what one host has, the other one gets */
         .network_there = "10.99.0.0/24",
         .there = {"x", NULL, NULL, VM_STOPPED, 0, NULL, "lab,ip=10.99.0.2"},
         .plan =
             "lab@0 10.99.0.0/24; lab 0>1; +>a@0 lab,ip=10.99.0.3; +>b-1@1 lab,ip=10.99.0.4; +>b-2@1 lab,ip=10.99.0.5"},
        {.file = "networks: {lab: {}, new: {}}\ninstances: {a: {network: [lab, new]}, b: {network: "
                 "[\"lab,ip=10.77.0.2\", new], host: B}}",
         .plan =
             "lab@0 10.77.0.0/24; lab@1 10.77.0.0/24; new@0 10.77.1.0/24; new@1 10.77.1.0/24; lab 0>1; new 0>1; +>a@0 "
             "lab,ip=10.77.0.3 new,ip=10.77.1.2; +>b@1 lab,ip=10.77.0.2 new,ip=10.77.1.3"},
        {.file = "networks: {lab: {}}\ninstances: {a: {network: lab}, b: {host: B}}", /* on one host only */
         .plan = "lab@0 ; +>a@0; +>b@1"},
        {.file = ON_BOTH,
         .network_here = "10.99.0.0/24",
         .network_there = "10.98.0.0/24",
         .fault = "line 1: networks.lab: the network is there on B, and is 10.98.0.0/24"},
        {.file = ON_BOTH,
         .network_here = "10.99.0.0/29",
         .here = {"x", NULL, NULL, VM_STOPPED, 0, NULL, "lab,ip=10.99.0.2"},
         .plan =
             "lab@1 10.99.0.0/29; lab 0>1; +>a@0 lab,ip=10.99.0.3; +>b-1@1 lab,ip=10.99.0.4; +>b-2@1 lab,ip=10.99.0.5"},
        {.file =
             "networks: {lab: {}}\ninstances: {a: {network: \"lab,ip=10.99.0.2\"}, b: {network: lab, host: B}}",
         .network_there = "10.99.0.0/24",
         .there = {"x", NULL, NULL, VM_STOPPED, 0, NULL, "lab,ip=10.99.0.2"},
         .fault = "instances.a.network: the instance x has the address 10.99.0.2"},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++)
        check_hosts(&cases[i]);
}

static void two_hosts_of_a_network_are_linked_unless_one_of_them_dials_the_other(void **state)
{
    (void)state;
#define LINKED(dialed, host, id) \
    "[{\"host\": \"" host "\", \"id\": \"" id "\", \"connected\": false, \"dialed_here\": " dialed "}]"
#define BOTH_HAVE .network_here = "10.99.0.0/24", .network_there = "10.99.0.0/24"
#define ON_ALL    "networks: {lab: {}}\ninstances: {a: {network: lab}, b: {network: lab, host: B}}"
#define MADE      "+>a@0 lab,ip=10.99.0.2; +>b@1 lab,ip=10.99.0.3"
    static const struct hosts_case cases[] = {
        {.file = ON_ALL, BOTH_HAVE, .plan = "lab 0>1; " MADE},
        {.file = ON_ALL, BOTH_HAVE, .links_here = LINKED("true", "B", ""), .plan = MADE},
        {.file = ON_ALL, BOTH_HAVE, .links_here = LINKED("true", "by-another-name", "there"), .plan = MADE},
        {.file = ON_ALL, BOTH_HAVE, .links_there = LINKED("true", "ssh://here", "here"), .plan = MADE},
        {.file = ON_ALL, BOTH_HAVE, .links_here = LINKED("true", "C", "elsewhere"), .plan = "lab 0>1; " MADE},
        /* it was dialed, and is not any more */
        {.file = ON_ALL, BOTH_HAVE, .links_there = LINKED("false", "h", "here"), .plan = "lab 0>1; " MADE},
        {.file =
             "networks: {lab: {}}\ninstances: {b: {network: lab, host: B}, a: {network: lab}}", /* only B has a URL */
         .plan =
             "lab@0 10.77.0.0/24; lab@1 10.77.0.0/24; lab 1>0; +>b@0 lab,ip=10.77.0.2; +>a@1 lab,ip=10.77.0.3"},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++)
        check_hosts(&cases[i]);
}

#define APART "instances: {a: {}, b: {host: B}}"

static void each_host_has_its_own_memory_ports_and_instances(void **state)
{
    (void)state;
    static const struct hosts_case cases[] = {
        {.file = APART,
         .here_mib = 1024 + VM_OVERHEAD_MIB,
         .there_mib = 1024 + VM_OVERHEAD_MIB,
         .plan = "+>a@0; +>b@1"},
        {.file = APART, .here_mib = 1 << 20, .there_mib = 1024, .fault = "takes for each, and B has 1 GiB"},
        {.file = APART, /* another fleet's b here is none of ours */
         .here = {"b", "web", "b", VM_READY, 0, NULL, NULL},
         .plan = "+>a@0; +>b@1"},
        {.file = "instances: {a: {forward: \"80:80\"}, b: {host: B, forward: \"80:80\"}}",
         .plan = "+>a@0; +>b@1"},
        {.file = "instances: {a: {}, b: {host: B, forward: \"80:80\"}}",
         .here = {"x", NULL, NULL, VM_READY, 0, "80:80", NULL},
         .plan = "+>a@0; +>b@1"},
        {.file = "instances: {a: {}, b: {host: B, forward: \"80:80\"}}",
         .there = {"x", NULL, NULL, VM_READY, 0, "80:80", NULL},
         .fault = "port 80 of B is forwarded to the instance x"},
        {.file = APART,
         .here = {"b", "lab", "b", VM_READY, 0, NULL, NULL},
         .fault = "instances.b: the instance b is on this host, the file says B: write that host"},
        {.file = APART,
         .here = {"b", "lab", "b", VM_READY, 0, NULL, NULL},
         .prune = true,
         .plan = "+>a@0; +>b@1; -b@0"},
        {.file = "defaults: {host: B}\ninstances: {a: {host: ~}, b: {}}",
         .there = {"b", "lab", "b", VM_READY, 0, NULL, NULL},
         .plan = "+>a@0; b@1"},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++)
        check_hosts(&cases[i]);
}

#define FEDORA_44 "{\"image\":\"Fedora-Cloud-Base-Generic-44-1.7.x86_64.qcow2\"}"

static void a_difference_names_both_values(void **state)
{
    (void)state;
    static const struct {
        const char *request, *instance, *says;
    } cases[] = {
        {"{}", "{}", ""},
        {"{\"cpus\":4}", "{}", "cpus is 2, the file says 4"},
        {"{}", "{\"user\":\"pi\"}", "user is pi, the file says fedora"},
        {"{}", "{\"disk_bytes\":1073741824}", ""}, /* the default depends on the image */
        {"{\"disk_bytes\":2147483648}", "{\"disk_bytes\":1073741824}", "disk is 1 GiB, the file says 2 GiB"},
        {"{\"isolate\":true}", "{}", "isolate is false, the file says true"},
        {"{\"memory_max_mib\":2048}", "{}", "memory-max is not set, the file says 2 GiB"},
        {"{\"forwards\":[\"1:1\",\"2:2\"]}", "{\"forwards\":[\"1:1\"]}",
         "forward is 1:1, the file says 1:1, 2:2"},
        {"{\"labels\":[\"a=b\"]}", "{}", "label is not set, the file says a=b"},
        {"{\"labels\":[\"a=b\",\"c=d\"]}", "{\"labels\":[\"c=d\",\"a=b\"]}", ""},
        {"{\"labels\":[\"a=b\"]}", "{\"labels\":[\"a=b\",\"c=d\"]}", "label is a=b, c=d, the file says a=b"},
        {"{\"image\":\"fedora\"}", FEDORA_44, ""},
        {"{\"image\":\"fedora:44\"}", FEDORA_44, ""},
        {"{\"image\":\"fedora:45\"}", FEDORA_44,
         "image is Fedora-Cloud-Base-Generic-44-1.7.x86_64.qcow2, the file says fedora:45"},
        {"{\"image\":\"fedora:45\"}", "{}", ""},
        {"{\"image\":\"/a/b.raw.xz\"}", "{\"image\":\"b.raw\"}", ""},
        {"{\"image\":\"https://a/c.qcow2\"}", "{\"image\":\"b.qcow2\"}",
         "image is b.qcow2, the file says https://a/c.qcow2"},
        {"{\"user_data_sha256\":\"aa\"}", "{\"user_data_sha256\":\"aa\"}", ""},
        {"{\"user_data_sha256\":\"aa\"}", "{\"user_data_sha256\":\"bb\"}", "user-data has changed since"},
        {"{\"user_data_sha256\":\"aa\"}", "{}", "it has no user-data, the file says some"},
        {"{\"of_template\":\"warm\"}", "{\"of_template\":\"warm\",\"cpus\":4,\"memory_mib\":512}", ""},
        {"{\"of_template\":\"warm\"}", "{}", "template is not set, the file says warm"},
        {"{}", "{\"user_data_sha256\":\"bb\"}", "it has user-data, the file says none"},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        json_auto_t *request = json_loads(cases[i].request, 0, NULL),
                    *shown = json_loads(cases[i].instance, 0, NULL);
        struct api_instance instance = {0};
        const struct fleet_entry entry = {.name = "a"};
        pi_auto_strv struct pi_strv told = {0}, updates = {0};
        json_object_set_new(request, "name", json_string("a"));
        json_object_set_new(shown, "name", json_string("a"));
        json_object_set_new(shown, "state", json_string("ready"));
        assert_int_equal(api_read(instance, shown, &instance, NULL), 0);
        instance.arch = vm_arch_host();
        assert_int_equal(vm_spec_complete(&instance.spec), 0);
        assert_int_equal(fleet_differences(&entry, request, &instance, &told, &updates), 0);
        bool label = pi_starts_with(cases[i].says, "label ");
        const struct pi_strv *expected = label ? &updates : &told;
        assert_int_equal(told.count + updates.count, cases[i].says[0] != '\0');
        if (told.count + updates.count)
            assert_string_equal(expected->items[0], cases[i].says);
        api_done(instance, &instance);
    }
}

static void a_changed_after_is_an_update(void **state)
{
    (void)state;
    static const struct {
        struct fleet_after wanted[2];
        size_t count;
        const char *had[2], *says;
    } cases[] = {
        {{{"db", true, 0}, {"web", false, 0}}, 2, {"web=started", "db=ready"}, NULL},
        {{{"db", true, 0}}, 1, {"db=started", NULL}, "after is db=started, the file says db=ready"},
        {{{"db", true, 0}}, 1, {NULL, NULL}, "after is not set, the file says db=ready"},
        {{{"", false, 0}}, 0, {"db=ready", NULL}, "after is db=ready, the file says not set"},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        const struct fleet_entry entry = {
            .name = "a", .after = (struct fleet_after *)cases[i].wanted, .after_count = cases[i].count};
        struct api_instance instance =
            instance_of(&(struct case_have){"a", "lab", "a", VM_READY, 0, NULL, NULL});
        pi_auto_strv struct pi_strv told = {0}, updates = {0};
        json_auto_t *request = json_pack("{s:s, s:I}", "name", "a", "memory_mib", (json_int_t)1024);
        for (size_t k = 0; k < 2 && cases[i].had[k]; k++)
            assert_int_equal(pi_strv_add(&instance.spec.fleet.after, cases[i].had[k]), 0);
        assert_int_equal(fleet_differences(&entry, request, &instance, &told, &updates), 0);
        assert_int_equal(told.count, 0);
        assert_int_equal(updates.count, cases[i].says != NULL);
        if (updates.count)
            assert_string_equal(updates.items[0], cases[i].says);
        api_done(instance, &instance);
    }
}

static void the_order_of_a_thousand_instances_in_a_cycle_is_found_at_once(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    struct api_instance *instances = calloc(COUNT, sizeof *instances);
    size_t *ranks = calloc(COUNT, sizeof *ranks);
    assert_non_null(instances);
    assert_non_null(ranks);
    for (size_t i = 0; i < COUNT; i++) {
        struct vm_fleet *fleet = &instances[i].spec.fleet;
        snprintf(fleet->role, sizeof fleet->role, "%s", i % 2 ? "a" : "b");
        assert_int_equal(pi_strv_add(&fleet->after, i % 2 ? "b=ready" : "a=ready"), 0);
    }
    assert_int_equal(fleet_down_ranks(instances, COUNT, ranks), 0);
    for (size_t i = 0; i < COUNT; i++) {
        assert_true(ranks[i] < 2); /* of the two roles, not of the instances */
        pi_strv_done(&instances[i].spec.fleet.after);
    }
    free(instances);
    free(ranks);
}

static void those_that_started_last_stop_first(void **state)
{
    (void)state;
    static const struct {
        const char *role, *after;
        size_t rank;
    } rows[] = {{"web", "app=ready", 2},  {"db", NULL, 0},     {"app", "db=started", 1},
                {"app", "db=started", 1}, {"d", "x=ready", 0}, {"web", "app=ready", 2}};
    struct api_instance instances[PI_ARRAY_SIZE(rows)] = {0};
    size_t ranks[PI_ARRAY_SIZE(rows)];
    for (size_t i = 0; i < PI_ARRAY_SIZE(rows); i++) {
        snprintf(instances[i].spec.fleet.role, sizeof instances[i].spec.fleet.role, "%s", rows[i].role);
        if (rows[i].after)
            assert_int_equal(pi_strv_add(&instances[i].spec.fleet.after, rows[i].after), 0);
    }
    assert_int_equal(fleet_down_ranks(instances, PI_ARRAY_SIZE(rows), ranks), 0);
    for (size_t i = 0; i < PI_ARRAY_SIZE(rows); i++)
        assert_int_equal(ranks[i], rows[i].rank);
    /* Instances of two versions of a file can be after each other: that ends, too. */
    assert_int_equal(pi_strv_add(&instances[1].spec.fleet.after, "web=ready"), 0);
    assert_int_equal(fleet_down_ranks(instances, PI_ARRAY_SIZE(rows), ranks), 0);
    for (size_t i = 0; i < PI_ARRAY_SIZE(rows); i++) {
        assert_true(ranks[i] < PI_ARRAY_SIZE(rows));
        pi_strv_done(&instances[i].spec.fleet.after);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_plan_is_what_the_file_has_and_the_agent_has_not),
        cmocka_unit_test(what_the_agent_has_can_forbid_to_begin),
        cmocka_unit_test(a_network_of_several_hosts_has_one_subnet_and_no_address_twice),
        cmocka_unit_test(two_hosts_of_a_network_are_linked_unless_one_of_them_dials_the_other),
        cmocka_unit_test(each_host_has_its_own_memory_ports_and_instances),
        cmocka_unit_test(a_difference_names_both_values),
        cmocka_unit_test(a_changed_after_is_an_update),
        cmocka_unit_test(the_order_of_a_thousand_instances_in_a_cycle_is_found_at_once),
        cmocka_unit_test(those_that_started_last_stop_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
