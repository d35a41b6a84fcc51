/* SPDX-License-Identifier: MIT */
/* "__pages" writes the man pages and the completions, for the build. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/terminal/man.h"
#include "agent/cli/terminal/shells.h"

/* A file FOLDER/NAME below the folder that the build asked for. */
static int page(const char *top, const char *folder, const char *name, const char *content,
                struct pi_error *err)
{
    pi_auto_free char *path = NULL;
    if (asprintf(&path, "%s/%s", top, folder) < 0)
        return pi_fail(err, ENOMEM, "%s", name);
    int r = pi_dir_make(path, err);
    pi_auto_close int dir = r == 0 ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (r < 0 || dir < 0)
        return r < 0 ? r : pi_fail(err, errno, "%s", path);
    return pi_file_write(dir, name, content, strlen(content), 0644, err);
}

static int command_page(const char *top, const struct cli_command *command, const char *date,
                        struct pi_error *err)
{
    pi_auto_buf struct pi_buf text = {0};
    char name[64] = "piagent", file[72];
    if (command)
        cli_man_name(command, name);
    if ((command ? cli_man_command(command, date, &text) : cli_man_main(cli_commands, date, &text)) < 0)
        return pi_fail(err, ENOMEM, "%s", name);
    snprintf(file, sizeof file, "%s.1", name);
    return page(top, "share/man/man1", file, text.data, err);
}

static int topic_page(const char *top, const struct cli_topic *topic, const char *date, struct pi_error *err)
{
    pi_auto_buf struct pi_buf text = {0};
    char file[72];
    if (cli_man_topic(topic, date, &text) < 0)
        return pi_fail(err, ENOMEM, "%s", topic->name);
    snprintf(file, sizeof file, "piagent-%s.7", topic->name);
    return page(top, "share/man/man7", file, text.data, err);
}

/* The same bytes for the same source: https://reproducible-builds.org/specs/source-date-epoch/ */
static void page_date(char ret[64])
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    time_t now = epoch ? (time_t)strtoll(epoch, NULL, 10) : time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(ret, 64, "%B %-d, %Y", &utc);
}

static int run_pages(const struct cli_call *call, struct pi_error *err)
{
    const char *top = call->operands[0];
    char date[64];
    page_date(date);
    int r = command_page(top, NULL, date, err);
    for (const struct cli_command *const *c = cli_commands; r == 0 && *c; c++)
        if (!cli_is_hidden(*c))
            r = command_page(top, *c, date, err);
    for (const struct cli_topic *topic = cli_topics; r == 0 && topic->name; topic++)
        r = topic_page(top, topic, date, err);
    for (const struct cli_shell *shell = cli_shells; r == 0 && shell->name; shell++)
        r = page(top, shell->folder, shell->file, shell->script, err);
    return r;
}

const struct cli_command cli_command__pages = {
    .name = "__pages",
    .operands = "FOLDER",
    .summary = "writes the man pages and the completions as they are installed, for the build",
    .example = "piagent __pages build/pages",
    .min_operands = 1,
    .max_operands = 1,
    .operand = CLI_FOLDER,
    .site = CLI_HERE,
    .run = run_pages,
};
