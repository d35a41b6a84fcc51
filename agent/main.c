/* One executable, three programs: the command line, the agent, and the agent's worker. */
#include <string.h>

#include "agent/base/text.h"
#include "agent/cli/commands.h"
#include "agent/daemon/daemon.h"

/* "agent" alone, or with the descriptor that a command gives to the agent that it starts. */
static bool is_agent(int argc, char **argv)
{
    return argc >= 2 && !strcmp(argv[1], "agent") && (argc == 2 || pi_starts_with(argv[2], "--ready-fd"));
}

int main(int argc, char **argv)
{
    if (is_agent(argc, argv))
        return agent_main(argc - 1, argv + 1);
    if (argc >= 2 && !strcmp(argv[1], "worker"))
        return worker_main(argc - 1, argv + 1);
    return cli_main(argc, argv);
}
