/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/seed/smbios.h"

static void the_serial_has_the_form_that_every_cloud_init_takes(void **state)
{
    (void)state;
    char serial[SEED_SERIAL_MAX + 1];
    assert_int_equal(seed_serial("http://10.0.2.2:8000/ab12/", serial, NULL), 0);
    assert_string_equal(serial, "ds=nocloud;dsmode=net;s=http://10.0.2.2:8000/ab12/");
}

static void an_address_that_cloud_init_would_cut_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "http://10.0.2.2/a;b/",  "http://10.0.2.2/a b/", "http://10.0.2.2/a'b/", "http://10.0.2.2/\"/",
        "http://10.0.2.2/a\nb/", "http://10.0.2.2/key",  "10.0.2.2/key/",        "",
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct pi_error err = {0};
        char serial[SEED_SERIAL_MAX + 1] = "before";
        assert_true(seed_serial(cases[i], serial, &err) < 0);
        assert_int_equal(err.kind, PI_USAGE);
        assert_string_equal(serial, "before");
    }
}

static void the_longest_address_fits_and_one_more_is_refused(void **state)
{
    (void)state;
    char url[SEED_SERIAL_MAX + 1], serial[SEED_SERIAL_MAX + 1];
    size_t longest = SEED_SERIAL_MAX - strlen("ds=nocloud;dsmode=net;s=");
    memset(url, 'a', sizeof url);
    memcpy(url, "http://", 7);
    url[longest - 1] = '/';
    url[longest] = '\0';
    assert_int_equal(seed_serial(url, serial, NULL), 0);
    assert_int_equal(strlen(serial), SEED_SERIAL_MAX);
    url[longest - 1] = 'a';
    url[longest] = '/';
    url[longest + 1] = '\0';
    assert_true(seed_serial(url, serial, NULL) < 0);
}

static void the_structure_is_as_the_specification_draws_it(void **state)
{
    (void)state;
    static const char expected[] = "\x01\x1b\x00\x01" /* type, length, handle */
                                   "\x01\x02\x00\x03" /* manufacturer, product, version, serial */
                                   "\x33\x22\x11\x00\x55\x44\x77\x66" /* the example of section 7.2.1 */
                                   "\x88\x99\xaa\xbb\xcc\xdd\xee\xff"
                                   "\x06\x00\x04" /* wake-up, SKU, family */
                                   "piagent\0instance\0s\0f\0";
    const struct seed_system system = {.manufacturer = "piagent",
                                       .product = "instance",
                                       .version = "",
                                       .serial = "s",
                                       .family = "f",
                                       .uuid = "00112233-4455-6677-8899-AAbbCCddEEff"};
    pi_auto_buf struct pi_buf got = {0};
    assert_int_equal(seed_smbios_system(&system, &got, NULL), 0);
    assert_int_equal(got.size, sizeof expected);
    assert_memory_equal(got.data, expected, sizeof expected);
}

static void the_board_has_its_serial_number_and_asset_tag_and_nothing_else(void **state)
{
    (void)state;
    static const char expected[] =
        "\x02\x0f\x00\x02"         /* type, length, handle */
        "\x00\x00\x00\x01\x02"     /* manufacturer, product, version, serial, asset tag */
        "\x01\x00\x00\x03\x0a\x00" /* hosting board, location, chassis, motherboard */
        "http://x/\0instance-id: i\0";
    pi_auto_buf struct pi_buf got = {0};
    assert_int_equal(seed_smbios_board("http://x/", "instance-id: i", &got, NULL), 0);
    assert_int_equal(got.size, sizeof expected);
    assert_memory_equal(got.data, expected, sizeof expected);
}

static void a_structure_without_strings_ends_with_two_zeros(void **state)
{
    (void)state;
    const struct seed_system system = {.uuid = "00112233-4455-6677-8899-aabbccddeeff"};
    pi_auto_buf struct pi_buf got = {0};
    assert_int_equal(seed_smbios_system(&system, &got, NULL), 0);
    assert_int_equal(got.size, 0x1b + 2);
    assert_memory_equal(got.data + 0x1b, "\0\0", 2);
}

static void what_is_no_uuid_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "", "00112233445566778899aabbccddeeff", "00112233-4455-6677-8899-aabbccddeef",
        "00112233-4455-6677-8899-aabbccddeefff", "g0112233-4455-6677-8899-aabbccddeeff"};
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct pi_error err = {0};
        pi_auto_buf struct pi_buf got = {0};
        assert_true(seed_smbios_system(&(struct seed_system){.uuid = cases[i]}, &got, &err) < 0);
        assert_int_equal(err.kind, PI_USAGE);
        assert_int_equal(got.size, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_serial_has_the_form_that_every_cloud_init_takes),
        cmocka_unit_test(an_address_that_cloud_init_would_cut_is_refused),
        cmocka_unit_test(the_longest_address_fits_and_one_more_is_refused),
        cmocka_unit_test(the_structure_is_as_the_specification_draws_it),
        cmocka_unit_test(the_board_has_its_serial_number_and_asset_tag_and_nothing_else),
        cmocka_unit_test(a_structure_without_strings_ends_with_two_zeros),
        cmocka_unit_test(what_is_no_uuid_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
