/* SPDX-License-Identifier: MIT */
#include "agent/daemon/seed_port.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/fields.h"
#include "agent/base/fs.h"
#include "agent/daemon/agent.h"
#include "agent/loop/log.h"
#include "agent/loop/sockets.h"
#include "agent/vm/host_port.h"

#define PORT_TRIES 5u           /* another program may take one between the look and the bind */
#define STATE_FILE "agent.json" /* in pi_paths.state */

static uint16_t recall_port(int state_fd)
{
    pi_auto_buf struct pi_buf text = {0};
    if (pi_file_read(state_fd, STATE_FILE, 4096, &text, NULL) < 0 || !text.data)
        return 0;
    json_auto_t *state = pi_json_parse(text.data, text.size, NULL);
    json_int_t port = json_integer_value(json_object_get(state, "imds_port"));
    return port > 0 && port < 65536 ? (uint16_t)port : 0;
}

static int remember_port(int state_fd, uint16_t port, struct pi_error *err)
{
    char text[64];
    snprintf(text, sizeof text, "{\"imds_port\": %u}\n", port);
    return pi_file_write(state_fd, STATE_FILE, text, strlen(text), 0600, err);
}

/* Not an ephemeral port: any connection of this host could take it while no agent runs. */
static int listen_anew(uint16_t *ret_port, struct pi_error *err)
{
    int fd = -EADDRINUSE;
    for (unsigned i = 0; fd == -EADDRINUSE && i < PORT_TRIES; i++)
        if ((fd = vm_port_pick(NULL, NULL, ret_port, err)) == 0)
            fd = socket_listen_loopback(*ret_port, err);
    return fd;
}

int seed_port_open(int state_fd, struct seed_port *ret, struct pi_error *err)
{
    uint16_t remembered = recall_port(state_fd), port = remembered;
    pi_auto_close int listen_fd = port ? socket_listen_loopback(port, err) : -EADDRINUSE;
    if (listen_fd == -EADDRINUSE)
        listen_fd = listen_anew(&port, err);
    if (listen_fd < 0)
        return listen_fd;
    pi_auto_close int hold_fd = socket_hold_loopback(port, err);
    if (hold_fd < 0)
        return hold_fd;
    if (remembered && port != remembered)
        log_line(
            "another program has port %u, where guests that run look for their seeds: the seeds are on port %u "
            "now, and those guests cannot report until their next start",
            remembered, port);
    int r = port != remembered ? remember_port(state_fd, port, err) : 0;
    if (r == 0)
        *ret = (struct seed_port){.port = port,
                                  .remembered = remembered,
                                  .listen_fd = pi_steal_fd(&listen_fd),
                                  .hold_fd = pi_steal_fd(&hold_fd)};
    return r;
}

void seed_port_close(struct seed_port *port)
{
    pi_close_p(&port->listen_fd);
    pi_close_p(&port->hold_fd);
}
