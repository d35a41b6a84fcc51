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
#include "agent/fleet/fleet_check.h"

static const struct fleet_option options[] = {
    {"image", FLEET_VALUE_ONE},    {"memory", FLEET_VALUE_ONE},      {"cpus", FLEET_VALUE_ONE},
    {"ssh-key", FLEET_VALUE_LIST}, {"forward", FLEET_VALUE_LIST},    {"network", FLEET_VALUE_LIST},
    {"ssh-key", FLEET_VALUE_LIST}, {"user-data", FLEET_VALUE_ONE},   {"label", FLEET_VALUE_MAP},
    {"isolate", FLEET_VALUE_FLAG}, {"unverified", FLEET_VALUE_FLAG}, {0},
};

/* All faults, each a line "LINE: path: message: remedy". */
static void read_fleet(const char *text, struct fleet *fleet, struct pi_buf *faults)
{
    static struct seed_findings findings;
    findings = (struct seed_findings){0};
    assert_int_equal(fleet_read(text, strlen(text), "dir/lab.yaml", options, &findings, fleet), 0);
    assert_int_equal(fleet_check(fleet, &findings), 0);
    seed_findings_sort(&findings);
    assert_int_equal(findings.count, findings.errors);
    for (size_t i = 0; i < findings.count; i++) {
        const struct seed_finding *f = &findings.items[i];
        pi_buf_printf(faults, "%zu: %s%s%s%s%s\n", f->line, f->path, f->path[0] ? ": " : "", f->message,
                      f->remedy[0] ? ": " : "", f->remedy);
    }
}

/* The words of an entry as a command line. */
static void words_of(const struct fleet *fleet, const char *name, struct pi_buf *ret)
{
    const struct fleet_entry *entry = fleet_entry_named(fleet, name);
    assert_non_null(entry);
    for (size_t i = 0; i < entry->word_count; i++)
        pi_buf_printf(ret, "%s%s%s%s", i ? " " : "", entry->words[i].option->name,
                      entry->words[i].value ? "=" : "", entry->words[i].value ? entry->words[i].value : "");
}

static void an_entry_is_the_words_of_a_command_line(void **state)
{
    (void)state;
    static const struct {
        const char *defaults, *entry, *words;
    } cases[] = {
        {"{}", "{}", ""},
        {"{}", "", ""},
        {"", "{memory: 1G, cpus: 2}", "memory=1G cpus=2"},
        {"{memory: 1G}", "{cpus: 2}", "cpus=2 memory=1G"},
        {"{memory: 1G}", "{memory: 2G}", "memory=2G"},
        {"{memory: 1G}", "{memory: ~}", ""},
        {"{memory: 1G}", "{memory: }", ""},
        {"{}", "{isolate: true, unverified: no}", "isolate"},
        {"{}", "{isolate: On, unverified: Off}", "isolate"},
        {"{isolate: yes}", "{}", "isolate"},
        {"{isolate: yes}", "{isolate: false}", ""},
        {"{}", "{forward: 8080:80}", "forward=8080:80"}, /* not a number to the base of 60 */
        {"{}", "{forward: [22:22, \"0.0.0.0:80:80\"]}", "forward=22:22 forward=0.0.0.0:80:80"},
        {"{forward: 1:1}", "{forward: []}", ""},
        {"{}", "{label: {rack: b2, n: 1, empty: \"\"}}", "label=rack=b2 label=n=1 label=empty="},
        {"{}", "{label: [rack=b2]}", "label=rack=b2"},
        {"{}", "{label: rack=b2}", "label=rack=b2"},
        {"{memory: &m 1G}", "{memory: *m}", "memory=1G"},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        pi_auto_buf struct pi_buf text = {0}, faults = {0}, words = {0};
        pi_auto_fleet struct fleet fleet = {0};
        pi_buf_printf(&text, "defaults: %s\ninstances:\n  a: %s\n", cases[i].defaults, cases[i].entry);
        read_fleet(text.data, &fleet, &faults);
        if (faults.size)
            fail_msg("%s: %s", text.data, faults.data);
        words_of(&fleet, "a", &words);
        assert_string_equal(words.data ? words.data : "", cases[i].words);
    }
}

static void a_file_becomes_a_fleet(void **state)
{
    (void)state;
    static const char text[] = "defaults: {memory: 1G}\n"
                               "networks:\n"
                               "  lab: {subnet: 10.77.0.0/24}\n"
                               "  other: {}\n"
                               "instances:\n"
                               "  node: {count: 3, network: lab, after: {server: ready}}\n"
                               "  server:\n"
                               "    network: [\"lab,ip=10.77.0.5\", other, bridge=br0]\n"
                               "    after: {db: started}\n"
                               "  db: {count: 1}\n";
    pi_auto_buf struct pi_buf faults = {0};
    pi_auto_fleet struct fleet fleet = {0};
    char name[PI_NAME_MAX + 1];
    read_fleet(text, &fleet, &faults);
    assert_null(faults.data);
    assert_string_equal(fleet.name, "lab");
    assert_int_equal(fleet.network_count, 2);
    assert_int_equal(fleet.networks[0].subnet.prefix, 24);
    assert_int_equal(fleet.networks[1].subnet.prefix, 0);
    const struct fleet_entry *node = &fleet.entries[0], *server = &fleet.entries[1], *db = &fleet.entries[2];
    assert_int_equal(node->rank, 2);
    assert_int_equal(server->rank, 1);
    assert_int_equal(db->rank, 0);
    assert_true(node->after[0].ready);
    assert_false(server->after[0].ready);
    fleet_instance_name(node, 3, name);
    assert_string_equal(name, "node-3");
    fleet_instance_name(server, 1, name);
    assert_string_equal(name, "server");
    fleet_instance_name(db, 1, name);
    assert_string_equal(name, "db-1");
}

static void a_name_is_the_file_s_own_or_given(void **state)
{
    (void)state;
    pi_auto_buf struct pi_buf faults = {0};
    pi_auto_fleet struct fleet fleet = {0};
    read_fleet("name: web\ninstances: {a: {}}\n", &fleet, &faults);
    assert_null(faults.data);
    assert_string_equal(fleet.name, "web");
}

/* A file with all of these faults tells all of them, in the order of its lines. */
static void all_faults_are_told_at_once(void **state)
{
    (void)state;
    static const char text[] = "nam: web\n"
                               "defaults:\n"
                               "  memroy: 1G\n"
                               "  count: 3\n"
                               "networks:\n"
                               "  lab: {subnet: 10.77.0.0/24, gateway: 10.77.0.1}\n"
                               "  lab2: {subnet: 10.77.0.128/25}\n"
                               "  bad: {subnet: 8.8.8.0/24}\n"
                               "  small: {subnet: 10.78.0.0/29}\n"
                               "  the-name-of-this-one-is-far-too-long: {}\n"
                               "instances:\n"
                               "  Server: {}\n"
                               "  a: {network: lba, after: {b: ready}}\n"
                               "  b: {network: \"lab,ip=10.78.0.9\", after: {c: ready}}\n"
                               "  c: {network: \"lab,ip=10.77.0.9\", after: {a: started}}\n"
                               "  d: {network: \"lab,ip=10.77.0.9\", after: {a: ready}}\n"
                               "  e: {count: 3, network: \"lab,ip=10.77.0.10\", forward: 8080:80}\n"
                               "  f: {count: 501}\n"
                               "  g: {count: [1], forward: 0.0.0.0:8080:80}\n"
                               "  g-1: {cpus: [1, 2], isolate: maybe}\n"
                               "  h: {count: 2, after: {h: ready, x: ready, d: soon}}\n"
                               "  h-2: {label: {a: [1]}, forward: [{a: b}]}\n"
                               "  i: text\n"
                               "  j: {count: 6, network: small, memory: 1G, memory: 2G}\n";
    static const char expected[] =
        "1: nam: an unknown key: did you mean name?\n"
        "3: defaults.memroy: an unknown key: did you mean memory?\n"
        "4: defaults.count: an unknown key: piagent help fleet lists the keys\n"
        "6: networks.lab.gateway: an unknown key: it may be subnet\n"
        "7: networks.lab2.subnet: 10.77.0.128/25 overlaps with 10.77.0.0/24 of lab, line 6\n"
        "8: networks.bad.subnet: the subnet 8.8.8.0/24 is not private: choose one of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16\n"
        "9: networks.small.subnet: 10.78.0.0/29 has addresses for 5 instances, and 6 are in it: choose a larger one\n"
        "10: networks.the-name-of-this-one-is-far-too-long: a network's name has at most 32 characters\n"
        "12: instances: 'Server' is not a usable name: write 1 to 63 of a-z, 0-9 and '-', without '-' at either end\n"
        "13: instances.a.after: a is after b is after c is after a: none of them could start first\n"
        "13: instances.a.network: there is no network lba in the file: did you mean lab?\n"
        "14: instances.b.network: 10.78.0.9 is not in the subnet 10.77.0.0/24\n"
        "16: instances.d.network: 10.77.0.9 is the address of c, line 15\n"
        "17: instances.e.network: 3 instances cannot have one address, 10.77.0.10: write one entry for each\n"
        "17: instances.e.forward: 3 instances cannot share port 8080 of this host: write one entry for each\n"
        "18: instances.f.count: '501' is not a whole number from 1 to 500\n"
        "19: instances.g.forward: port 8080 of this host is forwarded to e already, line 17: choose another\n"
        "19: instances.g.count: this is a list, not text\n"
        "20: instances.g-1.cpus: this is a list, not text\n"
        "20: instances.g-1.isolate: it is true or false\n"
        "21: instances.h.after: an entry cannot be after itself\n"
        "21: instances.h.after: there is no entry x\n"
        "21: instances.h.after: d: it is 'ready' or 'started'\n"
        "22: instances.h-2: its instance h-2 has the name of one of h, line 21: give one of them another name\n"
        "22: instances.h-2.label: 'a' is a list, not text\n"
        "22: instances.h-2.forward: an item is a mapping, not text\n"
        "23: instances.i: this is a single value, not a mapping: write 'key: value' in it\n"
        "24: instances.j.memory: the key is there already, in line 24: keep one of them: the last one would win\n";
    pi_auto_buf struct pi_buf faults = {0};
    pi_auto_fleet struct fleet fleet = {0};
    read_fleet(text, &fleet, &faults);
    assert_string_equal(faults.data, expected);
}

/* The items of lists that may be given several times, as many as there may be; and a thousand instances. */
static void long_lists_and_a_thousand_instances_are_kept_whole(void **state)
{
    (void)state;
    static const char *const lists[] = {"forward", "network", "label", "ssh-key"};
    pi_auto_buf struct pi_buf text = {0};
    pi_auto_fleet struct fleet fleet = {0};
    pi_buf_puts(&text, "defaults:\n");
    for (size_t k = 0; k < 4; k++) {
        pi_buf_printf(&text, "  %s: [", lists[k]);
        for (unsigned i = 0; i < 64; i++)
            pi_buf_printf(&text, "%sw%u", i ? ", " : "", i);
        pi_buf_puts(&text, "]\n");
    }
    pi_buf_puts(&text, "  memory: 1G\ninstances:\n");
    for (unsigned i = 0; i < 250; i++)
        pi_buf_printf(&text, "  e%u: {count: 4, isolate: true}\n", i);
    static struct seed_findings findings;
    assert_int_equal(fleet_read(text.data, text.size, "lab.yaml", options, &findings, &fleet), 0);
    assert_int_equal(findings.errors, 0);
    assert_int_equal(fleet.entry_count, 250);
    for (size_t i = 0; i < fleet.entry_count; i++) {
        assert_int_equal(fleet.entries[i].word_count, 1 + 4 * 64 + 1);
        assert_true(!fleet.entries[i].words[0].of_defaults && fleet.entries[i].words[257].of_defaults);
    }
}

static void a_thousand_instances_are_enough(void **state)
{
    (void)state;
    pi_auto_buf struct pi_buf faults = {0}, more = {0};
    pi_auto_fleet struct fleet most = {0}, fleet = {0};
    read_fleet("instances: {a: {count: 500}, b: {count: 500}}\n", &most, &faults);
    assert_int_equal(faults.size, 0);
    read_fleet("instances: {a: {count: 500}, b: {count: 500}, c: {}}\n", &fleet, &more);
    assert_string_equal(more.data, "1: instances: 1001 instances are more than 1000\n");
}

/* A key that is given again and again makes the words of an entry more than any command line has. */
static void words_past_the_limit_are_a_fault(void **state)
{
    (void)state;
    pi_auto_buf struct pi_buf text = {0};
    pi_auto_fleet struct fleet fleet = {0};
    pi_buf_puts(&text, "instances:\n  a:\n");
    for (unsigned i = 0; i < 520; i++)
        pi_buf_printf(&text, "    %s: 1\n", i % 2 ? "cpus" : "memory");
    static struct seed_findings findings;
    assert_int_equal(fleet_read(text.data, text.size, "lab.yaml", options, &findings, &fleet), 0);
    assert_int_equal(findings.errors, 1 + 518); /* besides each key that is there already */
}

static void behind_what_is_no_yaml_nothing_is_missed(void **state)
{
    (void)state;
    static const struct {
        const char *text, *fault, *other;
    } cases[] = {
        {"networks:\n  lab: {}\n  b: {a\n  c: }", "4: ", NULL}, /* no instances yet */
        {"instances:\n  a: {memory: 1G, cpus: [2\n  b: {}\n", "3: ", NULL},
        {"instances:\n  a: {memroy: 1G}\n  b: {mem: [\n", "2: instances.a.memroy: an unknown key", "4: "},
        {"defaults: {memory: [\n", "2: ", NULL},
        {"instances:\n", "1: instances: there is no instance in it", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static struct seed_findings findings;
        pi_auto_fleet struct fleet fleet = {0};
        char line[640];
        findings = (struct seed_findings){0};
        assert_int_equal(
            fleet_read(cases[i].text, strlen(cases[i].text), "lab.yaml", options, &findings, &fleet), 0);
        seed_findings_sort(&findings);
        for (size_t k = 0; k < findings.count; k++) {
            const char *begin = k ? cases[i].other : cases[i].fault;
            snprintf(line, sizeof line, "%zu: %s%s%s", findings.items[k].line, findings.items[k].path,
                     findings.items[k].path[0] ? ": " : "", findings.items[k].message);
            assert_true(begin && !strncmp(line, begin, strlen(begin)));
        }
        assert_int_equal(findings.count, cases[i].other ? 2 : 1);
        assert_int_equal(fleet.whole, i == 4);
    }
}

static void after_as_a_text_says_what_to_write(void **state)
{
    (void)state;
    pi_auto_buf struct pi_buf faults = {0};
    pi_auto_fleet struct fleet fleet = {0};
    read_fleet("instances: {a: {}, b: {after: a}, c: {after: [a, b]}, d: {after: ~}}\n", &fleet, &faults);
    assert_string_equal(faults.data,
                        "1: instances.b.after: it does not say what to wait for: write after: {a: ready}, or "
                        "started in place of ready\n"
                        "1: instances.c.after: it does not say what to wait for: write after: {a: ready}, or "
                        "started in place of ready\n");
}

static void a_fault_of_the_defaults_is_told_once(void **state)
{
    (void)state;
    pi_auto_buf struct pi_buf faults = {0};
    pi_auto_fleet struct fleet fleet = {0};
    read_fleet("defaults: {network: lab}\ninstances: {a: {}, b: {count: 3}, c: {}}\n", &fleet, &faults);
    assert_string_equal(faults.data,
                        "1: defaults.network: there is no network lab in the file: name it under networks\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_is_the_words_of_a_command_line),
        cmocka_unit_test(a_file_becomes_a_fleet),
        cmocka_unit_test(a_name_is_the_file_s_own_or_given),
        cmocka_unit_test(all_faults_are_told_at_once),
        cmocka_unit_test(long_lists_and_a_thousand_instances_are_kept_whole),
        cmocka_unit_test(a_thousand_instances_are_enough),
        cmocka_unit_test(words_past_the_limit_are_a_fault),
        cmocka_unit_test(behind_what_is_no_yaml_nothing_is_missed),
        cmocka_unit_test(after_as_a_text_says_what_to_write),
        cmocka_unit_test(a_fault_of_the_defaults_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
