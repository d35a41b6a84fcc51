/* SPDX-License-Identifier: MIT */
/* A TCP port of 127.0.0.1 where Prometheus fetches the metrics, if the user asked for one. Nothing else is answered
 * there; everyone on this host can read it. */
#ifndef PIAGENT_DAEMON_METRICS_PORT_H
#define PIAGENT_DAEMON_METRICS_PORT_H

#include "agent/base/error.h"
#include "agent/loop/pump.h"

struct agent;
struct api_server;

/* Zeroed memory: there is none. */
struct metrics_port {
    struct api_server *server;
    struct pump pump;
};

/* Opens it if address ("127.0.0.1:9464", or the port alone) is not NULL. PI_USAGE if that is another address,
 * PI_HOST if another program listens there. */
int metrics_port_open(struct agent *agent, const char *address, struct pi_error *err);
void metrics_port_close(struct agent *agent);

#endif
