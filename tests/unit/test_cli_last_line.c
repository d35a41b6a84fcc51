/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/cli/terminal/last_line.h"

static void line_is_what_stands_behind_the_last_break(void **state)
{
    static const struct {
        const char *said, *text;
        bool odd;
    } cases[] = {
        {"", "", false},
        {"\r\npi-1 login: ", "pi-1 login: ", false},
        {"Fedora Linux 44\r\n", "", false},
        {"50%\r100%", "100%", false},
        {"login: ab\b \b\a", "login: a", false},
        {"\b\bx\ty", "x\ty", false},
        {"\xc3\xa9", "\xc3\xa9", false},
        {"\033[0;32m  OK  \033[0m", "[0;32m  OK  [0m", true},
        {"\033[0;32m  OK  \033[0m\r\npi-1 login: ", "pi-1 login: ", false},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct cli_last_line line = {0};
        for (const char *c = cases[i].said; *c; c++) /* however it comes in pieces */
            cli_last_line_feed(&line, c, 1);
        assert_int_equal(line.size, strlen(cases[i].text));
        assert_memory_equal(line.text, cases[i].text, line.size);
        assert_int_equal(line.odd, cases[i].odd);
    }
}

static void line_that_is_too_long_is_not_drawn_again(void **state)
{
    struct cli_last_line line = {0};
    (void)state;
    for (size_t i = 0; i < sizeof line.text; i++)
        cli_last_line_feed(&line, "x", 1);
    assert_false(line.odd);
    cli_last_line_feed(&line, "x", 1);
    assert_true(line.odd);
    cli_last_line_feed(&line, "\n", 1);
    assert_false(line.odd);
    assert_int_equal(line.size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_is_what_stands_behind_the_last_break),
        cmocka_unit_test(line_that_is_too_long_is_not_drawn_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
