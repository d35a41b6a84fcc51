/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>

#include "agent/base/auto.h"
#include "agent/base/proc.h"
#include "agent/cli/client/ssh_options.h"
#include "agent/cli/client/ssh_reach.h"
#include "agent/cli/commands/command_table.h"

#define SSH_FAILED 255 /* ssh's exit code for its own failures (ssh(1), EXIT STATUS) */

/* ssh's own, passed on. */
struct ssh_options {
    struct pi_strv local, remote, dynamic, set;
    bool agent, terminal, no_command, stdio;
};

static int add_all(struct pi_strv *argv, const char *letter, const struct pi_strv *values)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < values->count; i++)
        r = pi_strv_addf(argv, "%s%s", letter, values->items[i]);
    return r;
}

static int add_forwards(const struct ssh_options *options, struct pi_strv *argv)
{
    int r = add_all(argv, "-L", &options->local);
    if (r == 0)
        r = add_all(argv, "-R", &options->remote);
    return r == 0 ? add_all(argv, "-D", &options->dynamic) : r;
}

/* A command with an option of ssh's gets a connection of its own: the one that is shared was opened without
 * it, and ports that it forwards would stay open with it. */
static bool can_share(const struct ssh_options *options)
{
    return !options->local.count && !options->remote.count && !options->dynamic.count &&
           !options->set.count && !options->agent && !options->no_command;
}

static int ssh_argv(const struct cli_ssh *how, const struct ssh_options *options, char **command,
                    struct pi_strv *ret)
{
    int r = pi_strv_add(ret, how->ssh);
    if (r < 0 || (r = cli_ssh_words(how, ret)) < 0 || (r = add_forwards(options, ret)) < 0)
        return r;
    const char *const flags[] = {options->agent ? "-A" : NULL, options->terminal ? "-t" : NULL,
                                 options->no_command ? "-N" : NULL};
    for (size_t i = 0; r == 0 && i < PI_ARRAY_SIZE(flags); i++)
        r = flags[i] ? pi_strv_add(ret, flags[i]) : 0;
    if (r == 0)
        r = pi_strv_add(ret, "--"); /* of neither the destination nor the command a word is an option */
    if (r == 0)
        r = pi_strv_addf(ret, "%s@%s", how->instance->spec.user, how->instance->name);
    for (; r == 0 && *command; command++)
        r = pi_strv_add(ret, *command);
    return r;
}

/* Lets ssh check the words of its own options, before the command waits for the guest. */
static int check_ssh_words(const char *ssh, const struct ssh_options *options, const char *name,
                           struct pi_error *err)
{
    pi_auto_strv struct pi_strv argv = {0};
    if (can_share(options))
        return 0;
    if (pi_strv_add(&argv, ssh) < 0 || pi_strv_add(&argv, "-G") < 0 || pi_strv_add(&argv, "-Fnone") < 0 ||
        add_all(&argv, "-o", &options->set) < 0 || add_forwards(options, &argv) < 0 ||
        pi_strv_add(&argv, "--") < 0 || pi_strv_add(&argv, name) < 0)
        return pi_fail(err, ENOMEM, "ssh");
    struct pi_error why = {0};
    int r = pi_run((const char *const *)argv.items, NULL, NULL, &why);
    return r < 0 ? pi_refuse(err, PI_USAGE, "ssh does not take its options: %.400s", why.text) : 0;
}

/* Uses a connection that another command left open, or else connects to the server. */
static int connect_or_share(struct cli_agent *agent, struct api_instance *instance, bool can_share,
                            struct cli_ssh_share *share, struct cli_ssh_pass *pass, struct pi_error *err)
{
    int fd, r = can_share ? cli_ssh_share_take(&agent->paths, instance, share) : 0;
    if (r < 0)
        return pi_fail(err, -r, "ssh");
    if (share->logged_in)
        return 0;
    if ((r = cli_reach_connect(agent, instance, &fd, err)) != 0)
        return r;
    r = cli_ssh_pass_add(pass, &agent->paths, instance->name, fd);
    return r < 0 ? pi_fail(err, -r, "ssh") : 0;
}

static int log_in(struct cli_agent *agent, const char *ssh, struct api_instance *instance,
                  const struct cli_call *call, struct pi_error *err)
{
    const struct ssh_options *options = call->values;
    pi_auto_ssh_share struct cli_ssh_share share = CLI_SSH_ALONE;
    pi_auto_ssh_pass struct cli_ssh_pass pass = CLI_SSH_PASS_NONE;
    pi_auto_strv struct pi_strv argv = {0};
    int r = cli_reach_key(agent, instance, err);
    if (r == 0)
        r = connect_or_share(agent, instance, can_share(options), &share, &pass, err);
    if (r != 0)
        return r;
    const struct cli_ssh how = {.ssh = ssh,
                                .url = agent->host.url,
                                .instance = instance,
                                .host = instance->name,
                                .control_path = share.path,
                                .connected = share.logged_in,
                                .given = &options->set};
    if ((r = ssh_argv(&how, options, call->operands + 1, &argv)) < 0)
        return pi_fail(err, -r, "ssh");
    cli_reach_doubt(instance);
    r = cli_reach_run(instance->name, (const char *const *)argv.items, &share, &pass, err);
    if (r == SSH_FAILED)
        cli_reach_explain(agent, instance, &share);
    return r;
}

/* The ProxyCommand: relays its connection, which the command that started ssh may have made. */
static int relay(const char *name, struct pi_error *err)
{
    pi_auto_agent struct cli_agent agent = {0};
    pi_auto_instance struct api_instance instance = {0};
    pi_auto_close int fd = cli_ssh_pass_take(name);
    if (fd >= 0)
        return cli_reach_relay(fd, err);
    int r = cli_connect(&agent, err);
    if (r == 0)
        r = cli_reach_check(&agent, name, &instance, err);
    if (r == 0)
        r = cli_reach_key(&agent, &instance, err);
    if (r == 0)
        r = cli_reach_connect(&agent, &instance, &fd, err);
    return r == 0 ? cli_reach_relay(fd, err) : r;
}

static int run_ssh(const struct cli_call *call, struct pi_error *err)
{
    const struct ssh_options *options = call->values;
    const char *name = call->operands[0];
    pi_auto_free char *ssh = NULL;
    pi_auto_agent struct cli_agent agent = {0};
    pi_auto_instance struct api_instance instance = {0};
    if (call->count > 1 && call->operands[1][0] == '-')
        return pi_refuse(err, PI_USAGE,
                         "ssh's options come before the instance's name: piagent ssh %s ... %s",
                         call->operands[1], name);
    if (options->stdio)
        return relay(name, err);
    int r = cli_reach_program("ssh", &ssh, err);
    if (r < 0 || (r = check_ssh_words(ssh, options, name, err)) < 0 || (r = cli_connect(&agent, err)) < 0 ||
        (r = cli_reach_check(&agent, name, &instance, err)) < 0 ||
        (r = cli_reach(&agent, &instance, err)) != 0)
        return r;
    return log_in(&agent, ssh, &instance, call, err);
}

#define OPTION(name_, letter_, type_, member, ...)                                            \
    {                                                                                         \
        .name = name_, .letter = letter_, CLI_MEMBER(type_, ssh_options, member), __VA_ARGS__ \
    }
static const struct cli_option ssh_table[] = {
    OPTION("local-forward", 'L', CLI_LIST, local, .argument = "PORT:HOST:PORT", .kind = CLI_TEXT,
           .help = "a port of this host leads into the guest"),
    OPTION("remote-forward", 'R', CLI_LIST, remote, .argument = "PORT:HOST:PORT", .kind = CLI_TEXT,
           .help = "a port of the guest leads here"),
    OPTION("dynamic-forward", 'D', CLI_LIST, dynamic, .argument = "PORT", .kind = CLI_TEXT,
           .help = "a SOCKS proxy in the guest"),
    OPTION("forward-agent", 'A', CLI_FLAG, agent, .help = "the guest may use this host's SSH agent"),
    OPTION("tty", 't', CLI_FLAG, terminal, .help = "a terminal for the command"),
    OPTION("no-command", 'N', CLI_FLAG, no_command, .help = "only forward ports"),
    OPTION("option", 'o', CLI_LIST, set, .argument = "KEY=VALUE", .kind = CLI_TEXT,
           .help = "as in ssh_config(5); what piagent sets itself stays"),
    OPTION("stdio", 0, CLI_FLAG, stdio,
           .help = "only connect standard input and output to the SSH server (a ProxyCommand)"),
    {0},
};

const struct cli_command cli_command_ssh = {
    .name = "ssh",
    .operands = "NAME [-- COMMAND...]",
    .summary = "logs in over SSH, or runs a command in the guest",
    .details =
        "Waits until the guest is ready, also while it reboots; one that resumes from a template is reached as soon as it\n"
        "knows who it is. Options come before NAME, as with ssh. The host\n"
        "key is always checked against the one that was put into the guest. The exit code is ssh's.\n"
        "Of your ssh_config only identities and terminal settings count (IdentityFile, SendEnv, EscapeChar and the\n"
        "like). Commands share a connection, which stays open for a minute after the last; one with an option of\n"
        "ssh's gets its own.",
    .example = "piagent ssh pi-1 -- uname -a",
    .options = ssh_table,
    .values_size = sizeof(struct ssh_options),
    .min_operands = 1,
    .max_operands = 4096,
    .passes_rest = true,
    .operand = CLI_MACHINE_LIVE,
    .run = run_ssh,
};
