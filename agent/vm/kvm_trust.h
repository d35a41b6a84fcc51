/* SPDX-License-Identifier: MIT */
/* What is remembered of KVM: /dev/kvm opening proves nothing, and what guests found out holds for this boot
 * of the host. */
#ifndef PIAGENT_VM_KVM_TRUST_H
#define PIAGENT_VM_KVM_TRUST_H

#include <stdbool.h>

#define VM_KVM_DEVICE        "/dev/kvm"
#define VM_KVM_DISTRUST_FILE "kvm-runs-no-guest" /* in the runtime folder: the boot id in which it was so */

/* Whether a guest was found not to run on it in this boot of the host. */
bool vm_kvm_distrusted(const char *runtime_folder, const char *boot_id);

/* Remembers that. 0 or -errno. */
int vm_kvm_distrust(const char *runtime_folder, const char *boot_id);

#endif
