/* SPDX-License-Identifier: MIT */
#include "agent/daemon/capacity.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/instance/instance.h"
#include "agent/vm/host_memory.h"
#include "agent/vm/kvm_trust.h"

static void read_memory(struct api_agent *ret)
{
    pi_auto_fclose FILE *file = fopen("/proc/meminfo", "re");
    unsigned long long kib;
    char line[128];
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "MemTotal: %llu kB", &kib) == 1)
            ret->memory_mib = kib >> 10;
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
            ret->memory_available_mib = kib >> 10;
    }
}

uint64_t capacity_promised_mib(const struct instance_host *host)
{
    const struct instance *instance;
    uint64_t mib = 0;
    LIST_FOREACH(instance, &host->instances, entry) {
        struct vm_spec spec = instance->record.spec;
        spec.accel = instance->record.accel;
        uint64_t most = vm_host_memory_mib(&spec), now = process_memory_bytes(instance) >> 20;
        if (vm_state_is_live(instance->record.life.state) && now < most)
            mib += most - now;
    }
    return mib;
}

void capacity_look(const struct instance_host *host, struct api_agent *ret)
{
    enum vm_arch arch = vm_arch_host();
    ret->arch = arch < VM_ARCHES ? (char *)vm_arch_names[arch] : NULL;
    ret->cpus = host->processors;
    ret->kvm = access(VM_KVM_DEVICE, R_OK | W_OK) == 0 && !vm_kvm_distrusted(host->runtime, host->boot_id);
    read_memory(ret);
}
