/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/vm/host_memory.h"
#include "vm_fixture.h"

static void forward_is_read_with_or_without_an_address(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct vm_forward forward;
    } cases[] = {
        {"127.0.0.1:8080:80", {"127.0.0.1", 8080, 80}},
        {"0.0.0.0:1:65535", {"0.0.0.0", 1, 65535}},
        {"192.168.100.200:65535:1", {"192.168.100.200", 65535, 1}},
        {"8080:80", {"127.0.0.1", 8080, 80}},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct vm_forward got;
        assert_int_equal(vm_forward_parse(cases[i].text, &got, NULL), 0);
        assert_string_equal(got.address, cases[i].forward.address);
        assert_int_equal(got.host_port, cases[i].forward.host_port);
        assert_int_equal(got.guest_port, cases[i].forward.guest_port);
    }
}

static void forward_of_udp_or_ipv6_is_told_not_to_be_there(void **state)
{
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"udp:53:53", "UDP cannot be forwarded"},           {"53:53/UDP", "UDP cannot be forwarded"},
        {"127.0.0.1:53:53/udp", "UDP cannot be forwarded"}, {"8080:80/tcp", "leave 'tcp' out"},
        {"tcp:127.0.0.1:8080:80", "leave 'tcp' out"},       {"[::1]:8080:80", "IPv6 cannot be forwarded"},
        {"::1:8080:80", "IPv6 cannot be forwarded"},        {"localhost:8080:80", "numeric IPv4 address"},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct vm_forward forward;
        struct pi_error err;
        assert_int_equal(vm_forward_parse(cases[i].text, &forward, &err), -EINVAL);
        assert_non_null(strstr(err.text, cases[i].said));
        assert_non_null(strstr(err.text, cases[i].text));
    }
}

static void forward_that_is_not_one_is_refused_and_named(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        ":",
        "::",
        "80",
        ":80",
        "80:",
        "0:80",
        "80:0",
        "65536:80",
        "80:65536",
        "-1:80",
        " 80:80",
        "80:80 ",
        "80:80:",
        "localhost:80:80",
        "127.1:80:80",
        "::1:80:80",
        "127.0.0.1:80:80:80",
        "127.0.0.1:80:80,hostfwd=tcp::22-:22",
        "1000.0.0.1:80:80",
        "127.0.0.1:80:80xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "80:00000000000000000000000000000000000000000000000000000000000000080",
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(bad); i++) {
        struct vm_forward got = {.host_port = 7};
        struct pi_error err = {0};
        if (vm_forward_parse(bad[i], &got, &err) != -EINVAL)
            fail_msg("'%s' was taken", bad[i]);
        assert_int_equal(err.kind, PI_USAGE);
        assert_non_null(strstr(err.text, "--forward"));
        assert_int_equal(got.host_port, 7);
    }
}

static void refuses(const struct vm_spec *spec, const char *part)
{
    struct pi_error err = {0};
    assert_int_equal(vm_spec_check(spec, &err), -EINVAL);
    assert_int_equal(err.kind, PI_USAGE);
    if (!strstr(err.text, part))
        fail_msg("'%s' does not say '%s'", err.text, part);
}

static void good_spec_passes_on_both_architectures(void **state)
{
    (void)state;
    char *list[] = {TEXT("8080:80"), TEXT("127.0.0.1:8081:80"), TEXT("192.168.0.1:8080:80"), NULL};
    for (int arch = 0; arch < VM_ARCHES; arch++) {
        struct vm_spec spec = fixture_spec((enum vm_arch)arch);
        spec.forwards = (struct pi_strv){list, 3};
        spec.password_hash = TEXT("$y$j9T$abc./$xyz");
        spec.disk_bytes = 64 << 20;
        assert_int_equal(vm_spec_check(&spec, NULL), 0);
    }
}

static void what_is_not_chosen_yet_passes(void **state)
{
    (void)state;
    struct vm_spec spec = {.name = "pi-1", .cpus = 1, .memory_mib = VM_MEMORY_MIB_MIN};
    assert_int_equal(vm_spec_check(&spec, NULL), 0);
}

static void sizes_outside_their_limits_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint64_t cpus, memory_mib, disk_bytes;
        const char *says;
    } cases[] = {
        {0, 1024, 0, "--cpus 0"},
        {VM_CPUS_MAX + 1, 1024, 0, "--cpus 65"},
        {1, VM_MEMORY_MIB_MIN - 1, 0, "--memory"},
        {1, VM_MEMORY_MIB_MAX + 1, 0, "--memory"},
        {1, 1024, VM_DISK_BYTES_MAX + 1, "--disk"},
        {1, 1024, (64 << 20) - 1, "smaller than the image, which has 64 MiB"},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct vm_spec spec = fixture_spec(VM_X86_64);
        spec.cpus = cases[i].cpus;
        spec.memory_mib = cases[i].memory_mib;
        spec.disk_bytes = cases[i].disk_bytes;
        refuses(&spec, cases[i].says);
    }
}

static void limits_leave_qemu_what_it_needs(void **state)
{
    (void)state;
    static const struct {
        uint64_t memory_max_mib, cpu_quota_percent;
        const char *says; /* NULL = nothing */
    } cases[] = {
        {1024 + VM_OVERHEAD_MIB, 0, NULL},
        {VM_MEMORY_MIB_MAX + VM_OVERHEAD_MIB, VM_CPU_QUOTA_MIN, NULL},
        {0, VM_CPU_QUOTA_MAX, NULL},
        {1, 0, "--memory-max of 1 MiB is not from 1280 MiB"},
        {1024 + VM_OVERHEAD_MIB - 1, 0, "--memory-max of 1279 MiB"},
        {VM_MEMORY_MIB_MAX + VM_OVERHEAD_MIB + 1, 0, "--memory-max"},
        {UINT64_MAX, 0, "--memory-max"},
        {0, VM_CPU_QUOTA_MIN - 1, "--cpu-quota 9 "},
        {0, VM_CPU_QUOTA_MAX + 1, "--cpu-quota 6401 "},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct vm_spec spec = fixture_spec(VM_X86_64);
        spec.memory_max_mib = cases[i].memory_max_mib;
        spec.cpu_quota_percent = cases[i].cpu_quota_percent;
        if (cases[i].says)
            refuses(&spec, cases[i].says);
        else
            assert_int_equal(vm_spec_check(&spec, NULL), 0);
    }
}

static void memory_of_the_host_is_counted_with_all_that_qemu_takes(void **state)
{
    (void)state;
    static const struct {
        struct vm_spec spec;
        uint64_t mib, code_mib;
    } cases[] = {
        {{.arch = VM_X86_64, .accel = VM_ACCEL_TCG}, 1024 + 128 + 128, 128},
        {{.arch = VM_X86_64, .accel = VM_ACCEL_AUTO}, 1024 + 128 + 128, 128},
        {{.arch = VM_X86_64, .accel = VM_ACCEL_KVM, .memory_mib = 512}, 512 + 128, 128},
        {{.arch = VM_AARCH64, .accel = VM_ACCEL_TCG, .memory_mib = 2048}, 2048 + 128 + 128 + 2 * 64, 128},
        {{.arch = VM_AARCH64, .accel = VM_ACCEL_KVM, .memory_mib = 2048}, 2048 + 128 + 2 * 64, 128},
        {{.arch = VM_X86_64, .memory_mib = 1024, .memory_max_mib = 2048}, 2048, 512},
        {{.arch = VM_AARCH64, .memory_mib = 1024, .memory_max_mib = 1024 + VM_OVERHEAD_MIB},
         1024 + VM_OVERHEAD_MIB,
         64}, /* the flash takes half of it */
        {{.arch = VM_X86_64, .memory_mib = 1024, .memory_max_mib = 8192}, 8192, 1024},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++)
        if (vm_host_memory_mib(&cases[i].spec) != cases[i].mib ||
            vm_code_mib(&cases[i].spec) != cases[i].code_mib)
            fail_msg("case %zu: %d MiB, code %d MiB", i, (int)vm_host_memory_mib(&cases[i].spec),
                     (int)vm_code_mib(&cases[i].spec));
}

static void names_that_useradd_refuses_are_refused(void **state)
{
    (void)state;
    static const char *const good[] = {"pi", "_x", "a-b_9", "abcdefghijklmnopqrstuvwxyz012345"};
    static const char *const bad[] = {"",
                                      "Pi",
                                      "9a",
                                      "-a",
                                      "a b",
                                      "a:b",
                                      "a\n",
                                      "a.b",
                                      "j\xc3\xb6rg",
                                      "root$",
                                      "abcdefghijklmnopqrstuvwxyz0123456"};
    struct vm_spec spec = fixture_spec(VM_X86_64);
    for (size_t i = 0; i < PI_ARRAY_SIZE(good); i++) {
        spec.user = (char *)good[i];
        assert_int_equal(vm_spec_check(&spec, NULL), 0);
    }
    for (size_t i = 0; i < PI_ARRAY_SIZE(bad); i++) {
        spec.user = (char *)bad[i];
        refuses(&spec, "--user");
    }
}

static void identity_with_a_wrong_syntax_is_refused(void **state)
{
    (void)state;
    static const char *const uuids[] = {"8c1f0d6e-5b7a-4c9e-9b1e-2f6d3a4b5c6",
                                        "8c1f0d6e5b7a-4c9e-9b1e-2f6d3a4b5c6d0",
                                        "8c1f0d6e-5b7a-4c9e-9b1e-2f6d3a4b5c6,"};
    static const char *const macs[] = {"",
                                       "52:54:00:12:34",
                                       "52:54:00:12:34:56:78",
                                       "52-54-00-12-34-56",
                                       "52:54:00:12:34:5g",
                                       "53:54:00:12:34:56",
                                       "52:54:00:12:34:56,x"};
    static const char *const hashes[] = {"", "plain", "$6$a:b", "$6$a b", "$6$a\n", "!$6$ab", "$6$\xc3\xb6"};
    for (size_t i = 0; i < PI_ARRAY_SIZE(uuids); i++) {
        struct vm_spec spec = fixture_spec(VM_X86_64);
        snprintf(spec.uuid, sizeof spec.uuid, "%s", uuids[i]);
        refuses(&spec, "UUID");
    }
    for (size_t i = 0; i < PI_ARRAY_SIZE(macs); i++) {
        struct vm_spec spec = fixture_spec(VM_X86_64);
        spec.mac = (char *)macs[i];
        refuses(&spec, "MAC");
    }
    for (size_t i = 0; i < PI_ARRAY_SIZE(hashes); i++) {
        struct vm_spec spec = fixture_spec(VM_X86_64);
        spec.password_hash = (char *)hashes[i];
        refuses(&spec, "password hash");
    }
    struct vm_spec spec = fixture_spec(VM_X86_64);
    spec.ssh_port = 65536;
    refuses(&spec, "SSH port");
    spec = fixture_spec(VM_X86_64);
    strcpy(spec.name, "Pi_1");
    refuses(&spec, "Pi_1");
}

static void forwards_that_clash_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *list[3];
        const char *says;
    } cases[] = {
        {{"8080:80", "127.0.0.1:8080:81"}, "8080"},        {{"0.0.0.0:8080:80", "10.0.0.1:8080:80"}, "8080"},
        {{"10.0.0.1:8080:80", "0.0.0.0:8080:80"}, "8080"}, {{"8080:80", "20022:80"}, "SSH port"},
        {{"8080:80", "0.0.0.0:20022:80"}, "SSH port"},     {{"8080:80", "nonsense"}, "nonsense"},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct vm_spec spec = fixture_spec(VM_X86_64);
        spec.forwards = (struct pi_strv){(char **)cases[i].list, 2};
        refuses(&spec, cases[i].says);
    }
    char *many[VM_FORWARDS_MAX + 1];
    for (size_t i = 0; i < PI_ARRAY_SIZE(many); i++)
        many[i] = TEXT("8080:80");
    struct vm_spec spec = fixture_spec(VM_X86_64);
    spec.forwards = (struct pi_strv){many, PI_ARRAY_SIZE(many)};
    refuses(&spec, "at most 32");
}

static void aarch64_has_no_bios(void **state)
{
    (void)state;
    struct vm_spec spec = fixture_spec(VM_AARCH64);
    spec.firmware = VM_FIRMWARE_BIOS;
    refuses(&spec, "--firmware bios");
    spec.arch = VM_X86_64;
    assert_int_equal(vm_spec_check(&spec, NULL), 0);
}

static void place_in_a_fleet_is_whole_and_within_its_count(void **state)
{
    static const struct {
        struct vm_fleet fleet;
        const char *says; /* NULL = nothing */
    } cases[] = {
        {{"lab", "node", 1, 1, {0}}, NULL},
        {{"lab", "node", VM_FLEET_COUNT_MAX, VM_FLEET_COUNT_MAX, {0}}, NULL},
        {{"Lab", "node", 1, 1, {0}}, "the fleet's name"},
        {{"", "node", 1, 1, {0}}, "the fleet's name"},
        {{"lab", "", 1, 1, {0}}, "the role in fleet lab"},
        {{"lab", "no de", 1, 1, {0}}, "the role in fleet lab"},
        {{"lab", "node", 0, 3, {0}}, "index 0 is not from 1 to the count, 3"},
        {{"lab", "node", 4, 3, {0}}, "index 4 is not from 1 to the count, 3"},
        {{"lab", "node", 1, 0, {0}}, "count of 0"},
        {{"lab", "node", 1, VM_FLEET_COUNT_MAX + 1, {0}}, "count of 501"},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct vm_spec spec = fixture_spec(VM_X86_64);
        spec.fleet = cases[i].fleet;
        if (cases[i].says)
            refuses(&spec, cases[i].says);
        else
            assert_int_equal(vm_spec_check(&spec, NULL), 0);
    }
}

static void order_in_a_fleet_names_entries_and_what_they_have_to_be(void **state)
{
    static const struct {
        const char *after, *says;
    } cases[] = {
        {"server=ready", NULL},
        {"db-1=started", NULL},
        {"server", "after 'server' is not ENTRY=ready or ENTRY=started"},
        {"server=up", "after 'server=up' is not"},
        {"=ready", "after '=ready' is not"},
        {"Server=ready", "after 'Server=ready' is not"},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        char *items[] = {(char *)cases[i].after, NULL};
        struct vm_spec spec = fixture_spec(VM_X86_64);
        spec.fleet = (struct vm_fleet){"lab", "node", 1, 1, {items, 1}};
        if (cases[i].says)
            refuses(&spec, cases[i].says);
        else
            assert_int_equal(vm_spec_check(&spec, NULL), 0);
    }
}

static void labels_are_checked_with_the_rest(void **state)
{
    char *list[] = {TEXT("rack"), NULL};
    struct vm_spec spec = fixture_spec(VM_X86_64);
    (void)state;
    spec.labels = (struct pi_strv){list, 1};
    refuses(&spec, "--label rack: a label is KEY=VALUE");
}

static void this_host_has_an_architecture_that_is_known(void **state)
{
    (void)state;
#if defined(__x86_64__)
    assert_int_equal(vm_arch_host(), VM_X86_64);
#elif defined(__aarch64__)
    assert_int_equal(vm_arch_host(), VM_AARCH64);
#else
    assert_int_equal(vm_arch_host(), VM_ARCHES);
#endif
}

static void what_was_not_chosen_gets_its_default(void **state)
{
    (void)state;
    struct vm_spec spec = {.name = "pi-1", .cpus = 7};
    assert_int_equal(vm_spec_complete(&spec), 0);
    assert_int_equal(spec.cpus, 7);
    assert_int_equal(spec.memory_mib, 1024);
    assert_string_equal(spec.user, "fedora");
    assert_int_equal(vm_spec_check(&spec, NULL), 0);
    vm_spec_done(&spec);
}

static bool is_listed(const char *key, const char *const *keys)
{
    while (*keys && strcmp(*keys, key) != 0)
        keys++;
    return *keys != NULL;
}

static void request_chooses_nothing_that_piagent_makes_and_a_secret_is_not_shown(void **state)
{
    static const char *const made[] = {
        "name", "uuid", "ssh_port", "mac", "image", "has_user_data", "user_data_sha256", "cloned_from", NULL};
    static const char *const hidden[] = {"password_hash", "authorized_keys", NULL};
    (void)state;
    for (const struct pi_field *f = vm_spec_fields; f->key; f++) {
        assert_false((f->parts & VM_SPEC_CHOSEN) && is_listed(f->key, made));
        assert_false((f->parts & (VM_SPEC_SHOWN | VM_SPEC_LISTED)) && is_listed(f->key, hidden));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_is_read_with_or_without_an_address),
        cmocka_unit_test(forward_of_udp_or_ipv6_is_told_not_to_be_there),
        cmocka_unit_test(forward_that_is_not_one_is_refused_and_named),
        cmocka_unit_test(good_spec_passes_on_both_architectures),
        cmocka_unit_test(what_is_not_chosen_yet_passes),
        cmocka_unit_test(sizes_outside_their_limits_are_refused),
        cmocka_unit_test(limits_leave_qemu_what_it_needs),
        cmocka_unit_test(memory_of_the_host_is_counted_with_all_that_qemu_takes),
        cmocka_unit_test(names_that_useradd_refuses_are_refused),
        cmocka_unit_test(identity_with_a_wrong_syntax_is_refused),
        cmocka_unit_test(forwards_that_clash_are_refused),
        cmocka_unit_test(aarch64_has_no_bios),
        cmocka_unit_test(place_in_a_fleet_is_whole_and_within_its_count),
        cmocka_unit_test(order_in_a_fleet_names_entries_and_what_they_have_to_be),
        cmocka_unit_test(labels_are_checked_with_the_rest),
        cmocka_unit_test(this_host_has_an_architecture_that_is_known),
        cmocka_unit_test(what_was_not_chosen_gets_its_default),
        cmocka_unit_test(request_chooses_nothing_that_piagent_makes_and_a_secret_is_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
