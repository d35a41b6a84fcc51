/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/vm/argv.h"
#include "agent/vm/argv_explain.h"
#include "vm_fixture.h"

static struct vm_host a_host(void)
{
    return (struct vm_host){.qemu = "/usr/bin/qemu",
                            .folder = "/data/pi-1",
                            .accel = VM_ACCEL_TCG,
                            .qmp_fd = 3,
                            .console_fd = 4,
                            .agent_fd = 5,
                            .isolator = "/usr/bin/piagent",
                            .imds_socket = "/run/imds.sock",
                            .net_fd = 5};
}

static struct pi_strv built(const struct vm_spec *spec, const struct vm_host *host)
{
    struct pi_strv argv = {0};
    struct pi_error err = {0};
    if (vm_argv_build(spec, host, &argv, &err) < 0)
        fail_msg("%s", err.text);
    return argv;
}

/* True if the argv has the option with exactly this value; NULL: a flag without a value. */
static bool has(const struct pi_strv *argv, const char *option, const char *value)
{
    for (size_t i = 1; i < argv->count; i++)
        if (!strcmp(argv->items[i], option) &&
            (!value || (i + 1 < argv->count && !strcmp(argv->items[i + 1], value))))
            return true;
    return false;
}

static bool mentions(const struct pi_strv *argv, const char *part)
{
    for (size_t i = 0; i < argv->count; i++)
        if (strstr(argv->items[i], part))
            return true;
    return false;
}

struct option {
    const char *name, *value;
};

static void assert_options(const struct pi_strv *argv, const struct option *options, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!has(argv, options[i].name, options[i].value))
            fail_msg("%s %s is missing", options[i].name, options[i].value ? options[i].value : "");
}

static void every_instance_is_closed_in_and_held_by_qmp(void **state)
{
    (void)state;
    static const struct option options[] = {
        {"-nodefaults", NULL},
        {"-no-user-config", NULL},
        {"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"},
        {"-display", "none"},
        {"-S", NULL},
        {"-name", "guest=pi-1,debug-threads=on"},
        {"-uuid", FIXTURE_UUID},
        {"-smp", "2"},
        {"-m", "1024M"},
        {"-rtc", "base=utc"},
        {"-blockdev", "driver=file,node-name=disk-file,filename=/data/pi-1/disk.qcow2,discard=unmap"},
        {"-blockdev", "driver=qcow2,node-name=disk,file=disk-file,discard=unmap"},
        {"-device", "virtio-blk-pci,drive=disk,bootindex=0"},
        {"-netdev", "user,id=net,ipv6=off,hostfwd=tcp:127.0.0.1:20022-:22"},
        {"-device", "virtio-net-pci,netdev=net,mac=52:54:00:12:34:56,romfile="},
        {"-device", "pvpanic-pci"},
        {"-device", "virtio-balloon-pci,free-page-reporting=on"},
        {"-action", "panic=none,shutdown=pause"},
        {"-chardev", "socket,id=console,fd=4,server=on,wait=off"},
        {"-chardev", "socket,id=agent,fd=5,server=on,wait=off"},
        {"-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"},
        {"-serial", "chardev:console"},
        {"-chardev", "socket,id=qmp,fd=3,server=on,wait=off"},
        {"-mon", "chardev=qmp,mode=control"},
        {"-smbios", "file=/data/pi-1/smbios.bin"},
        {"-smbios", "file=/data/pi-1/smbios-board.bin"},
    };
    for (int arch = 0; arch < VM_ARCHES; arch++) {
        const struct vm_spec spec = fixture_spec((enum vm_arch)arch);
        const struct vm_host host = a_host();
        pi_auto_strv struct pi_strv argv = built(&spec, &host);
        assert_string_equal(argv.items[0], "/usr/bin/qemu");
        assert_null(argv.items[argv.count]);
        assert_options(&argv, options, PI_ARRAY_SIZE(options));
        assert_false(has(&argv, "-daemonize", NULL));
        assert_false(has(&argv, "-pidfile", NULL));
    }
}

static void processor_follows_architecture_and_accelerator(void **state)
{
    (void)state;
    static const struct {
        enum vm_arch arch;
        enum vm_accel accel;
        struct option options[3];
    } cases[] = {
        {VM_X86_64,
         VM_ACCEL_TCG,
         {{"-accel", "tcg,tb-size=128"},
          {"-cpu", "max,-erms,-fsrm,family=6,model=6"},
          {"-machine", "q35,graphics=off"}}},
        {VM_X86_64, VM_ACCEL_KVM, {{"-accel", "kvm"}, {"-cpu", "host"}, {"-machine", "q35,graphics=off"}}},
        {VM_AARCH64,
         VM_ACCEL_TCG,
         {{"-accel", "tcg,tb-size=128"}, {"-cpu", "cortex-a72"}, {"-machine", "virt,gic-version=max"}}},
        {VM_AARCH64,
         VM_ACCEL_KVM,
         {{"-accel", "kvm"}, {"-cpu", "host"}, {"-machine", "virt,gic-version=max"}}},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        const struct vm_spec spec = fixture_spec(cases[i].arch);
        struct vm_host host = a_host();
        host.accel = cases[i].accel;
        pi_auto_strv struct pi_strv argv = built(&spec, &host);
        assert_options(&argv, cases[i].options, 3);
    }
}

static void translated_code_has_room_within_the_limit_of_memory(void **state)
{
    (void)state;
    static const struct {
        enum vm_accel accel;
        uint64_t memory_max_mib;
        struct option option;
    } cases[] = {
        {VM_ACCEL_TCG, 0, {"-accel", "tcg,tb-size=128"}},
        {VM_ACCEL_TCG, 1024 + VM_OVERHEAD_MIB, {"-accel", "tcg,tb-size=128"}},
        {VM_ACCEL_TCG, 1 << 20, {"-accel", "tcg,tb-size=1024"}},
        {VM_ACCEL_KVM, 1024 + VM_OVERHEAD_MIB, {"-accel", "kvm"}},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct vm_spec spec = fixture_spec(VM_X86_64);
        struct vm_host host = a_host();
        spec.memory_max_mib = cases[i].memory_max_mib;
        host.accel = cases[i].accel;
        pi_auto_strv struct pi_strv argv = built(&spec, &host);
        assert_options(&argv, &cases[i].option, 1);
    }
}

static void emulated_aarch64_has_no_source_of_randomness_that_slows_it(void **state)
{
    (void)state;
    static const struct {
        enum vm_arch arch;
        enum vm_accel accel;
        bool rng;
    } cases[] = {
        {VM_X86_64, VM_ACCEL_TCG, true},
        {VM_X86_64, VM_ACCEL_KVM, true},
        {VM_AARCH64, VM_ACCEL_KVM, true},
        {VM_AARCH64, VM_ACCEL_TCG, false},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        const struct vm_spec spec = fixture_spec(cases[i].arch);
        struct vm_host host = a_host();
        host.accel = cases[i].accel;
        pi_auto_strv struct pi_strv argv = built(&spec, &host);
        assert_int_equal(has(&argv, "-object", "rng-builtin,id=rng"), cases[i].rng);
        assert_int_equal(has(&argv, "-device", "virtio-rng-pci,rng=rng"), cases[i].rng);
    }
}

static void firmware_is_two_flash_chips_with_explicit_formats(void **state)
{
    (void)state;
    const struct vm_firmware_files files = {TEXT("/fw/code.qcow2"), TEXT("qcow2"), TEXT("/fw/vars"),
                                            TEXT("raw")};
    static const struct option options[] = {
        {"-machine", "virt,gic-version=max,pflash0=code,pflash1=vars"},
        {"-blockdev", "driver=file,node-name=code-file,filename=/fw/code.qcow2,read-only=on"},
        {"-blockdev", "driver=qcow2,node-name=code,file=code-file,read-only=on"},
        {"-blockdev", "driver=file,node-name=vars-file,filename=/data/pi-1/vars.qcow2"},
        {"-blockdev", "driver=qcow2,node-name=vars,file=vars-file"},
        {"-boot", "menu=on,splash-time=0"}, /* it does not wait */
    };
    const struct vm_spec spec = fixture_spec(VM_AARCH64);
    struct vm_host host = a_host();
    host.firmware = &files;
    pi_auto_strv struct pi_strv argv = built(&spec, &host);
    assert_options(&argv, options, PI_ARRAY_SIZE(options));
    assert_false(mentions(&argv, "/fw/vars"));
}

static void every_forward_is_there(void **state)
{
    (void)state;
    char *list[] = {TEXT("8080:80"), TEXT("0.0.0.0:8443:443"), NULL};
    struct vm_spec spec = fixture_spec(VM_X86_64);
    const struct vm_host host = a_host();
    spec.forwards = (struct pi_strv){list, 2};
    pi_auto_strv struct pi_strv argv = built(&spec, &host);
    assert_true(has(&argv, "-netdev",
                    "user,id=net,ipv6=off,hostfwd=tcp:127.0.0.1:20022-:22,hostfwd=tcp:127.0.0.1:8080-:80,"
                    "hostfwd=tcp:0.0.0.0:8443-:443"));
}

static void each_network_is_one_more_card_after_the_first(void **state)
{
    (void)state;
    char *list[] = {TEXT("lab,ip=10.77.0.5"), TEXT("bridge=br0"), NULL};
    struct vm_spec spec = fixture_spec(VM_X86_64);
    struct vm_host host = a_host();
    spec.networks = (struct pi_strv){list, 2};
    host.network_fd = 10;
    pi_auto_strv struct pi_strv argv = built(&spec, &host);
    assert_true(has(&argv, "-netdev",
                    "dgram,id=net0,local.type=unix,local.path=/proc/self/fd/10/pi-1.qemu,remote.type=unix,"
                    "remote.path=/proc/self/fd/10/pi-1.in"));
    assert_true(has(&argv, "-device", "virtio-net-pci,netdev=net0,mac=52:54:0a:4d:00:05,romfile="));
    assert_true(has(&argv, "-netdev", "tap,id=net1,fd=11"));
    static const char *const before[] = {"/usr/bin/piagent", "bridged", "11=br0", "--", "/usr/bin/qemu"};
    for (size_t i = 0; i < PI_ARRAY_SIZE(before); i++)
        assert_string_equal(argv.items[i], before[i]);
    assert_true(has(&argv, "-device", "virtio-net-pci,netdev=net1,mac=52:56:8c:1f:0d:6f,romfile="));
    assert_true(has(&argv, "-device", "virtio-net-pci,netdev=net,mac=52:54:00:12:34:56,romfile="));
    host.standalone = true;
    pi_auto_strv struct pi_strv alone = built(&spec, &host);
    assert_true(has(&alone, "-netdev", "user,id=net0,ipv6=off,restrict=on"));
    assert_true(has(&alone, "-device", "virtio-net-pci,netdev=net0,mac=52:54:0a:4d:00:05,romfile="));
    assert_false(mentions(&alone, "fd="));
}

static void isolated_instance_has_the_network_that_is_started_before_it_and_the_same_sandbox(void **state)
{
    (void)state;
    static const char *const before[] = {
        "/usr/bin/piagent", "isolated", "/run/imds.sock", "127.0.0.1:20022:22",
        "8080:80",          "--",       "/usr/bin/qemu",
    };
    char *list[] = {TEXT("8080:80"), NULL};
    struct vm_spec spec = fixture_spec(VM_X86_64);
    const struct vm_host host = a_host();
    spec.forwards = (struct pi_strv){list, 1};
    spec.isolate = true;
    pi_auto_strv struct pi_strv argv = built(&spec, &host);
    for (size_t i = 0; i < PI_ARRAY_SIZE(before); i++)
        assert_string_equal(argv.items[i], before[i]);
    assert_true(has(&argv, "-netdev", "socket,id=net,fd=5"));
    assert_true(
        has(&argv, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"));
    assert_false(mentions(&argv, "user,") || mentions(&argv, "hostfwd"));
}

static void comma_in_a_path_stays_in_the_path(void **state)
{
    (void)state;
    const struct vm_firmware_files files = {TEXT("/f,w/,"), TEXT("raw"), TEXT(""), TEXT("raw")};
    const struct vm_spec spec = fixture_spec(VM_X86_64);
    struct vm_host host = a_host();
    host.folder = "/a,b,,c";
    host.firmware = &files;
    pi_auto_strv struct pi_strv argv = built(&spec, &host);
    assert_true(has(&argv, "-smbios", "file=/a,,b,,,,c/smbios.bin"));
    assert_true(has(&argv, "-blockdev",
                    "driver=file,node-name=disk-file,filename=/a,,b,,,,c/disk.qcow2,discard=unmap"));
    assert_true(has(&argv, "-blockdev", "driver=file,node-name=code-file,filename=/f,,w/,,,read-only=on"));
}

static void ephemeral_instance_flushes_neither_its_disk_nor_its_firmware(void **state)
{
    (void)state;
    struct vm_firmware_files uefi = {.code = TEXT("/f"), .code_format = TEXT("raw")};
    struct vm_spec spec = fixture_spec(VM_AARCH64);
    struct vm_host host = a_host();
    host.firmware = &uefi;
    for (int ephemeral = 0; ephemeral < 2; ephemeral++) {
        static const char *const written[] = {"node-name=disk-file,", "node-name=disk,",
                                              "node-name=vars-file,", "node-name=vars,"};
        spec.ephemeral = ephemeral;
        pi_auto_strv struct pi_strv argv = built(&spec, &host);
        for (size_t node = 0; node < PI_ARRAY_SIZE(written); node++)
            for (size_t i = 0; i < argv.count; i++)
                if (strstr(argv.items[i], written[node]))
                    assert_int_equal(strstr(argv.items[i], ",cache.no-flush=on") != NULL, ephemeral);
    }
}

static void spec_that_is_wrong_or_incomplete_makes_no_command_line(void **state)
{
    (void)state;
    const struct vm_host host = a_host();
    struct vm_spec wrong[4];
    for (size_t i = 0; i < PI_ARRAY_SIZE(wrong); i++)
        wrong[i] = fixture_spec(VM_X86_64);
    wrong[0].cpus = 0;
    wrong[1].mac = NULL;
    wrong[2].ssh_port = 0;
    wrong[3].uuid[0] = '\0';
    for (size_t i = 0; i < PI_ARRAY_SIZE(wrong); i++) {
        struct pi_strv argv = {0};
        struct pi_error err = {0};
        assert_true(vm_argv_build(&wrong[i], &host, &argv, &err) < 0);
        assert_null(argv.items);
        assert_true(err.text[0] != '\0');
    }
}

/* How far it is from at to the next device's description. */
static size_t next_device(const struct pi_strv *argv, size_t at)
{
    size_t i = at;
    while (i < argv->count && (!i || strcmp(argv->items[i - 1], "-device") != 0))
        i++;
    return i - at;
}

static void template_has_its_ram_in_a_file_a_port_for_the_identity_and_slots(void **state)
{
    (void)state;
    static const struct {
        enum vm_arch arch;
        struct option machine, ram;
    } cases[] = {
        {VM_X86_64,
         {"-machine", "q35,graphics=off,memory-backend=pc.ram"},
         {"-object", "memory-backend-file,id=pc.ram,size=1024M,share=on,mem-path=/data/pi-1/template-ram"}},
        {VM_AARCH64,
         {"-machine", "virt,gic-version=max,memory-backend=mach-virt.ram"},
         {"-object",
          "memory-backend-file,id=mach-virt.ram,size=1024M,share=on,mem-path=/data/pi-1/template-ram"}},
    };
    static const struct option added[] = {
        {"-chardev", "socket,id=identity,fd=18,server=on,wait=off"},
        {"-device", "virtserialport,chardev=identity,name=org.piagent.identity.0"},
        {"-device", "pcie-root-port,id=slot0,chassis=1"},
        {"-device", "pcie-root-port,id=slot7,chassis=8"},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct vm_spec spec = fixture_spec(cases[i].arch);
        struct vm_host host = a_host();
        spec.template = host.template_hardware = host.template_ram = true;
        host.identity_fd = 18;
        pi_auto_strv struct pi_strv argv = built(&spec, &host);
        assert_options(&argv, &cases[i].machine, 1);
        assert_options(&argv, &cases[i].ram, 1);
        assert_options(&argv, added, PI_ARRAY_SIZE(added));
        assert_false(
            mentions(&argv, "virtio-balloon")); /* with one, a guest can have pages punched out of the file */
    }
}

/* A guest names its network card after its place among the devices. */
static void hardware_of_templates_leaves_the_ordinary_devices_in_their_places(void **state)
{
    (void)state;
    struct vm_spec spec = fixture_spec(VM_X86_64);
    struct vm_host host = a_host();
    pi_auto_strv struct pi_strv ordinary = built(&spec, &host);
    host.template_hardware = true;
    pi_auto_strv struct pi_strv argv = built(&spec, &host);
    size_t at = 0;
    for (size_t i = 0; i + 1 < ordinary.count; i++) {
        const char *device = ordinary.items[i + 1];
        if (strcmp(ordinary.items[i], "-device") != 0 || pi_starts_with(device, "virtio-balloon"))
            continue;
        do
            at += 1 + next_device(&argv, at + 1);
        while (at < argv.count && strstr(argv.items[at], VM_IDENTITY_PORT));
        assert_true(at < argv.count);
        assert_string_equal(argv.items[at], device);
    }
}

static void instance_of_a_template_sees_its_ram_privately_and_gets_its_cards_later(void **state)
{
    (void)state;
    char *list[] = {TEXT("lab,ip=10.77.0.5"), NULL};
    struct vm_spec spec = fixture_spec(VM_X86_64);
    struct vm_host host = a_host();
    spec.networks = (struct pi_strv){list, 1};
    host.network_fd = 10;
    host.template_hardware = host.template_ram = true;
    pi_auto_strv struct pi_strv argv = built(&spec, &host);
    assert_true(has(&argv, "-object",
                    "memory-backend-file,id=pc.ram,size=1024M,share=off,mem-path=/data/pi-1/template-ram"));
    assert_true(mentions(&argv, "dgram,id=net0"));
    assert_false(mentions(&argv, "netdev=net0"));
    host.template_ram = false; /* it was saved itself, and its state has all of its RAM */
    pi_auto_strv struct pi_strv later = built(&spec, &host);
    assert_false(mentions(&later, "memory-backend"));
    assert_true(
        has(&later, "-device", "virtio-net-pci,netdev=net0,mac=52:54:0a:4d:00:05,romfile=,bus=slot0"));
}

/* Each word of argv is told once, each option with its reason, and each group in one place. */
static void assert_explained(const struct pi_strv *argv)
{
    json_auto_t *options = vm_argv_explain(argv), *groups = json_object();
    size_t words = 0, i;
    const char *last = "";
    json_t *option;
    json_array_foreach(options, i, option) {
        const char *group = json_string_value(json_object_get(option, "group"));
        json_t *list = json_object_get(option, "words");
        words += json_array_size(list);
        if (!json_object_get(option, "why"))
            fail_msg("%s has no reason: give it one in agent/vm/argv_explain.c",
                     json_string_value(json_array_get(list, 0)));
        if (strcmp(group, last) != 0)
            assert_null(json_object_get(groups, group));
        json_object_set_new(groups, last = group, json_true());
    }
    assert_int_equal(words, argv->count);
}

static void standalone_command_needs_nothing_of_the_agent(void **state)
{
    (void)state;
    for (int arch = 0; arch < VM_ARCHES; arch++) {
        struct vm_spec spec = fixture_spec((enum vm_arch)arch);
        struct vm_host host = a_host();
        pi_auto_strv struct pi_strv agents = built(&spec, &host);
        host.standalone = true;
        pi_auto_strv struct pi_strv argv = built(&spec, &host);
        assert_true(has(&argv, "-serial", "mon:stdio"));
        assert_true(has(&argv, "-action", "panic=none,shutdown=poweroff"));
        assert_false(has(&argv, "-S", NULL));
        assert_false(mentions(&argv, "fd="));
        /* A guest names its network card after its place among the devices. */
        for (size_t at = 0, other = 0;; at++, other++) {
            at += next_device(&argv, at);
            other += next_device(&agents, other);
            assert_int_equal(at < argv.count, other < agents.count);
            if (at >= argv.count)
                break;
            assert_string_equal(argv.items[at], agents.items[other]);
        }
    }
}

static void every_option_is_explained(void **state)
{
    struct vm_firmware_files uefi = {.code = TEXT("/f"), .code_format = TEXT("raw")};
    (void)state;
    for (int arch = 0; arch < VM_ARCHES; arch++) {
        for (int variant = 0; variant < 64; variant++) {
            struct vm_spec spec = fixture_spec((enum vm_arch)arch);
            struct vm_host host = a_host();
            spec.isolate = spec.ephemeral = variant & 1;
            spec.memory_max_mib = variant & 2 ? 2048 : 0;
            host.accel = variant & 4 ? VM_ACCEL_KVM : VM_ACCEL_TCG;
            host.firmware = variant & 8 ? &uefi : NULL;
            host.standalone = variant & 16;
            host.template_hardware = host.template_ram = variant & 32;
            pi_strv_add(&spec.forwards, "127.0.0.1:8080:80");
            pi_strv_add(&spec.networks, "lab,ip=10.77.0.5");
            pi_strv_add(&spec.networks, "bridge=br0");
            pi_auto_strv struct pi_strv argv = built(&spec, &host);
            assert_explained(&argv);
            pi_strv_done(&spec.forwards);
            pi_strv_done(&spec.networks);
        }
    }
}

static void option_that_nothing_is_known_of_comes_last_without_a_reason(void **state)
{
    pi_auto_strv struct pi_strv argv = {0};
    (void)state;
    for (const char *const *word = (const char *const[]){"qemu", "-frob", "x", "-S", NULL}; *word; word++)
        pi_strv_add(&argv, *word);
    json_auto_t *options = vm_argv_explain(&argv);
    assert_int_equal(json_array_size(options), 3);
    const json_t *last = json_array_get(options, 2);
    assert_string_equal(json_string_value(json_object_get(last, "group")), "other");
    assert_null(json_object_get(last, "why"));
    assert_int_equal(json_array_size(json_object_get(last, "words")), 2);
}

static void uefi_is_a_choice_on_x86_64_only(void **state)
{
    (void)state;
    struct vm_spec spec = fixture_spec(VM_X86_64);
    assert_false(vm_spec_uses_uefi(&spec));
    spec.firmware = VM_FIRMWARE_UEFI;
    assert_true(vm_spec_uses_uefi(&spec));
    spec = fixture_spec(VM_AARCH64);
    assert_true(vm_spec_uses_uefi(&spec));
}

static void programs_and_packages_have_names(void **state)
{
    (void)state;
    assert_string_equal(vm_qemu_program(VM_X86_64), "qemu-system-x86_64");
    assert_string_equal(vm_qemu_program(VM_AARCH64), "qemu-system-aarch64");
    assert_non_null(strstr(vm_qemu_packages(VM_AARCH64).debian, "qemu-system-arm"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_instance_is_closed_in_and_held_by_qmp),
        cmocka_unit_test(processor_follows_architecture_and_accelerator),
        cmocka_unit_test(translated_code_has_room_within_the_limit_of_memory),
        cmocka_unit_test(emulated_aarch64_has_no_source_of_randomness_that_slows_it),
        cmocka_unit_test(firmware_is_two_flash_chips_with_explicit_formats),
        cmocka_unit_test(every_forward_is_there),
        cmocka_unit_test(each_network_is_one_more_card_after_the_first),
        cmocka_unit_test(isolated_instance_has_the_network_that_is_started_before_it_and_the_same_sandbox),
        cmocka_unit_test(comma_in_a_path_stays_in_the_path),
        cmocka_unit_test(ephemeral_instance_flushes_neither_its_disk_nor_its_firmware),
        cmocka_unit_test(spec_that_is_wrong_or_incomplete_makes_no_command_line),
        cmocka_unit_test(standalone_command_needs_nothing_of_the_agent),
        cmocka_unit_test(template_has_its_ram_in_a_file_a_port_for_the_identity_and_slots),
        cmocka_unit_test(hardware_of_templates_leaves_the_ordinary_devices_in_their_places),
        cmocka_unit_test(instance_of_a_template_sees_its_ram_privately_and_gets_its_cards_later),
        cmocka_unit_test(every_option_is_explained),
        cmocka_unit_test(option_that_nothing_is_known_of_comes_last_without_a_reason),
        cmocka_unit_test(uefi_is_a_choice_on_x86_64_only),
        cmocka_unit_test(programs_and_packages_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
