/* SPDX-License-Identifier: MIT */
/* The addresses of networks, without any network. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/vm/subnet.h"

static struct vm_subnet subnet_of(const char *text)
{
    struct vm_subnet subnet;
    assert_int_equal(vm_subnet_parse(text, &subnet, NULL), 0);
    return subnet;
}

static struct in_addr address_of(const char *text)
{
    struct in_addr address;
    assert_int_equal(inet_pton(AF_INET, text, &address), 1);
    return address;
}

static void a_subnet_is_private_and_of_a_size_that_is_possible(void **state)
{
    (void)state;
    static const struct {
        const char *text, *refusal; /* NULL: it is one */
    } cases[] = {
        {"10.77.0.0/24", NULL},
        {"10.77.0.0/16", NULL},
        {"172.16.0.0/16", NULL},
        {"172.31.255.248/29", NULL},
        {"192.168.0.0/16", NULL},
        {"10.77.0.0", "write it as 10.77.0.0/24"},
        {"10.77.0.0/", "write it as"},
        {"10.77.0.0/24x", "write it as"},
        {"10.77.0.256/24", "write it as"},
        {"lab", "write it as"},
        {"", "write it as"},
        {"10.0.0.0/8", "from /16 to /29"},
        {"10.77.0.0/30", "from /16 to /29"},
        {"10.77.0.5/24", "did you mean 10.77.0.0/24?"},
        {"172.32.0.0/16", "is not private"},
        {"8.8.8.0/24", "is not private"},
        {"169.254.0.0/16", "is not private"},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct vm_subnet subnet;
        struct pi_error err = {0};
        char again[VM_SUBNET_TEXT_SIZE];
        int r = vm_subnet_parse(cases[i].text, &subnet, &err);
        if ((r < 0) != (cases[i].refusal != NULL) || (r < 0 && !strstr(err.text, cases[i].refusal)))
            fail_msg("%s: %s", cases[i].text, err.text);
        if (r < 0)
            continue;
        vm_subnet_format(&subnet, again);
        assert_string_equal(again, cases[i].text);
    }
}

static void subnets_overlap_if_one_has_the_other(void **state)
{
    (void)state;
    const struct vm_subnet wide = subnet_of("10.77.0.0/16"), a = subnet_of("10.77.3.0/24"),
                           b = subnet_of("10.77.4.0/24");
    assert_true(vm_subnets_overlap(&wide, &a) && vm_subnets_overlap(&a, &wide) && vm_subnets_overlap(&a, &a));
    assert_false(vm_subnets_overlap(&a, &b));
}

static void the_default_is_the_first_that_the_host_does_not_use(void **state)
{
    (void)state;
    const struct vm_subnet used[] = {
        subnet_of("10.77.0.0/24"), subnet_of("10.77.1.128/25"), {address_of("10.77.2.0"), 32}};
    const struct vm_subnet everything = {{0}, 0};
    struct vm_subnet subnet;
    char text[VM_SUBNET_TEXT_SIZE];
    assert_int_equal(vm_subnet_pick(NULL, 0, &subnet, NULL), 0);
    vm_subnet_format(&subnet, text);
    assert_string_equal(text, "10.77.0.0/24");
    assert_int_equal(vm_subnet_pick(used, PI_ARRAY_SIZE(used), &subnet, NULL), 0);
    vm_subnet_format(&subnet, text);
    assert_string_equal(text, "10.77.3.0/24");
    assert_true(vm_subnet_pick(&everything, 1, &subnet, NULL) < 0);
}

static void members_get_what_is_free_until_nothing_is(void **state)
{
    (void)state;
    const struct vm_subnet subnet = subnet_of("10.77.0.0/29");
    struct in_addr used[8];
    struct pi_error err = {0};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(vm_subnet_pick_member(&subnet, used, i, &used[i], NULL), 0);
        assert_int_equal(ntohl(used[i].s_addr), 0x0a4d0002 + i);
    }
    assert_true(vm_subnet_pick_member(&subnet, used, 5, &used[5], &err) < 0);
    assert_string_equal(err.text, "all addresses of 10.77.0.0/29 are in use");
    used[2] = used[4];
    assert_int_equal(vm_subnet_pick_member(&subnet, used, 4, &used[4], NULL), 0);
    assert_int_equal(ntohl(used[4].s_addr), 0x0a4d0004);
}

static void an_address_of_a_member_is_in_the_subnet_and_nobody_elses(void **state)
{
    (void)state;
    const struct vm_subnet subnet = subnet_of("10.77.0.0/24");
    static const struct {
        const char *text, *refusal;
    } cases[] = {{"10.77.0.2", NULL},
                 {"10.77.0.254", NULL},
                 {"10.77.0.0", "first or last"},
                 {"10.77.0.255", "first or last"},
                 {"10.77.0.1", "own address"},
                 {"10.77.1.2", "is not in the subnet 10.77.0.0/24"},
                 {"10.77.0", "is not an IPv4 address"}};
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct in_addr address;
        struct pi_error err = {0};
        int r = vm_subnet_member_parse(&subnet, cases[i].text, &address, &err);
        if ((r < 0) != (cases[i].refusal != NULL) || (r < 0 && !strstr(err.text, cases[i].refusal)))
            fail_msg("%s: %s", cases[i].text, err.text);
    }
}

static void a_mac_is_its_address(void **state)
{
    (void)state;
    char mac[VM_MAC_TEXT_SIZE];
    vm_subnet_mac(address_of("10.77.0.254"), mac);
    assert_string_equal(mac, "52:54:0a:4d:00:fe");
}

static void the_mac_on_a_bridge_is_the_instances_own_and_each_interfaces(void **state)
{
    (void)state;
    static const char uuid[] = "8c1f0d6e-5b7a-4c9e-9b1e-2f6d3a4b5c6d";
    char mac[VM_MAC_TEXT_SIZE];
    vm_bridge_mac(uuid, 0, mac);
    assert_string_equal(mac, "52:56:8c:1f:0d:6e");
    vm_bridge_mac(uuid, 3, mac);
    assert_string_equal(mac, "52:56:8c:1f:0d:6d");
}

static void a_network_is_chosen_by_name_with_or_without_an_address(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name, *address;
    } cases[] = {
        {"lab", "lab", ""},
        {"lab,ip=10.77.0.5", "lab", "10.77.0.5"},
        {"", NULL, NULL},
        {"Lab", NULL, NULL},
        {"lab,", NULL, NULL},
        {"lab,ip=", NULL, NULL},
        {",ip=1", NULL, NULL},
        {"lab,ip=10.77.0.5x", NULL, NULL},
        {"lab,mac=1", NULL, NULL},
        {"bridge=br0", "br0", ""},
        {"bridge=", NULL, NULL},
        {"bridge=../x", NULL, NULL},
        {"bridge=0123456789abcdef", NULL, NULL},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct vm_network_use use;
        struct pi_error err = {0};
        int r = vm_network_use_parse(cases[i].text, &use, &err);
        if ((r < 0) != (cases[i].name == NULL))
            fail_msg("%s: %s", cases[i].text, err.text);
        if (r < 0)
            continue;
        assert_string_equal(use.name, cases[i].name);
        assert_int_equal(use.bridge, !strncmp(cases[i].text, "bridge=", 7));
        assert_string_equal(use.address, cases[i].address);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_subnet_is_private_and_of_a_size_that_is_possible),
        cmocka_unit_test(subnets_overlap_if_one_has_the_other),
        cmocka_unit_test(the_default_is_the_first_that_the_host_does_not_use),
        cmocka_unit_test(members_get_what_is_free_until_nothing_is),
        cmocka_unit_test(an_address_of_a_member_is_in_the_subnet_and_nobody_elses),
        cmocka_unit_test(a_mac_is_its_address),
        cmocka_unit_test(the_mac_on_a_bridge_is_the_instances_own_and_each_interfaces),
        cmocka_unit_test(a_network_is_chosen_by_name_with_or_without_an_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
