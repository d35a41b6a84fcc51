/* SPDX-License-Identifier: MIT */
/* What holds of a life. */
#include "agent/vm/life.h"

bool vm_life_has_saved_state(const struct vm_life *life)
{
    return vm_state_is_saved(life->state) && (life->state != VM_RESTORING || !life->committed);
}

bool vm_life_is_loading(const struct vm_life *life)
{
    return life->state == VM_RESTORING && !life->committed;
}

bool vm_life_is_saved_whole(const struct vm_life *life)
{
    return life->state == VM_SAVING && life->committed;
}

bool vm_life_is_starting(const struct vm_life *life)
{
    return (life->state == VM_STARTING || vm_life_is_loading(life)) && life->rung == VM_RUNG_NONE;
}

bool vm_life_is_gone(const struct vm_life *life)
{
    return life->creation == VM_CREATION_GONE;
}

bool vm_life_has_ended(const struct vm_life *life)
{
    return vm_state_has_ended(life->state);
}

bool vm_life_boots(const struct vm_life *life)
{
    /* The error stops the vCPUs. The STOP event may have come before. */
    return life->state == VM_STARTING || life->state == VM_RUNNING ||
           (life->state == VM_PAUSED && !life->was_ready);
}
