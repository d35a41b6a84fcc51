/* SPDX-License-Identifier: MIT */
#include "agent/cli/commands/command_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/text.h"
#include "agent/cli/client/remote_host.h"
#include "agent/cli/terminal/colour.h"
#include "agent/cli/terminal/error_report.h"
#include "agent/cli/terminal/help.h"
#include "agent/cli/terminal/lookup.h"
#include "agent/cli/terminal/table.h"

/* clang-format off */
const struct cli_command *const cli_commands[] = {
    &cli_command_run,
    &cli_command_clone,
    &cli_command_up,
    &cli_command_down,
    &cli_command_start,
    &cli_command_wait,
    &cli_command_ps,
    &cli_command_status,
    &cli_command_console,
    &cli_command_ssh,
    &cli_command_cp,
    &cli_command_ssh_config,
    &cli_command_inventory,
    &cli_command_logs,
    &cli_command_events,
    &cli_command_timeline,
    &cli_command_metrics,
    &cli_command_powerdown,
    &cli_command_restart,
    &cli_command_reset,
    &cli_command_pause,
    &cli_command_suspend,
    &cli_command_resume,
    &cli_command_reseed,
    &cli_command_kill,
    &cli_command_rm,
    &cli_command_snapshot_create,
    &cli_command_snapshot_ls,
    &cli_command_snapshot_restore,
    &cli_command_snapshot_rm,
    &cli_command_image_fetch,
    &cli_command_image_ls,
    &cli_command_image_verify,
    &cli_command_image_rm,
    &cli_command_image_prune,
    &cli_command_template_create,
    &cli_command_template_ls,
    &cli_command_template_rm,
    &cli_command_network_create,
    &cli_command_network_ls,
    &cli_command_network_status,
    &cli_command_network_link,
    &cli_command_network_unlink,
    &cli_command_network_rm,
    &cli_command_qemu_command,
    &cli_command_explain,
    &cli_command_validate,
    &cli_command_hash_password,
    &cli_command_doctor,
    &cli_command_agent,
    &cli_command_agent_start,
    &cli_command_agent_status,
    &cli_command_agent_stop,
    &cli_command_agent_openapi,
    &cli_command_completion,
    &cli_command_help,
    &cli_command__complete,
    &cli_command__pages,
    &cli_command__carry,
    NULL,
};
/* clang-format on */

/* True if the command line asks for JSON, also if it is wrong otherwise. */
static bool wants_json(const struct cli_command *command, char **argv)
{
    if (!cli_option_named(command, "json", strlen("json")))
        return false;
    while (*argv && strcmp(*argv, "--json") != 0 && strcmp(*argv, "--") != 0)
        argv++;
    return *argv && !strcmp(*argv, "--json");
}

static int print_help(const struct cli_command *command, struct pi_error *err)
{
    pi_auto_buf struct pi_buf text = {0};
    if (cli_help(command, cli_text_width(STDOUT_FILENO), &text) < 0)
        return pi_fail(err, ENOMEM, "help");
    fputs(text.data, stdout);
    return PI_OK;
}

/* "piagent NAME WORD...", for the shell of another host. */
static int quote_command(const struct cli_command *command, char **argv, struct pi_buf *ret)
{
    int r = pi_buf_printf(ret, "piagent %s", command->name);
    for (; r == 0 && *argv; argv++) {
        pi_auto_free char *word = pi_shell_quote(*argv);
        r = word ? pi_buf_printf(ret, " %s", word) : -ENOMEM;
    }
    return r;
}

static int run_there(const char *url, const char *line, const struct cli_call *call, struct pi_error *err)
{
    pi_auto_paths struct pi_paths paths = {0};
    pi_auto(cli_host_done) struct cli_host host = {0};
    int r = 0;
    for (unsigned i = 0; r == 0 && call->command->operand == CLI_IMAGE && i < call->count; i++)
        r = cli_host_check_image(call->operands[i], err);
    if (r == 0)
        r = pi_paths_find(&paths, err);
    if (r == 0)
        r = pi_dir_make(paths.runtime, err);
    if (r == 0)
        r = cli_host_init(&host, url, &paths, err);
    return r == 0 ? cli_host_run(&host, line, err) : r;
}

static int run_call(const struct cli_call *call, const char *line, struct pi_error *err)
{
    const char *url = call->command->site == CLI_THERE ? cli_host_chosen() : NULL;
    return url ? run_there(url, line, call, err) : call->command->run(call, err);
}

static int run_command(const struct cli_command *command, char **argv, struct pi_error *err)
{
    pi_auto_buf struct pi_buf line = {0};
    pi_auto_free void *values = calloc(1, command->values_size + 1);
    struct cli_operands operands = {0};
    bool json = wants_json(command, argv);
    if (!values || quote_command(command, argv, &line) < 0)
        return pi_fail(err, ENOMEM, "%s", command->name);
    int r = cli_parse(command, argv, values, &operands, err);
    struct cli_call call = {command, values, operands.items, operands.count};
    if (r == 0)
        r = operands.help ? print_help(command, err) : run_call(&call, line.data, err);
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

/* "piagent" alone is an error, and shows the help. */
static int refuse_nothing(struct pi_error *err)
{
    pi_auto_buf struct pi_buf text = {0};
    if (cli_help_all(cli_commands, cli_text_width(STDERR_FILENO), &text) < 0)
        return pi_fail(err, ENOMEM, "help");
    fputs(text.data, stderr);
    return PI_USAGE;
}

static int dispatch(size_t count, char **words, struct pi_error *err)
{
    int host = cli_host_take(words, err);
    if (host < 0)
        return host;
    words += host;
    count -= (size_t)host;
    char *help[] = {count ? words[0] : NULL, NULL};
    if (count == 0)
        return refuse_nothing(err);
    if (cli_is_help(words[0]))
        return run_command(&cli_command_help, help + 1, err);
    if (!strcmp(words[0], "--version") || !strcmp(words[0], "-V"))
        return print_version(count > 1 && !strcmp(words[1], "--json"), err);
    size_t taken;
    const struct cli_command *command = cli_find_command(cli_commands, words, count, &taken);
    bool group = cli_is_group(cli_commands, words[0]);
    if (taken == 1 && count > 1 && words[1][0] != '-' && group)
        return cli_refuse_command(cli_commands, words, count, false, err);
    if (!command && count == 2 && cli_is_help(words[1]) && group)
        return run_command(&cli_command_help, help, err);
    return command ? run_command(command, words + taken, err)
                   : cli_refuse_command(cli_commands, words, count, false, err);
}

int cli_main(int argc, char **argv)
{
    struct pi_error err = {0};
    int r = dispatch(argc > 0 ? (size_t)argc - 1 : 0, argv + 1, &err);
    if (r >= 0 && (fflush(stdout) != 0 || ferror(stdout)))
        r = pi_fail(&err, errno, "cannot write the output");
    return r < 0 ? cli_report(&err) : r;
}
