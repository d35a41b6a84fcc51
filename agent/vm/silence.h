/* SPDX-License-Identifier: MIT */
/*
 * A guest that came up and whose cloud-init does not report: how long that is waited for, and what may be the
 * reason. Pure: what was seen of the boot in, times and words out. Whether the guest is up is proven by its
 * SSH server, which is asked when the time has come.
 */
#ifndef PIAGENT_VM_SILENCE_H
#define PIAGENT_VM_SILENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/vm/landmark.h"

/* Without anything from the guest. sshd starts after the stage of cloud-init that reports first, so that a
 * login prompt, an SSH server and no report mean that none will come. */
#define VM_SILENCE_MS     15000u
#define VM_SILENCE_CAP_MS 120000u /* a guest that prints without end is not waited for longer */
/* The same where cloud-init may be at work: it has reported, or no login prompt was seen. A script may well
 * take long, and say nothing. */
#define VM_SILENCE_LONG_MS 600000u
/* The same where a reboot was announced, and does not come. */
#define VM_REBOOT_MS    30000u
#define VM_NO_REBOOT_MS 180000u /* a guest that prints without end, or whose SSH server does not answer */

/* What was seen of a boot; times on the monotonic clock. */
struct vm_silence {
    const struct vm_landmarks *console;
    bool missed;       /* reports may have come before this agent ran, and it has heard none */
    bool seeded;       /* the guest asked for its seed */
    bool reported;     /* its cloud-init reported */
    bool announced;    /* it is done, and has announced a reboot */
    bool booted;       /* it was ready in an earlier boot */
    uint64_t heard_ms; /* when anything of the boot was heard last: its beginning, a landmark, seed, report */
    uint64_t printed_ms; /* when its console printed last */
};

/* From when on an SSH server that answers shows that the guest is up. */
uint64_t vm_silence_end_ms(const struct vm_silence *silence);

/* Why cloud-init may not have reported: a clause for people. */
const char *vm_silence_cause(const struct vm_silence *silence);

#endif
