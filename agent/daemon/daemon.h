/* SPDX-License-Identifier: MIT */
/* The agent, as a program. */
#ifndef PIAGENT_DAEMON_DAEMON_H
#define PIAGENT_DAEMON_DAEMON_H

/* `piagent agent [--ready-fd N]`: runs until SIGTERM, SIGINT or a request to stop; guests run on. On
 * descriptor N it writes "ok" once it answers, or {"error": {"kind", "message"}}, one line. Returns an exit
 * code (enum pi_kind). */
int agent_main(int argc, char **argv);

#endif
