/* SPDX-License-Identifier: MIT */
#include "agent/daemon/metrics_port.h"

#include <errno.h>
#include <string.h>

#include "agent/api/client.h"
#include "agent/api/control_server.h"
#include "agent/base/auto.h"
#include "agent/daemon/agent.h"
#include "agent/daemon/metrics.h"
#include "agent/loop/log.h"
#include "agent/loop/sockets.h"

#define METRICS_PATH "/metrics"

static void answer_scrape(struct api_call *call, void *user)
{
    struct pi_error err;
    const char *method = api_call_method(call);
    if (strcmp(api_call_path(call), METRICS_PATH) != 0) {
        pi_refuse(&err, PI_NOT_FOUND, "there is nothing but " METRICS_PATH " here");
        api_reply_error(call, &err);
    } else if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        pi_refuse(&err, PI_USAGE, METRICS_PATH " takes GET");
        api_reply_not_allowed(call, "GET", &err);
    } else {
        metrics_reply(user, call);
    }
}

static void serve_metrics(void *user)
{
    const struct agent *agent = user;
    api_server_run(agent->metrics.server);
}

static int metrics_timeout(void *user)
{
    const struct agent *agent = user;
    return api_server_timeout_ms(agent->metrics.server);
}

static int parse_address(const char *text, uint16_t *ret, struct pi_error *err)
{
    static const char loopback[] = "127.0.0.1:";
    uint64_t port;
    const char *number = pi_starts_with(text, loopback) ? text + strlen(loopback) : text;
    if (pi_number_parse(number, 1, UINT16_MAX, &port, NULL) < 0)
        return pi_refuse(
            err, PI_USAGE,
            "--metrics (" API_METRICS_VARIABLE
            "): '%.64s' is not a port of 127.0.0.1, such as 127.0.0.1:9464; to reach it from another host, "
            "forward it with ssh -L",
            text);
    *ret = (uint16_t)port;
    return 0;
}

int metrics_port_open(struct agent *agent, const char *address, struct pi_error *err)
{
    struct metrics_port *metrics = &agent->metrics;
    uint16_t port = 0;
    int r = address ? parse_address(address, &port, err) : 0;
    if (r < 0 || !address)
        return r;
    pi_auto_close int fd = socket_listen_loopback(port, err);
    if (fd == -EADDRINUSE)
        return pi_refuse(
            err, PI_HOST,
            "metrics: another program listens at 127.0.0.1:%u: choose another port (--metrics, or " API_METRICS_VARIABLE
            ")",
            port);
    if (fd < 0)
        return fd;
    if ((r = api_server_new(fd, API_CLIENTS_ANYONE, answer_scrape, agent, &metrics->server, err)) < 0)
        return r;
    pi_steal_fd(&fd);
    log_line("metrics at http://127.0.0.1:%u" METRICS_PATH, port);
    return pump_start(&metrics->pump, &agent->loop, api_server_fd(metrics->server), serve_metrics,
                      metrics_timeout, agent, err);
}

void metrics_port_close(struct agent *agent)
{
    pump_stop(&agent->metrics.pump);
    api_server_free(pi_steal(agent->metrics.server));
}
