/* SPDX-License-Identifier: MIT */
/* Checks if KVM can be used, and tells why not. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/proc.h"
#include "agent/doctor/check.h"
#include "agent/vm/kvm_trust.h"

#define TRIAL_MS 2000u

static bool exists_on_host(const struct doctor_host *host, const char *path)
{
    char whole[PATH_MAX];
    doctor_path(host, path, whole);
    return access(whole, F_OK) == 0;
}

/* Looks for a word in the flags of /proc/cpuinfo. */
static bool has_flag(const char *cpuinfo, const char *flag)
{
    size_t length = strlen(flag);
    const char *line = strstr(cpuinfo, "\nflags");
    const char *end = line ? strchr(line + 1, '\n') : NULL;
    for (const char *at = line; at && (at = strstr(at, flag)) && at < end; at += length)
        if (at[-1] == ' ' && strchr(" \n", at[length]))
            return true;
    return false;
}

static void look_at_processor(const struct doctor_host *host, struct doctor_kvm *ret)
{
    pi_auto_buf struct pi_buf cpuinfo = {0};
    doctor_read(host, "/proc/cpuinfo", &cpuinfo);
    bool intel = has_flag(cpuinfo.data, "vmx"), amd = has_flag(cpuinfo.data, "svm");
    ret->capable = intel || amd;
    ret->virtual = has_flag(cpuinfo.data, "hypervisor");
    snprintf(ret->module, sizeof ret->module, "%s", intel ? "kvm_intel" : amd ? "kvm_amd" : "");
    ret->container = exists_on_host(host, "/.dockerenv") || exists_on_host(host, "/run/.containerenv") ||
                     exists_on_host(host, "/run/systemd/container");
}

/* Reads the group's list of members. A session only has the groups that the user had when it began. */
static void look_at_group(gid_t gid, struct doctor_kvm *ret)
{
    char user[64];
    const struct group *group = getgrgid(gid); /* not thread-safe, but no other check asks for groups */
    snprintf(ret->group, sizeof ret->group, "%s", group ? group->gr_name : "kvm");
    doctor_user(user);
    for (char **member = group ? group->gr_mem : NULL; member && *member; member++)
        ret->in_group |= !strcmp(*member, user);
}

static void look_at_device(const char *path, struct doctor_kvm *ret)
{
    struct pi_error err = {0};
    struct stat st;
    pi_auto_close int fd = open(path, O_RDWR | O_CLOEXEC);
    ret->open_errno = fd < 0 ? errno : 0;
    if (fd < 0 && stat(path, &st) == 0)
        look_at_group(st.st_gid, ret);
    ret->ran = fd >= 0 && doctor_kvm_trial(path, TRIAL_MS, &err) == 0;
    snprintf(ret->failure, sizeof ret->failure, "%.255s", err.text);
}

void doctor_check_kvm(const struct doctor_host *host, int arg, struct doctor_finding *ret)
{
    struct doctor_kvm kvm = {0};
    char device[PATH_MAX], marker[PATH_MAX] = "", boot_id[PI_BOOT_ID_LENGTH + 1] = "";
    (void)arg;
    if (vm_arch_host() == VM_ARCHES) {
        doctor_say(ret, DOCTOR_WARN, "this host is neither x86_64 nor aarch64: all guests are emulated");
        return;
    }
    doctor_path(host, VM_KVM_DEVICE, device);
    look_at_processor(host, &kvm);
    look_at_device(device, &kvm);
    if (host->paths && pi_boot_id(boot_id, NULL) == 0) {
        kvm.distrusted = vm_kvm_distrusted(host->paths->runtime, boot_id);
        snprintf(marker, sizeof marker, "%s/" VM_KVM_DISTRUST_FILE, host->paths->runtime);
    }
    doctor_judge_kvm(&kvm, marker, ret);
}

/* The device is missing, or has no driver. */
static void judge_missing(const struct doctor_kvm *kvm, struct doctor_finding *ret)
{
    if (kvm->container) {
        doctor_say(ret, DOCTOR_WARN, "this container has no " VM_KVM_DEVICE ": guests are emulated");
        doctor_mend(ret, "start the container with --device " VM_KVM_DEVICE ", if its host has one");
    } else if (kvm->capable) {
        doctor_say(ret, DOCTOR_WARN,
                   "the processor supports KVM, but the kernel module %s is not loaded: guests are emulated",
                   kvm->module);
        doctor_mend(ret, "%smodprobe %s (if that fails, enable virtualization in the firmware setup)",
                    doctor_sudo(), kvm->module);
    } else if (kvm->virtual) {
        doctor_say(
            ret, DOCTOR_WARN,
            "this host is a virtual machine whose own host does not let it use KVM: guests are emulated");
        doctor_mend(ret, "on its host: allow nested virtualization (kvm_intel or kvm_amd with nested=1, "
                         "and the processor passed through)");
    } else {
        doctor_say(ret, DOCTOR_WARN, "there is no " VM_KVM_DEVICE ": guests are emulated");
        doctor_mend(ret, "enable virtualization (VT-x, AMD-V, SVM) in the firmware setup");
    }
}

static void judge_refused(const struct doctor_kvm *kvm, struct doctor_finding *ret)
{
    char user[64];
    doctor_user(user);
    doctor_say(ret, DOCTOR_WARN, "you may not open " VM_KVM_DEVICE ": guests are emulated");
    if (kvm->in_group)
        doctor_mend(ret, "log out and in again: you are in the group %s, but this session is older",
                    kvm->group);
    else if (!strcmp(kvm->group, "root"))
        doctor_mend(ret,
                    "sudo chgrp kvm " VM_KVM_DEVICE " && sudo chmod g+rw " VM_KVM_DEVICE
                    " && sudo usermod -aG kvm %s, then log in again",
                    user);
    else
        doctor_mend(ret, "sudo usermod -aG %s %s, then log in again", kvm->group, user);
}

static void judge_open(const struct doctor_kvm *kvm, const char *marker, struct doctor_finding *ret)
{
    if (!kvm->ran) {
        doctor_say(ret, DOCTOR_WARN,
                   VM_KVM_DEVICE " opens, but no guest runs on it (%s): guests are emulated", kvm->failure);
        doctor_mend(ret, kvm->virtual || kvm->container
                             ? "this host is virtual: allow nested virtualization on its own host"
                             : "see what the kernel says: sudo dmesg | grep -i kvm");
    } else if (kvm->distrusted) {
        doctor_say(ret, DOCTOR_WARN,
                   "a small guest runs, but a real one failed since this host booted: guests are emulated");
        doctor_mend(ret, "to try again: run an instance with --accel kvm, or rm %s", marker);
    } else {
        doctor_say(ret, DOCTOR_OK, "a small guest runs on it%s; if a real guest fails, piagent emulates it",
                   kvm->virtual ? " (this host is itself virtual)" : "");
    }
}

void doctor_judge_kvm(const struct doctor_kvm *kvm, const char *marker, struct doctor_finding *ret)
{
    switch (kvm->open_errno) {
    case 0:
        judge_open(kvm, marker, ret);
        break;
    case ENOENT:
    case ENODEV:
    case ENXIO:
        judge_missing(kvm, ret);
        break;
    case EACCES:
        judge_refused(kvm, ret);
        break;
    default:
        doctor_say(ret, DOCTOR_WARN, VM_KVM_DEVICE " cannot be opened: %s: guests are emulated",
                   strerror(kvm->open_errno));
        doctor_mend(ret, kvm->container ? "start the container with --device " VM_KVM_DEVICE
                                        : "see what the kernel says: sudo dmesg | grep -i kvm");
    }
}
