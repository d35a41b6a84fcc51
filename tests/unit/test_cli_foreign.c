/* SPDX-License-Identifier: MIT */
/* The words of other tools: what they stand for is there, and what they are answered with can be written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/commands/run_options.h"
#include "agent/cli/terminal/foreign.h"
#include "agent/cli/terminal/help.h"
#include "agent/cli/terminal/man.h"

static const struct cli_command *command_named(const char *name)
{
    for (const struct cli_command *const *c = cli_commands; *c; c++)
        if (!strcmp((*c)->name, name))
            return *c;
    return NULL;
}

static bool is_own_option(const struct cli_command *command, const char *name, size_t length)
{
    for (const struct cli_option *o = cli_options(command); o->name; o++)
        if (strlen(o->name) == length && !strncmp(o->name, name, length))
            return true;
    return false;
}

/* "piagent image rm IMAGE" begins with a command of ours. */
static bool begins_with_a_command(const char *text)
{
    char words[2][32] = {"", ""};
    sscanf(text, "%31[a-z-] %31[a-z-]", words[0], words[1]);
    if (!strcmp(words[0], "--version"))
        return true;
    for (const struct cli_command *const *c = cli_commands; *c; c++)
        if (cli_names_command(*c, (const char *const[]){words[0], words[1]}, words[1][0] ? 2 : 1))
            return true;
    return false;
}

static void assert_can_be_written(const struct cli_command *command, const char *answer)
{
    for (const char *s = answer; (s = strstr(s, "piagent "));) {
        s += strlen("piagent ");
        if (!pi_starts_with(s, "shares ") && !begins_with_a_command(s))
            fail_msg("no command: %s", s);
    }
    for (const char *s = answer; command && (s = strstr(s, "--"));) {
        s += strlen("--");
        size_t length = strcspn(s, " ,:");
        if (!is_own_option(command, s, length) && !strstr(answer, "piagent"))
            fail_msg("%s has no option %s", command->name, s);
    }
}

static void each_command_of_others_stands_for_one_or_is_answered(void **state)
{
    (void)state;
    for (const struct cli_foreign *row = cli_foreign_commands; row->words; row++) {
        if (command_named(row->words))
            fail_msg("%s is a command of ours", row->words);
        assert_int_equal(row->ours == NULL, row->answer != NULL);
        if (row->ours && !command_named(row->ours))
            fail_msg("%s stands for %s, which there is not", row->words, row->ours);
        if (row->answer)
            assert_can_be_written(NULL, row->answer);
    }
}

static void assert_option_row(const struct cli_foreign *row, const char *word)
{
    const struct cli_command *command = command_named(row->command);
    const struct cli_option *o = NULL;
    assert_non_null(command);
    if (pi_starts_with(word, "--") && is_own_option(command, word + 2, strlen(word) - 2))
        fail_msg("%s has its own %s", row->command, word);
    o = word[1] == '-' ? cli_option_named(command, word + 2, strlen(word) - 2)
                       : cli_option_lettered(command, word[1]);
    if (row->ours ? !o || strcmp(o->name, row->ours) != 0 : o != NULL)
        fail_msg("%s %s is %s", row->command, word, o ? o->name : "nothing");
    assert_ptr_equal(cli_foreign_option(command, word), row);
}

static void each_option_of_others_stands_for_one_or_is_answered(void **state)
{
    char words[128];
    (void)state;
    for (const struct cli_foreign *row = cli_foreign_options; row->words; row++) {
        assert_int_equal(row->ours == NULL, row->answer != NULL);
        snprintf(words, sizeof words, "%s", row->words);
        for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
            assert_option_row(row, word);
        if (row->answer)
            assert_can_be_written(command_named(row->command), row->answer);
    }
}

static void run_takes_the_letters_of_docker_and_multipass(void **state)
{
    char line[] = "pi-1 -p 8080:80 -m 2G -c4 --image-unverified --publish=2222:22 --cloud-init a.yaml";
    char *argv[16] = {0};
    size_t n = 0;
    struct cli_create values = {0};
    struct cli_operands operands;
    struct pi_error err = {0};
    (void)state;
    for (char *word = strtok(line, " "); word; word = strtok(NULL, " "))
        argv[n++] = word;
    if (cli_parse(&cli_command_run, argv, &values, &operands, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(values.spec.memory_mib, 2048);
    assert_int_equal(values.spec.cpus, 4);
    assert_int_equal(values.spec.forwards.count, 2);
    assert_string_equal(values.spec.forwards.items[0], "8080:80");
    assert_string_equal(values.spec.forwards.items[1], "2222:22");
    assert_string_equal(values.user_data, "a.yaml");
    assert_true(values.image_unverified);
    cli_values_done(&cli_command_run, &values);
}

static void other_names_are_in_the_help_and_on_the_page(void **state)
{
    pi_auto_buf struct pi_buf help = {0}, page = {0};
    (void)state;
    assert_int_equal(cli_help(command_named("rm"), 80, &help), 0);
    assert_int_equal(cli_man_command(command_named("rm"), "January 1, 1970", &page), 0);
    assert_non_null(strstr(help.data, "Other names: delete, remove."));
    assert_non_null(strstr(page.data, "Other names: delete, remove."));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_command_of_others_stands_for_one_or_is_answered),
        cmocka_unit_test(each_option_of_others_stands_for_one_or_is_answered),
        cmocka_unit_test(run_takes_the_letters_of_docker_and_multipass),
        cmocka_unit_test(other_names_are_in_the_help_and_on_the_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
