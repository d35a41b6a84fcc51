/* SPDX-License-Identifier: MIT */
#include "agent/cli/commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/cli/colour.h"
#include "agent/cli/foreign.h"
#include "agent/cli/table.h"
#include "agent/cli/topics.h"

#define SUMMARY_COLUMN 18
#define TOPICS_MAX     16

static int run_help(const struct cli_call *call, struct pi_error *err);

static const struct cli_command command_help = {
    .name = "help",
    .operands = "[COMMAND | TOPIC]",
    .summary = "shows the commands, the options of one, or a topic",
    .example = "piagent help exit-codes",
    .max_operands = 2,
    .operand = CLI_COMMAND,
    .run = run_help,
};

const struct cli_command *const cli_commands[] = {
    &cli_command_run,
    &cli_command_start,
    &cli_command_wait,
    &cli_command_ps,
    &cli_command_status,
    &cli_command_console,
    &cli_command_ssh,
    &cli_command_cp,
    &cli_command_ssh_config,
    &cli_command_logs,
    &cli_command_events,
    &cli_command_timeline,
    &cli_command_powerdown,
    &cli_command_restart,
    &cli_command_reset,
    &cli_command_pause,
    &cli_command_resume,
    &cli_command_reseed,
    &cli_command_kill,
    &cli_command_rm,
    &cli_command_image_fetch,
    &cli_command_image_ls,
    &cli_command_image_verify,
    &cli_command_image_rm,
    &cli_command_image_prune,
    &cli_command_qemu_command,
    &cli_command_explain,
    &cli_command_validate,
    &cli_command_hash_password,
    &cli_command_doctor,
    &cli_command_agent,
    &cli_command_agent_status,
    &cli_command_agent_stop,
    &cli_command_agent_openapi,
    &cli_command_completion,
    &command_help,
    &cli_command__complete,
    &cli_command__pages,
    NULL,
};

#define COUNT (PI_ARRAY_SIZE(cli_commands) - 1)

static const struct cli_command *find(int argc, char **argv, int *ret_words)
{
    const struct cli_command *found = NULL;
    *ret_words = 0;
    for (size_t i = 0; i < COUNT; i++) {
        int words = (int)cli_names_command(cli_commands[i], (const char *const *)argv, (size_t)argc);
        if (words > *ret_words) {
            found = cli_commands[i];
            *ret_words = words;
        }
    }
    return found;
}

/* Whether the command has two words, and this is the first. */
static bool begins(const struct cli_command *command, const char *first)
{
    return pi_starts_with(command->name, first) && command->name[strlen(first)] == ' ';
}

static bool is_group(const char *first)
{
    for (size_t i = 0; i < COUNT; i++)
        if (begins(cli_commands[i], first))
            return true;
    return false;
}

/* "fetch, ls, verify": what may follow the first word of commands of two. */
static int second_words(const char *first, struct pi_buf *ret)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < COUNT; i++)
        if (begins(cli_commands[i], first))
            r = pi_buf_printf(ret, "%s%s", ret->size ? ", " : "", cli_commands[i]->name + strlen(first) + 1);
    return r;
}

static bool is_destructive(const char *name)
{
    for (size_t i = 0; i < COUNT; i++)
        if (!strcmp(cli_commands[i]->name, name))
            return cli_commands[i]->destructive;
    return false;
}

/* "image fech" is compared as a whole, "pss web" by its first word. If a destructive command is the nearest,
 * none is: the second best is not what was meant. */
static const char *nearest_command(const char *two, const char *first, bool topics)
{
    const char *names[COUNT + TOPICS_MAX + 1] = {0};
    size_t count = 0;
    for (size_t i = 0; i < COUNT; i++)
        if (!cli_is_hidden(cli_commands[i]))
            names[count++] = cli_commands[i]->name;
    for (const struct cli_topic *t = cli_topics; topics && t->name && count < COUNT + TOPICS_MAX; t++)
        names[count++] = t->name;
    const char *nearest = pi_nearest(two, names);
    if (!nearest && !is_group(first))
        nearest = pi_nearest(first, names);
    return nearest && is_destructive(nearest) ? NULL : nearest;
}

static int unknown(int argc, char **argv, bool topics, struct pi_error *err)
{
    char two[64];
    snprintf(two, sizeof two, "%.30s%s%.30s", argv[0], argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
    const struct cli_foreign *foreign = cli_foreign_command((const char *const *)argv, (size_t)argc);
    if (foreign && foreign->answer)
        return pi_refuse(err, PI_USAGE, "there is no command '%s': %s", foreign->words, foreign->answer);
    const char *nearest = nearest_command(two, argv[0], topics);
    pi_auto_buf struct pi_buf seconds = {0};
    if (nearest)
        return pi_refuse(err, PI_USAGE, "there is no command '%.40s': did you mean piagent %s%s?",
                         strchr(nearest, ' ') ? two : argv[0], topics ? "help " : "", nearest);
    if (second_words(argv[0], &seconds) == 0 && seconds.size)
        return pi_refuse(err, PI_USAGE, "piagent %.40s takes one of %s: see piagent help", argv[0],
                         seconds.data);
    return pi_refuse(err, PI_USAGE, "there is no command '%.40s': see piagent help", argv[0]);
}

/* All commands, or those that begin with the word. */
static int list_commands(const char *first, unsigned width, struct pi_buf *ret)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < COUNT; i++) {
        const struct cli_command *command = cli_commands[i];
        if (cli_is_hidden(command) || (first && !begins(command, first)))
            continue;
        r = pi_buf_printf(ret, "  %-*s ", SUMMARY_COLUMN - 3, command->name);
        if (r == 0)
            r = cli_wrap(command->summary, SUMMARY_COLUMN, SUMMARY_COLUMN, width, ret);
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

static int help_all(int fd, struct pi_buf *ret)
{
    int r = pi_buf_puts(
        ret, "piagent boots Fedora Cloud images with QEMU and cloud-init, and looks after them.\n\n");
    if (r == 0)
        r = list_commands(NULL, cli_text_width(fd), ret);
    if (r == 0)
        r = pi_buf_puts(ret, "\nTopics of piagent help:\n");
    if (r == 0)
        r = list_topics(ret);
    return r < 0 ? r
                 : pi_buf_puts(ret, "\npiagent COMMAND --help shows a command's options; piagent --version, "
                                    "the version.\n\nExample:\n  piagent run pi-1\n");
}

/* The commands of two words that begin with this one. */
static int help_group(const char *first, struct pi_buf *ret)
{
    int r = pi_buf_printf(ret, "piagent %s COMMAND\n\n", first);
    return r < 0 ? r : list_commands(first, cli_text_width(STDOUT_FILENO), ret);
}

static int print_text(int r, const struct pi_buf *text, FILE *out, struct pi_error *err)
{
    if (r < 0)
        return pi_fail(err, ENOMEM, "help");
    fputs(text->data, out);
    return PI_OK;
}

static int help_one(const struct cli_command *command, struct pi_error *err)
{
    pi_auto_buf struct pi_buf text = {0};
    return print_text(cli_help(command, cli_text_width(STDOUT_FILENO), &text), &text, stdout, err);
}

static int run_help(const struct cli_call *call, struct pi_error *err)
{
    int words;
    pi_auto_buf struct pi_buf text = {0};
    if (call->count == 0)
        return print_text(help_all(STDOUT_FILENO, &text), &text, stdout, err);
    const struct cli_command *command = find((int)call->count, call->operands, &words);
    const struct cli_topic *topic = cli_topic_named(call->operands[0]);
    if (topic && call->count == 1) /* before a command that other tools call so: "images" */
        return print_text(cli_topic_help(topic, cli_text_width(STDOUT_FILENO), &text), &text, stdout, err);
    if (command && words == (int)call->count)
        return help_one(command, err);
    if (call->count == 1 && is_group(call->operands[0]))
        return print_text(help_group(call->operands[0], &text), &text, stdout, err);
    return unknown((int)call->count, call->operands, true, err);
}

/* Whether the command line asks for JSON: also where it is wrong otherwise. */
static bool wants_json(const struct cli_command *command, char **argv)
{
    if (!cli_option_named(command, "json", strlen("json")))
        return false;
    while (*argv && strcmp(*argv, "--json") != 0 && strcmp(*argv, "--") != 0)
        argv++;
    return *argv && !strcmp(*argv, "--json");
}

int cli_report_json(const struct pi_error *err)
{
    json_auto_t *error = cli_error_json(err), *line = json_pack("{s:O?}", "error", error);
    if (!error || !line || json_dumpf(line, stderr, JSON_COMPACT | JSON_ENSURE_ASCII) < 0)
        return cli_report(err);
    fputc('\n', stderr);
    return err->kind ? (int)err->kind : PI_FAILED;
}

static int run_command(const struct cli_command *command, char **argv, struct pi_error *err)
{
    pi_auto_free void *values = calloc(1, command->values_size + 1);
    struct cli_operands operands = {0};
    bool json = wants_json(command, argv);
    if (!values)
        return pi_fail(err, ENOMEM, "%s", command->name);
    int r = cli_parse(command, argv, values, &operands, err);
    struct cli_call call = {command, values, operands.items, operands.count};
    if (r == 0)
        r = operands.help ? help_one(command, err) : command->run(&call, err);
    cli_values_done(command, values);
    return r < 0 && json ? cli_report_json(err) : r;
}

static int print_version(bool json, struct pi_error *err)
{
    json_auto_t *version = json ? json_pack("{s:s}", "version", PIAGENT_VERSION) : NULL;
    if (json)
        return version ? cli_json_print(version, err) : pi_fail(err, ENOMEM, "version");
    puts("piagent " PIAGENT_VERSION);
    return PI_OK;
}

static int dispatch(int argc, char **argv, struct pi_error *err)
{
    int words;
    pi_auto_buf struct pi_buf text = {0};
    if (argc == 0) {
        int r = print_text(help_all(STDERR_FILENO, &text), &text, stderr, err);
        return r < 0 ? r : PI_USAGE;
    }
    if (cli_is_help(argv[0]))
        return print_text(help_all(STDOUT_FILENO, &text), &text, stdout, err);
    if (!strcmp(argv[0], "--version") || !strcmp(argv[0], "-V"))
        return print_version(argc > 1 && !strcmp(argv[1], "--json"), err);
    const struct cli_command *command = find(argc, argv, &words);
    if (words == 1 && argc > 1 && argv[1][0] != '-' && is_group(argv[0]))
        return unknown(argc, argv, false, err);
    if (!command && argc == 2 && cli_is_help(argv[1]) && is_group(argv[0]))
        return print_text(help_group(argv[0], &text), &text, stdout, err);
    return command ? run_command(command, argv + words, err) : unknown(argc, argv, false, err);
}

int cli_report(const struct pi_error *err)
{
    char line[sizeof err->text];
    fprintf(stderr, "%spiagent:%s %s\n", cli_colour(STDERR_FILENO, CLI_BOLD_RED),
            cli_colour(STDERR_FILENO, CLI_PLAIN),
            pi_text_clean(err->text, strlen(err->text), line, sizeof line));
    return err->kind ? (int)err->kind : PI_FAILED;
}

int cli_main(int argc, char **argv)
{
    struct pi_error err = {0};
    int r = dispatch(argc - 1, argv + 1, &err);
    if (r >= 0 && (fflush(stdout) != 0 || ferror(stdout)))
        r = pi_fail(&err, errno, "cannot write the output");
    return r < 0 ? cli_report(&err) : r;
}
