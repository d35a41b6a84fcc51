/* SPDX-License-Identifier: MIT */
/* A forward: what is taken, written out in full, is taken again and means the same. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/vm/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vm_forward forward, again;
    char full[32], *text = strndup((const char *)data, size);
    if (text && vm_forward_parse(text, &forward, NULL) == 0) {
        snprintf(full, sizeof full, "%s:%u:%u", forward.address, forward.host_port, forward.guest_port);
        if (vm_forward_parse(full, &again, NULL) < 0 || strcmp(again.address, forward.address) != 0 ||
            again.host_port != forward.host_port || again.guest_port != forward.guest_port)
            abort();
    }
    free(text);
    return 0;
}
