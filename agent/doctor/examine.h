/* SPDX-License-Identifier: MIT */
/*
 * Finds out what this host can do. A table of checks: each gives a verdict, what it found, and a remedy.
 *
 * It changes nothing, and needs and starts no agent. The checks run beside each other. None waits longer than
 * DOCTOR_LIMIT_MS for a program, so that all of them take about two seconds, and never more than that limit.
 *
 * As JSON (doctor_json()), one object:
 *
 *   {"checks": [{"id": "kvm", "group": "acceleration", "what": "KVM", "verdict": "ok"|"warn"|"fail",
 *                "text": TEXT, "remedy": TEXT}...],               remedy is left out if there is none
 *    "summary": {"ok": N, "warn": N, "fail": N, "text": TEXT,
 *                "guests": [{"arch": "x86_64", "accel": "kvm"|"tcg"}...]}}    what this host can run
 *
 * "fail": instances of this host's own architecture cannot run without it. "warn": they lack something, or
 * instances of the other architecture cannot run. Ids are stable. A check that does not apply is left out.
 */
#ifndef PIAGENT_DOCTOR_EXAMINE_H
#define PIAGENT_DOCTOR_EXAMINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/base/error.h"
#include "agent/base/paths.h"

#define DOCTOR_LIMIT_MS 4000u /* how long a check waits for a program or a server */

enum doctor_verdict {
    DOCTOR_NONE /* does not apply */,
    DOCTOR_OK,
    DOCTOR_WARN,
    DOCTOR_FAIL,
    DOCTOR_VERDICTS
};
extern const char *const doctor_verdict_names[DOCTOR_VERDICTS]; /* "ok", "warn", "fail" */

/* The caller asks the agent, and fills this in. */
struct doctor_agent {
    pid_t pid;        /* the process that holds the agent's lock; 0 = none */
    bool answers;     /* if so, the members below are set */
    char version[32]; /* of its program */
    uint64_t instances, running;
    char metrics_failure[256]; /* why it does not serve metrics where it was to; "" = it does */
    uint64_t promised_mib;     /* that instances which run may still take */
};

/* The host that the checks look at. A test makes one up. The checks read PATH, HOME and the like from the
 * environment. */
struct doctor_host {
    const char *root;             /* put before /dev, /proc, /sys, /etc and /var: "", except in tests */
    const struct pi_paths *paths; /* NULL if pi_paths_find() failed; then paths_error says why */
    const char *paths_error;
    struct doctor_agent agent;
    const json_t *networks; /* that instances share, as GET /v1/networks lists them; NULL = not known */
    uint64_t now_ms;        /* CLOCK_REALTIME */
    bool offline;           /* ask no server */
};

struct doctor_finding {
    const char *id, *group, *what;
    enum doctor_verdict verdict;
    bool works;       /* it can be used, perhaps with a warning */
    char text[512];   /* one line, clean */
    char remedy[512]; /* a command, or what to do; "" = nothing to mend */
};

struct doctor_guest {
    const char *arch;  /* guests of it can run here; NULL = none */
    const char *accel; /* "kvm", "tcg" */
};

struct doctor_report {
    struct doctor_finding *findings;
    size_t count;
    unsigned counts[DOCTOR_VERDICTS];
    struct doctor_guest guests[2]; /* this host's own architecture first */
    char summary[256];
};

/* 0, or -ENOMEM. */
int doctor_examine(const struct doctor_host *host, struct doctor_report *ret, struct pi_error *err);
void doctor_report_done(struct doctor_report *report);
#define doctor_auto_report __attribute__((cleanup(doctor_report_done)))

/* New reference; NULL without memory. */
json_t *doctor_json(const struct doctor_report *report);

#endif
