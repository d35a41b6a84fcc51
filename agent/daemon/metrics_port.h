/* SPDX-License-Identifier: MIT */
/* A TCP port of 127.0.0.1 where Prometheus fetches the metrics, if the user asked for one. Nothing else is answered
 * there; everyone on this host can read it. */
#ifndef PIAGENT_DAEMON_METRICS_PORT_H
#define PIAGENT_DAEMON_METRICS_PORT_H

#include "agent/base/error.h"
#include "agent/daemon/metrics.h"
#include "agent/loop/pump.h"

struct api_server;
struct timer;

/* Zeroed memory: there is none. */
struct metrics_port {
    struct api_server *server;
    struct pump pump;
    struct metrics_page page;
    char address[24];    /* "127.0.0.1:9464"; "" = nobody asked for one */
    char *failure;       /* why it is not open; NULL = it is */
    struct timer *timer; /* set: it is tried again */
};

/* Opens it if address ("127.0.0.1:9464", or the port alone) is not NULL. PI_USAGE if that is another address. If it
 * cannot be opened, .failure and the log say why, and it is tried again from time to time. */
int metrics_port_open(struct agent *agent, const char *address, struct pi_error *err);
void metrics_port_close(struct agent *agent);

#endif
