/* SPDX-License-Identifier: MIT */
/* How much of its host's memory an instance takes, at most. Pure. */
#ifndef PIAGENT_VM_HOST_MEMORY_H
#define PIAGENT_VM_HOST_MEMORY_H

#include "agent/vm/spec.h"

/*
 * The guest's memory (0 = the default) and, beside it: QEMU's own with its devices, page tables, and the process of the network if
 * it is isolated; translated code, unless accel is KVM; and the two flash chips of 64 MiB that hold aarch64's UEFI, which QEMU reads as a
 * whole. With memory_max_mib that limit, which the kernel holds QEMU to. Looks at arch, accel and these two of the spec.
 */
uint64_t vm_host_memory_mib(const struct vm_spec *spec);

/* How much translated code QEMU may keep: half of what the limit leaves for it. */
uint64_t vm_code_mib(const struct vm_spec *spec);

#endif
