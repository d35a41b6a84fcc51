/* SPDX-License-Identifier: MIT */
/* A record from disk: whatever can be read can be checked, turned into a command line, and freed. */
#include <stdint.h>

#include "agent/vm/argv.h"
#include "agent/vm/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vm_record record = {0};
    struct pi_error err;
    if (vm_record_parse((const char *)data, size, &record, &err) < 0)
        return 0;
    const struct vm_host host = {.qemu = "/qemu",
                                 .folder = "/a,b",
                                 .accel = VM_ACCEL_TCG,
                                 .qmp_fd = 3,
                                 .console_fd = 4,
                                 .isolator = "/piagent",
                                 .imds_socket = "/socket"};
    struct pi_strv argv = {0};
    vm_argv_build(&record.spec, &host, &argv, &err);
    pi_strv_done(&argv);
    vm_life_next(&record.life, &(struct vm_event){.type = VM_EVENT_ADOPTED});
    vm_record_done(&record);
    return 0;
}
