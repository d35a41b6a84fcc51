/* SPDX-License-Identifier: MIT */
/*
 * Tells which architecture a disk image was made for, if its partitions leave no doubt. It looks at the types
 * of the GPT partitions (UEFI 2.10, 5.3; the Discoverable Partitions Specification), and at the boot loader
 * that firmware starts from the EFI system partition, \EFI\BOOT\BOOTX64.EFI or BOOTAA64.EFI (UEFI 2.10,
 * 3.5.1.1).
 */
#ifndef PIAGENT_IMAGE_ARCH_H
#define PIAGENT_IMAGE_ARCH_H

#include <stddef.h>
#include <stdint.h>

#include "agent/base/error.h"
#include "agent/image/provenance.h"

/* A set of architectures. */
#define IMAGE_ARCH_X86_64  (1u << 0)
#define IMAGE_ARCH_AARCH64 (1u << 1)

#define IMAGE_ARCH_TABLE_BYTES (1u << 20)  /* what image_partitions_read() wants of a disk */
#define IMAGE_ARCH_ESP_BYTES   (16u << 20) /* what image_esp_arches() wants of an EFI system partition */

struct image_partitions {
    unsigned arches;     /* those that the partitions' types name */
    uint64_t esp_offset; /* bytes from the disk's start; 0 = there is no EFI system partition */
};

/* Reads the partition table in the first size bytes of a disk. Without a GPT there are no partitions.
 * Pure. */
struct image_partitions image_partitions_read(const uint8_t *disk, size_t size);

/* Finds the boot loaders in the first size bytes of an EFI system partition, and returns their architectures.
 * It searches for folder entries with the files' names, without reading the file system. Pure. */
unsigned image_esp_arches(const uint8_t *esp, size_t size);

/* Notes in image->partitions_arch which architecture a stored image is for: its name, or "unsure". qemu-img reads the image
 * and writes a temporary file in folder. This takes a moment: for workers. 0 or -errno: it cannot be read now. */
int image_arch_find(struct image *image, const char *folder);

/* Refuses (PI_USAGE) an image that is surely for another architecture than arch, by what was noted. */
int image_arch_check(const struct image *image, const char *arch, struct pi_error *err);

/* Refuses in the same way a file whose name is one of Fedora's (name.h) for another architecture. */
int image_arch_check_name(const char *name, const char *arch, struct pi_error *err);

#endif
