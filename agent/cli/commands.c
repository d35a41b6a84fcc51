#include "agent/cli/commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/cli/colour.h"

static int run_help(const struct cli_call *call, struct pi_error *err);

static const struct cli_command command_help = {
    .name = "help",
    .operands = "[COMMAND]",
    .summary = "shows the commands, or the options of one",
    .example = "piagent help run",
    .max_operands = 2,
    .run = run_help,
};

static const struct cli_command *const commands[] = {
    &cli_command_run,
    &cli_command_ps,
    &cli_command_status,
    &cli_command_console,
    &cli_command_ssh,
    &cli_command_logs,
    &cli_command_powerdown,
    &cli_command_reset,
    &cli_command_pause,
    &cli_command_resume,
    &cli_command_kill,
    &cli_command_start,
    &cli_command_rm,
    &cli_command_image_fetch,
    &cli_command_image_ls,
    &cli_command_image_verify,
    &cli_command_image_rm,
    &cli_command_image_prune,
    &cli_command_qemu_command,
    &cli_command_explain,
    &cli_command_hash_password,
    &cli_command_agent,
    &cli_command_agent_status,
    &cli_command_agent_stop,
    &cli_command_agent_openapi,
    &cli_command_doctor,
    &cli_command_events,
    &command_help,
};

/* How many words of argv name the command: 2 for "image fetch", 1 for "ps", 0 for another one. */
static int words_matched(const struct cli_command *command, int argc, char **argv)
{
    const char *space = strchr(command->name, ' ');
    if (!space)
        return argc >= 1 && !strcmp(argv[0], command->name);
    size_t first = (size_t)(space - command->name);
    bool match = argc >= 2 && strlen(argv[0]) == first && !strncmp(argv[0], command->name, first) &&
                 !strcmp(argv[1], space + 1);
    return match ? 2 : 0;
}

static const struct cli_command *find(int argc, char **argv, int *ret_words)
{
    const struct cli_command *found = NULL;
    *ret_words = 0;
    for (size_t i = 0; i < PI_ARRAY_SIZE(commands); i++) {
        int words = words_matched(commands[i], argc, argv);
        if (words > *ret_words) {
            found = commands[i];
            *ret_words = words;
        }
    }
    return found;
}

/* "fetch, ls, verify": what may follow the first word of commands of two. */
static int second_words(const char *first, struct pi_buf *ret)
{
    int r = 0;
    size_t length = strlen(first);
    for (size_t i = 0; r == 0 && i < PI_ARRAY_SIZE(commands); i++)
        if (pi_starts_with(commands[i]->name, first) && commands[i]->name[length] == ' ')
            r = pi_buf_printf(ret, "%s%s", ret->size ? ", " : "", commands[i]->name + length + 1);
    return r;
}

/* "image fech" is compared as a whole, "pss web" by its first word. */
static int unknown(int argc, char **argv, struct pi_error *err)
{
    const char *names[PI_ARRAY_SIZE(commands) + 1] = {0};
    char two[64];
    for (size_t i = 0; i < PI_ARRAY_SIZE(commands); i++)
        names[i] = commands[i]->name;
    snprintf(two, sizeof two, "%.30s%s%.30s", argv[0], argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
    const char *nearest = pi_nearest(two, names);
    if (!nearest)
        nearest = pi_nearest(argv[0], names);
    pi_auto_buf struct pi_buf seconds = {0};
    if (!nearest && second_words(argv[0], &seconds) == 0 && seconds.size)
        return pi_refuse(err, PI_USAGE, "piagent %.40s takes one of %s: see piagent help", argv[0],
                         seconds.data);
    if (nearest)
        return pi_refuse(err, PI_USAGE, "there is no command '%.40s': did you mean piagent %s?",
                         strchr(nearest, ' ') ? two : argv[0], nearest);
    return pi_refuse(err, PI_USAGE, "there is no command '%.40s': see piagent help", argv[0]);
}

static int help_all(FILE *out)
{
    fputs("piagent boots Fedora Cloud images with QEMU and cloud-init, and looks after them.\n\n", out);
    for (size_t i = 0; i < PI_ARRAY_SIZE(commands); i++)
        fprintf(out, "  %-15s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\npiagent COMMAND --help shows a command's options; piagent --version, the version.\n"
          "\nExample:\n  piagent run pi-1\n",
          out);
    return PI_OK;
}

static int help_one(const struct cli_command *command, struct pi_error *err)
{
    pi_auto_buf struct pi_buf text = {0};
    if (cli_help(command, &text) < 0)
        return pi_fail(err, ENOMEM, "help");
    fputs(text.data, stdout);
    return PI_OK;
}

static int run_help(const struct cli_call *call, struct pi_error *err)
{
    int words;
    if (call->count == 0)
        return help_all(stdout);
    const struct cli_command *command = find((int)call->count, call->operands, &words);
    return command ? help_one(command, err) : unknown((int)call->count, call->operands, err);
}

static int run_command(const struct cli_command *command, char **argv, struct pi_error *err)
{
    pi_auto_free void *values = calloc(1, command->values_size + 1);
    struct cli_operands operands = {0};
    if (!values)
        return pi_fail(err, ENOMEM, "%s", command->name);
    int r = cli_parse(command, argv, values, &operands, err);
    struct cli_call call = {command, values, operands.items, operands.count};
    if (r == 0)
        r = operands.help ? help_one(command, err) : command->run(&call, err);
    cli_values_done(command, values);
    return r;
}

static int dispatch(int argc, char **argv, struct pi_error *err)
{
    int words;
    if (argc == 0) {
        help_all(stderr);
        return PI_USAGE;
    }
    if (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h"))
        return help_all(stdout);
    if (!strcmp(argv[0], "--version")) {
        puts("piagent " PIAGENT_VERSION);
        return PI_OK;
    }
    const struct cli_command *command = find(argc, argv, &words);
    return command ? run_command(command, argv + words, err) : unknown(argc, argv, err);
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
