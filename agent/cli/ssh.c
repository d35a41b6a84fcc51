#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/cli/commands.h"
#include "agent/cli/follow.h"

static int check_state(const char *name, const char *state, struct pi_error *err)
{
    if (!strcmp(state, "paused"))
        return pi_refuse(err, PI_CONFLICT, "%s is paused: piagent resume %s", name, name);
    if (cli_state_is_over(state) || !strcmp(state, "stopping"))
        return pi_refuse(err, PI_CONFLICT, "%s is %s: start it with piagent start %s", name, state, name);
    return 0;
}

/* Whether the guest's SSH server can be expected to answer with the key that was put there. */
static bool is_up(const struct api_instance *instance)
{
    const char *said = instance->cloud_init;
    return !strcmp(instance->state, "ready") ||
           (said && (!strcmp(said, "done") || !strcmp(said, "degraded") || !strcmp(said, "failed")));
}

static int await_up(struct cli_agent *agent, const struct api_instance *instance, struct pi_error *err)
{
    pi_auto_follow struct cli_follow follow = {0};
    int r = cli_follow_open(&follow, agent, instance, err);
    while (r == 0 && !cli_view_is_up(&follow.view)) {
        if ((r = check_state(follow.view.name, follow.view.state, err)) == 0)
            r = cli_follow_step(&follow, NULL, 0, err);
        if (r == 0 && follow.signal)
            r = pi_refuse(err, PI_FAILED, "interrupted; %s goes on booting", follow.view.name);
    }
    return r;
}

/* The host key is the one that the agent put into the guest, filed under the instance's name: the address and
 * the port are no part of it. */
static int ssh_argv(const char *ssh, const struct api_instance *instance, char **command, struct pi_strv *ret)
{
    static const char *const options[] = {
        "IdentitiesOnly=yes",        "GlobalKnownHostsFile=/dev/null",
        "StrictHostKeyChecking=yes", "PasswordAuthentication=no",
        "UpdateHostKeys=no",
    };
    int r = pi_strv_add(ret, ssh);
    if (r == 0 && (r = pi_strv_add(ret, "-i")) == 0)
        r = pi_strv_addf(ret, "%s/ssh_key", instance->folder);
    if (r == 0)
        r = pi_strv_addf(ret, "-oUserKnownHostsFile=\"%s/known_hosts\"", instance->folder);
    if (r == 0)
        r = pi_strv_addf(ret, "-oHostKeyAlias=%s", instance->name);
    for (size_t i = 0; r == 0 && i < PI_ARRAY_SIZE(options); i++)
        r = pi_strv_addf(ret, "-o%s", options[i]);
    if (r == 0)
        r = pi_strv_addf(ret, "-p%" PRIu64, instance->ssh_port);
    if (r == 0)
        r = pi_strv_addf(ret, "%s@127.0.0.1", instance->user);
    if (r == 0 && *command)
        r = pi_strv_add(ret, "--");
    for (; r == 0 && *command; command++)
        r = pi_strv_add(ret, *command);
    return r;
}

static int exec_ssh(const struct api_instance *instance, char **command, struct pi_error *err)
{
    pi_auto_free char *ssh = NULL;
    pi_auto_strv struct pi_strv argv = {0};
    int r = pi_program_find("ssh", &ssh, err);
    if (r < 0)
        return pi_refuse(err, PI_HOST,
                         "there is no ssh: install openssh-client (Debian) or openssh-clients (Fedora)");
    if (!instance->folder || !instance->user || !instance->ssh_port)
        return pi_refuse(err, PI_AGENT, "the agent did not say how to reach %s", instance->name);
    if ((r = ssh_argv(ssh, instance, command, &argv)) < 0)
        return pi_fail(err, -r, "ssh");
    execv(ssh, argv.items);
    return pi_fail(err, errno, "cannot run %s", ssh);
}

static int run_ssh(const struct cli_call *call, struct pi_error *err)
{
    const char *name = call->operands[0];
    pi_auto_agent struct cli_agent agent = {0};
    pi_auto_instance struct api_instance instance = {0}, now = {0};
    int r = cli_connect(&agent, err);
    if (r == 0)
        r = cli_get_instance(&agent, name, &instance, err);
    if (r == 0)
        r = check_state(name, instance.state, err);
    if (r == 0 && !is_up(&instance))
        r = await_up(&agent, &instance, err);
    /* Once more: a port can have changed with a start that was waited for. */
    if (r == 0)
        r = cli_get_instance(&agent, name, &now, err);
    return r < 0 ? r : exec_ssh(&now, call->operands + 1, err);
}

const struct cli_command cli_command_ssh = {
    .name = "ssh",
    .operands = "NAME [-- COMMAND...]",
    .summary = "logs in over SSH, or runs a command in the guest",
    .details = "Waits until the guest is ready. The exit code is ssh's.",
    .example = "piagent ssh pi-1 -- uname -a",
    .min_operands = 1,
    .max_operands = 4096,
    .passes_rest = true,
    .operand = CLI_MACHINE_LIVE,
    .run = run_ssh,
};
