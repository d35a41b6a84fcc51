/* SPDX-License-Identifier: MIT */
/*
 * Whether to believe in KVM. /dev/kvm opening proves nothing: nested and unusual hosts create VMs and then
 * cannot run a guest. What was found out holds for this boot of the host.
 */
#ifndef PIAGENT_INSTANCE_ACCEL_H
#define PIAGENT_INSTANCE_ACCEL_H

#include "agent/instance/host.h"
#include "agent/vm/record.h"

/*
 * What a start uses: KVM where the guest's architecture is the host's, /dev/kvm opens, and it was not found
 * out to run no guests. Asked for by name, KVM that cannot be is PI_HOST with the command that mends it;
 * "auto" never fails.
 */
int accel_choose(const struct instance_host *host, const struct vm_spec *spec, enum vm_accel *ret,
                 struct pi_error *err);

/* Whether a start under TCG may replace the run under KVM. */
bool accel_may_fall_back(const struct vm_record *record);

/* No guest runs on it: remembered in the runtime folder until the host boots anew. */
void accel_distrust(const struct instance_host *host);

#endif
