/* SPDX-License-Identifier: MIT */
/* Headers of disk images. Each refusal changes one thing in a good header. */
#include "image_fixture.h"

#include "agent/base/paths.h"
#include "agent/base/proc.h"
#include "agent/image/qcow2.h"
#include "skip.h"

#define FILE_SIZE ((uint64_t)1 << 20)

static void good_headers_tell_format_and_virtual_size(void **state)
{
    (void)state;
    uint8_t h[4096];
    struct image_header header;
    qcow2_fill(h, sizeof h);
    assert_int_equal(image_header_check(h, sizeof h, FILE_SIZE, IMAGE_VIRTUAL_SIZE_MAX, &header, NULL), 0);
    assert_int_equal(header.format, IMAGE_QCOW2);
    assert_int_equal(header.virtual_size_bytes, QCOW2_VIRTUAL);

    put32(h + 4, 2);
    memset(h + 72, 0, 100);
    assert_int_equal(image_header_check(h, sizeof h, FILE_SIZE, IMAGE_VIRTUAL_SIZE_MAX, &header, NULL), 0);
    assert_int_equal(header.format, IMAGE_QCOW2);

    memset(h, 0, sizeof h);
    h[510] = 0x55;
    h[511] = 0xaa;
    assert_int_equal(image_header_check(h, sizeof h, FILE_SIZE, IMAGE_VIRTUAL_SIZE_MAX, &header, NULL), 0);
    assert_int_equal(header.format, IMAGE_RAW);
    assert_int_equal(header.virtual_size_bytes, FILE_SIZE);
}

struct change {
    size_t at;
    int bytes; /* 4 or 8 */
    uint64_t value;
};

static void change(uint8_t *h, const struct change *c)
{
    if (c->bytes == 4)
        put32(h + c->at, (uint32_t)c->value);
    else if (c->bytes == 8)
        put64(h + c->at, c->value);
}

static void unsafe_headers_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct change changes[2];
        const char *said;
    } cases[] = {
        {{{4, 4, 4}}, "neither 2 nor 3"},
        {{{4, 4, 1}}, "neither 2 nor 3"},
        {{{8, 8, 512}}, "backing file"},
        {{{32, 4, 1}}, "encrypted"},
        {{{32, 4, 2}}, "encrypted"},
        {{{24, 8, 0}}, "0 bytes"},
        {{{24, 8, IMAGE_VIRTUAL_SIZE_MAX + 1}}, "above the limit of 16"},
        {{{24, 8, UINT64_MAX}}, "above the limit"},
        {{{20, 4, 8}}, "cluster size"},
        {{{20, 4, 22}}, "cluster size"},
        {{{40, 8, 2 * QCOW2_CLUSTER + 8}}, "outside the file"},
        {{{40, 8, FILE_SIZE * 2}}, "outside the file"},
        {{{36, 4, UINT32_MAX}}, "outside the file"},
        {{{48, 8, 1ull << 50}}, "outside the file"},
        {{{56, 4, UINT32_MAX}}, "outside the file"},
        {{{60, 4, 1}}, "snapshots"},
        {{{72, 8, 1u << 1}}, "corrupt"},
        {{{72, 8, 1u << 2}}, "external data file"},
        {{{72, 8, 1u << 5}}, "that piagent does not know (0x20)"},
        {{{72, 8, 1ull << 63}}, "that piagent does not know"},
        {{{72, 8, 1u << 3}, {104, 4, 0x02000000}}, "compressed in a way"},
        {{{72, 8, 1u << 3}, {100, 4, 104}}, "compressed in a way"},
        {{{104, 4, 0x01000000}}, "compressed in a way"},
        {{{72, 8, 1u << 3}, {104, 4, 0}}, "compressed in a way"},
        {{{88, 8, 1}}, "dirty bitmaps"},
        {{{96, 4, 7}}, "refcount width"},
        {{{96, 4, UINT32_MAX}}, "refcount width"},
        {{{56, 4, 0}}, "refcount table"},
        {{{64, 8, 8}}, "outside the file"},
        {{{36, 4, 9}}, "L1 table"},
        {{{20, 4, 13}, {72, 8, 1u << 4}}, "too small for extended L2"},
        {{{100, 4, 96}}, "its length is wrong"},
        {{{100, 4, 106}}, "its length is wrong"},
        {{{100, 4, 8192}}, "its length is wrong"},
        {{{112, 4, 0x44415441}}, "external data file"},
        {{{112, 4, 0x0537be77}}, "encrypted"},
        {{{20, 4, 9}, {100, 4, 1024}}, "its length is wrong"},
        {{{112, 4, 0x6803f857}, {116, 4, UINT32_MAX}}, "extensions have no end"},
        {{{112, 4, 0xe2792aca}, {116, 4, 16}}, "length of an extension"},
        {{{112, 4, 0x23852875}, {116, 4, 8}}, "length of an extension"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t h[4096];
        struct image_header header;
        struct pi_error err = {0};
        qcow2_fill(h, sizeof h);
        change(h, &cases[i].changes[0]);
        change(h, &cases[i].changes[1]);
        assert_true(image_header_check(h, sizeof h, FILE_SIZE, IMAGE_VIRTUAL_SIZE_MAX, &header, &err) < 0);
        assert_int_equal(err.kind, PI_UNVERIFIED);
        if (!strstr(err.text, cases[i].said))
            fail_msg("case %zu: %s", i, err.text);
    }
}

/* The limits that need a larger file than the others'. */
static void tables_above_the_limits_of_qemu_are_refused(void **state)
{
    (void)state;
    static const struct change changes[] = {{36, 4, (32u << 20) / 8 + 1}, {56, 4, (8u << 20) / 65536 + 1}};
    for (size_t i = 0; i < PI_ARRAY_SIZE(changes); i++) {
        uint8_t h[4096];
        struct image_header header;
        qcow2_fill(h, sizeof h);
        assert_int_equal(image_header_check(h, sizeof h, 1ull << 30, IMAGE_VIRTUAL_SIZE_MAX, &header, NULL),
                         0);
        change(h, &changes[i]);
        assert_true(image_header_check(h, sizeof h, 1ull << 30, IMAGE_VIRTUAL_SIZE_MAX, &header, NULL) < 0);
    }
}

/* The files of tests/cases/qcow2 are headers of files of three clusters. */
static void samples_are_refused(void **state)
{
    (void)state;
    char path[512];
    pi_auto_buf struct pi_buf header = {0};
    struct image_header ignored;
    struct pi_error err;
    snprintf(path, sizeof path, "%s/tests/cases/qcow2/refcount-order-9", getenv("PIAGENT_SOURCE"));
    assert_int_equal(pi_file_read(AT_FDCWD, path, 4096, &header, &err), 0);
    assert_true(image_header_check((const uint8_t *)header.data, header.size, (uint64_t)4 * QCOW2_CLUSTER,
                                   IMAGE_VIRTUAL_SIZE_MAX, &ignored, &err) < 0);
    assert_non_null(strstr(err.text, "refcount width"));
}

static int run(const char *const *argv)
{
    int code = -1;
    assert_int_equal(pi_run(argv, NULL, &code, NULL), 0);
    return code;
}

/* Writes value into the field of the image at path, and compares what is said of it: QEMU opens whatever is
 * taken here. */
static bool compare_with_qemu(const char *path, const uint8_t *good, size_t size, uint64_t file_size,
                              size_t at, uint32_t value)
{
    uint8_t h[4096];
    struct image_header header;
    memcpy(h, good, size);
    put32(h + at, value);
    if (image_header_check(h, size, file_size, IMAGE_VIRTUAL_SIZE_MAX, &header, NULL) < 0)
        return false;
    pi_auto_close int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, h, size, 0), size);
    if (run((const char *const[]){"qemu-img", "info", "-f", "qcow2", path, NULL}) != 0)
        fail_msg("%s: qemu-img refuses what was taken: 0x%x at %zu", path, value, at);
    return true;
}

static void qemu_opens_every_header_that_is_taken(void **state)
{
    static const char *const options[] = {"compat=0.10", "compat=1.1", "extended_l2=on,cluster_size=16k"};
    static const uint32_t values[] = {0, 1, 3, 6, 7, 16, 112, 0x8000, 0x01000000, 0x7fffffff, UINT32_MAX};
    char dir[64], path[96];
    (void)state;
    pi_auto_free char *program = NULL;
    if (pi_program_find("qemu-img", &program, NULL) < 0)
        skip_because("qemu-img is not installed");
    folder_new(dir);
    snprintf(path, sizeof path, "%s/disk.qcow2", dir);
    for (size_t i = 0; i < PI_ARRAY_SIZE(options); i++) {
        uint8_t good[4096];
        struct stat st;
        unsigned taken = 0;
        assert_int_equal(run((const char *const[]){"qemu-img", "create", "-q", "-f", "qcow2", "-o",
                                                   options[i], path, "1G", NULL}),
                         0);
        pi_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_int_equal(pread(fd, good, sizeof good, 0), sizeof good);
        assert_int_equal(fstat(fd, &st), 0);
        for (size_t at = 4; at < 120; at += 4)
            for (size_t v = 0; v < PI_ARRAY_SIZE(values); v++)
                taken += compare_with_qemu(path, good, sizeof good, (uint64_t)st.st_size, at, values[v]);
        assert_in_range(taken, 10, 200);
    }
    folder_done(dir);
}

static void external_data_file_is_found_behind_other_extensions(void **state)
{
    (void)state;
    uint8_t h[4096];
    struct image_header header;
    qcow2_fill(h, sizeof h);
    put32(h + 112, 0x6803f857);
    put32(h + 116, 5); /* padded to 8 */
    put32(h + 128, 0x44415441);
    put32(h + 132, 8);
    assert_true(image_header_check(h, sizeof h, FILE_SIZE, IMAGE_VIRTUAL_SIZE_MAX, &header, NULL) < 0);
    put32(h + 128, 0x6803f857);
    assert_int_equal(image_header_check(h, sizeof h, FILE_SIZE, IMAGE_VIRTUAL_SIZE_MAX, &header, NULL), 0);
}

static void known_features_are_accepted(void **state)
{
    (void)state;
    static const uint64_t features[] = {1u << 0, 1u << 3, 1u << 4};
    for (size_t i = 0; i < sizeof features / sizeof features[0]; i++) {
        uint8_t h[4096];
        struct image_header header;
        qcow2_fill(h, sizeof h);
        put64(h + 72, features[i]);
        put32(h + 36, 20);               /* extended entries are twice as long */
        h[104] = features[i] == 1u << 3; /* zstd */
        assert_int_equal(image_header_check(h, sizeof h, FILE_SIZE, IMAGE_VIRTUAL_SIZE_MAX, &header, NULL),
                         0);
    }
}

static void limit_on_the_virtual_size_is_the_callers(void **state)
{
    (void)state;
    uint8_t h[4096];
    struct image_header header;
    qcow2_fill(h, sizeof h);
    assert_int_equal(image_header_check(h, sizeof h, FILE_SIZE, QCOW2_VIRTUAL, &header, NULL), 0);
    assert_true(image_header_check(h, sizeof h, FILE_SIZE, QCOW2_VIRTUAL - 1, &header, NULL) < 0);
}

static void short_headers_are_refused_at_every_length(void **state)
{
    (void)state;
    uint8_t h[4096];
    qcow2_fill(h, sizeof h);
    for (size_t size = 0; size < 120; size++) {
        /* An exact copy, so that a sanitizer sees a read past its end. */
        pi_auto_free uint8_t *cut = malloc(size ? size : 1);
        struct image_header header;
        memcpy(cut, h, size);
        assert_true(image_header_check(cut, size, size, IMAGE_VIRTUAL_SIZE_MAX, &header, NULL) < 0);
    }
}

static void what_is_no_disk_is_refused(void **state)
{
    (void)state;
    static const char *const starts[] = {"\xfd\x37zXZ", "\x1f\x8b", "KDMV", "<html>", ""};
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        uint8_t h[4096] = {0};
        struct image_header header;
        struct pi_error err;
        memcpy(h, starts[i], strlen(starts[i]));
        assert_true(image_header_check(h, sizeof h, FILE_SIZE, IMAGE_VIRTUAL_SIZE_MAX, &header, &err) < 0);
        assert_non_null(strstr(err.text, "neither a qcow2 nor a raw bootable disk"));
        h[510] = 0x55;
        h[511] = 0xaa;
        assert_true(image_header_check(h, sizeof h, FILE_SIZE + 1, IMAGE_VIRTUAL_SIZE_MAX, &header, &err) <
                    0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_headers_tell_format_and_virtual_size),
        cmocka_unit_test(unsafe_headers_are_refused),
        cmocka_unit_test(tables_above_the_limits_of_qemu_are_refused),
        cmocka_unit_test(samples_are_refused),
        cmocka_unit_test(qemu_opens_every_header_that_is_taken),
        cmocka_unit_test(external_data_file_is_found_behind_other_extensions),
        cmocka_unit_test(known_features_are_accepted),
        cmocka_unit_test(limit_on_the_virtual_size_is_the_callers),
        cmocka_unit_test(short_headers_are_refused_at_every_length),
        cmocka_unit_test(what_is_no_disk_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
