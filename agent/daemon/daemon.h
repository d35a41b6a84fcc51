/* SPDX-License-Identifier: MIT */
/* The two programs that live in the same executable as the command line. main.c calls them. */
#ifndef PIAGENT_DAEMON_DAEMON_H
#define PIAGENT_DAEMON_DAEMON_H

/* `piagent agent [--ready-fd N]`: runs until SIGTERM, SIGINT or a request to stop; guests run on. On
 * descriptor N it writes "ok" once it answers, or {"error": {"kind", "message"}}, one line. Returns an exit
 * code (enum pi_kind). */
int agent_main(int argc, char **argv);

/* `piagent worker prepare FOLDER`: makes what an instance's folder needs besides its record: overlay,
 * variables, SSH keys. The agent's child; a failure is one JSON line on standard output. */
int worker_main(int argc, char **argv);

#endif
