/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/base/base64.h"

/* RFC 4648, section 10, and bytes that are not text. */
static const struct {
    const char *bytes;
    size_t size;
    const char *text;
} pairs[] = {
    {"", 0, ""},
    {"f", 1, "Zg=="},
    {"fo", 2, "Zm8="},
    {"foo", 3, "Zm9v"},
    {"foob", 4, "Zm9vYg=="},
    {"fooba", 5, "Zm9vYmE="},
    {"foobar", 6, "Zm9vYmFy"},
    {"\0\xff\xfe\x7f", 4, "AP/+fw=="},
};

static void bytes_and_text_stand_for_each_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(pairs); i++) {
        pi_auto_buf struct pi_buf text = {0};
        uint8_t bytes[16];
        size_t size = 0;
        assert_int_equal(pi_base64_encode(pairs[i].bytes, pairs[i].size, &text), 0);
        assert_int_equal(text.size, strlen(pairs[i].text));
        assert_memory_equal(text.size ? text.data : "", pairs[i].text, text.size);
        assert_int_equal(pi_base64_decode(pairs[i].text, strlen(pairs[i].text), bytes, &size), 0);
        assert_int_equal(size, pairs[i].size);
        assert_memory_equal(bytes, pairs[i].bytes, size);
    }
}

static void what_is_no_base64_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {"Z", "Zg", "Zg=", "Z===", "====", "=g==", "Zm 9", "Zm9v\n", "Zm-_"};
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        uint8_t bytes[16];
        size_t size = 99;
        if (pi_base64_decode(cases[i], strlen(cases[i]), bytes, &size) != -EINVAL || size != 99)
            fail_msg("%s", cases[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_and_text_stand_for_each_other),
        cmocka_unit_test(what_is_no_base64_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
