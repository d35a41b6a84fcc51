/* SPDX-License-Identifier: MIT */
#include "agent/vm/host_memory.h"

#define FLASH_MIB    128u
#define CODE_MIB_MAX 1024u /* QEMU's own default */

static uint64_t flash_mib(const struct vm_spec *spec)
{
    return spec->arch == VM_AARCH64 ? FLASH_MIB : 0;
}

uint64_t vm_host_memory_mib(const struct vm_spec *spec)
{
    if (spec->memory_max_mib)
        return spec->memory_max_mib;
    uint64_t guest_mib = spec->memory_mib ? spec->memory_mib : VM_MEMORY_MIB_DEFAULT;
    return guest_mib + VM_OWN_MIB + (spec->accel == VM_ACCEL_KVM ? 0 : VM_CODE_MIB) + flash_mib(spec);
}

uint64_t vm_code_mib(const struct vm_spec *spec)
{
    if (!spec->memory_max_mib)
        return VM_CODE_MIB;
    uint64_t mib = (spec->memory_max_mib - spec->memory_mib - flash_mib(spec)) / 2;
    return mib < CODE_MIB_MAX ? mib : CODE_MIB_MAX;
}
