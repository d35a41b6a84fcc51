/* SPDX-License-Identifier: MIT */
/* A firmware descriptor, for both architectures. */
#include <stdint.h>
#include <stdlib.h>

#include "agent/vm/firmware.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int arch = 0; arch < VM_ARCHES; arch++) {
        struct vm_firmware_files files = {0};
        struct pi_error err;
        int r = vm_firmware_parse((const char *)data, size, (enum vm_arch)arch, &files, &err);
        if ((r == 1) != (files.code && files.code_format && files.vars && files.vars_format))
            abort();
        vm_firmware_done(&files);
    }
    return 0;
}
