/* SPDX-License-Identifier: MIT */
/* "explain" prints an instance's QEMU command with what each option is for. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/text.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/commands/qemu_words.h"
#include "agent/cli/terminal/colour.h"
#include "agent/cli/terminal/table.h"

static const char *before_word(size_t i, const char *word)
{
    (void)word;
    return i == 0 ? "    " : " ";
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
        if ((r = cli_print_words(json_object_get(option, "words"), before_word, err)) < 0)
            return r;
    }
    puts(")");
    return 0;
}

static int run_explain(const struct cli_call *call, struct pi_error *err)
{
    const struct cli_qemu_options *options = call->values;
    json_auto_t *reply = NULL;
    int r = cli_get_qemu_command(call, &reply, err);
    if (r < 0)
        return r;
    json_t *explained = json_object_get(reply, "options");
    if (!json_is_array(explained))
        return pi_refuse(
            err, PI_AGENT,
            "the agent is of an older piagent: stop it with piagent agent stop (instances run on), then try again");
    if (!options->json)
        return print_explained(explained, err);
    json_auto_t *shown = json_pack("{s:O}", "options", explained);
    return shown ? cli_json_print(shown, err) : pi_fail(err, ENOMEM, "explain");
}

const struct cli_command cli_command_explain = {
    .name = "explain",
    .operands = "NAME",
    .summary = "prints an instance's QEMU command with what each option is for",
    .details =
        "Prints an array that bash and zsh read, comments and all. fd=NUMBER is a socket that the agent opens and "
        "hands to QEMU. With --standalone, \"${command[@]}\" runs the command.",
    .example = "piagent explain pi-1",
    .options = cli_qemu_options,
    .values_size = sizeof(struct cli_qemu_options),
    .min_operands = 1,
    .max_operands = 1,
    .operand = CLI_MACHINE,
    .run = run_explain,
};
