/* SPDX-License-Identifier: MIT */
/* The URL of another host, which ssh takes as it is. Pure. */
#ifndef PIAGENT_BASE_HOST_URL_H
#define PIAGENT_BASE_HOST_URL_H

#include "agent/base/error.h"

#define PI_HOST_URL_SIZE 300

/* Refuses (PI_USAGE) text that is not ssh://[USER@]HOST[:PORT]: ssh would read other text as options or commands. */
int pi_host_url_check(const char *url, struct pi_error *err);

/* Options of ssh(1), ends with NULL: the user's ssh_config says how the host is reached, and nothing else. A connection that
 * is dead is noticed after 15 s. */
extern const char *const pi_host_ssh_options[];

#endif
