/* SPDX-License-Identifier: MIT */
#include "agent/vm/state.h"

#include <stddef.h>

const char *const vm_state_names[] = {
    [VM_CREATED] = "created",     [VM_STARTING] = "starting", [VM_RUNNING] = "running",
    [VM_READY] = "ready",         [VM_PAUSED] = "paused",     [VM_SUSPENDED] = "suspended",
    [VM_STOPPING] = "stopping",   [VM_STOPPED] = "stopped",   [VM_FAILED] = "failed",
    [VM_LOST] = "lost",           [VM_SAVING] = "saving",     [VM_SAVED] = "saved",
    [VM_RESTORING] = "restoring", [VM_STATES] = NULL,
};

bool vm_state_is_live(enum vm_state state)
{
    switch (state) {
    case VM_CREATED:
    case VM_STOPPED:
    case VM_FAILED:
    case VM_LOST:
    case VM_SAVED:
        return false;
    default:
        return true;
    }
}

bool vm_state_runs(enum vm_state state)
{
    return state == VM_RUNNING || state == VM_READY;
}

bool vm_state_has_ended(enum vm_state state)
{
    return state == VM_STOPPED || state == VM_FAILED || state == VM_LOST;
}

bool vm_state_stands_still(enum vm_state state)
{
    return state == VM_PAUSED || state == VM_SUSPENDED;
}

bool vm_state_is_saved(enum vm_state state)
{
    return state == VM_SAVING || state == VM_SAVED || state == VM_RESTORING;
}

bool vm_state_rests(enum vm_state state)
{
    return vm_state_stands_still(state) || vm_state_is_saved(state);
}
