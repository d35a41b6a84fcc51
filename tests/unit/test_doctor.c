/* SPDX-License-Identifier: MIT */
/* Each verdict of the doctor, from what it is told or from a host made of files. */
#include <errno.h>
#include <linux/magic.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/base/proc.h"
#include "agent/doctor/check.h"
#include "agent/vm/host_memory.h"
#include "agent/vm/kvm_trust.h"
#include "tests/unit/base_fixture.h"
#include "tests/unit/skip.h"

#define GIB (1ull << 30)

static void assert_finding(const struct doctor_finding *finding, enum doctor_verdict verdict,
                           const char *text, const char *remedy)
{
    if (finding->verdict != verdict || !strstr(finding->text, text) ||
        (remedy ? !strstr(finding->remedy, remedy) : finding->remedy[0]))
        fail_msg("%s: '%s', remedy '%s'; wanted %s: '%s', '%s'", doctor_verdict_names[finding->verdict],
                 finding->text, finding->remedy, doctor_verdict_names[verdict], text, remedy ? remedy : "");
}

/* FOLDER/path with its folders, as a host's file. */
static void host_file(const struct folder *f, const char *path, const char *text)
{
    char whole[256];
    snprintf(whole, sizeof whole, "%s%s", f->path, path);
    *strrchr(whole, '/') = '\0';
    assert_int_equal(pi_dir_make(whole, NULL), 0);
    whole[strlen(whole)] = '/';
    assert_int_equal(pi_file_write(AT_FDCWD, whole, text, strlen(text), 0600, NULL), 0);
}

static struct pi_paths paths_below(const struct folder *f)
{
    static char texts[6][96];
    static const char *const names[6] = {"data/piagent/instances", "data/piagent", "data/piagent/networks",
                                         "cache/piagent/images",   "run/piagent",  "config/piagent"};
    for (size_t i = 0; i < PI_ARRAY_SIZE(names); i++)
        snprintf(texts[i], sizeof texts[i], "%s/%s", f->path, names[i]);
    return (struct pi_paths){texts[0], texts[1], texts[2], texts[3], texts[4], texts[5]};
}

static struct doctor_finding examine(doctor_check_fn *check, int arg, const struct doctor_host *host)
{
    struct doctor_finding ret = {.id = "test"};
    check(host, arg, &ret);
    return ret;
}

/* A program at the front of PATH, which is FOLDER/bin and then only the shell's folder. */
static void program(const struct folder *f, const char *name, const char *script)
{
    char path[256], text[512];
    snprintf(path, sizeof path, "%s/bin", f->path);
    assert_int_equal(pi_dir_make(path, NULL), 0);
    setenv("PATH", path, 1);
    snprintf(path, sizeof path, "%s/bin/%s", f->path, name);
    snprintf(text, sizeof text, "#!/bin/sh\n%s\n", script);
    assert_int_equal(pi_file_write(AT_FDCWD, path, text, strlen(text), 0700, NULL), 0);
}

static void kvm_is_judged_by_why_it_cannot_be_used(void **state)
{
    static const struct {
        struct doctor_kvm kvm;
        enum doctor_verdict verdict;
        const char *text, *remedy;
    } cases[] = {
        {{.ran = true}, DOCTOR_OK, "a small guest runs", NULL},
        {{.ran = true, .virtual = true}, DOCTOR_OK, "itself virtual", NULL},
        {{.ran = true, .distrusted = true}, DOCTOR_WARN, "a real one failed", "rm /run/marker"},
        {{.failure = "KVM_RUN: Bad address"}, DOCTOR_WARN, "KVM_RUN: Bad address", "dmesg"},
        {{.failure = "x", .virtual = true}, DOCTOR_WARN, "no guest runs on it", "nested virtualization"},
        {{.open_errno = EACCES, .group = "kvm"}, DOCTOR_WARN, "you may not open", "sudo usermod -aG kvm "},
        {{.open_errno = EACCES, .group = "kvm", .in_group = true}, DOCTOR_WARN, "may not", "log out and in"},
        {{.open_errno = EACCES, .group = "root"}, DOCTOR_WARN, "may not", "chgrp kvm /dev/kvm"},
        {{.open_errno = ENOENT, .container = true, .capable = true},
         DOCTOR_WARN,
         "this container has no",
         "--device /dev/kvm"},
        {{.open_errno = ENOENT, .capable = true, .module = "kvm_amd"},
         DOCTOR_WARN,
         "kvm_amd is not loaded",
         "modprobe kvm_amd"},
        {{.open_errno = ENODEV, .capable = true, .module = "kvm_intel"},
         DOCTOR_WARN,
         "kvm_intel is not loaded",
         "modprobe kvm_intel"},
        {{.open_errno = ENOENT, .virtual = true}, DOCTOR_WARN, "virtual machine", "nested=1"},
        {{.open_errno = ENOENT}, DOCTOR_WARN, "there is no /dev/kvm", "firmware setup"},
        {{.open_errno = EPERM, .container = true}, DOCTOR_WARN, "Operation not permitted", "--device"},
        {{.open_errno = EBUSY}, DOCTOR_WARN, "busy", "dmesg"},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct doctor_finding ret = {.id = "kvm"};
        doctor_judge_kvm(&cases[i].kvm, "/run/marker", &ret);
        assert_finding(&ret, cases[i].verdict, cases[i].text, cases[i].remedy);
        assert_int_equal(ret.works, cases[i].verdict == DOCTOR_OK);
    }
}

/* The processor and the container are read from files of the host. */
static void kvm_that_is_missing_is_explained_by_the_hosts_files(void **state)
{
    const struct folder *f = *state;
    const struct doctor_host host = {.root = f->path};
    if (vm_arch_host() != VM_X86_64)
        skip_because("cannot here: /proc/cpuinfo of x86_64 is what is read");
    struct doctor_finding ret = examine(doctor_check_kvm, 0, &host);
    assert_finding(&ret, DOCTOR_WARN, "there is no /dev/kvm", "firmware setup");

    host_file(f, "/proc/cpuinfo",
              "processor\t: 0\nvmx flags\t: none\nflags\t\t: fpu vmxish svm sse\nbugs\t: vmx\n");
    ret = examine(doctor_check_kvm, 0, &host);
    assert_finding(&ret, DOCTOR_WARN, "kvm_amd is not loaded", "modprobe kvm_amd");

    host_file(f, "/proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu hypervisor sse\n");
    ret = examine(doctor_check_kvm, 0, &host);
    assert_finding(&ret, DOCTOR_WARN, "is a virtual machine", "nested=1");

    host_file(f, "/.dockerenv", "");
    ret = examine(doctor_check_kvm, 0, &host);
    assert_finding(&ret, DOCTOR_WARN, "this container has no", "--device /dev/kvm");
}

static void device_that_is_no_kvm_runs_no_guest(void **state)
{
    const struct folder *f = *state;
    const struct doctor_host host = {.root = f->path};
    host_file(f, "/dev/kvm", "not a device");
    struct doctor_finding ret = examine(doctor_check_kvm, 0, &host);
    assert_finding(&ret, DOCTOR_WARN, "no guest runs on it (this is not KVM)", "dmesg");

    struct pi_error err;
    assert_true(doctor_kvm_trial("/dev/null", 1000, &err) < 0);
    assert_string_equal(err.text, "this is not KVM");
}

static void small_guest_runs_where_kvm_is(void **state)
{
    struct pi_error err;
    (void)state;
    if (access(VM_KVM_DEVICE, R_OK | W_OK) < 0)
        skip_because("cannot here: no " VM_KVM_DEVICE);
    if (doctor_kvm_trial(VM_KVM_DEVICE, 5000, &err) < 0)
        skip_because("cannot here: KVM runs no guest: %s", err.text);
}

static void distrust_of_this_boot_is_told_and_of_another_is_not(void **state)
{
    const struct folder *f = *state;
    struct pi_paths paths = paths_below(f);
    char boot_id[PI_BOOT_ID_LENGTH + 1];
    assert_int_equal(pi_boot_id(boot_id, NULL), 0);
    assert_false(vm_kvm_distrusted(paths.runtime, boot_id));
    assert_true(vm_kvm_distrust(paths.runtime, boot_id) < 0);
    assert_int_equal(pi_dir_make(paths.runtime, NULL), 0);
    assert_int_equal(vm_kvm_distrust(paths.runtime, "of another boot"), 0);
    assert_false(vm_kvm_distrusted(paths.runtime, boot_id));
    assert_int_equal(vm_kvm_distrust(paths.runtime, boot_id), 0);
    assert_true(vm_kvm_distrusted(paths.runtime, boot_id));
}

static void versions_of_qemu_are_judged(void **state)
{
    /* If a program exists and fails, installing it is not the remedy. */
    static const char install[] = "dnf install qemu-system-", look[] = "see what it does: /";
    static const struct {
        const char *script;
        enum doctor_verdict verdict; /* of this host's own architecture */
        const char *text, *remedy;
        bool works;
    } cases[] = {
        {"echo 'QEMU emulator version 9.2.1 (Debian 1:9.2)'", DOCTOR_OK, "9.2.1, /", NULL, true},
        {"echo 'QEMU emulator version 7.2.0'", DOCTOR_OK, "7.2.0, /", NULL, true},
        {"echo 'QEMU emulator version 11.0.50'", DOCTOR_OK, "11.0.50", NULL, true},
        {"echo 'QEMU emulator version 6.2.0'", DOCTOR_WARN,
         "older than the versions that piagent is tested with", install, true},
        {"echo 'QEMU emulator version 5.2.0'", DOCTOR_FAIL, "too old", install, false},
        {"printf 'a\\033[31mfake\\n'", DOCTOR_WARN, "does not say its version: 'a?[31mfake'", install, false},
        {":", DOCTOR_WARN, "does not say its version", install, false},
        {"echo 'libfoo.so: cannot open' >&2; exit 127", DOCTOR_FAIL, "exit code 127): libfoo.so: cannot",
         look, false},
        {"kill -9 $$", DOCTOR_FAIL, "exit code 137", look, false},
    };
    const struct folder *f = *state;
    const struct doctor_host host = {.root = f->path};
    enum vm_arch arch = vm_arch_host();
    if (arch == VM_ARCHES)
        skip_because("cannot here: neither x86_64 nor aarch64");
    host_file(f, "/etc/os-release", "NAME=\"Fedora Linux\"\nID=fedora\n");
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        program(f, arch == VM_X86_64 ? "qemu-system-x86_64" : "qemu-system-aarch64", cases[i].script);
        struct doctor_finding ret = examine(doctor_check_qemu, (int)arch, &host);
        assert_finding(&ret, cases[i].verdict, cases[i].text, cases[i].remedy);
        assert_int_equal(ret.works, cases[i].works);
    }
}

static void qemus_race_under_emulation_is_named_where_it_is_not_mended(void **state)
{
    static const struct {
        const char *script;
        enum doctor_verdict verdict;
    } cases[] = {
        {"echo 'QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)'", DOCTOR_WARN},
        {"echo 'QEMU emulator version 8.0.5'", DOCTOR_WARN},
        {"echo 'QEMU emulator version 8.1.0'", DOCTOR_NONE},
        {"echo 'QEMU emulator version 10.0.2'", DOCTOR_NONE},
        {"echo unknown", DOCTOR_NONE},
    };
    const struct folder *f = *state;
    const struct doctor_host host = {.root = f->path};
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        program(f, "qemu-system-x86_64", cases[i].script);
        struct doctor_finding ret = examine(doctor_check_emulation, VM_X86_64, &host);
        assert_int_equal(ret.verdict, cases[i].verdict);
        if (cases[i].verdict == DOCTOR_WARN)
            assert_finding(&ret, DOCTOR_WARN, "Oops: int3", "--cpus 1");
    }
}

static void qemu_img_that_fails_is_to_be_looked_at(void **state)
{
    const struct folder *f = *state;
    const struct doctor_host host = {.root = f->path};
    program(f, "qemu-img", "echo 'qemu-img version 7.2.0 (Debian)'");
    struct doctor_finding ret = examine(doctor_check_qemu_img, 0, &host);
    assert_finding(&ret, DOCTOR_OK, "7.2.0", NULL);
    program(f, "qemu-img", "exit 3");
    ret = examine(doctor_check_qemu_img, 0, &host);
    assert_finding(&ret, DOCTOR_FAIL, "cannot make an instance's disk", "/bin/qemu-img --version");
}

static void qemu_of_the_other_architecture_may_be_missing(void **state)
{
    const struct folder *f = *state;
    const struct doctor_host host = {.root = f->path};
    program(f, "true", ":");
    for (int arch = 0; arch < VM_ARCHES; arch++) {
        struct doctor_finding ret = examine(doctor_check_qemu, arch, &host);
        assert_finding(&ret, arch == (int)vm_arch_host() ? DOCTOR_FAIL : DOCTOR_WARN, "is not installed",
                       "install the package that Debian calls qemu-system-");
        ret = examine(doctor_check_qemu_net, arch, &host);
        assert_int_equal(ret.verdict, DOCTOR_NONE);
        ret = examine(doctor_check_bios, arch, &host);
        assert_int_equal(ret.verdict, DOCTOR_NONE);
    }
}

static void qemu_that_lacks_something_is_told(void **state)
{
    const struct folder *f = *state;
    const struct doctor_host host = {.root = f->path};
    enum vm_arch arch = VM_X86_64;
    enum doctor_verdict lacking = doctor_lacking(arch);
    program(f, "qemu-system-x86_64", "echo socket; echo user; echo dgram");
    struct doctor_finding ret = examine(doctor_check_qemu_net, arch, &host);
    assert_finding(&ret, DOCTOR_OK, "has the user network and the sandbox", NULL);
    program(f, "qemu-system-x86_64", "echo socket; echo user");
    ret = examine(doctor_check_qemu_net, arch, &host);
    assert_finding(&ret, DOCTOR_WARN, "cannot share a network", "QEMU 7.2");
    assert_true(ret.works);
    program(f, "qemu-system-x86_64", "echo socket; echo vhost-user");
    ret = examine(doctor_check_qemu_net, arch, &host);
    assert_finding(&ret, lacking, "without the user network", "qemu-system-x86");
    program(f, "qemu-system-x86_64", "echo 'seccomp is not compiled in' >&2; exit 1");
    ret = examine(doctor_check_qemu_net, arch, &host);
    assert_finding(&ret, lacking, "seccomp is not compiled in",
                   "qemu-system-x86_64 -machine none -sandbox on");

    char script[128];
    snprintf(script, sizeof script, "echo /nonexistent; echo %s", f->path);
    program(f, "qemu-system-x86_64", script);
    ret = examine(doctor_check_bios, arch, &host);
    assert_finding(&ret, lacking, "finds no bios-256k.bin", "seabios");
    host_file(f, "/bios-256k.bin", "");
    ret = examine(doctor_check_bios, arch, &host);
    assert_finding(&ret, DOCTOR_OK, "/bios-256k.bin", NULL);
}

static void program_that_hangs_has_a_deadline(void **state)
{
    const struct folder *f = *state;
    const struct doctor_host host = {.root = f->path};
    program(f, "gpg", "exec /bin/sleep 600");
    struct doctor_finding ret = examine(doctor_check_program, DOCTOR_GPG, &host);
    assert_finding(&ret, DOCTOR_FAIL, "gpg did not end in 4", "/gpg --version");
}

static void programs_are_needed_or_not(void **state)
{
    static const struct {
        int which;
        enum doctor_verdict missing;
        const char *name, *script, *text;
    } cases[] = {
        {DOCTOR_SSH, DOCTOR_FAIL, "ssh", "echo 'OpenSSH_9.2p1 Debian-2, OpenSSL 3.0' >&2",
         "OpenSSH_9.2p1, /"},
        {DOCTOR_COPY, DOCTOR_WARN, "scp", ":", "/bin/scp"},
        {DOCTOR_GPG, DOCTOR_FAIL, "gpg", "echo 'gpg (GnuPG) 2.4.7'; echo libgcrypt 1.11", "2.4.7, /"},
        {DOCTOR_CLOUD_INIT, DOCTOR_OK, "cloud-init", "echo '/usr/bin/cloud-init 25.1.4'", "25.1.4, /"},
    };
    const struct folder *f = *state;
    const struct doctor_host host = {.root = f->path};
    host_file(f, "/etc/os-release",
              "PRETTY_NAME=\"Mint: not fedora\"\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n");
    program(f, "true", ":");
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct doctor_finding ret = examine(doctor_check_program, cases[i].which, &host);
        assert_finding(&ret, cases[i].missing, "is not installed", "apt install ");
        program(f, cases[i].name, cases[i].script);
        ret = examine(doctor_check_program, cases[i].which, &host);
        assert_finding(&ret, DOCTOR_OK, cases[i].text, NULL);
    }
}

static void space_is_judged(void **state)
{
    static const struct {
        struct doctor_space space;
        enum doctor_verdict verdict;
        const char *text, *remedy;
    } cases[] = {
        {{.free_bytes = 80 * GIB, .free_inodes = UINT64_MAX}, DOCTOR_OK, "80 GiB free", NULL},
        {{.free_bytes = 3 * GIB, .free_inodes = 5000}, DOCTOR_WARN, "an instance or two", "image prune"},
        {{.free_bytes = GIB / 2, .free_inodes = 5000}, DOCTOR_FAIL, "only 512 MiB", "image prune"},
        {{.free_bytes = 80 * GIB, .free_inodes = 3}, DOCTOR_WARN, "only 3 more files", "free some space"},
        {{.free_bytes = 80 * GIB, .free_inodes = 5000, .type = TMPFS_MAGIC},
         DOCTOR_WARN,
         "is in memory",
         "folders on a disk"},
        {{.free_bytes = 80 * GIB, .free_inodes = 5000, .dense = true}, DOCTOR_WARN, "sparse files", "ext4"},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct doctor_space space = cases[i].space;
        struct doctor_finding ret = {.id = "disk"};
        space.path = "/data";
        doctor_judge_space(&space, &ret);
        assert_finding(&ret, cases[i].verdict, cases[i].text, cases[i].remedy);
    }
}

static void memory_is_judged_within_the_limit_of_a_container(void **state)
{
    const struct folder *f = *state;
    struct doctor_host host = {.root = f->path};
    const struct vm_spec usual = {.arch = vm_arch_host()};
    char said[128];
    host_file(
        f, "/proc/meminfo",
        "MemTotal:       16777216 kB\nMemFree:          12 kB\nMemAvailable:   13107200 kB\nSwapTotal: 0 kB\n");
    struct doctor_finding ret = examine(doctor_check_memory, 0, &host);
    snprintf(said, sizeof said, "12.5 GiB available of 16 GiB, swap none, KSM off: %d instances",
             (int)(12800 / vm_host_memory_mib(&usual)));
    assert_finding(&ret, DOCTOR_OK, said, NULL);
    host_file(f, "/sys/kernel/mm/ksm/run", "1\n");
    host.agent.promised_mib = 12800 - 2 * vm_host_memory_mib(&usual);
    ret = examine(doctor_check_memory, 0, &host);
    assert_finding(&ret, DOCTOR_OK, "swap none, KSM on: 2 more instances", NULL);
    host.agent.promised_mib = 13000;
    ret = examine(doctor_check_memory, 0, &host);
    assert_finding(&ret, DOCTOR_FAIL, "not even a small instance", "add swap");
    host.agent.promised_mib = 0;
    host_file(f, "/proc/sys/vm/overcommit_memory", "2\n");
    ret = examine(doctor_check_memory, 0, &host);
    assert_finding(&ret, DOCTOR_WARN, "takes all of its memory", "vm.overcommit_memory=0");
    host_file(f, "/sys/fs/cgroup/memory.max", "max\n");
    host_file(f, "/sys/fs/cgroup/memory.current", "1073741824\n");
    ret = examine(doctor_check_memory, 0, &host);
    assert_finding(&ret, DOCTOR_WARN, "12.5 GiB available", "overcommit");
    host_file(f, "/sys/fs/cgroup/memory.max", "2147483648\n");
    ret = examine(doctor_check_memory, 0, &host);
    assert_finding(&ret, DOCTOR_WARN, "1 GiB available of 2 GiB: less than", "--memory 512M");
    host_file(f, "/sys/fs/cgroup/memory.max", "1073741824\n");
    ret = examine(doctor_check_memory, 0, &host);
    assert_finding(&ret, DOCTOR_FAIL, "not even a small instance", "add swap");
}

static void limits_are_judged(void **state)
{
    struct doctor_finding ret = {.id = "limits"};
    (void)state;
    doctor_judge_limits(256, UINT64_MAX, &ret);
    assert_finding(&ret, DOCTOR_WARN, "256 files open, enough for about 32 instances", "ulimit -Hn");
    ret = (struct doctor_finding){.id = "limits"};
    doctor_judge_limits(4096, 100, &ret);
    assert_finding(&ret, DOCTOR_WARN, "100 processes", "ulimit -u");
    ret = (struct doctor_finding){.id = "limits"};
    doctor_judge_limits(4096, UINT64_MAX, &ret);
    assert_finding(&ret, DOCTOR_OK, "any number of processes", NULL);
    doctor_judge_limits(4096, 4000, &ret);
    assert_finding(&ret, DOCTOR_OK, "4096 files a process, 4000", NULL);
}

static void folders_are_looked_at_and_not_made(void **state)
{
    const struct folder *f = *state;
    struct pi_paths paths = paths_below(f);
    const struct doctor_host host = {.root = f->path, .paths = &paths};
    struct doctor_finding ret = examine(doctor_check_folder, DOCTOR_INSTANCES, &host);
    assert_finding(&ret, DOCTOR_OK, "creates it when it needs it", NULL);
    assert_int_equal(access(folder_path(f, "data"), F_OK), -1);

    assert_int_equal(pi_dir_make(paths.instances, NULL), 0);
    ret = examine(doctor_check_folder, DOCTOR_INSTANCES, &host);
    assert_finding(&ret, DOCTOR_OK, paths.instances, NULL);
    assert_null(strstr(ret.text, "creates it"));

    assert_int_equal(chmod(paths.instances, 0777), 0);
    ret = examine(doctor_check_folder, DOCTOR_INSTANCES, &host);
    assert_finding(&ret, DOCTOR_FAIL, "can be written by others", "mode 700");

    assert_int_equal(pi_file_write(f->fd, "cache", "", 0, 0600, NULL), 0);
    ret = examine(doctor_check_folder, DOCTOR_IMAGES, &host);
    assert_finding(&ret, DOCTOR_FAIL, "is a link or a file, not a folder", "XDG");
}

static void without_a_home_one_finding_says_so(void **state)
{
    const struct folder *f = *state;
    const struct doctor_host host = {.root = f->path, .paths_error = "HOME is not set"};
    struct doctor_finding ret = examine(doctor_check_folder, DOCTOR_INSTANCES, &host);
    assert_finding(&ret, DOCTOR_FAIL, "HOME is not set", "set HOME");
    static doctor_check_fn *const others[] = {doctor_check_disk,  doctor_check_runtime, doctor_check_config,
                                              doctor_check_agent, doctor_check_keys,    doctor_check_fedora};
    for (size_t i = 0; i < PI_ARRAY_SIZE(others); i++) {
        ret = examine(others[i], 0, &host);
        assert_int_equal(ret.verdict, DOCTOR_NONE);
    }
    ret = examine(doctor_check_folder, DOCTOR_CONFIG, &host);
    assert_int_equal(ret.verdict, DOCTOR_NONE);
}

/* A socket's path has 107 bytes. */
static void long_paths_of_sockets_are_told(void **state)
{
    const struct folder *f = *state;
    char runtime[128];
    struct pi_paths paths = paths_below(f);
    const struct doctor_host host = {.root = f->path, .paths = &paths};
    paths.runtime = runtime;
    snprintf(runtime, sizeof runtime, "%s/%0*d", f->path, 30, 0);
    struct doctor_finding ret = examine(doctor_check_runtime, 0, &host);
    assert_finding(&ret, DOCTOR_WARN, "can have only 48 characters there", "shorter folder");
    assert_true(ret.works);
    snprintf(runtime, sizeof runtime, "%s/%0*d", f->path, 90, 0);
    ret = examine(doctor_check_runtime, 0, &host);
    assert_finding(&ret, DOCTOR_FAIL, "too long for the path of a socket", "shorter folder");
    snprintf(runtime, sizeof runtime, "%s/r", f->path);
    ret = examine(doctor_check_runtime, 0, &host);
    assert_finding(&ret, DOCTOR_OK, runtime, NULL);
}

static void configuration_is_read(void **state)
{
    const struct folder *f = *state;
    struct pi_paths paths = paths_below(f);
    const struct doctor_host host = {.root = f->path, .paths = &paths};
    unsetenv("PIAGENT_FEDORA_INDEX_URL"); /* which would beat the file */
    struct doctor_finding ret = examine(doctor_check_config, 0, &host);
    assert_finding(&ret, DOCTOR_OK, "does not exist, and need not", NULL);
    host_file(f, "/config/piagent/config.json", "{\"fedora_url\": 7}");
    ret = examine(doctor_check_config, 0, &host);
    assert_finding(&ret, DOCTOR_FAIL, "fedora_url", "correct ");
    ret = examine(doctor_check_keys, 0, &host);
    assert_int_equal(ret.verdict, DOCTOR_NONE);
    host_file(f, "/config/piagent/config.json", "{\"fedora_index_url\": \"http://127.0.0.1:1/\"}");
    ret = examine(doctor_check_config, 0, &host);
    assert_finding(&ret, DOCTOR_OK, "config.json", NULL);
    ret = examine(doctor_check_fedora, 0, &host);
    assert_finding(&ret, DOCTOR_WARN, "cannot fetch http://127.0.0.1:1", "need no network");
    ret =
        examine(doctor_check_fedora, 0, &(struct doctor_host){.root = "", .paths = &paths, .offline = true});
    assert_int_equal(ret.verdict, DOCTOR_NONE);
}

static void agent_is_judged(void **state)
{
    const struct folder *f = *state;
    struct pi_paths paths = paths_below(f);
    struct doctor_host host = {.root = f->path, .paths = &paths};
    struct doctor_finding ret = examine(doctor_check_agent, 0, &host);
    assert_finding(&ret, DOCTOR_OK, "no agent runs", NULL);
    host.agent.pid = 7;
    ret = examine(doctor_check_agent, 0, &host);
    assert_finding(&ret, DOCTOR_FAIL, "process 7 is the agent and does not answer", "piagent agent stop");
    host.agent = (struct doctor_agent){7, true, "0.0.9", 3, 2, "", 0};
    ret = examine(doctor_check_agent, 0, &host);
    assert_finding(&ret, DOCTOR_WARN, "version 0.0.9", "agent stop");
    host.agent = (struct doctor_agent){7, true, PIAGENT_VERSION, 3, 2, "", 0};
    ret = examine(doctor_check_agent, 0, &host);
    assert_finding(&ret, DOCTOR_OK, "3 instances, 2 running", NULL);
    strcpy(host.agent.metrics_failure, "another program listens");
    ret = examine(doctor_check_agent, 0, &host);
    assert_finding(&ret, DOCTOR_WARN, "serves no metrics: another program listens", "PIAGENT_METRICS");
}

static void networks_are_judged(void **state)
{
    static const struct {
        const char *networks;
        enum doctor_verdict verdict;
        const char *text, *remedy;
    } cases[] = {
        {"[]", DOCTOR_NONE, "", NULL},
        {"[{'name': 'lab', 'subnet': '10.77.0.0/24', 'members': []}]", DOCTOR_OK,
         "1 network, with members that run in 0", NULL},
        {"[{'name': 'lab', 'subnet': '10.77.0.0/24', 'switch_pid': 7, 'members': [{'state': 'ready'}]},"
         " {'name': 'old', 'subnet': '10.77.1.0/24', 'members': [{'state': 'stopped'}]}]",
         DOCTOR_OK, "2 networks, with members that run in 1", NULL},
        {"[{'name': 'lab', 'subnet': '10.77.0.0/24', 'members': [{'state': 'stopped'}, {'state': 'ready'}]}]",
         DOCTOR_WARN, "lab has members that run, but its switch does not", "network status lab"},
        {"[{'name': 'lab', 'subnet': '10.77.0.0/24', 'members': []}, {'name': 'x', 'reason': 'it is damaged', 'members': []}]",
         DOCTOR_WARN, "x: it is damaged", NULL},
        {"[{'name': 'lab', 'subnet': '172.17.4.0/24', 'members': []}]", DOCTOR_WARN,
         "lab is 172.17.4.0/24, and this host uses 172.17.0.0/16", "piagent network create"},
    };
    const struct vm_subnet used[] = {{{htonl(0x7f000000)}, 8}, {{htonl(0xac110000)}, 16}};
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        pi_auto_free char *text = strdup(cases[i].networks);
        for (char *quote = text; (quote = strchr(quote, '\''));)
            *quote = '"';
        json_auto_t *networks = json_loads(text, 0, NULL);
        struct doctor_finding ret = {.id = "networks"};
        assert_non_null(networks);
        doctor_judge_networks(networks, used, PI_ARRAY_SIZE(used), &ret);
        assert_finding(&ret, cases[i].verdict, cases[i].text, cases[i].remedy);
    }
}

static void clock_is_judged(void **state)
{
    static const struct {
        uint64_t now_s;
        enum doctor_verdict verdict;
        const char *text;
    } cases[] = {{0, DOCTOR_FAIL, "1970-01-01"},
                 {1800000000, DOCTOR_OK, "2027-01-15 08:00 UTC"},
                 {5000000000, DOCTOR_FAIL, "2128-06-11"}};
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct doctor_finding ret = examine(
            doctor_check_clock, 0, &(struct doctor_host){.root = "", .now_ms = cases[i].now_s * 1000});
        assert_finding(&ret, cases[i].verdict, cases[i].text,
                       cases[i].verdict == DOCTOR_OK ? NULL : "timedatectl set-ntp true");
    }
}

static void without_a_users_systemd_limits_are_said_to_be_missing(void **state)
{
    const struct folder *f = *state;
    setenv("XDG_RUNTIME_DIR", f->path, 1);
    struct doctor_finding ret = examine(doctor_check_user_manager, 0, &(struct doctor_host){.root = ""});
    assert_finding(&ret, DOCTOR_WARN, "--memory-max", "enable-linger");
}

static void report_counts_and_names_what_can_run(void **state)
{
    const struct folder *f = *state;
    struct pi_paths paths = paths_below(f);
    doctor_auto_report struct doctor_report report = {0};
    const struct doctor_host host = {
        .root = f->path, .paths = &paths, .offline = true, .now_ms = 1800000000000};
    program(f, "true", ":");
    assert_int_equal(doctor_examine(&host, &report, NULL), 0);
    assert_true(report.counts[DOCTOR_FAIL] >= 4); /* QEMU, qemu-img, ssh, gpg */
    assert_null(report.guests[0].arch);
    assert_string_equal(report.summary,
                        "this host can run no QEMU guest until the checks that fail are mended");

    json_auto_t *json = doctor_json(&report);
    const json_t *checks = json_object_get(json, "checks"), *check;
    size_t i, counts[DOCTOR_VERDICTS] = {0};
    assert_int_equal(json_array_size(checks), report.count);
    json_array_foreach((json_t *)checks, i, check) {
        const char *verdict = json_string_value(json_object_get(check, "verdict"));
        assert_true(*json_string_value(json_object_get(check, "text")));
        for (int v = DOCTOR_OK; v < DOCTOR_VERDICTS; v++)
            counts[v] += !strcmp(verdict, doctor_verdict_names[v]);
        if (!strcmp(verdict, "fail"))
            assert_true(*json_string_value(json_object_get(check, "remedy")));
    }
    const json_t *summary = json_object_get(json, "summary");
    for (int v = DOCTOR_OK; v < DOCTOR_VERDICTS; v++) {
        assert_int_equal(counts[v], report.counts[v]);
        assert_int_equal(json_integer_value(json_object_get(summary, doctor_verdict_names[v])), counts[v]);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(kvm_is_judged_by_why_it_cannot_be_used),
        TEST(kvm_that_is_missing_is_explained_by_the_hosts_files),
        TEST(device_that_is_no_kvm_runs_no_guest),
        TEST(small_guest_runs_where_kvm_is),
        TEST(distrust_of_this_boot_is_told_and_of_another_is_not),
        TEST(versions_of_qemu_are_judged),
        TEST(qemus_race_under_emulation_is_named_where_it_is_not_mended),
        TEST(qemu_img_that_fails_is_to_be_looked_at),
        TEST(qemu_of_the_other_architecture_may_be_missing),
        TEST(qemu_that_lacks_something_is_told),
        TEST(program_that_hangs_has_a_deadline),
        TEST(programs_are_needed_or_not),
        TEST(space_is_judged),
        TEST(memory_is_judged_within_the_limit_of_a_container),
        TEST(limits_are_judged),
        TEST(folders_are_looked_at_and_not_made),
        TEST(without_a_home_one_finding_says_so),
        TEST(long_paths_of_sockets_are_told),
        TEST(configuration_is_read),
        TEST(agent_is_judged),
        TEST(networks_are_judged),
        TEST(clock_is_judged),
        TEST(without_a_users_systemd_limits_are_said_to_be_missing),
        TEST(report_counts_and_names_what_can_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
