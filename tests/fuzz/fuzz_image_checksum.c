/* SPDX-License-Identifier: MIT */
/* CHECKSUM files, as a hostile server may send them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/image/checksum.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image_checksum found;
    if (image_checksum_find((const char *)data, size, "x.qcow2", &found, NULL) == 0 &&
        strlen(found.sha256) != IMAGE_SHA256_LENGTH)
        abort();
    return 0;
}
