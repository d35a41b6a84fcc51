/* SPDX-License-Identifier: MIT */
/*
 * What this host can do: a table of checks, each with a verdict, what was found, and what would mend it.
 *
 * Nothing is changed, no agent is needed and none is started. The checks run beside each other, programs that
 * they ask have a deadline, and all of it takes about two seconds and never more than DOCTOR_LIMIT_MS.
 *
 * As JSON (doctor_json()), one object:
 *
 *   {"checks": [{"id": "kvm", "group": "acceleration", "what": "KVM", "verdict": "ok"|"warn"|"fail",
 *                "text": TEXT, "remedy": TEXT}...],               remedy is left out where there is none
 *    "summary": {"ok": N, "warn": N, "fail": N, "text": TEXT,
 *                "guests": [{"arch": "x86_64", "accel": "kvm"|"tcg"}...]}}    what this host can run
 *
 * "fail" is what machines of this host's own architecture cannot do without; "warn", what they lack, or what
 * the other architecture does. Ids are stable; a check that does not apply is left out.
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

#define DOCTOR_LIMIT_MS 4000u /* for a program or server that is asked */

enum doctor_verdict {
    DOCTOR_NONE /* does not apply */,
    DOCTOR_OK,
    DOCTOR_WARN,
    DOCTOR_FAIL,
    DOCTOR_VERDICTS
};
extern const char *const doctor_verdict_names[DOCTOR_VERDICTS]; /* "ok", "warn", "fail" */

/* What the caller found out of the agent. */
struct doctor_agent {
    pid_t pid;        /* holds the agent's lock; 0 = none does */
    bool answers;     /* and then: */
    char version[32]; /* of its program */
    uint64_t instances, running;
};

/* Where the checks look, so that each state can be had in a test. PATH, HOME and the like are read from the
 * environment. */
struct doctor_host {
    const char *root;             /* before /dev, /proc, /sys, /etc and /var: "" but in tests */
    const struct pi_paths *paths; /* NULL where pi_paths_find() fails, with: */
    const char *paths_error;
    struct doctor_agent agent;
    uint64_t now_ms; /* CLOCK_REALTIME */
    bool offline;    /* asks no server */
};

struct doctor_finding {
    const char *id, *group, *what;
    enum doctor_verdict verdict;
    bool works;       /* what was looked at is there and can be used, also where there is something to say */
    char text[512];   /* one line, clean */
    char remedy[512]; /* a command or what to do; "" = nothing to mend */
};

struct doctor_guest {
    const char *arch;  /* a guest of it can run here; NULL = none */
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
