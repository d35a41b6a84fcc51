/* SPDX-License-Identifier: MIT */
/*
 * Tells the format of a disk image, and if it is safe to give to QEMU. It reads the first bytes, before QEMU
 * ever opens the image. The layout is QEMU's docs/interop/qcow2.txt; numbers are big-endian. Pure functions.
 */
#ifndef PIAGENT_IMAGE_QCOW2_H
#define PIAGENT_IMAGE_QCOW2_H

#include <stddef.h>
#include <stdint.h>

#include "agent/base/error.h"

enum image_format {
    IMAGE_QCOW2,
    IMAGE_RAW,
};

/* "qcow2", "raw", NULL: also the file's extension and QEMU's name of the driver. */
extern const char *const image_format_names[];

#define IMAGE_HEADER_MAX       65536u        /* bytes from the file's start that image_header_check() wants */
#define IMAGE_VIRTUAL_SIZE_MAX (16ull << 40) /* the default limit: 16 TiB */

struct image_header {
    enum image_format format;
    uint64_t virtual_size_bytes;
};

/*
 * Judges an image by its first size bytes (all of the file if it is shorter than IMAGE_HEADER_MAX). Refuses
 * with PI_UNVERIFIED a qcow2 that names a backing file or an external data file, is encrypted, is marked
 * corrupt, holds snapshots or dirty bitmaps, has an incompatible feature that piagent does not know, or whose
 * header QEMU would refuse (block/qcow2.c: lengths, limits, tables outside the file); a virtual size of 0 or
 * above virtual_size_max; and a file that is neither a qcow2 nor a raw disk (whole sectors, with the boot
 * signature of MBR and GPT disks: UEFI 2.10, 5.2.1).
 */
int image_header_check(const uint8_t *header, size_t size, uint64_t file_size, uint64_t virtual_size_max,
                       struct image_header *ret, struct pi_error *err);

/* The name of the backing file in the first size bytes of a qcow2; "" if it has none. -EBADMSG if this is not
 * a qcow2, or the name lies beyond these bytes. */
#define IMAGE_BACKING_MAX 1023 /* bytes */
int image_backing_file(const uint8_t *header, size_t size, char ret[IMAGE_BACKING_MAX + 1]);

#endif
