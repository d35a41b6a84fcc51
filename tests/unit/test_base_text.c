/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"

#define BAD UINT64_MAX

static void names_are_host_names(void **state)
{
    static const struct {
        const char *name;
        bool good;
    } cases[] = {
        {"a", true},
        {"pi-1", true},
        {"0", true},
        {"012345678901234567890123456789012345678901234567890123456789012", true},
        {"0123456789012345678901234567890123456789012345678901234567890123", false},
        {"", false},
        {"-a", false},
        {"a-", false},
        {"A", false},
        {"a.b", false},
        {"a/b", false},
        {"..", false},
        {"a b", false},
        {"\xc3\xa9", false},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++)
        assert_int_equal(pi_name_check(cases[i].name, NULL) == 0, cases[i].good);
}

static void refused_name_is_shown_clean(void **state)
{
    struct pi_error err;
    (void)state;
    assert_true(pi_name_check("a\033[2Jb\n", &err) < 0);
    assert_int_equal(err.kind, PI_USAGE);
    assert_non_null(strstr(err.text, "'a?[2Jb'"));
}

static void name_with_a_login_is_told_that_the_login_is_fixed(void **state)
{
    struct pi_error err;
    (void)state;
    assert_true(pi_name_check("fedora@pi-1", &err) < 0);
    assert_non_null(strstr(err.text, "say pi-1 alone; the instance's login was chosen"));
    assert_true(pi_name_check("fedora@", &err) < 0);
    assert_non_null(strstr(err.text, "not a usable name"));
}

static void sizes_are_read(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {
        {"0", 0},
        {"4096", 4096},
        {"4096B", 4096},
        {"1k", 1024},
        {"1K", 1024},
        {"1KB", 1024},
        {"1KiB", 1024},
        {"512M", 512ull << 20},
        {"20g", 20ull << 30},
        {"1.5GiB", 3ull << 29},
        {"0.5T", 1ull << 39},
        {"1048575T", 1048575ull << 40},
        {"1048576T", BAD},
        {"99999999999999999999999999", BAD},
        {"", BAD},
        {"-1", BAD},
        {"+1", BAD},
        {" 1", BAD},
        {"1 G", 1ull << 30},
        {"1.5 GiB", 3ull << 29},
        {"1  G", BAD},
        {"1 ", BAD},
        {".5G", BAD},
        {"1.G", BAD},
        {"1i", BAD},
        {"1GG", BAD},
        {"1Gi B", BAD},
        {"1P", 1ull << 50},
        {"1 PiB", 1ull << 50},
        {"1024P", BAD},
        {"1GIB", 1ull << 30},
        {"1E", BAD},
        {"0x10", BAD},
        {"1e3", BAD},
        {"inf", BAD},
        {"nan", BAD},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        uint64_t bytes = BAD;
        int r = pi_size_parse(cases[i].text, &bytes, NULL);
        assert_int_equal(r < 0, cases[i].bytes == BAD);
        assert_int_equal(bytes, cases[i].bytes);
    }
}

static void durations_are_read(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } cases[] = {
        {"0", 0},
        {"90", 90000},
        {"90s", 90000},
        {"2m", 120000},
        {"1m30s", 90000},
        {"1h", 3600000},
        {"1h2m3s4ms", 3723004},
        {"500ms", 500},
        {"1.5", 1500},
        {"0.001s", 1},
        {"2.3s", 2300},
        {"277777h", 277777ull * 3600000},
        {"277778h", BAD},
        {"", BAD},
        {"s", BAD},
        {"-1s", BAD},
        {"1m30", BAD},
        {"0m5", BAD},
        {"1d", 86400000},
        {"1d02h", 93600000},
        {"1.5h", 5400000},
        {"1w", 604800000},
        {"2 min", 120000},
        {"1h 30min", 5400000},
        {"90sec", 90000},
        {"2 hours", 7200000},
        {"5minutes", 300000},
        {"30 seconds", 30000},
        {"1 hour 30 minutes", 5400000},
        {"1day", 86400000},
        {"1 week", 604800000},
        {"1H", 3600000},
        {"1M30S", 90000},
        {"1month", BAD},
        {"1hourly", BAD},
        {"1y", BAD},
        {"1s  2s", BAD},
        {"1s ", BAD},
        {"1 s", 1000},
        {"1.s", BAD},
        {"1e3s", BAD},
        {"inf", BAD},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        uint64_t ms = BAD;
        int r = pi_duration_parse(cases[i].text, &ms, NULL);
        assert_int_equal(r < 0, cases[i].ms == BAD);
        assert_int_equal(ms, cases[i].ms);
    }
}

static void every_millisecond_is_read_as_written(void **state)
{
    (void)state;
    for (uint64_t wanted = 0; wanted < 10000; wanted++) {
        char text[32];
        uint64_t ms;
        snprintf(text, sizeof text, "%u.%03us", (unsigned)(wanted / 1000), (unsigned)(wanted % 1000));
        assert_int_equal(pi_duration_parse(text, &ms, NULL), 0);
        assert_int_equal(ms, wanted);
    }
}

static void numbers_are_whole_and_within_bounds(void **state)
{
    static const struct {
        const char *text;
        uint64_t min, max;
        bool good;
    } cases[] = {
        {"0", 0, 10, true},
        {"10", 0, 10, true},
        {"0010", 0, 10, true},
        {"18446744073709551615", 0, UINT64_MAX, true},
        {"18446744073709551616", 0, UINT64_MAX, false},
        {"184467440737095516150", 0, UINT64_MAX, false},
        {"11", 0, 10, false},
        {"1", 2, 10, false},
        {"", 0, 10, false},
        {"-1", 0, UINT64_MAX, false},
        {"+1", 0, 10, false},
        {" 1", 0, 10, false},
        {"1 ", 0, 10, false},
        {"1.0", 0, 10, false},
        {"0x1", 0, 10, false},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        uint64_t value = 77;
        int r = pi_number_parse(cases[i].text, cases[i].min, cases[i].max, &value, NULL);
        assert_int_equal(r == 0, cases[i].good);
        assert_int_equal(value, cases[i].good ? strtoull(cases[i].text, NULL, 10) : 77);
    }
}

static void refusals_say_how_to_write_it(void **state)
{
    struct pi_error err;
    uint64_t value;
    (void)state;
    assert_true(pi_size_parse("big", &value, &err) < 0);
    assert_int_equal(err.kind, PI_USAGE);
    assert_string_equal(err.text, "'big' is not a size: write it as 512M, 1G or 1.5G");
    assert_true(pi_duration_parse("soon", &value, &err) < 0);
    assert_string_equal(err.text, "'soon' is not a duration: write it as 90s, 2m, 1h30m or 2d");
    assert_true(pi_number_parse("x", 1, 8, &value, &err) < 0);
    assert_string_equal(err.text, "'x' is not a whole number from 1 to 8");
}

static void sizes_are_shown(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0 B"},
        {1, "1 B"},
        {1023, "1023 B"},
        {1024, "1 KiB"},
        {1536, "1.5 KiB"},
        {512ull << 20, "512 MiB"},
        {1503238554, "1.4 GiB"},
        {(1ull << 20) - 1, "1 MiB"},
        {(100ull << 20) - 1, "100 MiB"},
        {(5ull << 30) + 1, "5 GiB"},
        {UINT64_MAX, "16 EiB"},
    };
    char buf[32];
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++)
        assert_string_equal(pi_size_format(cases[i].bytes, buf), cases[i].text);
}

static void durations_are_shown(void **state)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } cases[] = {
        {0, "0.0s"},         {3249, "3.2s"},
        {59999, "59.9s"},    {60000, "1m00s"},
        {90000, "1m30s"},    {3599999, "59m59s"},
        {7500000, "2h05m"},  {86399999, "23h59m"},
        {93600000, "1d02h"}, {UINT64_MAX, "213503982334d14h"},
    };
    char buf[32];
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++)
        assert_string_equal(pi_duration_format(cases[i].ms, buf), cases[i].text);
}

static void utf8_sequences_are_measured(void **state)
{
    static const struct {
        const char *bytes;
        size_t left, length;
    } cases[] = {
        {"a", 1, 1},
        {"\x7f", 1, 1},
        {"\xc3\xa9", 2, 2},
        {"\xe2\x82\xac", 3, 3},
        {"\xf0\x9f\x90\xa7", 4, 4},
        {"\xf4\x8f\xbf\xbf", 4, 4},
        {"\x80", 1, 0},
        {"\xc3", 1, 0},
        {"\xc3\xa9", 1, 0},
        {"\xe2\x82\xac", 2, 0},
        {"\xf0\x9f\x90\xa7", 3, 0},
        {"\xc3(", 2, 0},
        {"\xc0\xaf", 2, 0},
        {"\xc1\xbf", 2, 0},
        {"\xe0\x9f\xbf", 3, 0},
        {"\xed\xa0\x80", 3, 0},
        {"\xed\x9f\xbf", 3, 3},
        {"\xf0\x8f\xbf\xbf", 4, 0},
        {"\xf4\x90\x80\x80", 4, 0},
        {"\xf5\x80\x80\x80", 4, 0},
        {"\xff", 1, 0},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++)
        assert_int_equal(pi_utf8_length(cases[i].bytes, cases[i].left), cases[i].length);
}

static void text_is_made_safe_for_a_terminal(void **state)
{
    static const struct {
        const char *from, *clean;
    } cases[] = {
        {"", ""},
        {"plain text", "plain text"},
        {"  a \t\r\n b  ", "a b"},
        {"line\nline", "line line"},
        {"\033[31mred\033[0m", "?[31mred?[0m"},
        {"\033]0;title\a", "?]0;title?"},
        {"\x7f", "?"},
        {"\xc2\x9b"
         "2J",
         "?2J"},
        {"\xc2\x9f\xc2\xa0x", "?\xc2\xa0x"},
        {"\x9b"
         "2J",
         "?2J"},
        {"caf\xc3\xa9 \xf0\x9f\x90\xa7", "caf\xc3\xa9 \xf0\x9f\x90\xa7"},
        {"\xc3", "?"},
        {"\xe2\x82x", "??x"},
        {"\xed\xa0\x80", "???"},
        {"\xc0\x80", "??"},
        {"\xe2\x80\xae"
         "exe",
         "?exe"}, /* U+202E: right to left from here on */
        {"\xe2\x81\xa6\xe2\x81\xa9\xe2\x80\x8f\xd8\x9c", "????"},
        {"\xe2\x80\xa8\xe2\x80\xa9\xef\xbb\xbf", "???"},
        {"\xf3\xa0\x81\x81", "?"},
        {"\xd7\x90\xe2\x80\x90\xe2\x81\xa5", "\xd7\x90\xe2\x80\x90\xe2\x81\xa5"},
    };
    char buf[128];
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++)
        assert_string_equal(pi_text_clean(cases[i].from, strlen(cases[i].from), buf, sizeof buf),
                            cases[i].clean);
    assert_string_equal(pi_text_clean("a\0b", 3, buf, sizeof buf), "a?b");
}

static void text_is_cut_between_characters(void **state)
{
    static const char from[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\xa7";
    static const size_t lengths[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};
    (void)state;
    for (size_t max = 1; max <= PI_ARRAY_SIZE(lengths); max++) {
        pi_auto_free char *exact = malloc(max);
        pi_text_clean(from, sizeof from - 1, exact, max);
        assert_int_equal(strlen(exact), lengths[max - 1]);
        assert_memory_equal(exact, from, lengths[max - 1]);
    }
}

static void cut_text_does_not_end_in_a_space(void **state)
{
    char buf[4];
    (void)state;
    assert_string_equal(pi_text_clean("ab cd", 5, buf, sizeof buf), "ab");
}

static void beginnings_and_ends(void **state)
{
    (void)state;
    assert_true(pi_starts_with("abc", "ab") && pi_starts_with("abc", "") && pi_starts_with("abc", "abc"));
    assert_false(pi_starts_with("abc", "b") || pi_starts_with("ab", "abc"));
    assert_true(pi_ends_with("abc", "bc") && pi_ends_with("abc", "") && pi_ends_with("abc", "abc"));
    assert_false(pi_ends_with("abc", "b") || pi_ends_with("bc", "abc"));
}

static void hexadecimal_digits_are_counted(void **state)
{
    (void)state;
    assert_true(pi_is_hex("09afAF", 6) && pi_is_hex("", 0));
    assert_false(pi_is_hex("09afAF", 5) || pi_is_hex("09afAF", 7) || pi_is_hex("0g", 2) ||
                 pi_is_hex("0x", 2) || pi_is_hex("0 ", 2));
}

static void words_are_quoted_only_where_they_must_be(void **state)
{
    static const struct {
        const char *word, *quoted;
    } cases[] = {
        {"plain", "plain"},
        {"a=b:c,/d.e_f-g@h%+", "a=b:c,/d.e_f-g@h%+"},
        {"", "''"},
        {"two words", "'two words'"},
        {"it's", "'it'\\''s'"},
        {"~", "'~'"},
        {"$HOME", "'$HOME'"},
        {"#", "'#'"},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        pi_auto_free char *quoted = pi_shell_quote(cases[i].word);
        assert_string_equal(quoted, cases[i].quoted);
    }
}

static void shell_gives_back_what_was_quoted(void **state)
{
    static const char *const words[] = {
        "",      "a b",   "'",           "''",       "it's", "\"",   "$(echo no)", "`echo no`",
        "\\",    "\\'",   "*",           "!x",       "\n",   "\t x", "a;b|c&d",    "<>(",
        "{a,b}", "~root", "caf\xc3\xa9", "\x01\x7f", "x\n",  "%s",   "-n",         "=ls",
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(words); i++) {
        pi_auto_free char *quoted = pi_shell_quote(words[i]), *command = NULL;
        char got[64];
        assert_true(asprintf(&command, "printf '%%s|' %s", quoted) > 0);
        FILE *shell = popen(command, "re"); /* NOLINT(cert-env33-c): the shell is what is tested */
        assert_non_null(shell);
        size_t n = fread(got, 1, sizeof got, shell);
        assert_int_equal(pclose(shell), 0);
        assert_int_equal(n, strlen(words[i]) + 1);
        assert_memory_equal(got, words[i], n - 1);
        assert_int_equal(got[n - 1], '|');
    }
}

static void nearest_word_is_suggested(void **state)
{
    static const char *const words[] = {"run", "start", "stop", "status", "powerdown", "console", NULL};
    static const struct {
        const char *typed, *nearest;
    } cases[] = {
        {"rum", "run"},
        {"stpo", "stop"},
        {"statsu", "status"},
        {"spto", "stop"},
        {"tsauts", "status"}, /* two swaps */
        {"pwerdwn", "powerdown"},
        {"powerdonw", "powerdown"},
        {"stop", "stop"},
        {"star", "start"},
        {"x", NULL},
        {"xyzzy", NULL},
        {"", NULL},
        {"completely-else", NULL},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        const char *nearest = pi_nearest(cases[i].typed, words);
        if (cases[i].nearest)
            assert_string_equal(nearest, cases[i].nearest);
        else
            assert_null(nearest);
    }
}

static void no_remedy_is_the_word_itself(void **state)
{
    static const char *const words[] = {"warm", NULL};
    char buf[PI_SUGGESTION_SIZE];
    (void)state;
    assert_string_equal(pi_suggest("wram", words, "see the list", buf), "did you mean warm?");
    assert_string_equal(pi_suggest("warm", words, "see the list", buf), "see the list");
    assert_string_equal(pi_suggest("cold", words, "see the list", buf), "see the list");
    assert_null(pi_suggest("warm", words, NULL, buf));
}

static void overlong_candidates_are_never_near(void **state)
{
    char candidate[80], typed[80];
    const char *const words[] = {candidate, NULL};
    (void)state;
    for (size_t length = 62; length < sizeof candidate - 1; length++) {
        memset(candidate, 'a', length);
        candidate[length] = '\0';
        memcpy(typed, candidate, length + 1);
        typed[0] = 'b';
        assert_ptr_equal(pi_nearest(typed, words), length <= 64 ? candidate : NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_host_names),
        cmocka_unit_test(refused_name_is_shown_clean),
        cmocka_unit_test(name_with_a_login_is_told_that_the_login_is_fixed),
        cmocka_unit_test(sizes_are_read),
        cmocka_unit_test(durations_are_read),
        cmocka_unit_test(every_millisecond_is_read_as_written),
        cmocka_unit_test(numbers_are_whole_and_within_bounds),
        cmocka_unit_test(refusals_say_how_to_write_it),
        cmocka_unit_test(sizes_are_shown),
        cmocka_unit_test(durations_are_shown),
        cmocka_unit_test(utf8_sequences_are_measured),
        cmocka_unit_test(text_is_made_safe_for_a_terminal),
        cmocka_unit_test(text_is_cut_between_characters),
        cmocka_unit_test(cut_text_does_not_end_in_a_space),
        cmocka_unit_test(beginnings_and_ends),
        cmocka_unit_test(hexadecimal_digits_are_counted),
        cmocka_unit_test(words_are_quoted_only_where_they_must_be),
        cmocka_unit_test(shell_gives_back_what_was_quoted),
        cmocka_unit_test(nearest_word_is_suggested),
        cmocka_unit_test(no_remedy_is_the_word_itself),
        cmocka_unit_test(overlong_candidates_are_never_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
