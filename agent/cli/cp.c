/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/cli/commands.h"
#include "agent/cli/reach.h"
#include "agent/cli/ssh_options.h"

/* rsync(1), EXIT VALUES: the other side's shell did not find it, which it tells in one of two ways. */
#define RSYNC_BROKE_OFF 12
#define RSYNC_NOT_THERE 127
#define SSH_FAILED      255 /* passed on by scp and rsync */

struct cp_options {
    bool recursive, preserve, rsync;
};

/* The machine's name before the colon, as scp finds it: no slash comes before. False for a file of this host.
 */
static bool machine_of(const char *operand, char name[PI_NAME_MAX + 2])
{
    size_t length = strcspn(operand, ":/");
    if (operand[length] != ':' || !length)
        return false;
    snprintf(name, PI_NAME_MAX + 2, "%.*s", (int)(length <= PI_NAME_MAX ? length : PI_NAME_MAX + 1), operand);
    return true;
}

struct copying {
    struct cli_agent agent;
    struct pi_strv operands; /* as scp takes them: USER@NAME:PATH */
    struct api_instance last;
    unsigned machines;
};

static void copying_done(struct copying *copying)
{
    cli_agent_done(&copying->agent);
    pi_strv_done(&copying->operands);
    api_done(instance, &copying->last);
}

static int add_machine(struct copying *copying, const char *name, const char *operand, struct pi_error *err)
{
    struct api_instance now = {0};
    if (pi_name_check(name, err) < 0)
        return pi_context(err, -EINVAL, "%s: what stands before the colon is a machine (a file: ./%s)",
                          operand, operand);
    int r = copying->agent.client ? 0 : cli_connect(&copying->agent, err);
    if (r == 0)
        r = cli_reach(&copying->agent, name, &now, err);
    if (r < 0)
        return r;
    cli_reach_doubt(&now);
    api_done(instance, &copying->last);
    copying->last = now;
    copying->machines++;
    return pi_strv_addf(&copying->operands, "%s@%s", now.user, operand);
}

static int add_operands(struct copying *copying, const struct cli_call *call, struct pi_error *err)
{
    char name[PI_NAME_MAX + 2];
    int r = 0;
    for (unsigned i = 0; r == 0 && i < call->count; i++)
        r = machine_of(call->operands[i], name) ? add_machine(copying, name, call->operands[i], err)
                                                : pi_strv_add(&copying->operands, call->operands[i]);
    if (r == 0 && !copying->machines)
        r = pi_refuse(err, PI_USAGE,
                      "none of these is in a machine: piagent cp FILE NAME:PATH, or NAME:PATH FILE");
    return r;
}

/* As rsync splits its remote shell: at spaces, but not in quotes, in which a quote is doubled. */
static int remote_shell(const char *ssh, const struct pi_strv *words, struct pi_buf *ret)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i <= words->count; i++) {
        const char *word = i ? words->items[i - 1] : ssh;
        r = pi_buf_puts(ret, i ? " '" : "'");
        for (; r == 0 && *word; word++)
            r = pi_buf_printf(ret, *word == '\'' ? "''" : "%c", *word);
        if (r == 0)
            r = pi_buf_puts(ret, "'");
    }
    return r;
}

static int rsync_argv(const struct cp_options *options, const struct cli_ssh *how, struct pi_strv *ret,
                      struct pi_error *err)
{
    pi_auto_free char *rsync = NULL;
    pi_auto_strv struct pi_strv words = {0};
    pi_auto_buf struct pi_buf shell = {0};
    if (pi_program_find("rsync", &rsync, NULL) < 0)
        return pi_refuse(err, PI_HOST, "there is no rsync on this host: install rsync, or leave --rsync out");
    /* -s: the guest's shell does not read the names. */
    if (cli_ssh_words(how, &words) < 0 || remote_shell(how->ssh, &words, &shell) < 0 ||
        pi_strv_add(ret, rsync) < 0 || pi_strv_add(ret, "-s") < 0 ||
        pi_strv_addf(ret, "--rsh=%s", shell.data) < 0 ||
        (options->recursive && pi_strv_add(ret, "-rl") < 0) ||
        (options->preserve && pi_strv_add(ret, "-pt") < 0))
        return pi_fail(err, ENOMEM, "rsync");
    return 0;
}

static int scp_argv(const struct cp_options *options, const struct cli_ssh *how, struct pi_strv *ret,
                    struct pi_error *err)
{
    pi_auto_free char *scp = NULL;
    int r = cli_reach_program("scp", &scp, err);
    if (r < 0)
        return r;
    /* -3: what goes from one guest to another passes here, as guests do not know each other's keys. */
    if (pi_strv_add(ret, scp) < 0 || pi_strv_add(ret, "-3") < 0 ||
        (options->recursive && pi_strv_add(ret, "-r") < 0) ||
        (options->preserve && pi_strv_add(ret, "-p") < 0) || cli_ssh_words(how, ret) < 0)
        return pi_fail(err, ENOMEM, "scp");
    return 0;
}

static int run_copy(const struct copying *copying, const struct cp_options *options,
                    const struct cli_ssh *how, struct cli_ssh_share *share, struct pi_error *err)
{
    pi_auto_strv struct pi_strv argv = {0};
    int r = (options->rsync ? rsync_argv : scp_argv)(options, how, &argv, err);
    if (r < 0)
        return r;
    r = pi_strv_add(&argv, "--");
    for (size_t i = 0; r == 0 && i < copying->operands.count; i++)
        r = pi_strv_add(&argv, copying->operands.items[i]);
    if (r < 0)
        return pi_fail(err, -r, "cp");
    return cli_reach_run((const char *const *)argv.items, how->instance->name, share, err);
}

/* What the program's exit code does not say. */
static void explain(struct copying *copying, const struct cli_call *call, int code,
                    const struct cli_ssh_share *share)
{
    const struct cp_options *options = call->values;
    char name[PI_NAME_MAX + 2];
    if (options->rsync && (code == RSYNC_BROKE_OFF || code == RSYNC_NOT_THERE))
        fprintf(stderr, "piagent: where %s has no rsync, install it there, or leave --rsync out\n",
                copying->last.name);
    for (unsigned i = 0; code == SSH_FAILED && i < call->count; i++) {
        pi_auto_instance struct api_instance instance = {0};
        if (machine_of(call->operands[i], name) &&
            cli_get_instance(&copying->agent, name, &instance, NULL) == 0 && instance.folder)
            cli_reach_explain(&instance, share);
    }
}

/* Several machines in one command are reached with the same options, so that none of their connections is
 * shared. */
static int copy(struct copying *copying, const struct cli_call *call, struct pi_error *err)
{
    pi_auto_free char *ssh = NULL;
    pi_auto_ssh_share struct cli_ssh_share share = CLI_SSH_ALONE;
    int r = cli_reach_program("ssh", &ssh, err);
    if (r < 0)
        return r;
    if (copying->machines == 1 && (r = cli_ssh_share_take(&copying->agent.paths, &copying->last, &share)) < 0)
        return pi_fail(err, -r, "cp");
    const struct cli_ssh how = {
        .ssh = ssh, .instance = &copying->last, .host = "%n", .control_path = share.path};
    r = run_copy(copying, call->values, &how, &share, err);
    if (r > 0)
        explain(copying, call, r, &share);
    return r;
}

static int run_cp(const struct cli_call *call, struct pi_error *err)
{
    pi_auto(copying_done) struct copying copying = {0};
    int r = add_operands(&copying, call, err);
    return r < 0 ? r : copy(&copying, call, err);
}

#define FLAG(name_, letter_, member, help_)                                                                \
    {                                                                                                      \
        .name = name_, .letter = letter_, .type = CLI_FLAG, .offset = offsetof(struct cp_options, member), \
        .help = help_,                                                                                     \
    }
static const struct cli_option cp_table[] = {
    FLAG("recursive", 'r', recursive, "folders with all in them"),
    FLAG("preserve", 'p', preserve, "times and modes, too"),
    FLAG("rsync", 0, rsync, "with rsync, which sends only what differs; both sides need it"),
    {0},
};

const struct cli_command cli_command_cp = {
    .name = "cp",
    .operands = "SOURCE... TARGET",
    .summary = "copies files into machines, out of them and between them",
    .details =
        "NAME:PATH is in a machine, a path from the login's home; a file here whose name has a colon is ./a:b.\n"
        "Waits until the machines are ready. The exit code is scp's or rsync's.",
    .example = "piagent cp -r ./site pi-1:/srv/",
    .options = cp_table,
    .values_size = sizeof(struct cp_options),
    .min_operands = 2,
    .max_operands = 4096,
    .operand = CLI_PLACE,
    .run = run_cp,
};
