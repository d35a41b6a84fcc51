/* SPDX-License-Identifier: MIT */
#include "agent/doctor/examine.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/doctor/check.h"

const char *const doctor_verdict_names[DOCTOR_VERDICTS] = {
    [DOCTOR_NONE] = "none", [DOCTOR_OK] = "ok", [DOCTOR_WARN] = "warn", [DOCTOR_FAIL] = "fail"};

/* This check is left out if KVM runs the guests. */
#define DOCTOR_EMULATION "emulation-x86_64"

static const struct check {
    const char *group, *id, *what;
    doctor_check_fn *run;
    int arg;
} checks[] = {
    {"QEMU", "qemu-x86_64", "QEMU for x86_64", doctor_check_qemu, VM_X86_64},
    {"QEMU", "qemu-aarch64", "QEMU for aarch64", doctor_check_qemu, VM_AARCH64},
    {"QEMU", DOCTOR_EMULATION, "emulating x86_64", doctor_check_emulation, VM_X86_64},
    {"QEMU", "qemu-net-x86_64", "network for x86_64", doctor_check_qemu_net, VM_X86_64},
    {"QEMU", "qemu-net-aarch64", "network for aarch64", doctor_check_qemu_net, VM_AARCH64},
    {"QEMU", "qemu-img", "qemu-img", doctor_check_qemu_img, 0},
    {"QEMU", "kvm", "KVM", doctor_check_kvm, 0},
    {"firmware", "bios-x86_64", "BIOS for x86_64", doctor_check_bios, VM_X86_64},
    {"firmware", "uefi-x86_64", "UEFI for x86_64", doctor_check_uefi, VM_X86_64},
    {"firmware", "uefi-aarch64", "UEFI for aarch64", doctor_check_uefi, VM_AARCH64},
    {"programs", "ssh", "ssh", doctor_check_program, DOCTOR_SSH},
    {"programs", "scp", "scp", doctor_check_program, DOCTOR_COPY},
    {"programs", "gpg", "GnuPG", doctor_check_program, DOCTOR_GPG},
    {"programs", "cloud-init", "cloud-init", doctor_check_program, DOCTOR_CLOUD_INIT},
    {"room", "disk-instances", "disk for instances", doctor_check_disk, DOCTOR_INSTANCES},
    {"room", "disk-images", "disk for images", doctor_check_disk, DOCTOR_IMAGES},
    {"room", "memory", "memory", doctor_check_memory, 0},
    {"room", "limits", "limits", doctor_check_limits, 0},
    {"folders", "folder-instances", "instances", doctor_check_folder, DOCTOR_INSTANCES},
    {"folders", "folder-images", "images", doctor_check_folder, DOCTOR_IMAGES},
    {"folders", "folder-config", "configuration", doctor_check_folder, DOCTOR_CONFIG},
    {"folders", "runtime", "sockets", doctor_check_runtime, 0},
    {"folders", "config", "config.json", doctor_check_config, 0},
    {"session", "agent", "agent", doctor_check_agent, 0},
    {"session", "user-manager", "your systemd", doctor_check_user_manager, 0},
    {"session", "clock", "clock", doctor_check_clock, 0},
    {"network", "ports", "ports", doctor_check_ports, 0},
    {"network", "networks", "shared networks", doctor_check_networks, 0},
    {"network", "bridges", "bridges", doctor_check_bridges, 0},
    {"network", "keys", "signing keys", doctor_check_keys, 0},
    {"network", "fedora", "Fedora", doctor_check_fedora, 0},
};

struct job {
    const struct doctor_host *host;
    const struct check *check;
    struct doctor_finding *finding;
    pthread_t thread;
    bool started;
};

static void *run_job(void *user)
{
    struct job *job = user;
    job->check->run(job->host, job->check->arg, job->finding);
    return NULL;
}

/* Most checks wait for a program or a server. Run beside each other, they take as long as the slowest. */
static void run_all(const struct doctor_host *host, struct doctor_finding *findings)
{
    struct job jobs[PI_ARRAY_SIZE(checks)];
    for (size_t i = 0; i < PI_ARRAY_SIZE(checks); i++) {
        findings[i] =
            (struct doctor_finding){.id = checks[i].id, .group = checks[i].group, .what = checks[i].what};
        jobs[i] = (struct job){.host = host, .check = &checks[i], .finding = &findings[i]};
        jobs[i].started = pthread_create(&jobs[i].thread, NULL, run_job, &jobs[i]) == 0;
    }
    for (size_t i = 0; i < PI_ARRAY_SIZE(checks); i++) {
        if (jobs[i].started)
            pthread_join(jobs[i].thread, NULL);
        else
            run_job(&jobs[i]);
    }
}

static bool is_moot(const struct doctor_finding *finding, bool kvm_runs)
{
    return finding->verdict == DOCTOR_NONE ||
           (kvm_runs && vm_arch_host() == VM_X86_64 && !strcmp(finding->id, DOCTOR_EMULATION));
}

static bool kvm_runs(const struct doctor_finding *findings)
{
    for (size_t i = 0; i < PI_ARRAY_SIZE(checks); i++)
        if (checks[i].run == doctor_check_kvm)
            return findings[i].works;
    return false;
}

static bool check_works(const struct doctor_report *report, const char *what, enum vm_arch arch)
{
    char id[32];
    snprintf(id, sizeof id, "%s%s%s", what, arch < VM_ARCHES ? "-" : "",
             arch < VM_ARCHES ? vm_arch_names[arch] : "");
    for (size_t i = 0; i < report->count; i++)
        if (!strcmp(report->findings[i].id, id))
            return report->findings[i].works;
    return false;
}

/* An architecture can run if its QEMU, its network and its firmware work. */
static void find_guests(struct doctor_report *report)
{
    enum vm_arch host = vm_arch_host(), first = host == VM_ARCHES ? VM_X86_64 : host;
    const enum vm_arch order[] = {first, first == VM_X86_64 ? VM_AARCH64 : VM_X86_64};
    struct doctor_guest *guest = report->guests;
    for (size_t i = 0; i < PI_ARRAY_SIZE(order); i++) {
        if (check_works(report, "qemu", order[i]) && check_works(report, "qemu-net", order[i]) &&
            check_works(report, order[i] == VM_X86_64 ? "bios" : "uefi", order[i]))
            *guest++ = (struct doctor_guest){
                vm_arch_names[order[i]],
                order[i] == host && check_works(report, "kvm", VM_ARCHES) ? "kvm" : "tcg"};
    }
}

static const char *accel_text(const struct doctor_guest *guest)
{
    return !strcmp(guest->accel, "kvm") ? "KVM, or emulated if KVM fails" : "emulated";
}

static void summarize_report(struct doctor_report *report)
{
    const struct doctor_guest *g = report->guests;
    char guests[128];
    if (!g[0].arch) {
        snprintf(report->summary, sizeof report->summary, "this host can run no QEMU guest%s",
                 report->counts[DOCTOR_FAIL] ? " until the checks that fail are mended" : "");
        return;
    }
    snprintf(guests, sizeof guests, "%s guests (%s)%s%s%s%s%s", g[0].arch, accel_text(&g[0]),
             g[1].arch ? " and " : "", g[1].arch ? g[1].arch : "", g[1].arch ? " guests (" : "",
             g[1].arch ? accel_text(&g[1]) : "", g[1].arch ? ")" : "");
    snprintf(report->summary, sizeof report->summary, "%s %s",
             report->counts[DOCTOR_FAIL] ? "as soon as the checks that fail are mended, this host can run"
                                         : "this host can run",
             guests);
}

int doctor_examine(const struct doctor_host *host, struct doctor_report *ret, struct pi_error *err)
{
    struct doctor_report report = {.findings = calloc(PI_ARRAY_SIZE(checks), sizeof *report.findings)};
    if (!report.findings)
        return pi_fail(err, ENOMEM, "doctor");
    run_all(host, report.findings);
    bool kvm = kvm_runs(report.findings);
    for (size_t i = 0; i < PI_ARRAY_SIZE(checks); i++) {
        if (is_moot(&report.findings[i], kvm))
            continue;
        report.counts[report.findings[i].verdict]++;
        report.findings[report.count++] = report.findings[i];
    }
    find_guests(&report);
    summarize_report(&report);
    *ret = report;
    return 0;
}

void doctor_report_done(struct doctor_report *report)
{
    free(report->findings);
}

static json_t *finding_json(const struct doctor_finding *f)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s*}", "id", f->id, "group", f->group, "what", f->what,
                     "verdict", doctor_verdict_names[f->verdict], "text", f->text, "remedy",
                     f->remedy[0] ? f->remedy : NULL);
}

json_t *doctor_json(const struct doctor_report *report)
{
    json_auto_t *list = json_array(), *guests = json_array();
    int r = 0;
    for (size_t i = 0; i < report->count; i++)
        r |= json_array_append_new(list, finding_json(&report->findings[i]));
    for (size_t i = 0; i < PI_ARRAY_SIZE(report->guests) && report->guests[i].arch; i++)
        r |= json_array_append_new(guests, json_pack("{s:s, s:s}", "arch", report->guests[i].arch, "accel",
                                                     report->guests[i].accel));
    return r ? NULL
             : json_pack("{s:O, s:{s:i, s:i, s:i, s:s, s:O}}", "checks", list, "summary", "ok",
                         (int)report->counts[DOCTOR_OK], "warn", (int)report->counts[DOCTOR_WARN], "fail",
                         (int)report->counts[DOCTOR_FAIL], "text", report->summary, "guests", guests);
}
