/* SPDX-License-Identifier: MIT */
/* The completions at each place of a command line, and the table rows that they need. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/base/error.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/terminal/complete.h"
#include "agent/cli/terminal/help.h"
#include "agent/cli/terminal/man.h"
#include "agent/cli/terminal/topics.h"
#include "agent/cli/terminal/words.h"
#include "agent/vm/spec.h"

static void assert_option_is_told(const struct cli_command *command, const struct cli_option *o)
{
    bool text = o->type == CLI_STRING || o->type == CLI_CHOICE || o->type == CLI_LIST;
    if (!o->help || !o->help[0])
        fail_msg("%s --%s has no help", command->name, o->name);
    if (o->type != CLI_FLAG && !o->argument)
        fail_msg("%s --%s does not name its value", command->name, o->name);
    if (text && o->kind == CLI_NOT_SAID)
        fail_msg("%s --%s does not say what kind of value it takes (enum cli_kind)", command->name, o->name);
    if (o->kind == CLI_WORD && !o->words)
        fail_msg("%s --%s has no words", command->name, o->name);
}

static void every_option_and_operand_is_told(void **state)
{
    (void)state;
    for (const struct cli_command *const *c = cli_commands; *c; c++) {
        if (!(*c)->summary || !(*c)->example)
            fail_msg("%s has no summary or no example", (*c)->name);
        if ((*c)->max_operands && ((*c)->operand == CLI_NOT_SAID || !(*c)->operands))
            fail_msg("%s does not say what its operands are (enum cli_kind)", (*c)->name);
        if ((*c)->operand == CLI_WORD && !(*c)->words)
            fail_msg("%s has no words", (*c)->name);
        for (const struct cli_option *o = cli_options(*c); o->name; o++)
            assert_option_is_told(*c, o);
    }
}

static void every_exit_code_is_documented(void **state)
{
    (void)state;
    const struct cli_topic *topic = cli_topic_named("exit-codes");
    assert_non_null(topic);
    pi_auto_buf struct pi_buf text = {0};
    const char *at = cli_topic_begin(topic);
    enum cli_topic_part part;
    int kinds = 0;
    while (cli_topic_next(&at, &part, &text) > 0) {
        if (part != CLI_TOPIC_TERM)
            continue;
        char code[16];
        snprintf(code, sizeof code, "%d", kinds++);
        assert_string_equal(text.data, code);
    }
    assert_int_equal(kinds, PI_KINDS);
}

static int some_names(enum cli_kind kind, struct cli_candidates *ret)
{
    const char *live = kind == CLI_PLACE ? "web:" : "web";
    if (kind == CLI_IMAGE || kind == CLI_STORED_IMAGE)
        return cli_candidate(ret, kind == CLI_IMAGE ? "fedora" : "disk.raw", NULL);
    if (kind != CLI_MACHINE_OVER && cli_candidate(ret, live, "ready\033[31m") < 0)
        return -1;
    return kind == CLI_MACHINE_LIVE ? 0 : cli_candidate(ret, "old", "stopped");
}

static char *completed(const char *line, struct pi_buf *ret)
{
    char text[256], *rest = text, *word;
    const char *words[16] = {0};
    snprintf(text, sizeof text, "%s", line);
    for (size_t i = 0; (word = strsep(&rest, " ")); i++)
        words[i] = word;
    assert_int_equal(cli_complete(cli_commands, words, some_names, ret), 0);
    return ret->data ? ret->data : (char *)"";
}

static void each_place_offers_what_may_stand_there(void **state)
{
    static const struct {
        const char *line, *lines;
    } cases[] = {
        {"expl", "explain\tprints an instance's QEMU command with what each option is for\n"},
        {"imag", "image\n"},
        {"shel", "shell\tthe same as ssh\n"},
        {"image li", "list\tthe same as image ls\n"},
        {"stop ", "web\tready?[31m\n"},
        {"image list --j", "--json\tas JSON\n"},
        {"run x --image-sha256 ", ""},
        {"run x --image-sh", ""},
        {"image r", "rm\tremoves images that no instance uses\n"},
        {"__", ""},
        {"-",
         "--help\tshow this\n--host\tssh://[USER@]HOST[:PORT]: the command acts there\n--version\tshow the version\n"},
        {"nonsense ", ""},
        {"run x --arch ", "x86_64\naarch64\n"},
        {"run x --arch a", "aarch64\n"},
        {"run x --arch=", "--arch=x86_64\n--arch=aarch64\n"},
        {"run x --detach=", ""},
        {"run x --memory ", ""},
        {"run x --user-data ", ":files\n"},
        {"run x --user-data=", ":files\n"},
        {"run x --image f", "fedora\n:files\n"},
        {"run x --det", "--detach\treturn when the guest is ready\n"},
        {"run x --detach --det", ""},
        {"run x --ssh-key a --ssh-k", "--ssh-key\tpublic keys that may log in\n"},
        {"hash-password -m ", "yescrypt\nsha512\n"},
        {"start ", "old\tstopped\n"},
        {"clone ", "old\tstopped\n"},
        {"clone old --det", "--detach\treturn when the guests are ready\n"},
        {"clone old -- ", ""},
        {"powerdown ", "web\tready?[31m\n"},
        {"powerdown web ", ""},
        {"powerdown -- w", "web\tready?[31m\n"},
        {"status o", "old\tstopped\n"},
        {"ssh web ", ""},
        {"ssh web -- l", ""},
        {"image rm d", "disk.raw\n"},
        {"completion z", "zsh\n"},
        {"help env", "environment\tvariables and configuration\n"},
        {"help image v", "verify\thashes the stored images, or one, again\n"},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        pi_auto_buf struct pi_buf lines = {0};
        const char *got = completed(cases[i].line, &lines);
        if (strcmp(got, cases[i].lines) != 0)
            fail_msg("'%s' offers '%s', not '%s'", cases[i].line, got, cases[i].lines);
    }
}

static void a_word_that_is_none_is_refused_with_the_nearest(void **state)
{
    struct pi_error err;
    unsigned index = 7;
    (void)state;
    assert_int_equal(cli_find_word("kvm", vm_accel_names, &index, &err), 0);
    assert_int_equal(index, VM_ACCEL_KVM);
    assert_int_equal(cli_find_word("arm64", vm_arch_names, &index, &err), 0);
    assert_int_equal(index, VM_AARCH64);
    assert_int_equal(cli_find_word("amd64", vm_arch_names, &index, &err), 0);
    assert_int_equal(index, VM_X86_64);
    assert_true(cli_find_word("arm64", vm_accel_names, &index, &err) < 0);
    assert_true(cli_find_word("aarch46", vm_arch_names, &index, &err) < 0);
    assert_string_equal(err.text, "'aarch46' is not one of: x86_64, aarch64; did you mean aarch64?");
    assert_int_equal(err.kind, PI_USAGE);
}

static void help_keeps_to_the_width(void **state)
{
    (void)state;
    for (const struct cli_command *const *c = cli_commands; *c; c++) {
        pi_auto_buf struct pi_buf text = {0};
        if (cli_is_hidden(*c))
            continue;
        assert_int_equal(cli_help(*c, 80, &text), 0);
        *strstr(text.data, "\nExample:") = '\0'; /* which is to be copied in one piece */
        for (char *line = strtok(text.data, "\n"); line; line = strtok(NULL, "\n"))
            if (strlen(line) > 80)
                fail_msg("%s: %s", (*c)->name, line);
    }
}

static void pages_hold_every_option(void **state)
{
    (void)state;
    for (const struct cli_command *const *c = cli_commands; *c; c++) {
        pi_auto_buf struct pi_buf page = {0};
        assert_int_equal(cli_man_command(*c, "January 1, 1970", &page), 0);
        size_t items = 0, options = 1;
        for (const char *s = page.data; (s = strstr(s, "\n.It ")); s++)
            items++;
        for (const struct cli_option *o = cli_options(*c); o->name; o++)
            options++;
        assert_int_equal(items, options);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_option_and_operand_is_told),
        cmocka_unit_test(every_exit_code_is_documented),
        cmocka_unit_test(each_place_offers_what_may_stand_there),
        cmocka_unit_test(a_word_that_is_none_is_refused_with_the_nearest),
        cmocka_unit_test(help_keeps_to_the_width),
        cmocka_unit_test(pages_hold_every_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
