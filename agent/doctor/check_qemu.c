/* SPDX-License-Identifier: MIT */
/* Checks QEMU, its tools, and the firmware of its guests. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/doctor/check.h"
#include "agent/vm/argv.h"
#include "agent/vm/firmware.h"

/* -action and pvpanic-pci came with 6.0. The tests run with nothing older than Debian 12's QEMU. */
#define VERSION_MIN   "6.0"
#define VERSION_TRIED "7.2"
/* TCG locks a page before it translates it since 8.1.0 (commit deba78709ae8): see vm_landmarks.int3. */
#define VERSION_MENDED "8.1"

#define BIOS_FILE "bios-256k.bin"

/* A version as a number that can be compared: "7.2.22" is 7002; 0 if the text is no version. */
static unsigned version_number(const char *text)
{
    unsigned major, minor;
    return sscanf(text, "%u.%u", &major, &minor) == 2 && minor < 1000 ? major * 1000 + minor : 0;
}

/* The rest of the line after "version ", as --version prints it. */
static const char *after_version(const char *line)
{
    const char *found = strstr(line, "version ");
    return found ? found + strlen("version ") : "";
}

static void judge_version(const struct doctor_host *host, enum vm_arch arch, const char *path,
                          const char *line, struct doctor_finding *ret)
{
    const char *version = after_version(line);
    int length = (int)strcspn(version, " ");
    unsigned number = version_number(version);
    if (!number) {
        doctor_say(ret, DOCTOR_WARN, "%s does not say its version: '%.100s'", path, line);
    } else if (number < version_number(VERSION_MIN)) {
        doctor_say(ret, doctor_lacking(arch), "%.*s is too old, piagent needs " VERSION_MIN " or newer: %s",
                   length, version, path);
    } else if (number < version_number(VERSION_TRIED)) {
        doctor_say(ret, DOCTOR_WARN,
                   "%.*s is older than the versions that piagent is tested with (" VERSION_TRIED
                   " and newer): %s",
                   length, version, path);
        ret->works = true;
    } else {
        doctor_say(ret, DOCTOR_OK, "%.*s, %s%s", length, version, path,
                   arch == vm_arch_host() ? "" : "; its guests are emulated on this host");
        return;
    }
    doctor_mend_install(host, vm_qemu_packages(arch), ret);
}

void doctor_check_qemu(const struct doctor_host *host, int arg, struct doctor_finding *ret)
{
    enum vm_arch arch = (enum vm_arch)arg;
    pi_auto_buf struct pi_buf output = {0};
    pi_auto_free char *path = NULL;
    char line[256];
    struct pi_error err;
    if (pi_program_find(vm_qemu_program(arch), &path, &err) == 0 &&
        doctor_ask((const char *const[]){path, "--version", NULL}, &output, line, &err) == 0) {
        judge_version(host, arch, path, line, ret);
        return;
    }
    doctor_say(ret, doctor_lacking(arch), "%s", err.text);
    doctor_mend_program(host, path, "--version", vm_qemu_packages(arch), ret);
}

void doctor_check_emulation(const struct doctor_host *host, int arg, struct doctor_finding *ret)
{
    pi_auto_buf struct pi_buf output = {0};
    pi_auto_free char *path = NULL;
    char line[256];
    (void)host;
    if (pi_program_find(vm_qemu_program((enum vm_arch)arg), &path, NULL) < 0 ||
        doctor_ask((const char *const[]){path, "--version", NULL}, &output, line, NULL) < 0)
        return;
    unsigned number = version_number(after_version(line));
    if (!number || number >= version_number(VERSION_MENDED))
        return;
    doctor_say(ret, DOCTOR_WARN,
               "a race in QEMU before " VERSION_MENDED
               " kills some boots with more than one processor (Oops: int3); "
               "piagent begins such a boot again, once");
    doctor_mend(ret, "give emulated x86_64 instances --cpus 1, or install QEMU " VERSION_MENDED
                     " or newer (Debian 12: from bookworm-backports)");
}

static bool has_line(const char *text, const char *line)
{
    size_t length = strlen(line);
    for (const char *at = text; (at = strstr(at, line)); at += length)
        if ((at == text || at[-1] == '\n') && (at[length] == '\n' || !at[length]))
            return true;
    return false;
}

/* A QEMU that was built without libslirp has no user network, and one without libseccomp no sandbox. An
 * instance with --isolate needs no user network. */
void doctor_check_qemu_net(const struct doctor_host *host, int arg, struct doctor_finding *ret)
{
    enum vm_arch arch = (enum vm_arch)arg;
    pi_auto_buf struct pi_buf output = {0};
    pi_auto_free char *path = NULL;
    char line[256];
    struct pi_error err;
    if (pi_program_find(vm_qemu_program(arch), &path, NULL) < 0)
        return;
    if (doctor_ask((const char *const[]){path, "-machine", "none", "-sandbox", "on", "-netdev", "help", NULL},
                   &output, line, &err) < 0) {
        doctor_say(ret, doctor_lacking(arch), "%s", err.text);
        doctor_mend_program(host, path, "-machine none -sandbox on -netdev help", vm_qemu_packages(arch),
                            ret);
    } else if (!output.data || !has_line(output.data, "user")) {
        doctor_say(ret, doctor_lacking(arch),
                   "%s was built without the user network (libslirp): only "
                   "instances with --isolate have a network",
                   path);
        doctor_mend_install(host, vm_qemu_packages(arch), ret);
    } else if (!has_line(output.data, "dgram")) {
        doctor_say(
            ret, DOCTOR_WARN,
            "it has the user network and the sandbox, but instances cannot share a network: this needs "
            "QEMU 7.2 or newer (-netdev dgram)");
        ret->works = true;
        doctor_mend(ret, "install QEMU 7.2 or newer if instances are to share networks");
    } else {
        doctor_say(ret, DOCTOR_OK,
                   "it has the user network and the sandbox, and can join networks that instances share");
    }
}

void doctor_check_qemu_img(const struct doctor_host *host, int arg, struct doctor_finding *ret)
{
    pi_auto_buf struct pi_buf output = {0};
    pi_auto_free char *path = NULL;
    char line[256];
    struct pi_error err;
    (void)arg;
    if (pi_program_find("qemu-img", &path, &err) == 0 &&
        doctor_ask((const char *const[]){path, "--version", NULL}, &output, line, &err) == 0) {
        const char *version = after_version(line);
        doctor_say(ret, DOCTOR_OK, "%.*s", (int)strcspn(version, " "), version);
        return;
    }
    doctor_say(ret, DOCTOR_FAIL, "%s: piagent cannot make an instance's disk", err.text);
    doctor_mend_program(host, path, "--version", (struct vm_packages){"qemu-utils", "qemu-img"}, ret);
}

/* Looks for the file in each of the folders, which stand one a line. */
static bool find_bios(char *folders, char ret[PATH_MAX])
{
    for (char *folder, *rest = folders; (folder = strtok_r(rest, "\n", &rest));) {
        snprintf(ret, PATH_MAX, "%s/" BIOS_FILE, folder);
        if (access(ret, R_OK) == 0)
            return true;
    }
    return false;
}

void doctor_check_bios(const struct doctor_host *host, int arg, struct doctor_finding *ret)
{
    enum vm_arch arch = (enum vm_arch)arg;
    pi_auto_buf struct pi_buf output = {0};
    pi_auto_free char *path = NULL;
    char line[256], file[PATH_MAX];
    if (pi_program_find(vm_qemu_program(arch), &path, NULL) < 0 ||
        doctor_ask((const char *const[]){path, "-L", "help", NULL}, &output, line, NULL) < 0 || !output.data)
        return;
    if (find_bios(output.data, file)) {
        doctor_say(ret, DOCTOR_OK, "%s", file);
        return;
    }
    doctor_say(ret, doctor_lacking(arch), "QEMU finds no " BIOS_FILE ", which %s instances boot from",
               vm_arch_names[arch]);
    doctor_mend_install(host, (struct vm_packages){"seabios", "seabios-bin"}, ret);
}

/* On x86_64 only --firmware uefi needs it. */
void doctor_check_uefi(const struct doctor_host *host, int arg, struct doctor_finding *ret)
{
    enum vm_arch arch = (enum vm_arch)arg;
    struct vm_firmware_files files = {0};
    struct pi_error err;
    if (vm_firmware_find(arch, NULL, &files, &err) == 0) {
        doctor_say(ret, DOCTOR_OK, "%s", files.code);
        vm_firmware_done(&files);
        return;
    }
    doctor_say(ret, arch == VM_X86_64 ? DOCTOR_WARN : doctor_lacking(arch), "no UEFI for %s%s",
               vm_arch_names[arch], arch == VM_X86_64 ? "; only --firmware uefi needs it" : " is installed");
    doctor_mend_install(host, vm_firmware_packages(arch), ret);
}
