/* SPDX-License-Identifier: MIT */
#include "agent/vm/silence.h"

static bool has_died(const struct vm_silence *silence)
{
    return silence->console->disk_full || silence->console->cloud_init_died;
}

static bool may_be_at_work(const struct vm_silence *silence)
{
    if (has_died(silence))
        return !silence->missed && silence->console->reached < VM_LANDMARK_LOGIN;
    return silence->reported ||
           (!silence->missed && (silence->resumed || silence->console->reached < VM_LANDMARK_LOGIN));
}

static uint64_t earlier_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t vm_silence_end_ms(const struct vm_silence *silence)
{
    uint64_t heard = silence->heard_ms, newest = silence->printed_ms > heard ? silence->printed_ms : heard;
    if (silence->announced)
        return earlier_of(newest + VM_REBOOT_MS, heard + VM_NO_REBOOT_MS);
    if (may_be_at_work(silence))
        return newest + VM_SILENCE_LONG_MS;
    /* A line of the console counts less than a report, because any program may have printed it. */
    return earlier_of(newest + (silence->reported ? VM_SILENCE_CAP_MS : VM_SILENCE_MS),
                      heard + VM_SILENCE_CAP_MS);
}

const char *vm_silence_cause(const struct vm_silence *silence)
{
    if (silence->console->disk_full)
        return "its console says that its disk is full (No space left on device)";
    if (silence->console->cloud_init_died)
        return "its console says that cloud-init failed to start";
    if (silence->missed && (silence->seeded || silence->console->reached < VM_LANDMARK_LOGIN))
        return "it may have done so while no agent was running";
    if (silence->reported)
        return "it stopped reporting, or one of its scripts takes long";
    if (silence->seeded)
        return "it fetched its seed; the user-data may send its reports elsewhere (\"reporting\")";
    return silence->booted
               ? "it did not ask for its seed, and may be disabled (/etc/cloud/cloud-init.disabled)"
               : "it did not ask for its seed: the image may not have cloud-init, or have it disabled";
}
