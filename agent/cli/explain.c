/* SPDX-License-Identifier: MIT */
/* "explain" prints a machine's QEMU command with what each option is for, "qemu-command" the command alone.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/cli/colour.h"
#include "agent/cli/commands.h"
#include "agent/cli/connect.h"
#include "agent/cli/table.h"
#include "agent/cli/view.h"

struct command_options {
    bool json, standalone;
};

/* QEMU would say it in words about locks. */
static int tell_live(struct cli_agent *agent, const char *name, struct pi_error *err)
{
    pi_auto_instance struct api_instance instance = {0};
    int r = cli_get_instance(agent, name, &instance, err);
    if (r == 0 && !cli_state_is_over(instance.state))
        fprintf(stderr, "note: %s is %s, and its disk and ports are in use: first piagent powerdown %s\n",
                name, instance.state, name);
    return r;
}

static int get_command(const struct cli_call *call, json_t **ret, struct pi_error *err)
{
    const struct command_options *options = call->values;
    const char *name = call->operands[0];
    pi_auto_agent struct cli_agent agent = {0};
    int r = cli_connect(&agent, err);
    if (r == 0 && options->standalone)
        r = tell_live(&agent, name, err);
    return r < 0
               ? r
               : cli_call(&agent, "GET", name,
                          options->standalone ? "qemu-command?standalone=1" : "qemu-command", NULL, ret, err);
}

/* before(i, word) is printed in front of each word. */
static int print_words(const json_t *words, const char *(*before)(size_t i, const char *word),
                       struct pi_error *err)
{
    json_t *item;
    size_t i;
    json_array_foreach(words, i, item) {
        const char *word = json_string_value(item);
        pi_auto_free char *quoted = word ? pi_shell_quote(word) : NULL;
        if (!quoted)
            return pi_refuse(err, PI_AGENT, "the agent's answer has no argv of strings");
        printf("%s%s", before(i, word), quoted);
    }
    putchar('\n');
    return 0;
}

/* On a terminal each option begins a line; elsewhere all is one line. A shell reads both alike. */
static const char *before_argument(size_t i, const char *word)
{
    return i == 0 ? "" : word[0] == '-' && isatty(STDOUT_FILENO) ? " \\\n    " : " ";
}

static const char *before_word(size_t i, const char *word)
{
    (void)word;
    return i == 0 ? "    " : " ";
}

static int run_qemu_command(const struct cli_call *call, struct pi_error *err)
{
    const struct command_options *options = call->values;
    json_auto_t *reply = NULL;
    int r = get_command(call, &reply, err);
    if (r < 0)
        return r;
    json_t *argv = json_object_get(reply, "argv");
    if (!options->json)
        return print_words(argv, before_argument, err);
    json_auto_t *shown = json_pack("{s:O}", "argv", argv);
    return shown ? cli_json_print(shown, err) : pi_fail(err, ENOMEM, "qemu-command");
}

static void print_comment(const char *indent, enum cli_colour colour, const char *text)
{
    char clean[512];
    printf("%s%s# %s%s\n", indent, cli_colour(STDOUT_FILENO, colour),
           pi_text_clean(text, strlen(text), clean, sizeof clean), cli_colour(STDOUT_FILENO, CLI_PLAIN));
}

/* A line that is continued cannot hold a comment, an array of bash and zsh can. The same reason is told once
 * for all options that follow one another and share it. */
static int print_explained(const json_t *options, struct pi_error *err)
{
    const char *group = "", *why = "";
    const json_t *option;
    size_t i;
    int r = 0;
    puts("command=(");
    json_array_foreach(options, i, option) {
        if (strcmp(group, cli_json_text(option, "group")) != 0) {
            printf("%s", i ? "\n" : "");
            print_comment("  ", CLI_BOLD, group = cli_json_text(option, "group"));
            why = "";
        }
        if (strcmp(why, cli_json_text(option, "why")) != 0)
            print_comment("    ", CLI_DIM, why = cli_json_text(option, "why"));
        if ((r = print_words(json_object_get(option, "words"), before_word, err)) < 0)
            return r;
    }
    puts(")");
    return 0;
}

static int run_explain(const struct cli_call *call, struct pi_error *err)
{
    const struct command_options *options = call->values;
    json_auto_t *reply = NULL;
    int r = get_command(call, &reply, err);
    if (r < 0)
        return r;
    json_t *explained = json_object_get(reply, "options");
    if (!json_is_array(explained))
        return pi_refuse(
            err, PI_AGENT,
            "the agent is of an older piagent: piagent agent stop (machines run on), then again");
    if (!options->json)
        return print_explained(explained, err);
    json_auto_t *shown = json_pack("{s:O}", "options", explained);
    return shown ? cli_json_print(shown, err) : pi_fail(err, ENOMEM, "explain");
}

static const struct cli_option command_table[] = {
    {.name = "standalone",
     .type = CLI_FLAG,
     .offset = offsetof(struct command_options, standalone),
     .help = "a command that runs by itself, with the serial console on the terminal"},
    {.name = "json", .type = CLI_FLAG, .offset = offsetof(struct command_options, json), .help = "as JSON"},
    {0},
};

const struct cli_command cli_command_qemu_command = {
    .name = "qemu-command",
    .operands = "NAME",
    .summary = "prints a machine's QEMU command, shell-quoted",
    .details =
        "It is what the agent starts, and needs the agent: what is named by fd=NUMBER is a socket that the\n"
        "agent hands to QEMU, and -S waits for its word. With --standalone the command runs as it is, for an\n"
        "instance that is stopped: the console is the terminal, and Ctrl-A X ends QEMU. The agent takes no\n"
        "part in it: it serves no seed, so that cloud-init does what it does at a later boot, and --memory-max\n"
        "and --cpu-quota do not hold.",
    .example = "piagent qemu-command --standalone pi-1",
    .options = command_table,
    .values_size = sizeof(struct command_options),
    .min_operands = 1,
    .max_operands = 1,
    .operand = CLI_MACHINE,
    .run = run_qemu_command,
};
const struct cli_command cli_command_explain = {
    .name = "explain",
    .operands = "NAME",
    .summary = "prints a machine's QEMU command with what each option is for",
    .details =
        "As an array that bash and zsh read, comments and all. What is named by fd=NUMBER is a socket that the "
        "agent opens and hands to QEMU; with --standalone, \"${command[@]}\" runs it.",
    .example = "piagent explain pi-1",
    .options = command_table,
    .values_size = sizeof(struct command_options),
    .min_operands = 1,
    .max_operands = 1,
    .operand = CLI_MACHINE,
    .run = run_explain,
};
