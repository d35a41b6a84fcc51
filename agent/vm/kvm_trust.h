/* SPDX-License-Identifier: MIT */
/* Remembers that KVM failed to run a guest, for this boot of the host. That /dev/kvm can be opened proves
 * nothing. */
#ifndef PIAGENT_VM_KVM_TRUST_H
#define PIAGENT_VM_KVM_TRUST_H

#include <stdbool.h>

#define VM_KVM_DEVICE        "/dev/kvm"
#define VM_KVM_DISTRUST_FILE "kvm-runs-no-guest" /* in the runtime folder; holds the host's boot id */

/* Tells if KVM failed to run a guest in this boot of the host. */
bool vm_kvm_distrusted(const char *runtime_folder, const char *boot_id);

/* Remembers that it failed. 0 or -errno. */
int vm_kvm_distrust(const char *runtime_folder, const char *boot_id);

#endif
