/* SPDX-License-Identifier: MIT */
#include "agent/image/arch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/proc.h"
#include "agent/image/name.h"

#define SECTOR       512u
#define READ_MS      20000u
#define SCRATCH_FILE ".partitions"
#define UNSURE       "unsure"

/* GPT (UEFI 2.10, 5.3.2 and 5.3.3): the offsets of the header's fields, and of an entry's. */
enum {
    AT_ENTRIES_LBA = 72,
    AT_ENTRIES = 80,
    AT_ENTRY_SIZE = 84,
    HEADER_SIZE = 92,
    AT_FIRST_LBA = 32,
    ENTRY_SIZE_MIN = 128,
};

/* A FAT folder's entry (Microsoft's FAT specification, "Directory Structure"). */
enum {
    FAT_ENTRY = 32,
    FAT_NAME = 11,
    AT_ATTRIBUTES = 11,
    FAT_VOLUME_OR_FOLDER = 0x18,
};

static const char *const arch_names[] = {"x86_64", "aarch64"}; /* by the bits' numbers */

/* The first three fields of a GUID are little-endian on disk. */
struct guid {
    uint32_t a;
    uint16_t b, c;
    uint8_t d[8];
};

static const struct {
    struct guid type;
    unsigned arches; /* 0 = the EFI system partition */
} types[] = {
    {{0xc12a7328, 0xf81f, 0x11d2, {0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b}}, 0},
    /* Root and /usr, by the Discoverable Partitions Specification. */
    {{0x4f68bce3, 0xe8cd, 0x4db1, {0x96, 0xe7, 0xfb, 0xca, 0xf9, 0x84, 0xb7, 0x09}}, IMAGE_ARCH_X86_64},
    {{0x8484680c, 0x9521, 0x48c6, {0x9c, 0x11, 0xb0, 0x72, 0x06, 0x56, 0xf6, 0x9e}}, IMAGE_ARCH_X86_64},
    {{0xb921b045, 0x1df0, 0x41c3, {0xaf, 0x44, 0x4c, 0x6f, 0x28, 0x0d, 0x3f, 0xae}}, IMAGE_ARCH_AARCH64},
    {{0xb0e01050, 0xee5f, 0x4390, {0x94, 0x9a, 0x91, 0x01, 0xb1, 0x71, 0x04, 0xe9}}, IMAGE_ARCH_AARCH64},
    /* GRUB's BIOS boot partition: only PCs have a BIOS. */
    {{0x21686148, 0x6449, 0x6e6f, {0x74, 0x4e, 0x65, 0x65, 0x64, 0x45, 0x46, 0x49}}, IMAGE_ARCH_X86_64},
};

static uint32_t read_le32(const uint8_t *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static uint64_t read_le64(const uint8_t *p)
{
    return (uint64_t)read_le32(p + 4) << 32 | read_le32(p);
}

static bool is_type(const uint8_t *p, const struct guid *type)
{
    return read_le32(p) == type->a && read_le32(p + 4) == ((uint32_t)type->c << 16 | type->b) &&
           !memcmp(p + 8, type->d, sizeof type->d);
}

static void add_partition(const uint8_t *entry, struct image_partitions *ret)
{
    uint64_t first = read_le64(entry + AT_FIRST_LBA);
    for (size_t i = 0; i < PI_ARRAY_SIZE(types); i++) {
        if (!is_type(entry, &types[i].type))
            continue;
        ret->arches |= types[i].arches;
        if (!types[i].arches && first <= UINT64_MAX / SECTOR)
            ret->esp_offset = first * SECTOR;
    }
}

struct image_partitions image_partitions_read(const uint8_t *disk, size_t size)
{
    struct image_partitions ret = {0};
    if (size < 2 * (size_t)SECTOR || memcmp(disk + SECTOR, "EFI PART", 8) != 0)
        return ret;
    const uint8_t *header = disk + SECTOR;
    uint64_t lba = read_le64(header + AT_ENTRIES_LBA), step = read_le32(header + AT_ENTRY_SIZE);
    uint64_t count = read_le32(header + AT_ENTRIES), at = lba * SECTOR;
    if (lba > size / SECTOR || step < ENTRY_SIZE_MIN || step > SECTOR)
        return ret;
    for (; count > 0 && at + step <= size; count--, at += step)
        add_partition(disk + at, &ret);
    return ret;
}

unsigned image_esp_arches(const uint8_t *esp, size_t size)
{
    static const char files[][FAT_NAME + 1] = {"BOOTX64 EFI", "BOOTAA64EFI"};
    unsigned arches = 0;
    for (size_t at = 0; at + FAT_ENTRY <= size; at += FAT_ENTRY)
        for (unsigned i = 0; i < PI_ARRAY_SIZE(files); i++)
            if (!memcmp(esp + at, files[i], FAT_NAME) && !(esp[at + AT_ATTRIBUTES] & FAT_VOLUME_OR_FOLDER))
                arches |= 1u << i;
    return arches;
}

/* Bytes of the disk that is in the image, also of a compressed one. */
static int read_disk(const char *path, const char *format, const char *folder, uint64_t offset, size_t bytes,
                     struct pi_buf *ret)
{
    char scratch[PATH_MAX], from[PATH_MAX + 4], to[PATH_MAX + 4], unit[32], skip[48], count[48];
    uint64_t block = bytes;
    while (offset % block)
        block /= 2;
    if (block < SECTOR || snprintf(scratch, sizeof scratch, "%s/" SCRATCH_FILE, folder) >= PATH_MAX)
        return -EINVAL;
    snprintf(from, sizeof from, "if=%s", path);
    snprintf(to, sizeof to, "of=%s", scratch);
    snprintf(unit, sizeof unit, "bs=%" PRIu64, block);
    snprintf(skip, sizeof skip, "skip=%" PRIu64, offset / block);
    snprintf(count, sizeof count, "count=%" PRIu64, bytes / block);
    const char *const argv[] = {"qemu-img", "dd", "-f",  format, "-O", "raw",
                                unit,       skip, count, from,   to,   NULL};
    int r = pi_run_within(argv, READ_MS, NULL, NULL, NULL);
    if (r == 0)
        r = pi_file_read(AT_FDCWD, scratch, bytes, ret, NULL);
    (void)unlink(scratch);
    return r;
}

static int find_arches(const struct image *image, const char *folder, unsigned *ret)
{
    const char *format = image_format_names[image->format];
    pi_auto_buf struct pi_buf table = {0}, esp = {0};
    int r = read_disk(image->path, format, folder, 0, IMAGE_ARCH_TABLE_BYTES, &table);
    if (r < 0)
        return r;
    struct image_partitions found = image_partitions_read((const uint8_t *)table.data, table.size);
    if (found.esp_offset) {
        r = read_disk(image->path, format, folder, found.esp_offset, IMAGE_ARCH_ESP_BYTES, &esp);
        found.arches |= image_esp_arches((const uint8_t *)esp.data, esp.size);
    }
    *ret = found.arches;
    return r;
}

int image_arch_find(struct image *image, const char *folder)
{
    unsigned arches;
    const char *found = UNSURE;
    int r = find_arches(image, folder, &arches);
    if (r < 0)
        return r;
    for (unsigned i = 0; i < PI_ARRAY_SIZE(arch_names); i++)
        if (arches == 1u << i)
            found = arch_names[i];
    snprintf(image->partitions_arch, sizeof image->partitions_arch, "%s", found);
    return 0;
}

static int refuse_arch(const char *name, const char *is, const char *arch, const char *why,
                       struct pi_error *err)
{
    return pi_refuse(err, PI_USAGE,
                     "%s is an image for %s, as its %s: boot it with --arch %s, or choose an image for %s",
                     name, is, why, is, arch);
}

int image_arch_check(const struct image *image, const char *arch, struct pi_error *err)
{
    const char *is = image->partitions_arch;
    return !is[0] || !strcmp(is, UNSURE) || !strcmp(is, arch)
               ? 0
               : refuse_arch(image->name, is, arch, "partitions show", err);
}

int image_arch_check_name(const char *name, const char *arch, struct pi_error *err)
{
    struct image_name parsed;
    if (!image_name_parse(name, &parsed) || !strcmp(parsed.arch, arch))
        return 0;
    return refuse_arch(name, parsed.arch, arch, "name says", err);
}
