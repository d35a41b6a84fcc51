/* SPDX-License-Identifier: MIT */
/*
 * Tells if KVM can be trusted. An open /dev/kvm proves nothing: nested and unusual hosts create VMs and then
 * cannot run a guest. A finding holds for this boot of the host.
 */
#ifndef PIAGENT_INSTANCE_ACCEL_H
#define PIAGENT_INSTANCE_ACCEL_H

#include "agent/instance/host.h"
#include "agent/vm/record.h"

/*
 * Chooses the accelerator of a start: KVM if the guest's architecture is the host's, /dev/kvm opens, and no
 * guest was seen to fail on it. If the user asked for KVM by name and it cannot be used, that is PI_HOST with
 * the command that mends it; "auto" never fails.
 */
int accel_choose(const struct instance_host *host, const struct vm_spec *spec, enum vm_accel *ret,
                 struct pi_error *err);

/* Whether a start under TCG may replace the run under KVM. */
bool accel_may_fall_back(const struct vm_record *record);

/* Remembers in the runtime folder that no guest runs on KVM, until the host boots anew. */
void accel_distrust(const struct instance_host *host);

#endif
