/* SPDX-License-Identifier: MIT */
/* One executable, six programs: the command line, the agent, its worker, the network of isolated instances, the switch of
 * a network that instances share, and the one that plugs a QEMU into bridges of this host. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "agent/base/fields.h"
#include "agent/base/text.h"
#include "agent/cli/commands/command_table.h"
#include "agent/daemon/daemon.h"
#include "agent/net/bridged.h"
#include "agent/net/net.h"
#include "agent/switch/switch_main.h"
#include "agent/worker/worker_main.h"

/* "agent" alone, with the address of its metrics, or with the descriptor that a command gives to the agent that it
 * starts. */
static bool is_agent(int argc, char **argv)
{
    return argc >= 2 && !strcmp(argv[1], "agent") &&
           (argc == 2 || pi_starts_with(argv[2], "--ready-fd") || pi_starts_with(argv[2], "--metrics"));
}

/* If a standard descriptor is closed, the next file that is opened takes its place, and output would go there. The
 * descriptors that hold the place can only be used the wrong way, so that output fails as before (EBADF). */
static void hold_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) < 0)
            return; /* there is no /dev/null: nothing more can be done */
}

int main(int argc, char **argv)
{
    hold_standard_descriptors();
    pi_json_protect();
    signal(SIGCHLD, SIG_DFL); /* where a parent ignored it, no child would tell how it ended */
    signal(SIGXFSZ, SIG_IGN); /* a limit on files is a failed write (EFBIG), and no death */
    if (is_agent(argc, argv))
        return agent_main(argc - 1, argv + 1);
    if (argc >= 2 && !strcmp(argv[1], "worker"))
        return worker_main(argc - 1, argv + 1);
    if (argc >= 2 && !strcmp(argv[1], "isolated"))
        return net_main(argc - 1, argv + 1);
    if (argc >= 2 && !strcmp(argv[1], "bridged"))
        return bridged_main(argc - 1, argv + 1);
    if (argc >= 2 && !strcmp(argv[1], "switch"))
        return switch_main(argc - 1, argv + 1);
    return cli_main(argc, argv);
}
