/* SPDX-License-Identifier: MIT */
/* The first bytes of a disk image that anyone may have made. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/image/arch.h"
#include "agent/image/qcow2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image_header header;
    char backing[IMAGE_BACKING_MAX + 1];
    if (image_backing_file(data, size, backing) == 0 && strlen(backing) > IMAGE_BACKING_MAX)
        abort();
    if (image_header_check(data, size, (uint64_t)1 << 20, IMAGE_VIRTUAL_SIZE_MAX, &header, NULL) == 0 &&
        (header.virtual_size_bytes == 0 || header.virtual_size_bytes > IMAGE_VIRTUAL_SIZE_MAX))
        abort();
    struct image_partitions partitions = image_partitions_read(data, size);
    if ((partitions.arches | image_esp_arches(data, size)) & ~(IMAGE_ARCH_X86_64 | IMAGE_ARCH_AARCH64))
        abort();
    return 0;
}
