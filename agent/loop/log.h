/* SPDX-License-Identifier: MIT */
/* The agent's own log: its standard error. The command that starts the agent leads it to the file
 * agent.log. */
#ifndef PIAGENT_LOOP_LOG_H
#define PIAGENT_LOOP_LOG_H

/* Writes one line with the time, cleaned of control characters. If standard error is agent.log, the file
 * stays below a size: log.c. */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
