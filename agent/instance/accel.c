/* SPDX-License-Identifier: MIT */
#include "agent/instance/accel.h"

#include <errno.h>
#include <fcntl.h>

#include "agent/base/auto.h"
#include "agent/loop/log.h"
#include "agent/vm/kvm_trust.h"

void accel_distrust(const struct instance_host *host)
{
    if (vm_kvm_distrust(host->runtime, host->boot_id) < 0)
        log_line("cannot remember that KVM runs no guest here: each start will try it again");
}

/* 0, or an error that says why KVM cannot be used for the spec. */
static int check_kvm(const struct vm_spec *spec, struct pi_error *err)
{
    if (spec->arch != vm_arch_host())
        return pi_refuse(
            err, PI_HOST,
            "KVM runs guests of this host's own architecture only, not %s: leave out --accel, or say --accel tcg",
            vm_arch_names[spec->arch]);
    pi_auto_close int fd = open(VM_KVM_DEVICE, O_RDWR | O_CLOEXEC);
    if (fd >= 0)
        return 0;
    if (errno == EACCES)
        return pi_refuse(err, PI_HOST,
                         "/dev/kvm may not be opened by you: sudo usermod -aG kvm $USER, then log in anew");
    if (errno == ENOENT)
        return pi_refuse(
            err, PI_HOST,
            "there is no /dev/kvm: enable virtualization in the firmware setup and load kvm_intel or kvm_amd, or leave out --accel");
    return pi_fail(err, errno, "/dev/kvm");
}

int accel_choose(const struct instance_host *host, const struct vm_spec *spec, enum vm_accel *ret,
                 struct pi_error *err)
{
    int r = spec->accel == VM_ACCEL_TCG ? -ENOTSUP : check_kvm(spec, err);
    if (spec->accel == VM_ACCEL_KVM && r < 0)
        return r;
    *ret = r == 0 && (spec->accel == VM_ACCEL_KVM || !vm_kvm_distrusted(host->runtime, host->boot_id))
               ? VM_ACCEL_KVM
               : VM_ACCEL_TCG;
    return 0;
}

bool accel_may_fall_back(const struct vm_record *record)
{
    return record->spec.accel == VM_ACCEL_AUTO && record->accel == VM_ACCEL_KVM;
}
