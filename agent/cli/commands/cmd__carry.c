/* SPDX-License-Identifier: MIT */
/* "__carry" is what another host's agent runs here by ssh: its standard input and output become a link of a network. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/cli/client/connect.h"
#include "agent/cli/commands/command_table.h"

/* Until one side ends. */
static void carry_bytes(int from, int to)
{
    char bytes[65536];
    for (;;) {
        ssize_t n = read(from, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || pi_write_all(to, bytes, (size_t)n) < 0)
            return;
    }
}

static void *carry_input(void *user)
{
    carry_bytes(STDIN_FILENO, *(const int *)user);
    _exit(PI_OK);
}

/* An agent that somebody stopped stays so: another host dials again and again. */
static int connect_link(const char *name, struct pi_error *err)
{
    char folder[PATH_MAX];
    pi_auto_agent struct cli_agent agent = {0};
    pi_auto_paths struct pi_paths paths = {0};
    int r = pi_paths_find(&paths, err);
    if (r < 0)
        return r;
    if (cli_agent_was_stopped(&paths))
        return pi_refuse(err, PI_AGENT, "somebody has stopped the agent there: piagent agent start");
    if ((r = cli_connect_to(NULL, &agent, err)) < 0 ||
        (r = cli_call_networks(&agent, "GET", name, NULL, NULL, err)) < 0)
        return r;
    snprintf(folder, sizeof folder, "%s/lan/%s", paths.runtime, name);
    return pi_socket_connect(folder, "link", err);
}

static int run_carry(const struct cli_call *call, struct pi_error *err)
{
    pthread_t thread;
    pi_auto_close int fd = connect_link(call->operands[0], err);
    if (fd < 0)
        return fd;
    signal(SIGPIPE, SIG_IGN);
    if (fcntl(fd, F_SETFL, 0) < 0) /* it blocks */
        return pi_fail(err, errno, "fcntl");
    int error = pthread_create(&thread, NULL, carry_input, &fd);
    if (error)
        return pi_fail(err, error, "a thread");
    carry_bytes(fd, STDOUT_FILENO);
    _exit(PI_OK); /* the thread uses what this frame has */
}

const struct cli_command cli_command__carry = {
    .name = "__carry",
    .operands = "NETWORK",
    .summary = "connects a network of this host with standard input and output, for another host's agent",
    .example = "ssh host piagent __carry lab",
    .min_operands = 1,
    .max_operands = 1,
    .operand = CLI_TEXT,
    .site = CLI_HERE,
    .run = run_carry,
};
