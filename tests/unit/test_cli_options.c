/* SPDX-License-Identifier: MIT */
/* The option parser over a table of its own, and the tables of the real commands as --help shows them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/terminal/help.h"
#include "agent/cli/terminal/host_hint.h"
#include "agent/cli/terminal/options.h"

#define LINE_SIZE 256

struct values {
    bool detach, force, all;
    char *image;
    uint64_t cpus, memory_bytes, memory_max_bytes, timeout_ms;
    struct pi_strv keys;
};

#define OPTION(member, name_, type_, ...)                               \
    {                                                                   \
        .name = (name_), CLI_MEMBER(type_, values, member), __VA_ARGS__ \
    }

static const struct cli_option table[] = {
    OPTION(detach, "detach", CLI_FLAG, .letter = 'd', .help = "h"),
    OPTION(force, "force", CLI_FLAG, .letter = 'f', .help = "h"),
    OPTION(image, "image", CLI_STRING, .letter = 'i', .argument = "IMAGE", .help = "h"),
    OPTION(cpus, "cpus", CLI_NUMBER, .argument = "N", .help = "h", .min = 1, .max = 64),
    OPTION(memory_bytes, "memory", CLI_SIZE, .argument = "SIZE", .help = "h"),
    OPTION(memory_max_bytes, "memory-max", CLI_SIZE, .argument = "SIZE", .help = "h"),
    OPTION(timeout_ms, "timeout", CLI_DURATION, .argument = "TIME", .help = "h"),
    OPTION(all, "all", CLI_FLAG, .names = true, .help = "h"),
    OPTION(keys, "ssh-key", CLI_LIST, .argument = "FILE", .help = "h"),
    {0},
};

static const struct cli_command command = {
    .name = "try",
    .operands = "NAME [OTHER]",
    .summary = "tries",
    .example = "piagent try x",
    .options = table,
    .values_size = sizeof(struct values),
    .min_operands = 1,
    .max_operands = 2,
};

struct parsed {
    char line[LINE_SIZE], *argv[16];
    struct values values;
    struct cli_operands operands;
    struct pi_error err;
    int result;
};

/* line is split at spaces. */
static void parse(const struct cli_command *what, const char *line, struct parsed *ret)
{
    int argc = 0;
    *ret = (struct parsed){0};
    snprintf(ret->line, sizeof ret->line, "%s", line);
    for (char *word = strtok(ret->line, " "); word; word = strtok(NULL, " "))
        ret->argv[argc++] = word;
    ret->result = cli_parse(what, ret->argv, &ret->values, &ret->operands, &ret->err);
}

static void parsed_done(struct parsed *parsed)
{
    cli_values_done(&command, &parsed->values);
}

static void options_are_taken_in_every_spelling(void **state)
{
    static const struct {
        const char *line;
        bool detach, force;
        const char *image;
        uint64_t cpus, memory_bytes, timeout_ms;
        size_t keys;
        unsigned operands;
    } cases[] = {
        {.line = "x", .operands = 1},
        {.line = "x y", .operands = 2},
        {.line = "-d x", .detach = true, .operands = 1},
        {.line = "x -d", .detach = true, .operands = 1},
        {.line = "-df x", .detach = true, .force = true, .operands = 1},
        {.line = "--detach --force x", .detach = true, .force = true, .operands = 1},
        {.line = "--image a x", .image = "a", .operands = 1},
        {.line = "--image=a x", .image = "a", .operands = 1},
        {.line = "--image= x", .image = "", .operands = 1},
        {.line = "--image=a=b x", .image = "a=b", .operands = 1},
        {.line = "-i a x", .image = "a", .operands = 1},
        {.line = "-ia x", .image = "a", .operands = 1},
        {.line = "-dia x", .detach = true, .image = "a", .operands = 1},
        {.line = "--image a --image b x", .image = "b", .operands = 1},
        {.line = "--image -- x", .image = "--", .operands = 1},
        {.line = "--cpus 4 x", .cpus = 4, .operands = 1},
        {.line = "--memory 1.5G x", .memory_bytes = 3ull << 29, .operands = 1},
        {.line = "--timeout 1m30s x", .timeout_ms = 90000, .operands = 1},
        {.line = "--timeout 5m m", .timeout_ms = 300000, .operands = 1},
        {.line = "--timeout 5 10", .timeout_ms = 5000, .operands = 1},
        {.line = "--timeout 5 -- m", .timeout_ms = 5000, .operands = 1},
        {.line = "--memory 1G g", .memory_bytes = 1 << 30, .operands = 1},
        {.line = "--all"},
        {.line = "--ssh-key a x --ssh-key=b", .keys = 2, .operands = 1},
        {.line = "x -- -d", .operands = 2},
        {.line = "-- --detach --", .operands = 2},
        {.line = "-", .operands = 1},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct parsed p;
        parse(&command, cases[i].line, &p);
        if (p.result != 0)
            fail_msg("%s: %s", cases[i].line, p.err.text);
        assert_int_equal(p.values.detach, cases[i].detach);
        assert_int_equal(p.values.force, cases[i].force);
        assert_int_equal(p.values.image != NULL, cases[i].image != NULL);
        if (cases[i].image)
            assert_string_equal(p.values.image, cases[i].image);
        assert_int_equal(p.values.cpus, cases[i].cpus);
        assert_int_equal(p.values.memory_bytes, cases[i].memory_bytes);
        assert_int_equal(p.values.timeout_ms, cases[i].timeout_ms);
        assert_int_equal(p.values.keys.count, cases[i].keys);
        assert_int_equal(p.operands.count, cases[i].operands);
        assert_null(p.operands.items[p.operands.count]);
        parsed_done(&p);
    }
}

static void errors_name_the_option_and_the_nearest_known_one(void **state)
{
    static const struct {
        const char *line, *error;
    } cases[] = {
        {"--memroy 1G x", "try has no option --memroy: did you mean --memory?"},
        {"--detatch x", "did you mean --detach?"},
        {"--hepl x", "did you mean --help?"},
        {"--det x", "did you mean --detach?"},
        {"--mem 1G x", "did you mean --memory?"},
        {"--m=1G x", "did you mean --memory?"},
        {"--=1G x", "see piagent try --help"},
        {"--image-sha x", "no option --image-sha"},
        {"--wholly-different x", "see piagent try --help"},
        {"-x x", "try has no option -x"},
        {"-dx x", "no option -x"},
        {"--detach=yes x", "--detach takes no value"},
        {"x --image", "--image needs a value: --image IMAGE"},
        {"x -i", "--image needs a value"},
        {"--cpus 0 x", "--cpus: '0' is not a whole number from 1 to 64"},
        {"--cpus 65 x", "--cpus: '65'"},
        {"--memory big x", "--memory: 'big' is not a size"},
        {"--timeout soon x", "--timeout: 'soon' is not a duration"},
        {"--memory 0 x", "--memory: it cannot be 0: leave the option out for its default"},
        {"--timeout 0s x", "--timeout: it cannot be 0"},
        {"--timeout 0.2ms x", "--timeout: it cannot be 0"},
        {"x --timeout 5 minutes", "--timeout 5 minutes is two words: write --timeout 5minutes"},
        {"--timeout=5 m", "--timeout 5 m is two words"},
        {"x --timeout 1h 30min", "write --timeout 1h30min"},
        {"--memory 1.5 GiB x", "--memory 1.5 GiB is two words: write --memory 1.5GiB"},
        {"", "try needs NAME [OTHER], or --all: piagent try NAME [OTHER]"},
        {"x --all", "try takes names or --all, not both"},
        {"a b c", "try does not take 'c'"},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct parsed p;
        parse(&command, cases[i].line, &p);
        if (p.result >= 0 || p.err.kind != PI_USAGE || !strstr(p.err.text, cases[i].error))
            fail_msg("'%s' gave %d '%s', not '%s'", cases[i].line, p.result, p.err.text, cases[i].error);
        assert_null(p.operands.items);
        parsed_done(&p);
    }
}

static void help_is_taken_before_anything_is_missing(void **state)
{
    static const char *const lines[] = {"--help", "-h", "a b c --help", "--cpus 4 --help"};
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(lines); i++) {
        struct parsed p;
        parse(&command, lines[i], &p);
        assert_int_equal(p.result, 0);
        assert_true(p.operands.help);
        parsed_done(&p);
    }
}

static void the_rest_is_passed_on_untouched(void **state)
{
    static const struct {
        const char *line, *first_of_rest;
        unsigned operands;
    } cases[] = {
        {"x", NULL, 1},         {"x uname -a", "uname", 3}, {"x -- uname -a", "uname", 3},
        {"x -- -- a", "--", 3}, {"x ls --help", "ls", 3},   {"-- x -- a", "--", 3},
    };
    struct cli_command passing = command;
    (void)state;
    passing.passes_rest = true;
    passing.max_operands = 8;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct parsed p;
        parse(&passing, cases[i].line, &p);
        assert_int_equal(p.result, 0);
        assert_int_equal(p.operands.count, cases[i].operands);
        assert_string_equal(p.operands.items[0], "x");
        if (cases[i].first_of_rest)
            assert_string_equal(p.operands.items[1], cases[i].first_of_rest);
        parsed_done(&p);
    }
}

static void help_shows_each_option_and_an_example(void **state)
{
    pi_auto_buf struct pi_buf text = {0};
    (void)state;
    assert_int_equal(cli_help(&cli_command_run, 1000, &text), 0);
    for (const struct cli_option *o = cli_command_run.options; o->name; o++)
        if (!strstr(text.data, o->name) || !strstr(text.data, o->help))
            fail_msg("--%s is not in the help", o->name);
    assert_non_null(strstr(text.data, "Example:\n  piagent run "));
    assert_non_null(strstr(text.data, "-d, --detach"));
}

static bool is_named_in(const char *const *words, const char *name)
{
    size_t length = strcspn(name, " ");
    for (; *words; words++)
        if (strlen(*words) == length && !strncmp(*words, name, length))
            return true;
    return false;
}

static void hints_know_each_command_that_can_act_on_another_host(void **state)
{
    const char *names[128] = {0};
    size_t count = 0;
    (void)state;
    for (const struct cli_command *const *c = cli_commands; *c; c++) {
        assert_true(count < PI_ARRAY_SIZE(names) - 1);
        if ((*c)->site != CLI_HERE)
            names[count++] = (*c)->name;
    }
    for (size_t i = 0; i < count; i++)
        if (!is_named_in(cli_host_hints, names[i]))
            fail_msg("cli_host_hints (terminal/host_hint.c) lacks the first word of: %s", names[i]);
}

static void a_hint_names_the_host(void **state)
{
    static const struct {
        const char *text, *hint;
    } cases[] = {
        {"log in with: piagent ssh pi-1", "log in with: piagent --host ssh://h ssh pi-1"},
        {"pi-1 is stopped (piagent start pi-1, or piagent rm pi-1)",
         "pi-1 is stopped (piagent --host ssh://h start pi-1, or piagent --host ssh://h rm pi-1)"},
        {"piagent ps: it lists them", "piagent --host ssh://h ps: it lists them"},
        {"piagent starts it, and piagent cannot wait", "piagent starts it, and piagent cannot wait"},
        {"see piagent help images, and /usr/bin/xpiagent ps",
         "see piagent help images, and /usr/bin/xpiagent ps"},
        {"", ""},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        pi_auto_buf struct pi_buf text = {0}, none = {0};
        assert_string_equal(cli_host_hint(cases[i].text, "ssh://h", &text), cases[i].hint);
        assert_ptr_equal(cli_host_hint(cases[i].text, NULL, &none), cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_taken_in_every_spelling),
        cmocka_unit_test(errors_name_the_option_and_the_nearest_known_one),
        cmocka_unit_test(help_is_taken_before_anything_is_missing),
        cmocka_unit_test(the_rest_is_passed_on_untouched),
        cmocka_unit_test(help_shows_each_option_and_an_example),
        cmocka_unit_test(hints_know_each_command_that_can_act_on_another_host),
        cmocka_unit_test(a_hint_names_the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
