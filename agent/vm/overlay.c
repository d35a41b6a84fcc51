/* SPDX-License-Identifier: MIT */
#include "agent/vm/overlay.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"

#define SECTOR         512u
#define CLUSTER_BITS   16u
#define CLUSTER        ((uint64_t)1 << CLUSTER_BITS)
#define L2_BYTES       (CLUSTER * CLUSTER / 8) /* of the disk, which an entry of the L1 table stands for */
#define L1_BYTES_MAX   ((uint64_t)32 << 20)    /* QEMU's block/qcow2.h */
#define REFCOUNT_ORDER 4u                      /* counts of 16 bits */
#define FORMAT_BYTES   8u

/* The clusters of the file. The L1 table, which is empty, may need several. */
enum { AT_HEADER, AT_REFCOUNT_TABLE, AT_REFCOUNT_BLOCK, AT_L1 };

/* The first cluster, big-endian: "Header", version 3, and "Header extensions". It has no padding. */
struct head {
    uint32_t magic, version;
    uint64_t backing_offset;
    uint32_t backing_size, cluster_bits;
    uint64_t size;
    uint32_t crypt_method, l1_entries;
    uint64_t l1_offset, refcount_offset;
    uint32_t refcount_clusters, snapshots;
    uint64_t snapshots_offset, incompatible, compatible, autoclear;
    uint32_t refcount_order, length;
    uint32_t backing_format, backing_format_size;
    char format[FORMAT_BYTES];
    uint32_t end, end_size;
    char base[VM_OVERLAY_BASE_MAX + 1];
};
#define HEADER_BYTES offsetof(struct head, backing_format)
_Static_assert(HEADER_BYTES == 104, "the length of a header of version 3");

static uint64_t divide_up(uint64_t n, uint64_t by)
{
    return n / by + (n % by != 0);
}

static void fill_head(const char *base, const char *format, uint64_t size_bytes, struct head *ret)
{
    *ret = (struct head){.magic = htobe32(0x514649fb), /* "QFI\xfb" */
                         .version = htobe32(3),
                         .backing_offset = htobe64(offsetof(struct head, base)),
                         .backing_size = htobe32((uint32_t)strlen(base)),
                         .cluster_bits = htobe32(CLUSTER_BITS),
                         .size = htobe64(size_bytes),
                         .l1_entries = htobe32((uint32_t)divide_up(size_bytes, L2_BYTES)),
                         .l1_offset = htobe64(AT_L1 * CLUSTER),
                         .refcount_offset = htobe64(AT_REFCOUNT_TABLE * CLUSTER),
                         .refcount_clusters = htobe32(1),
                         .refcount_order = htobe32(REFCOUNT_ORDER),
                         .length = htobe32(HEADER_BYTES),
                         .backing_format = htobe32(0xe2792aca),
                         .backing_format_size = htobe32((uint32_t)strlen(format))};
    memcpy(ret->format, format, strlen(format));
    memcpy(ret->base, base, strlen(base));
}

/* Each cluster of the file is in use once. One block has counts for 32,768 of them. */
static int write_clusters(int fd, const struct head *head, uint64_t clusters)
{
    uint64_t block = htobe64(AT_REFCOUNT_BLOCK * CLUSTER);
    uint16_t counts[AT_L1 + L1_BYTES_MAX / CLUSTER];
    for (uint64_t i = 0; i < clusters; i++)
        counts[i] = htobe16(1);
    const struct {
        const void *bytes;
        size_t size;
        uint64_t cluster;
    } parts[] = {{head, sizeof *head, AT_HEADER},
                 {&block, sizeof block, AT_REFCOUNT_TABLE},
                 {counts, clusters * sizeof *counts, AT_REFCOUNT_BLOCK}};
    for (size_t i = 0; i < PI_ARRAY_SIZE(parts); i++) {
        ssize_t n = pwrite(fd, parts[i].bytes, parts[i].size, (off_t)(parts[i].cluster * CLUSTER));
        if (n != (ssize_t)parts[i].size)
            return n < 0 ? -errno : -ENOSPC;
    }
    return ftruncate(fd, (off_t)(clusters * CLUSTER)) < 0 ? -errno : 0;
}

int vm_overlay_create(const char *path, const char *base, const char *format, uint64_t size_bytes,
                      struct pi_error *err)
{
    struct head head;
    char shown[32];
    uint64_t l1_bytes = divide_up(size_bytes, L2_BYTES) * 8;
    if (strlen(base) > VM_OVERLAY_BASE_MAX)
        return pi_refuse(err, PI_HOST, "the path of the image is too long: %s", base);
    if (strlen(format) >= FORMAT_BYTES)
        return pi_refuse(err, PI_FAILED, "%s: piagent makes no disk on the format %s", base, format);
    if (l1_bytes > L1_BYTES_MAX)
        return pi_refuse(err, PI_USAGE, "QEMU takes no disk of %s", pi_size_format(size_bytes, shown));
    fill_head(base, format, divide_up(size_bytes, SECTOR) * SECTOR, &head);
    pi_auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int r = fd < 0 ? -errno : write_clusters(fd, &head, AT_L1 + divide_up(l1_bytes, CLUSTER));
    return r < 0 ? pi_fail(err, -r, "%s", path) : 0;
}
