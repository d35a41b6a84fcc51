/* SPDX-License-Identifier: MIT */
#include "agent/cli/terminal/help.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/cli/terminal/foreign.h"
#include "agent/cli/terminal/lookup.h"
#include "agent/cli/terminal/topics.h"

#define SUMMARY_COLUMN 18
#define TEXT_COLUMN    36
#define TEXT_MIN       24 /* columns that text gets even if the terminal is narrower */

/* Columns that UTF-8 takes: one a character. */
static unsigned columns(const char *text, size_t length)
{
    unsigned n = 0;
    for (size_t i = 0; i < length; i++)
        n += ((unsigned char)text[i] & 0xc0) != 0x80;
    return n;
}

static int new_line(unsigned indent, struct pi_buf *ret)
{
    return pi_buf_printf(ret, "\n%*s", (int)indent, "");
}

int cli_wrap(const char *text, unsigned indent, unsigned column, unsigned width, struct pi_buf *ret)
{
    unsigned max = width > indent + TEXT_MIN ? width : indent + TEXT_MIN;
    bool first = true;
    int r = 0;
    while (r == 0 && *text) {
        size_t white = strspn(text, " \n"), length = strcspn(text + white, " \n");
        unsigned wide = columns(text + white, length);
        if (!length)
            break;
        if (!first && memmem(text, white, "\n\n", 2)) {
            if ((r = pi_buf_puts(ret, "\n")) == 0)
                r = new_line(indent, ret);
            column = indent;
        } else if (!first && column + 1 + wide > max) {
            r = new_line(indent, ret);
            column = indent;
        } else if (!first) {
            r = pi_buf_puts(ret, " ");
            column++;
        }
        if (r == 0)
            r = pi_buf_add(ret, text + white, length);
        column += wide;
        first = false;
        text += white + length;
    }
    return r < 0 ? r : pi_buf_puts(ret, "\n");
}

/* A term and its text, as a line of --help: the text begins at column 36 and is wrapped there. */
static int term_entry(const char *term, const char *text, unsigned width, struct pi_buf *ret)
{
    int r = pi_buf_printf(ret, "  %-*s ", TEXT_COLUMN - 3, term);
    if (r == 0 && strlen(term) > TEXT_COLUMN - 3)
        r = new_line(TEXT_COLUMN, ret);
    return r < 0 ? r : cli_wrap(text, TEXT_COLUMN, TEXT_COLUMN, width, ret);
}

static int option_entry(const struct cli_option *option, unsigned width, struct pi_buf *ret)
{
    char letter[8] = "    ", term[64];
    pi_auto_buf struct pi_buf text = {0};
    if (option->letter)
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    snprintf(term, sizeof term, "%s--%s%s%s", letter, option->name, option->argument ? " " : "",
             option->argument ? option->argument : "");
    int r = pi_buf_printf(&text, "%s%s", option->help,
                          option->type == CLI_LIST ? " (may be given several times)" : "");
    return r < 0 ? r : term_entry(term, text.data, width, ret);
}

static int option_entries(const struct cli_command *command, unsigned width, struct pi_buf *ret)
{
    int r = 0;
    for (const struct cli_option *o = cli_options(command); r == 0 && o->name; o++) {
        if (o->group)
            r = pi_buf_printf(ret, "%s%s:\n", o == command->options ? "" : "\n", o->group);
        if (r == 0)
            r = option_entry(o, width, ret);
    }
    return r < 0 ? r : option_entry(&cli_option_help, width, ret);
}

static int print_other_names(const struct cli_command *command, struct pi_buf *ret)
{
    pi_auto_buf struct pi_buf names = {0};
    int r = cli_other_names(command, &names);
    return r < 0 || !names.size ? r : pi_buf_printf(ret, "\nOther names: %s.\n", names.data);
}

int cli_help(const struct cli_command *command, unsigned width, struct pi_buf *ret)
{
    int r =
        pi_buf_printf(ret, "piagent %s%s%s%s\n\n%c%s.\n", command->name, command->options ? " [OPTIONS]" : "",
                      command->operands ? " " : "", command->operands ? command->operands : "",
                      toupper(command->summary[0]), command->summary + 1);
    if (r == 0 && command->details && (r = pi_buf_puts(ret, "\n")) == 0)
        r = cli_wrap(command->details, 0, 0, width, ret);
    if (r == 0)
        r = print_other_names(command, ret);
    if (r == 0)
        r = pi_buf_puts(ret, "\n");
    if (r == 0)
        r = option_entries(command, width, ret);
    return r < 0 ? r : pi_buf_printf(ret, "\nExample:\n  %s\n", command->example);
}

/* All commands, or those that begin with the word. */
static int list_commands(const struct cli_command *const *commands, const char *first, unsigned width,
                         struct pi_buf *ret)
{
    int r = 0;
    for (; r == 0 && *commands; commands++) {
        if (cli_is_hidden(*commands) || (first && !cli_is_in_group(*commands, first)))
            continue;
        r = pi_buf_printf(ret, "  %-*s ", SUMMARY_COLUMN - 3, (*commands)->name);
        if (r == 0)
            r = cli_wrap((*commands)->summary, SUMMARY_COLUMN, SUMMARY_COLUMN, width, ret);
    }
    return r;
}

static int list_topics(struct pi_buf *ret)
{
    int r = 0;
    for (const struct cli_topic *topic = cli_topics; r == 0 && topic->name; topic++)
        r = pi_buf_printf(ret, "  %-*s %.*s\n", SUMMARY_COLUMN - 3, topic->name,
                          (int)cli_topic_summary_length(topic), topic->text);
    return r;
}

int cli_help_all(const struct cli_command *const *commands, unsigned width, struct pi_buf *ret)
{
    int r = pi_buf_puts(
        ret, "piagent boots Fedora Cloud images with QEMU and cloud-init, and looks after them.\n\n");
    if (r == 0)
        r = list_commands(commands, NULL, width, ret);
    if (r == 0)
        r = pi_buf_puts(ret, "\nTopics of piagent help:\n");
    if (r == 0)
        r = list_topics(ret);
    return r < 0 ? r
                 : pi_buf_puts(ret,
                               "\npiagent COMMAND --help shows a command's options; piagent --version, "
                               "the version. piagent --host ssh://[USER@]HOST COMMAND acts on another host: "
                               "piagent help remote.\n\nExample:\n  piagent run pi-1\n");
}

int cli_help_group(const struct cli_command *const *commands, const char *first, unsigned width,
                   struct pi_buf *ret)
{
    int r = pi_buf_printf(ret, "piagent %s COMMAND\n\n", first);
    return r < 0 ? r : list_commands(commands, first, width, ret);
}
