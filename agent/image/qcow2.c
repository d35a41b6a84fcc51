/* SPDX-License-Identifier: MIT */
#include "agent/image/qcow2.h"

#include <stdbool.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"

#define SECTOR 512u

/* Offsets in the header (docs/interop/qcow2.txt, "Header"). */
enum {
    AT_VERSION = 4,
    AT_BACKING_OFFSET = 8,
    AT_CLUSTER_BITS = 20,
    AT_VIRTUAL_SIZE = 24,
    AT_CRYPT_METHOD = 32,
    AT_L1_ENTRIES = 36,
    AT_L1_OFFSET = 40,
    AT_REFCOUNT_OFFSET = 48,
    AT_REFCOUNT_CLUSTERS = 56,
    AT_SNAPSHOTS = 60,
    V2_LENGTH = 72,
    AT_INCOMPATIBLE = 72,
    AT_HEADER_LENGTH = 100,
    AT_COMPRESSION = 104,
    V3_LENGTH = 104,
};

/* "Incompatible features". An image left dirty opens read-only, as a base is. */
#define FEATURE_DIRTY         (1ull << 0)
#define FEATURE_CORRUPT       (1ull << 1)
#define FEATURE_EXTERNAL_DATA (1ull << 2)
#define FEATURE_COMPRESSION   (1ull << 3)
#define FEATURE_EXTENDED_L2   (1ull << 4)
#define FEATURES_ACCEPTED     (FEATURE_DIRTY | FEATURE_COMPRESSION | FEATURE_EXTENDED_L2)

/* "Header extensions". */
#define EXTENSION_END           0x00000000u
#define EXTENSION_EXTERNAL_DATA 0x44415441u
#define EXTENSION_ENCRYPTION    0x0537be77u

const char *const image_format_names[] = {[IMAGE_QCOW2] = "qcow2", [IMAGE_RAW] = "raw", NULL};

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t get64(const uint8_t *p)
{
    return (uint64_t)get32(p) << 32 | get32(p + 4);
}

static int unsafe(struct pi_error *err, const char *why)
{
    return pi_refuse(err, PI_UNVERIFIED, "not safe to boot: it %s", why);
}

static int check_virtual_size(uint64_t size, uint64_t max, struct pi_error *err)
{
    char shown[32], limit[32];
    if (size == 0)
        return unsafe(err, "holds a disk of 0 bytes");
    if (size > max)
        return pi_refuse(err, PI_UNVERIFIED, "not safe to boot: it holds a disk of %s, above the limit of %s",
                         pi_size_format(size, shown), pi_size_format(max, limit));
    return 0;
}

static int check_features(const uint8_t *h, size_t size, struct pi_error *err)
{
    uint64_t features = get64(h + AT_INCOMPATIBLE);
    if (features & FEATURE_EXTERNAL_DATA)
        return unsafe(err, "keeps its data in another file of this host (qcow2 external data file)");
    if (features & FEATURE_CORRUPT)
        return unsafe(err, "is marked corrupt: qemu-img check -r all may repair it");
    if (features & ~FEATURES_ACCEPTED)
        return pi_refuse(err, PI_UNVERIFIED,
                         "not safe to boot: it has qcow2 features that are not known here (0x%llx)",
                         (unsigned long long)(features & ~FEATURES_ACCEPTED));
    if ((features & FEATURE_COMPRESSION) &&
        (get32(h + AT_HEADER_LENGTH) <= AT_COMPRESSION || size <= AT_COMPRESSION || h[AT_COMPRESSION] > 1))
        return unsafe(err, "is compressed in a way that is not known here");
    return 0;
}

/* Each extension is a type, a length, and data padded to a multiple of 8. */
static int check_extensions(const uint8_t *h, size_t size, size_t at, struct pi_error *err)
{
    while (size - at >= 8) {
        uint32_t type = get32(h + at);
        uint64_t length = ((uint64_t)get32(h + at + 4) + 7) & ~7ull;
        at += 8;
        if (type == EXTENSION_END)
            return 0;
        if (type == EXTENSION_EXTERNAL_DATA)
            return unsafe(err, "names another file of this host (qcow2 external data file)");
        if (type == EXTENSION_ENCRYPTION)
            return unsafe(err, "is encrypted");
        if (length > size - at)
            break;
        at += (size_t)length;
    }
    return unsafe(err, "has a damaged qcow2 header: its extensions have no end");
}

static int check_v3(const uint8_t *h, size_t size, struct pi_error *err)
{
    uint32_t length = size >= V3_LENGTH ? get32(h + AT_HEADER_LENGTH) : 0;
    if (length < V3_LENGTH || length % 8 || length > size)
        return unsafe(err, "has a damaged qcow2 header: its length is wrong");
    int r = check_features(h, size, err);
    return r < 0 ? r : check_extensions(h, size, length, err);
}

static bool lies_inside(uint64_t offset, uint64_t bytes, uint64_t cluster, uint64_t file_size)
{
    return offset % cluster == 0 && offset <= file_size && bytes <= file_size - offset;
}

static int check_tables(const uint8_t *h, uint64_t file_size, struct pi_error *err)
{
    uint32_t cluster_bits = get32(h + AT_CLUSTER_BITS);
    if (cluster_bits < 9 || cluster_bits > 21)
        return unsafe(err, "has a damaged qcow2 header: its cluster size is out of range");
    uint64_t cluster = 1ull << cluster_bits;
    if (!lies_inside(get64(h + AT_L1_OFFSET), (uint64_t)get32(h + AT_L1_ENTRIES) * 8, cluster, file_size) ||
        !lies_inside(get64(h + AT_REFCOUNT_OFFSET), get32(h + AT_REFCOUNT_CLUSTERS) * cluster, cluster,
                     file_size))
        return unsafe(err, "has a damaged qcow2 header: its tables lie outside the file");
    return 0;
}

static int check_qcow2(const uint8_t *h, size_t size, uint64_t file_size, uint64_t virtual_size_max,
                       struct image_header *ret, struct pi_error *err)
{
    uint32_t version = size >= V2_LENGTH ? get32(h + AT_VERSION) : 0;
    if (version != 2 && version != 3)
        return unsafe(err, "has a damaged qcow2 header, or a version that is neither 2 nor 3");
    if (get64(h + AT_BACKING_OFFSET))
        return unsafe(err, "names another file of this host (qcow2 backing file): qemu-img convert makes one "
                           "that stands alone");
    if (get32(h + AT_CRYPT_METHOD))
        return unsafe(err, "is encrypted");
    /* QEMU reads all of them before it answers to anyone. */
    if (get32(h + AT_SNAPSHOTS))
        return unsafe(err, "holds snapshots of other states: qemu-img convert makes one that has none");
    uint64_t virtual_size = get64(h + AT_VIRTUAL_SIZE);
    int r = check_virtual_size(virtual_size, virtual_size_max, err);
    if (r < 0 || (r = check_tables(h, file_size, err)) < 0)
        return r;
    r = version == 3 ? check_v3(h, size, err) : check_extensions(h, size, V2_LENGTH, err);
    if (r < 0)
        return r;
    *ret = (struct image_header){.format = IMAGE_QCOW2, .virtual_size_bytes = virtual_size};
    return 0;
}

int image_header_check(const uint8_t *header, size_t size, uint64_t file_size, uint64_t virtual_size_max,
                       struct image_header *ret, struct pi_error *err)
{
    if (size >= 4 && !memcmp(header, "QFI\xfb", 4))
        return check_qcow2(header, size, file_size, virtual_size_max, ret, err);
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
