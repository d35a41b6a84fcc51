/* SPDX-License-Identifier: MIT */
/*
 * Which architecture a disk image was made for, so far as its partitions are sure of it: the types of its GPT
 * partitions (UEFI 2.10, 5.3; the Discoverable Partitions Specification), and the boot loader that firmware
 * starts from the EFI system partition, \EFI\BOOT\BOOTX64.EFI or BOOTAA64.EFI (UEFI 2.10, 3.5.1.1).
 */
#ifndef PIAGENT_IMAGE_ARCH_H
#define PIAGENT_IMAGE_ARCH_H

#include <stddef.h>
#include <stdint.h>

#include "agent/base/error.h"

/* A set of architectures. */
#define IMAGE_ARCH_X86_64  (1u << 0)
#define IMAGE_ARCH_AARCH64 (1u << 1)

#define IMAGE_ARCH_TABLE_BYTES (1u << 20)  /* what image_partitions_read() wants of a disk */
#define IMAGE_ARCH_ESP_BYTES   (16u << 20) /* what image_esp_arches() wants of an EFI system partition */

struct image_partitions {
    unsigned arches;     /* that the partitions' types name */
    uint64_t esp_offset; /* bytes from the disk's start; 0 = there is no EFI system partition */
};

/* Reads the partition table of a disk by its first size bytes. Pure: what is no GPT has no partitions. */
struct image_partitions image_partitions_read(const uint8_t *disk, size_t size);

/* The architectures whose boot loader an EFI system partition holds, by its first size bytes. Pure: it looks
 * for the files' entries of folders, without following the file system. */
unsigned image_esp_arches(const uint8_t *esp, size_t size);

/*
 * Refuses (PI_USAGE) an image, called name, that is sure to be for another architecture than arch. path and
 * format are as QEMU takes them. qemu-img reads the image, with a file in folder that does not stay; this
 * takes a moment (for workers). An image that cannot be read, or says nothing, is not refused.
 */
int image_arch_check(const char *path, const char *format, const char *name, const char *arch,
                     const char *folder, struct pi_error *err);

/* Refuses in the same way a file whose name is one of Fedora's for another architecture (name.h). */
int image_arch_check_name(const char *name, const char *arch, struct pi_error *err);

#endif
