/* SPDX-License-Identifier: MIT */
#include "agent/image/qcow2.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"

#define SECTOR 512u

/* Offsets in the header (docs/interop/qcow2.txt, "Header"). */
enum {
    AT_VERSION = 4,
    AT_BACKING_OFFSET = 8,
    AT_BACKING_SIZE = 16,
    AT_CLUSTER_BITS = 20,
    AT_VIRTUAL_SIZE = 24,
    AT_CRYPT_METHOD = 32,
    AT_L1_ENTRIES = 36,
    AT_L1_OFFSET = 40,
    AT_REFCOUNT_OFFSET = 48,
    AT_REFCOUNT_CLUSTERS = 56,
    AT_SNAPSHOTS = 60,
    AT_SNAPSHOTS_OFFSET = 64,
    V2_LENGTH = 72,
    AT_INCOMPATIBLE = 72,
    AT_AUTOCLEAR = 88,
    AT_REFCOUNT_ORDER = 96,
    AT_HEADER_LENGTH = 100,
    AT_COMPRESSION = 104,
    V3_LENGTH = 104,
};

/* The limits of QEMU's driver (block/qcow2.h). */
#define CLUSTER_BITS_MIN     9u
#define CLUSTER_BITS_MAX     21u
#define L1_BYTES_MAX         ((uint64_t)32 << 20)
#define REFCOUNT_BYTES_MAX   ((uint64_t)8 << 20)
#define REFCOUNT_ORDER_MAX   6u
#define BACKING_FORMAT_BYTES 16u
#define SUBCLUSTER_BITS      5u /* 32 subclusters a cluster, none smaller than the smallest cluster */

/* "Incompatible features". An image left dirty opens read-only, as a base is. */
#define FEATURE_DIRTY         (1ull << 0)
#define FEATURE_CORRUPT       (1ull << 1)
#define FEATURE_EXTERNAL_DATA (1ull << 2)
#define FEATURE_COMPRESSION   (1ull << 3)
#define FEATURE_EXTENDED_L2   (1ull << 4)
#define FEATURES_ACCEPTED     (FEATURE_DIRTY | FEATURE_COMPRESSION | FEATURE_EXTENDED_L2)

/* "Autoclear features". */
#define FEATURE_BITMAPS (1ull << 0)

/* "Header extensions". */
#define EXTENSION_END            0x00000000u
#define EXTENSION_BACKING_FORMAT 0xe2792acau
#define EXTENSION_EXTERNAL_DATA  0x44415441u
#define EXTENSION_ENCRYPTION     0x0537be77u
#define EXTENSION_BITMAPS        0x23852875u
#define BITMAPS_LENGTH           24u

const char *const image_format_names[] = {[IMAGE_QCOW2] = "qcow2", [IMAGE_RAW] = "raw", NULL};

static uint32_t read_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t read_be64(const uint8_t *p)
{
    return (uint64_t)read_be32(p) << 32 | read_be32(p + 4);
}

static int refuse_unsafe(struct pi_error *err, const char *why)
{
    return pi_refuse(err, PI_UNVERIFIED, "not safe to boot: it %s", why);
}

static int check_virtual_size(uint64_t size, uint64_t max, struct pi_error *err)
{
    char shown[32], limit[32];
    if (size == 0)
        return refuse_unsafe(err, "holds a disk of 0 bytes");
    if (size > max)
        return pi_refuse(err, PI_UNVERIFIED, "not safe to boot: it holds a disk of %s, above the limit of %s",
                         pi_size_format(size, shown), pi_size_format(max, limit));
    return 0;
}

static int refuse_header(struct pi_error *err, const char *what)
{
    return pi_refuse(err, PI_UNVERIFIED, "not safe to boot: it has a damaged qcow2 header: %s", what);
}

/* A header; an image of version 2 has the defaults of the fields that version 3 added. */
struct qcow2 {
    const uint8_t *bytes;
    uint64_t size, file_size; /* of bytes; of the file */
    uint64_t cluster, virtual_size, incompatible, autoclear;
    uint32_t cluster_bits, length, refcount_order;
    uint8_t compression;
};

static int check_features(const struct qcow2 *q, struct pi_error *err)
{
    if (q->incompatible & FEATURE_EXTERNAL_DATA)
        return refuse_unsafe(err, "keeps its data in another file of this host (qcow2 external data file)");
    if (q->incompatible & FEATURE_CORRUPT)
        return refuse_unsafe(err, "is marked corrupt: qemu-img check -r all may repair it");
    if (q->incompatible & ~FEATURES_ACCEPTED)
        return pi_refuse(err, PI_UNVERIFIED,
                         "not safe to boot: it has qcow2 features that piagent does not know (0x%llx)",
                         (unsigned long long)(q->incompatible & ~FEATURES_ACCEPTED));
    /* The bit must be set if the type is not the first one, and only then. */
    if (q->compression > 1 || (q->compression == 1) != !!(q->incompatible & FEATURE_COMPRESSION))
        return refuse_unsafe(err, "is compressed in a way that piagent does not know");
    /* QEMU reads all of them before it answers to anyone. */
    if (q->autoclear & FEATURE_BITMAPS)
        return refuse_unsafe(err, "holds dirty bitmaps: qemu-img convert makes one that has none");
    return 0;
}

static int check_extension(uint32_t type, uint64_t length, struct pi_error *err)
{
    if (type == EXTENSION_EXTERNAL_DATA)
        return refuse_unsafe(err, "names another file of this host (qcow2 external data file)");
    if (type == EXTENSION_ENCRYPTION)
        return refuse_unsafe(err, "is encrypted");
    if ((type == EXTENSION_BACKING_FORMAT && length >= BACKING_FORMAT_BYTES) ||
        (type == EXTENSION_BITMAPS && length != BITMAPS_LENGTH))
        return refuse_header(err, "the length of an extension is wrong");
    return 0;
}

/* Each extension is a type, a length, and data padded to a multiple of 8; all are in the first cluster. */
static int check_extensions(const struct qcow2 *q, struct pi_error *err)
{
    uint64_t at = q->length, end = q->size < q->cluster ? q->size : q->cluster;
    while (at <= end && end - at >= 8) {
        uint32_t type = read_be32(q->bytes + at), length = read_be32(q->bytes + at + 4);
        at += 8;
        int r = check_extension(type, length, err);
        if (r < 0)
            return r;
        if (length > end - at) /* QEMU looks at the last one's too */
            break;
        if (type == EXTENSION_END)
            return 0;
        at += ((uint64_t)length + 7) & ~7ull;
    }
    return refuse_header(err, "its extensions have no end");
}

static bool lies_inside(const struct qcow2 *q, uint64_t offset, uint64_t bytes)
{
    return !(offset & (q->cluster - 1)) && offset <= q->file_size && bytes <= q->file_size - offset;
}

/* How many entries the L1 table needs for the virtual size: one for each L2 table, which is a cluster. */
static uint64_t l1_entries_needed(const struct qcow2 *q)
{
    uint32_t entry_bits = q->incompatible & FEATURE_EXTENDED_L2 ? 4 : 3;
    uint32_t shift = 2 * q->cluster_bits - entry_bits;
    return (q->virtual_size >> shift) + ((q->virtual_size & ((1ull << shift) - 1)) != 0);
}

static int check_tables(const struct qcow2 *q, struct pi_error *err)
{
    uint64_t l1_bytes = (uint64_t)read_be32(q->bytes + AT_L1_ENTRIES) * 8;
    uint64_t refcount_bytes = read_be32(q->bytes + AT_REFCOUNT_CLUSTERS) * q->cluster;
    if (!lies_inside(q, read_be64(q->bytes + AT_L1_OFFSET), l1_bytes) ||
        !lies_inside(q, read_be64(q->bytes + AT_REFCOUNT_OFFSET), refcount_bytes) ||
        !lies_inside(q, read_be64(q->bytes + AT_SNAPSHOTS_OFFSET), 0))
        return refuse_header(err, "its tables lie outside the file");
    if (l1_bytes > L1_BYTES_MAX || l1_bytes / 8 < l1_entries_needed(q))
        return refuse_header(err, "its L1 table is too large, or too small for the disk");
    if (refcount_bytes > REFCOUNT_BYTES_MAX || !refcount_bytes)
        return refuse_header(err, "its refcount table is too large, or missing");
    if (q->refcount_order > REFCOUNT_ORDER_MAX)
        return refuse_header(err, "its refcount width is above 64 bits");
    return 0;
}

/* Checks what must hold before any other field means something. */
static int read_header(struct qcow2 *q, struct pi_error *err)
{
    const uint8_t *h = q->bytes;
    uint32_t version = q->size >= V2_LENGTH ? read_be32(h + AT_VERSION) : 0;
    if (version != 2 && version != 3)
        return refuse_unsafe(err, "has a damaged qcow2 header, or a version that is neither 2 nor 3");
    q->virtual_size = read_be64(h + AT_VIRTUAL_SIZE);
    q->cluster_bits = read_be32(h + AT_CLUSTER_BITS);
    if (q->cluster_bits < CLUSTER_BITS_MIN || q->cluster_bits > CLUSTER_BITS_MAX)
        return refuse_header(err, "its cluster size is out of range");
    q->cluster = 1ull << q->cluster_bits;
    q->length = V2_LENGTH;
    if (version == 2)
        return 0;
    q->length = q->size >= V3_LENGTH ? read_be32(h + AT_HEADER_LENGTH) : 0;
    if (q->length < V3_LENGTH || q->length % 8 || q->length > q->size || q->length > q->cluster)
        return refuse_header(err, "its length is wrong");
    q->incompatible = read_be64(h + AT_INCOMPATIBLE);
    q->autoclear = read_be64(h + AT_AUTOCLEAR);
    q->refcount_order = read_be32(h + AT_REFCOUNT_ORDER);
    q->compression = q->length > AT_COMPRESSION ? h[AT_COMPRESSION] : 0;
    if ((q->incompatible & FEATURE_EXTENDED_L2) && q->cluster_bits < CLUSTER_BITS_MIN + SUBCLUSTER_BITS)
        return refuse_header(err, "its clusters are too small for extended L2 entries");
    return 0;
}

static int check_qcow2(struct qcow2 *q, uint64_t virtual_size_max, struct image_header *ret,
                       struct pi_error *err)
{
    int r = read_header(q, err);
    if (r < 0)
        return r;
    if (read_be64(q->bytes + AT_BACKING_OFFSET))
        return refuse_unsafe(
            err, "names another file of this host (qcow2 backing file): qemu-img convert makes one "
                 "that stands alone");
    if (read_be32(q->bytes + AT_CRYPT_METHOD))
        return refuse_unsafe(err, "is encrypted");
    /* QEMU reads all of them before it answers to anyone. */
    if (read_be32(q->bytes + AT_SNAPSHOTS))
        return refuse_unsafe(err,
                             "holds snapshots of other states: qemu-img convert makes one that has none");
    if ((r = check_virtual_size(q->virtual_size, virtual_size_max, err)) < 0 ||
        (r = check_features(q, err)) < 0 || (r = check_tables(q, err)) < 0 ||
        (r = check_extensions(q, err)) < 0)
        return r;
    *ret = (struct image_header){.format = IMAGE_QCOW2, .virtual_size_bytes = q->virtual_size};
    return 0;
}

static bool is_qcow2(const uint8_t *header, size_t size)
{
    return size >= 4 && !memcmp(header, "QFI\xfb", 4);
}

int image_backing_file(const uint8_t *header, size_t size, char ret[IMAGE_BACKING_MAX + 1])
{
    if (!is_qcow2(header, size) || size < V2_LENGTH)
        return -EBADMSG;
    uint64_t offset = read_be64(header + AT_BACKING_OFFSET), length = read_be32(header + AT_BACKING_SIZE);
    if (!offset)
        length = 0;
    if (offset > size || length > size - offset || length > IMAGE_BACKING_MAX ||
        memchr(header + offset, '\0', length))
        return -EBADMSG;
    memcpy(ret, header + offset, length);
    ret[length] = '\0';
    return 0;
}

int image_header_check(const uint8_t *header, size_t size, uint64_t file_size, uint64_t virtual_size_max,
                       struct image_header *ret, struct pi_error *err)
{
    struct qcow2 qcow2 = {.bytes = header, .size = size, .file_size = file_size};
    if (is_qcow2(header, size))
        return check_qcow2(&qcow2, virtual_size_max, ret, err);
    if (size < SECTOR || file_size % SECTOR || header[510] != 0x55 || header[511] != 0xaa)
        return pi_refuse(
            err, PI_UNVERIFIED,
            "neither a qcow2 nor a raw bootable disk: unpack or convert it first (qemu-img convert)");
    int r = check_virtual_size(file_size, virtual_size_max, err);
    if (r < 0)
        return r;
    *ret = (struct image_header){.format = IMAGE_RAW, .virtual_size_bytes = file_size};
    return 0;
}
