/* SPDX-License-Identifier: MIT */
/* Compressed images that anyone may have made, in pieces as a network brings them. The first byte chooses the
 * format and the size of the pieces. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/image/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char sha256[IMAGE_SHA256_LENGTH + 1];
    uint64_t unpacked;
    pi_auto_image_unpack struct image_unpack *unpack = NULL;
    if (size == 0)
        return 0;
    size_t piece = (data[0] >> 1) + 1u;
    int fd = memfd_create("unpacked", MFD_CLOEXEC);
    int r = fd < 0 ? -1 : image_unpack_new(data[0] & 1 ? IMAGE_XZ : IMAGE_ZST, fd, &unpack, NULL);
    for (size_t at = 1; at < size && r == 0; at += piece)
        r = image_unpack_feed(unpack, data + at, size - at < piece ? size - at : piece, NULL);
    if (r == 0 && image_unpack_finish(unpack, &unpacked, sha256, NULL) == 0 &&
        (uint64_t)lseek(fd, 0, SEEK_END) != unpacked)
        abort();
    close(fd);
    return 0;
}
