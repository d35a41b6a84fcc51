/* SPDX-License-Identifier: MIT */
#include "agent/cli/terminal/man.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/cli/terminal/foreign.h"

/* A page under construction: the first failure sticks. */
struct page {
    struct pi_buf *out;
    int r;
};

static void raw(struct page *page, const char *text)
{
    if (page->r == 0)
        page->r = pi_buf_puts(page->out, text);
}

/* Text in which nothing means anything to roff: backslashes, a line's first dot or quote, a macro's quotes.
 */
static void put_text(struct page *page, const char *s, size_t length)
{
    for (size_t i = 0; i < length && page->r == 0; i++) {
        bool begins = page->out->size == 0 || page->out->data[page->out->size - 1] == '\n';
        if (begins && (s[i] == '.' || s[i] == '\''))
            raw(page, "\\&");
        raw(page, s[i] == '\\'  ? "\\e"
                  : s[i] == '"' ? "\\(dq"
                  : s[i] == '-' ? "\\-"
                  : s[i] == '~' ? "\\(ti"
                                : (const char[]){s[i], '\0'});
    }
}

/* .MACRO "argument", the first line of what is given. */
static void macro(struct page *page, const char *name, const char *argument)
{
    raw(page, ".");
    raw(page, name);
    raw(page, " \"");
    put_text(page, argument, strcspn(argument, "\n"));
    raw(page, "\"\n");
}

static void sentence(struct page *page, const char *s)
{
    raw(page, (const char[]){(char)toupper((unsigned char)*s), '\0'});
    put_text(page, s + 1, strlen(s) - 1);
    raw(page, pi_ends_with(s, ".") ? "\n" : ".\n");
}

static void line(struct page *page, const char *s)
{
    put_text(page, s, strlen(s));
    raw(page, "\n");
}

/* Paragraphs; sentences begin lines of their own, as roff wants it. */
static void paragraphs(struct page *page, const char *s)
{
    while (s && *s) {
        const char *blank = strstr(s, "\n\n"), *dot = strstr(s, ". "), *line = strstr(s, ".\n");
        if (line && (!dot || line < dot))
            dot = line;
        const char *end = blank ? blank : s + strlen(s);
        bool ends = dot && dot + 1 < end;
        if (ends)
            end = dot + 1;
        for (const char *part = s; part < end;) { /* a break inside a sentence is a space */
            size_t length = strcspn(part, "\n");
            if (part + length > end)
                length = (size_t)(end - part);
            put_text(page, part, length);
            part += length;
            if (part < end) {
                raw(page, " ");
                part++;
            }
        }
        raw(page, "\n");
        s = end + (ends ? 1 : blank ? 2 : 0);
        if (!ends && blank)
            raw(page, ".Pp\n");
    }
}

/* No word is broken at the end of a line: paths, URLs and names are to be copied. */
static void head(struct page *page, const char *name, const char *section, const char *summary,
                 const char *date)
{
    char upper[64];
    size_t i = 0;
    for (; name[i] && i + 1 < sizeof upper; i++)
        upper[i] = (char)toupper((unsigned char)name[i]);
    upper[i] = '\0';
    raw(page, ".Dd ");
    raw(page, date);
    raw(page, "\n.Dt ");
    raw(page, upper);
    raw(page, " ");
    raw(page, section);
    raw(page, "\n.Os piagent " PIAGENT_VERSION "\n.hlm 0\n.Sh NAME\n");
    macro(page, "Nm", name);
    macro(page, "Nd", summary);
}

static void option(struct page *page, const struct cli_option *o)
{
    raw(page, ".It ");
    if (o->letter) {
        raw(page, "Fl ");
        raw(page, (const char[]){o->letter, '\0'});
        raw(page, " , ");
    }
    raw(page, "Fl \\-");
    put_text(page, o->name, strlen(o->name));
    if (o->argument) {
        raw(page, " Ar \"");
        put_text(page, o->argument, strlen(o->argument));
        raw(page, "\"");
    }
    raw(page, "\n");
    line(page, o->help);
    if (o->type == CLI_LIST)
        raw(page, "(may be given several times)\n");
}

static void options(struct page *page, const struct cli_command *command)
{
    const struct cli_option *first = cli_options(command);
    if (!first->group)
        raw(page, ".Bl -tag -width Ds\n");
    for (const struct cli_option *o = first; o->name; o++) {
        if (o->group) {
            raw(page, o == first ? "" : ".El\n");
            macro(page, "Ss", o->group);
            raw(page, ".Bl -tag -width Ds\n");
        }
        option(page, o);
    }
    option(page, &cli_option_help);
    raw(page, ".El\n");
}

static void example(struct page *page, const char *line)
{
    raw(page, ".Sh EXAMPLES\n.Bd -literal -offset indent\n");
    put_text(page, line, strlen(line));
    raw(page, "\n.Ed\n");
}

void cli_man_name(const struct cli_command *command, char ret[64])
{
    snprintf(ret, 64, "piagent-%s", command->name);
    for (char *space = ret; (space = strchr(space, ' '));)
        *space = '-';
}

static void add_other_names(struct page *page, const struct cli_command *command)
{
    pi_auto_buf struct pi_buf names = {0};
    if (page->r == 0)
        page->r = cli_other_names(command, &names);
    if (page->r < 0 || !names.size)
        return;
    raw(page, ".Pp\nOther names: ");
    put_text(page, names.data, names.size);
    raw(page, ".\n");
}

int cli_man_command(const struct cli_command *command, const char *date, struct pi_buf *ret)
{
    struct page page = {.out = ret};
    char name[64];
    cli_man_name(command, name);
    head(&page, name, "1", command->summary, date);
    raw(&page, ".Sh SYNOPSIS\n.Nm \"piagent ");
    put_text(&page, command->name, strlen(command->name));
    raw(&page, "\"\n.Op Ar OPTIONS\n");
    if (command->operands)
        macro(&page, "Ar", command->operands);
    raw(&page, ".Sh DESCRIPTION\n");
    sentence(&page, command->summary);
    if (command->details)
        raw(&page, ".Pp\n");
    paragraphs(&page, command->details);
    add_other_names(&page, command);
    options(&page, command);
    raw(&page, ".Sh EXIT STATUS\n0 if it is done, else as\n.Xr piagent-exit-codes 7\ntells.\n");
    example(&page, command->example);
    raw(&page, ".Sh SEE ALSO\n.Xr piagent 1\n");
    return page.r;
}

static bool in_list(enum cli_topic_part part)
{
    return part == CLI_TOPIC_TERM || part == CLI_TOPIC_ITEM;
}

static void topic_part(struct page *page, enum cli_topic_part part, enum cli_topic_part before,
                       const char *content)
{
    if (in_list(part) != in_list(before))
        raw(page, in_list(part) ? ".Bl -tag -width suspended\n" : ".El\n");
    if (part == CLI_TOPIC_TEXT && before != CLI_TOPIC_HEADING)
        raw(page, ".Pp\n");
    switch (part) {
    case CLI_TOPIC_HEADING:
        macro(page, "Sh", content);
        break;
    case CLI_TOPIC_TERM:
        macro(page, "It", content);
        break;
    case CLI_TOPIC_LITERAL:
        raw(page, ".Bd -literal -offset indent\n");
        line(page, content);
        raw(page, ".Ed\n");
        break;
    case CLI_TOPIC_ITEM:
    case CLI_TOPIC_TEXT:
        paragraphs(page, content);
        break;
    }
}

int cli_man_topic(const struct cli_topic *topic, const char *date, struct pi_buf *ret)
{
    struct page page = {.out = ret};
    char name[64];
    pi_auto_buf struct pi_buf content = {0};
    const char *at = cli_topic_begin(topic);
    enum cli_topic_part part, before = CLI_TOPIC_HEADING;
    snprintf(name, sizeof name, "piagent-%s", topic->name);
    head(&page, name, "7", topic->text, date);
    raw(&page, ".Sh DESCRIPTION\n");
    while (page.r == 0 && (page.r = cli_topic_next(&at, &part, &content)) > 0) {
        page.r = 0;
        topic_part(&page, part, before, content.data);
        before = part;
    }
    if (in_list(before))
        raw(&page, ".El\n");
    raw(&page, ".Sh SEE ALSO\n.Xr piagent 1\n");
    return page.r;
}

/* The topics, each with its page and its summary. */
static void topics(struct page *page)
{
    raw(page, ".Sh TOPICS\n.Bl -tag -width piagent-environment(7) -compact\n");
    for (const struct cli_topic *topic = cli_topics; topic->name; topic++) {
        raw(page, ".It Xr piagent-");
        raw(page, topic->name);
        raw(page, " 7\n");
        put_text(page, topic->text, cli_topic_summary_length(topic));
        raw(page, "\n");
    }
    raw(page, ".El\n");
}

int cli_man_main(const struct cli_command *const *commands, const char *date, struct pi_buf *ret)
{
    struct page page = {.out = ret};
    head(&page, "piagent", "1", "boots Fedora Cloud images with QEMU and cloud-init, and looks after them",
         date);
    raw(&page, ".Sh SYNOPSIS\n.Nm\n.Op Fl -host Ar URL\n.Ar COMMAND\n.Op Ar OPTIONS\n.Sh DESCRIPTION\n"
               "An agent, one a user, looks after the instances: the first command starts it.\n"
               "With\n.Fl -host\nthe command acts on the agent of another host:\n.Xr piagent-remote 7 .\n"
               "Each command has a page of its own:\n.Xr piagent-run 1\nand so on.\n"
               ".Pp\n.Bl -tag -width hash-password -compact\n");
    for (const struct cli_command *const *c = commands; *c; c++) {
        if (cli_is_hidden(*c))
            continue;
        macro(&page, "It Ic", (*c)->name);
        sentence(&page, (*c)->summary);
    }
    raw(&page, ".El\n");
    topics(&page);
    raw(&page, ".Sh EXIT STATUS\n.Xr piagent-exit-codes 7\ntells what the exit codes mean.\n");
    example(&page, "piagent run pi-1 -d\npiagent ssh pi-1\npiagent powerdown pi-1");
    raw(&page, ".Sh SEE ALSO\n.Xr piagent-run 1 ,\n.Xr qemu 1 ,\n.Xr ssh 1\n");
    return page.r;
}
