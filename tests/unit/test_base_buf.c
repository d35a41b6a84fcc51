/* SPDX-License-Identifier: MIT */
/* Buffers, string vectors, lines, errors and random texts. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/base/lines.h"
#include "agent/base/random.h"
#include "agent/base/text.h"

static void buffer_grows_and_stays_terminated(void **state)
{
    pi_auto_buf struct pi_buf buf = {0};
    (void)state;
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(pi_buf_printf(&buf, "%d,", i % 10), 0);
        assert_int_equal(buf.size, 2 * (i + 1));
        assert_int_equal(buf.data[buf.size], '\0');
    }
    assert_true(pi_starts_with(buf.data, "0,1,2,3,"));
}

static void buffer_refuses_to_pass_its_limit_and_keeps_its_content(void **state)
{
    pi_auto_buf struct pi_buf buf = {.max = 5};
    (void)state;
    assert_int_equal(pi_buf_puts(&buf, "abc"), 0);
    assert_int_equal(pi_buf_puts(&buf, "def"), -E2BIG);
    assert_int_equal(pi_buf_add(&buf, "x", SIZE_MAX), -E2BIG);
    assert_int_equal(pi_buf_printf(&buf, "%s", "def"), -E2BIG);
    assert_string_equal(buf.data, "abc");
    assert_int_equal(pi_buf_puts(&buf, "de"), 0);
    assert_int_equal(pi_buf_puts(&buf, "f"), -E2BIG);
    assert_int_equal(pi_buf_puts(&buf, ""), 0);
    assert_string_equal(buf.data, "abcde");
}

static void buffer_without_a_limit_has_one_all_the_same(void **state)
{
    pi_auto_buf struct pi_buf buf = {0};
    (void)state;
    assert_int_equal(pi_buf_add(&buf, "x", PI_BUF_MAX + 1), -E2BIG);
    assert_null(buf.data);
}

static void buffer_forgets_its_front(void **state)
{
    pi_auto_buf struct pi_buf buf = {.max = 8};
    (void)state;
    pi_buf_consume(&buf, 0);
    assert_int_equal(pi_buf_puts(&buf, "abcdef"), 0);
    pi_buf_consume(&buf, 2);
    assert_string_equal(buf.data, "cdef");
    assert_int_equal(pi_buf_puts(&buf, "ghij"), 0);
    pi_buf_consume(&buf, 8);
    assert_int_equal(buf.size, 0);
    assert_string_equal(buf.data, "");
}

static void released_buffer_can_be_used_again_with_its_limit(void **state)
{
    pi_auto_buf struct pi_buf buf = {.max = 2};
    (void)state;
    assert_int_equal(pi_buf_puts(&buf, "ab"), 0);
    pi_buf_done(&buf);
    assert_null(buf.data);
    assert_int_equal(pi_buf_puts(&buf, "abc"), -E2BIG);
    assert_int_equal(pi_buf_puts(&buf, "cd"), 0);
}

static void string_vector_is_terminated_like_an_argv(void **state)
{
    pi_auto_strv struct pi_strv v = {0};
    char word[] = "copied";
    (void)state;
    assert_int_equal(pi_strv_add(&v, word), 0);
    word[0] = 'X';
    assert_int_equal(pi_strv_addf(&v, "n=%d", 7), 0);
    assert_int_equal(v.count, 2);
    assert_string_equal(v.items[0], "copied");
    assert_string_equal(v.items[1], "n=7");
    assert_null(v.items[2]);
    pi_strv_done(&v);
    assert_null(v.items);
    assert_int_equal(v.count, 0);
}

struct collected {
    struct pi_buf text;
    int stop_after;
};

static int collect(char *line, size_t size, void *user)
{
    struct collected *all = user;
    assert_int_equal(line[size], '\0');
    assert_int_equal(pi_buf_add(&all->text, line, size), 0);
    assert_int_equal(pi_buf_add(&all->text, "|", 1), 0);
    return --all->stop_after == 0 ? -ECANCELED : 0;
}

static void any_cut_of_the_bytes_gives_the_same_lines(void **state)
{
    static const char bytes[] = "\none\ntwo\r\n\n\nthree \0 four\nlast";
    size_t size = sizeof bytes - 1;
    (void)state;
    for (size_t a = 0; a <= size; a++) {
        for (size_t b = a; b <= size; b++) {
            struct collected all = {0};
            struct pi_lines lines = {.partial.max = 16};
            assert_int_equal(pi_lines_feed(&lines, bytes, a, collect, &all), 0);
            assert_int_equal(pi_lines_feed(&lines, bytes + a, b - a, collect, &all), 0);
            assert_int_equal(pi_lines_feed(&lines, bytes + b, size - b, collect, &all), 0);
            assert_int_equal(all.text.size, 25);
            assert_memory_equal(all.text.data, "|one|two\r|||three \0 four|", 25);
            assert_int_equal(pi_lines_feed(&lines, "\n", 1, collect, &all), 0);
            assert_true(pi_ends_with(all.text.data + 20, "four|last|"));
            pi_buf_done(&all.text);
            pi_lines_done(&lines);
        }
    }
}

static void line_past_the_limit_is_refused_however_it_comes(void **state)
{
    (void)state;
    for (size_t cut = 0; cut <= 5; cut++) {
        struct collected all = {0};
        struct pi_lines lines = {.partial.max = 4};
        assert_int_equal(pi_lines_feed(&lines, "1234\n", 5, collect, &all), 0);
        int r = pi_lines_feed(&lines, "12345\n", cut, collect, &all);
        if (r == 0)
            r = pi_lines_feed(&lines, "12345\n" + cut, 6 - cut, collect, &all);
        assert_int_equal(r, -E2BIG);
        assert_string_equal(all.text.data, "1234|");
        pi_buf_done(&all.text);
        pi_lines_done(&lines);
    }
}

static void reader_of_lines_can_stop(void **state)
{
    struct collected all = {.stop_after = 2};
    struct pi_lines lines = {0};
    (void)state;
    assert_int_equal(pi_lines_feed(&lines, "a\nb\nc\n", 6, collect, &all), -ECANCELED);
    assert_string_equal(all.text.data, "a|b|");
    pi_buf_done(&all.text);
    pi_lines_done(&lines);
}

static void failed_call_says_why(void **state)
{
    struct pi_error err;
    (void)state;
    assert_int_equal(pi_fail(&err, ENOENT, "cannot open %s", "x"), -ENOENT);
    assert_string_equal(err.text, "cannot open x: No such file or directory");
    assert_int_equal(err.kind, PI_FAILED);
    assert_int_equal(pi_fail(&err, 0, "x"), -EIO);
    assert_int_equal(pi_fail(NULL, EPERM, "x"), -EPERM);
}

static void context_gathers_in_front(void **state)
{
    struct pi_error err;
    (void)state;
    int r = pi_refuse(&err, PI_HOST, "no descriptor");
    r = pi_context(&err, r, "firmware for %s", "aarch64");
    r = pi_context(&err, r, "cannot start pi-1");
    assert_int_equal(r, -ENOTSUP);
    assert_int_equal(err.kind, PI_HOST);
    assert_string_equal(err.text, "cannot start pi-1: firmware for aarch64: no descriptor");
    assert_int_equal(pi_context(NULL, -EIO, "x"), -EIO);
}

static void endless_message_is_cut(void **state)
{
    struct pi_error err;
    char long_text[3000];
    (void)state;
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    pi_fail(&err, EIO, "%s", long_text);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    pi_context(&err, 0, "%s", long_text);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    pi_refuse(&err, PI_USAGE, "%s", long_text);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

static void every_kind_has_a_word_and_an_errno(void **state)
{
    (void)state;
    for (enum pi_kind kind = PI_FAILED; kind < PI_KINDS; kind++) {
        assert_non_null(pi_kind_names[kind]);
        assert_true(pi_refuse(NULL, kind, "x") < 0);
    }
    assert_null(pi_kind_names[PI_KINDS]);
    assert_string_equal(pi_kind_names[PI_NOT_FOUND], "not-found");
}

static void random_text_has_its_length_and_digits(void **state)
{
    char text[PI_HEX_MAX + 2];
    (void)state;
    for (size_t digits = 0; digits <= PI_HEX_MAX; digits += 2) {
        memset(text, 'Z', sizeof text);
        text[0] = '\0';
        assert_int_equal(pi_random_hex(digits, text), 0);
        assert_true(pi_is_hex(text, digits));
        assert_int_equal(text[digits + 1], 'Z');
    }
    assert_int_equal(pi_random_hex(3, text), -EINVAL);
    assert_int_equal(pi_random_hex(PI_HEX_MAX + 2, text), -EINVAL);
    assert_int_equal(pi_random_bytes(text, 257), -EINVAL);
}

static void uuid_is_of_version_4(void **state)
{
    char uuid[PI_UUID_LENGTH + 1], other[PI_UUID_LENGTH + 1];
    (void)state;
    for (int turn = 0; turn < 100; turn++) {
        assert_int_equal(pi_random_uuid(uuid), 0);
        assert_int_equal(strlen(uuid), PI_UUID_LENGTH);
        for (int i = 0; i < PI_UUID_LENGTH; i++) {
            if (i == 8 || i == 13 || i == 18 || i == 23)
                assert_int_equal(uuid[i], '-');
            else
                assert_non_null(strchr("0123456789abcdef", uuid[i]));
        }
        assert_int_equal(uuid[14], '4');
        assert_non_null(strchr("89ab", uuid[19]));
    }
    assert_int_equal(pi_random_uuid(other), 0);
    assert_string_not_equal(uuid, other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffer_grows_and_stays_terminated),
        cmocka_unit_test(buffer_refuses_to_pass_its_limit_and_keeps_its_content),
        cmocka_unit_test(buffer_without_a_limit_has_one_all_the_same),
        cmocka_unit_test(buffer_forgets_its_front),
        cmocka_unit_test(released_buffer_can_be_used_again_with_its_limit),
        cmocka_unit_test(string_vector_is_terminated_like_an_argv),
        cmocka_unit_test(any_cut_of_the_bytes_gives_the_same_lines),
        cmocka_unit_test(line_past_the_limit_is_refused_however_it_comes),
        cmocka_unit_test(reader_of_lines_can_stop),
        cmocka_unit_test(failed_call_says_why),
        cmocka_unit_test(context_gathers_in_front),
        cmocka_unit_test(endless_message_is_cut),
        cmocka_unit_test(every_kind_has_a_word_and_an_errno),
        cmocka_unit_test(random_text_has_its_length_and_digits),
        cmocka_unit_test(uuid_is_of_version_4),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
