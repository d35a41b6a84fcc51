/* SPDX-License-Identifier: MIT */
/* CHECKSUM files. */
#include "image_fixture.h"

#include <errno.h>

#include "agent/image/checksum.h"

#define HEX(c)         c c c c c c c c c c c c c c c c
#define A              HEX("aaaa")
#define B              HEX("BbBb")
#define B_LOW          HEX("bbbb")
#define HEAD           "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n"
#define TAIL           "-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n"
#define SUM(file, hex) "SHA256 (" file ") = " hex "\n"
#define SIZE(file, n)  "# " file ": " n " bytes\n"

static void checksum_and_size_of_one_file_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *text, *sha256;
        uint64_t size_bytes;
    } cases[] = {
        {SIZE("x", "1") SUM("x", A) SIZE("x.qcow2", "500") SUM("x.qcow2", B), B_LOW, 500},
        {SUM("x.qcow2", A), A, 0},
        {"SHA256 (x.qcow2) = " A, A, 0},
        {"SHA256 (x.qcow2) = " A "\r\n", A, 0},
        {"# a remark\n\n" SUM("x.qcow2", A), A, 0},
        {HEAD SIZE("x.qcow2", "500") SUM("x.qcow2", A) TAIL, A, 500},
        /* Text outside of the signed part does not count. */
        {HEAD SUM("x.qcow2", A) TAIL SUM("x.qcow2", B), A, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct image_checksum found;
        assert_int_equal(image_checksum_find(cases[i].text, strlen(cases[i].text), "x.qcow2", &found, NULL),
                         0);
        assert_string_equal(found.sha256, cases[i].sha256);
        assert_int_equal(found.size_bytes, cases[i].size_bytes);
    }
}

static void doubtful_files_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"", "has no SHA-256 for x.qcow2"},
        {SUM("xx.qcow2", A) SUM("x.qcow2.xz", A), "has no SHA-256"},
        {SIZE("x.qcow2", "500"), "has no SHA-256"},
        {SUM("x.qcow2", A) SUM("x.qcow2", A), "damaged in the line for"},
        {SUM("x.qcow2", A) SUM("x.qcow2", B), "damaged in the line for"},
        {SUM("x.qcow2", A "a"), "damaged in the line for"},
        {SUM("x.qcow2", "aa"), "damaged in the line for"},
        {SUM("x.qcow2", A " *x"), "damaged in the line for"},
        {SIZE("x.qcow2", "5") SIZE("x.qcow2", "6") SUM("x.qcow2", A), "damaged in the line for"},
        {SIZE("x.qcow2", "0") SUM("x.qcow2", A), "damaged in the line for"},
        {SIZE("x.qcow2", "-1") SUM("x.qcow2", A), "damaged in the line for"},
        {SIZE("x.qcow2", "999999999999999999999999") SUM("x.qcow2", A), "damaged in the line for"},
        {"# x.qcow2: 5 bytes or so\n" SUM("x.qcow2", A), "damaged in the line for"},
        {HEAD SUM("x.qcow2", A), "signature is missing"},
        {"-----BEGIN PGP SIGNED MESSAGE-----\n", "signature is missing"},
        {HEAD TAIL SUM("x.qcow2", A), "has no SHA-256"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct image_checksum found = {0};
        struct pi_error err = {0};
        assert_true(image_checksum_find(cases[i].text, strlen(cases[i].text), "x.qcow2", &found, &err) < 0);
        assert_int_equal(err.kind, PI_UNVERIFIED);
        if (!strstr(err.text, cases[i].said))
            fail_msg("case %zu: %s", i, err.text);
        assert_string_equal(found.sha256, "");
    }
}

static void lines_and_files_have_limits(void **state)
{
    (void)state;
    static const char sum[] = SUM("x.qcow2", A);
    struct image_checksum found;
    static char text[IMAGE_CHECKSUM_FILE_MAX + 1];
    memset(text, '\n', IMAGE_CHECKSUM_FILE_MAX + 1);
    memcpy(text, sum, strlen(sum));
    assert_int_equal(image_checksum_find(text, IMAGE_CHECKSUM_FILE_MAX, "x.qcow2", &found, NULL), 0);
    assert_true(image_checksum_find(text, IMAGE_CHECKSUM_FILE_MAX + 1, "x.qcow2", &found, NULL) < 0);
    memset(text + strlen(sum), 'x', 5000);
    assert_true(image_checksum_find(text, IMAGE_CHECKSUM_FILE_MAX, "x.qcow2", &found, NULL) < 0);
    static const char with_nul[] = SUM("x.qcow2", A) "\0" SUM("x.qcow2", B);
    assert_true(image_checksum_find(with_nul, sizeof with_nul - 1, "x.qcow2", &found, NULL) < 0);
}

static void sha256_is_64_digits_of_either_case(void **state)
{
    (void)state;
    char digest[IMAGE_SHA256_LENGTH + 1] = "untouched";
    assert_true(image_sha256_parse("", digest, NULL) < 0);
    assert_true(image_sha256_parse(A "0", digest, NULL) < 0);
    assert_true(image_sha256_parse(" " A, digest, NULL) < 0);
    struct pi_error err;
    assert_int_equal(image_sha256_parse("12ab", digest, &err), -EINVAL);
    assert_int_equal(err.kind, PI_USAGE);
    assert_string_equal(err.text, "'12ab' is not a SHA-256: 64 hexadecimal digits");
    assert_string_equal(digest, "untouched");
    assert_int_equal(image_sha256_parse(B, digest, NULL), 0);
    assert_string_equal(digest, B_LOW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksum_and_size_of_one_file_are_found),
        cmocka_unit_test(doubtful_files_are_refused),
        cmocka_unit_test(lines_and_files_have_limits),
        cmocka_unit_test(sha256_is_64_digits_of_either_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
