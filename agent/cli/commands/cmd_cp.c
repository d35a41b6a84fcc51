/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <libgen.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/proc.h"
#include "agent/base/text.h"
#include "agent/cli/client/ssh_options.h"
#include "agent/cli/client/ssh_reach.h"
#include "agent/cli/commands/command_table.h"

/* rsync(1), EXIT VALUES: the other side's shell did not find it, which it tells in one of two ways. */
#define RSYNC_BROKE_OFF 12
#define RSYNC_NOT_THERE 127
#define SSH_FAILED      255 /* passed on by scp and rsync */

struct cp_options {
    bool recursive, preserve, rsync;
};

/* Finds the instance's name before the colon, as scp does: no slash comes before it. False for a file of this
 * host. */
static bool instance_of(const char *operand, char name[PI_NAME_MAX + 2])
{
    size_t length = strcspn(operand, ":/");
    if (operand[length] != ':' || !length)
        return false;
    snprintf(name, PI_NAME_MAX + 2, "%.*s", (int)(length <= PI_NAME_MAX ? length : PI_NAME_MAX + 1), operand);
    return true;
}

struct copying {
    struct cli_agent agent;
    const struct cp_options *options;
    char *ssh, *program;     /* the paths of ssh, and of scp or rsync */
    struct pi_strv operands; /* as scp takes them: USER@NAME:PATH */
    struct api_instance last;
    unsigned instances;
    struct cli_ssh_share share;
    struct cli_ssh_pass pass;
};

static void copying_done(struct copying *copying)
{
    cli_agent_done(&copying->agent);
    free(copying->ssh);
    free(copying->program);
    pi_strv_done(&copying->operands);
    api_done(instance, &copying->last);
    cli_ssh_share_done(&copying->share);
    cli_ssh_pass_done(&copying->pass);
}

/* Checks that need no guest: their failures are told before the command waits for one. */

static int check_source(const struct cp_options *options, const char *path, struct pi_error *err)
{
    struct stat st;
    if (stat(path, &st) < 0 && (!options->rsync || lstat(path, &st) < 0)) /* rsync copies links */
        return errno == ENOENT || errno == ENOTDIR
                   ? pi_refuse(err, PI_NOT_FOUND, "%s: there is no such file on this host", path)
                   : pi_fail(err, errno, "cannot read %s", path);
    if (S_ISDIR(st.st_mode) && !options->recursive)
        return pi_refuse(err, PI_USAGE, "%s is a folder: piagent cp -r copies folders", path);
    if (!S_ISLNK(st.st_mode) && access(path, R_OK) < 0)
        return pi_fail(err, errno, "cannot read %s", path);
    return 0;
}

/* scp and rsync make the last part of a target that is not there. */
static int check_target(const char *path, bool several, struct pi_error *err)
{
    struct stat st;
    bool is_there = stat(path, &st) == 0;
    if (is_there && several && !S_ISDIR(st.st_mode))
        return pi_refuse(err, PI_USAGE, "%s is not a folder: several files are copied into one", path);
    if (is_there)
        return access(path, W_OK) < 0 ? pi_fail(err, errno, "cannot write %s", path) : 0;
    pi_auto_free char *words = strdup(path);
    const char *folder = words ? dirname(words) : path;
    if (stat(folder, &st) < 0)
        return pi_refuse(err, PI_NOT_FOUND, "%s: there is no folder %s on this host", path, folder);
    return access(folder, W_OK) < 0 ? pi_fail(err, errno, "cannot write into %s", folder) : 0;
}

/* rsync has one remote side, which is one instance. */
static int check_rsync(const struct cli_call *call, struct pi_error *err)
{
    char name[PI_NAME_MAX + 2], first[PI_NAME_MAX + 2] = "";
    for (unsigned i = 0; i < call->count; i++) {
        if (!instance_of(call->operands[i], name))
            continue;
        if (first[0] && (i == call->count - 1 || strcmp(first, name) != 0))
            return pi_refuse(err, PI_USAGE,
                             "--rsync copies between this host and one instance: leave out --rsync");
        memcpy(first, name, sizeof first);
    }
    return 0;
}

static int find_programs(struct copying *copying, struct pi_error *err)
{
    int r = cli_reach_program("ssh", &copying->ssh, err);
    if (r < 0 || !copying->options->rsync)
        return r < 0 ? r : cli_reach_program("scp", &copying->program, err);
    if (pi_program_find("rsync", &copying->program, NULL) < 0)
        return pi_refuse(err, PI_HOST, "there is no rsync on this host: install rsync, or leave out --rsync");
    return 0;
}

static int count_instances(struct copying *copying, const struct cli_call *call, struct pi_error *err)
{
    char name[PI_NAME_MAX + 2];
    for (unsigned i = 0; i < call->count; i++) {
        if (!instance_of(call->operands[i], name))
            continue;
        int r = pi_name_check(name, err);
        if (r < 0)
            return pi_context(err, r, "%s: the word before the colon is an instance (a file: ./%s)",
                              call->operands[i], call->operands[i]);
        copying->instances++;
    }
    return copying->instances
               ? 0
               : pi_refuse(err, PI_USAGE,
                           "none of these is in an instance: piagent cp FILE NAME:PATH, or NAME:PATH FILE");
}

static int check_files(const struct copying *copying, const struct cli_call *call, struct pi_error *err)
{
    char name[PI_NAME_MAX + 2];
    int r = 0;
    for (unsigned i = 0; r == 0 && i < call->count; i++)
        if (!instance_of(call->operands[i], name))
            r = i < call->count - 1 ? check_source(copying->options, call->operands[i], err)
                                    : check_target(call->operands[i], call->count > 2, err);
    return r;
}

static int check_cp_words(struct copying *copying, const struct cli_call *call, struct pi_error *err)
{
    int r = count_instances(copying, call, err);
    if (r == 0 && copying->options->rsync)
        r = check_rsync(call, err);
    if (r == 0)
        r = check_files(copying, call, err);
    return r == 0 ? find_programs(copying, err) : r;
}

/* Each step is taken for all instances before the next step: a fault of one is told before the command waits
 * for another, and no connection is opened before all guests are up. */

static int check_instance(struct copying *copying, const char *name, struct pi_error *err)
{
    api_done(instance, &copying->last);
    copying->last = (struct api_instance){0};
    return cli_reach_check(&copying->agent, name, &copying->last, err);
}

static int await_instance(struct copying *copying, const char *name, struct pi_error *err)
{
    int r = check_instance(copying, name, err);
    return r == 0 ? cli_reach(&copying->agent, &copying->last, err) : r;
}

/* scp takes the same options for all instances of one command, so none of their connections is shared. */
static int connect_instance(struct copying *copying, const char *name, struct pi_error *err)
{
    int fd, r = check_instance(copying, name, err);
    if (r == 0)
        r = cli_reach_key(&copying->agent, &copying->last, err);
    if (r == 0 && copying->instances == 1 &&
        (r = cli_ssh_share_take(&copying->agent.paths, &copying->last, &copying->share)) < 0)
        return pi_fail(err, -r, "cp");
    if (r != 0 || copying->share.logged_in ||
        (r = cli_reach_connect(&copying->agent, &copying->last, &fd, err)) != 0)
        return r;
    cli_reach_doubt(&copying->last);
    r = cli_ssh_pass_add(&copying->pass, &copying->agent.paths, name, fd);
    return r < 0 ? pi_fail(err, -r, "cp") : 0;
}

static int add_operands(struct copying *copying, const struct cli_call *call, struct pi_error *err)
{
    char name[PI_NAME_MAX + 2];
    int r = 0;
    for (unsigned i = 0; r == 0 && i < call->count; i++) {
        const char *operand = call->operands[i];
        if (!instance_of(operand, name))
            r = pi_strv_add(&copying->operands, operand);
        else if ((r = connect_instance(copying, name, err)) == 0)
            r = pi_strv_addf(&copying->operands, "%s@%s", copying->last.spec.user, operand);
    }
    return r;
}

static int each_instance(struct copying *copying, const struct cli_call *call,
                         int (*step)(struct copying *copying, const char *name, struct pi_error *err),
                         struct pi_error *err)
{
    char name[PI_NAME_MAX + 2];
    int r = 0;
    for (unsigned i = 0; r == 0 && i < call->count; i++) {
        if (!instance_of(call->operands[i], name))
            continue;
        r = step(copying, name, err);
    }
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

static int add_rsync_words(const struct cp_options *options, const struct cli_ssh *how, struct pi_strv *ret)
{
    pi_auto_strv struct pi_strv words = {0};
    pi_auto_buf struct pi_buf shell = {0};
    int r = cli_ssh_words(how, &words);
    if (r < 0 || (r = remote_shell(how->ssh, &words, &shell)) < 0 ||
        (r = pi_strv_add(ret, "-s")) < 0 || /* the guest's shell does not read the names */
        (r = pi_strv_addf(ret, "--rsh=%s", shell.data)) < 0 ||
        (options->recursive && (r = pi_strv_add(ret, "-rl")) < 0))
        return r;
    return options->preserve ? pi_strv_add(ret, "-pt") : 0;
}

static int add_scp_words(const struct cp_options *options, const struct cli_ssh *how, struct pi_strv *ret)
{
    /* -3: a copy from one guest to another passes through this host, as guests do not know each other's keys.
     * */
    int r = pi_strv_add(ret, "-3");
    if (r == 0 && options->recursive)
        r = pi_strv_add(ret, "-r");
    if (r == 0 && options->preserve)
        r = pi_strv_add(ret, "-p");
    return r == 0 ? cli_ssh_words(how, ret) : r;
}

static int run_copy(struct copying *copying, struct pi_error *err)
{
    const struct cp_options *options = copying->options;
    const struct cli_ssh how = {.ssh = copying->ssh,
                                .url = copying->agent.host.url,
                                .instance = &copying->last,
                                .host = "%n",
                                .control_path = copying->share.path,
                                .connected = copying->share.logged_in};
    pi_auto_strv struct pi_strv argv = {0};
    int r = pi_strv_add(&argv, copying->program);
    if (r == 0)
        r = (options->rsync ? add_rsync_words : add_scp_words)(options, &how, &argv);
    if (r == 0)
        r = pi_strv_add(&argv, "--");
    for (size_t i = 0; r == 0 && i < copying->operands.count; i++)
        r = pi_strv_add(&argv, copying->operands.items[i]);
    if (r < 0)
        return pi_fail(err, -r, "cp");
    return cli_reach_run(copying->last.name, (const char *const *)argv.items, &copying->share, &copying->pass,
                         err);
}

/* Explains what the program's exit code does not say. */
static void explain(struct copying *copying, const struct cli_call *call, int code)
{
    char name[PI_NAME_MAX + 2];
    if (copying->options->rsync && (code == RSYNC_BROKE_OFF || code == RSYNC_NOT_THERE))
        fprintf(stderr, "piagent: if %s has no rsync, install it there, or leave out --rsync\n",
                copying->last.name);
    for (unsigned i = 0; code == SSH_FAILED && i < call->count; i++) {
        pi_auto_instance struct api_instance instance = {0};
        if (instance_of(call->operands[i], name) &&
            cli_get_instance(&copying->agent, name, &instance, NULL) == 0 && instance.folder)
            cli_reach_explain(&copying->agent, &instance, &copying->share);
    }
}

static int run_cp(const struct cli_call *call, struct pi_error *err)
{
    pi_auto(copying_done) struct copying copying = {
        .options = call->values, .share = CLI_SSH_ALONE, .pass = CLI_SSH_PASS_NONE};
    int r = check_cp_words(&copying, call, err);
    if (r < 0 || (r = cli_connect(&copying.agent, err)) < 0 ||
        (r = each_instance(&copying, call, check_instance, err)) != 0 ||
        (r = each_instance(&copying, call, await_instance, err)) != 0 ||
        (r = add_operands(&copying, call, err)) != 0)
        return r;
    r = run_copy(&copying, err);
    if (r > 0)
        explain(&copying, call, r);
    return r;
}

#define FLAG(name_, letter_, member, help_)                                                        \
    {                                                                                              \
        .name = name_, .letter = letter_, CLI_MEMBER(CLI_FLAG, cp_options, member), .help = help_, \
    }
static const struct cli_option cp_table[] = {
    FLAG("recursive", 'r', recursive, "folders with all in them"),
    FLAG("preserve", 'p', preserve, "times and modes, too"),
    FLAG("rsync", 0, rsync, "with rsync, which sends only the differences; both sides need it"),
    {0},
};

const struct cli_command cli_command_cp = {
    .name = "cp",
    .operands = "SOURCE... TARGET",
    .summary = "copies files into instances, out of them and between them",
    .details =
        "NAME:PATH is in an instance, a path from the login's home; a file here whose name has a colon is ./a:b.\n"
        "Waits until the instances are ready, also while they reboot. The exit code is scp's or rsync's.",
    .example = "piagent cp -r ./site pi-1:/srv/",
    .options = cp_table,
    .values_size = sizeof(struct cp_options),
    .min_operands = 2,
    .max_operands = 4096,
    .operand = CLI_PLACE,
    .run = run_cp,
};
