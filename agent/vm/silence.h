/* SPDX-License-Identifier: MIT */
/*
 * For a guest whose cloud-init does not report. Decides how long the agent waits for a report, and why none
 * may come. After that time an answer of the guest's SSH server proves that the guest is up. Pure.
 */
#ifndef PIAGENT_VM_SILENCE_H
#define PIAGENT_VM_SILENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/vm/landmark.h"

/* How long without any sign from the guest. sshd starts after the first stage of cloud-init that reports. So
 * a login prompt and an SSH server, but no report, mean that no report will come. */
#define VM_SILENCE_MS     15000u
#define VM_SILENCE_CAP_MS 120000u /* at most, for a guest that prints without end */
/* The same if cloud-init may still be at work: it has reported, or no login prompt has come. A script may
 * take long and print nothing. */
#define VM_SILENCE_LONG_MS 600000u
/* The same if cloud-init announced a reboot that does not come. */
#define VM_REBOOT_MS    30000u
#define VM_NO_REBOOT_MS 180000u /* a guest that prints without end, or whose SSH server does not answer */

/* The facts about a boot; times on the monotonic clock. */
struct vm_silence {
    const struct vm_landmarks *console;
    bool missed;   /* this agent got no report, but some may have come before it ran */
    bool resumed;  /* from a template: its prompt and its SSH server were there before its cloud-init began */
    bool seeded;   /* the guest asked for its seed */
    bool reported; /* its cloud-init reported */
    bool announced;      /* its cloud-init is done, and has announced a reboot */
    bool booted;         /* it was ready in an earlier boot */
    uint64_t heard_ms;   /* the latest sign of the boot: its beginning, a landmark, the seed, a report */
    uint64_t printed_ms; /* when its console printed last */
};

/* The time from which an answer of the SSH server shows that the guest is up. */
uint64_t vm_silence_end_ms(const struct vm_silence *silence);

/* Why cloud-init may not have reported, as a clause for people. */
const char *vm_silence_cause(const struct vm_silence *silence);

#endif
