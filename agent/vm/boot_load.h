/* SPDX-License-Identifier: MIT */
/*
 * How much of a host's processors a boot takes, and how much there is. An emulated guest keeps a processor busy for its whole
 * boot: more of them than processors need more CPU time in all (scripts/bench stagger), and run into their own time limits. One
 * under KVM waits for its disk and the network most of the time, so that four share a processor. One that resumes takes a few
 * seconds of it until it accepts SSH, so that six may share it: more would not be in time with their identities on a busy host.
 * Pure.
 */
#ifndef PIAGENT_VM_BOOT_LOAD_H
#define PIAGENT_VM_BOOT_LOAD_H

#include <stdbool.h>
#include <stdint.h>

enum { VM_LOAD_RESUME = 2, VM_LOAD_KVM = 3, VM_LOAD_EMULATED = 12, VM_LOAD_PROCESSOR = VM_LOAD_EMULATED };

static inline unsigned vm_boot_load(bool emulated)
{
    return emulated ? VM_LOAD_EMULATED : VM_LOAD_KVM;
}

/* Whether there is room for it beside the sum of those that go on. One alone always finds it. */
static inline bool vm_boot_fits(unsigned load, unsigned others, uint64_t processors)
{
    return !others || others + load <= VM_LOAD_PROCESSOR * processors;
}

#endif
