/* SPDX-License-Identifier: MIT */
#include "agent/daemon/metrics_port.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/api/client.h"
#include "agent/api/control_server.h"
#include "agent/base/auto.h"
#include "agent/daemon/agent.h"
#include "agent/loop/log.h"
#include "agent/loop/loop.h"
#include "agent/loop/sockets.h"

#define METRICS_PATH "/metrics"
#define RETRY_MS     10000

static void answer_scrape(struct api_call *call, void *user)
{
    struct agent *agent = user;
    struct pi_error err;
    const char *method = api_call_method(call);
    if (strcmp(api_call_path(call), METRICS_PATH) != 0) {
        pi_refuse(&err, PI_NOT_FOUND, "there is nothing but " METRICS_PATH " here");
        api_reply_error(call, &err);
    } else if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        pi_refuse(&err, PI_USAGE, METRICS_PATH " takes GET");
        api_reply_not_allowed(call, "GET", &err);
    } else {
        metrics_reply_page(agent, &agent->metrics.page, call);
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

static int open_port(struct agent *agent, struct pi_error *err)
{
    struct metrics_port *metrics = &agent->metrics;
    uint16_t port;
    int r = parse_address(metrics->address, &port, err);
    if (r < 0)
        return r;
    pi_auto_close int fd = socket_listen_loopback(port, err);
    if (fd == -EADDRINUSE)
        return pi_refuse(err, PI_HOST, "another program listens at %s", metrics->address);
    if (fd < 0)
        return fd;
    if ((r = api_server_new(fd, API_CLIENTS_ANYONE, answer_scrape, agent, &metrics->server, err)) < 0)
        return r;
    pi_steal_fd(&fd);
    r = pump_start(&metrics->pump, &agent->loop, api_server_fd(metrics->server), serve_metrics,
                   metrics_timeout, agent, err);
    if (r < 0)
        api_server_free(pi_steal(metrics->server));
    return r;
}

/* The first failure is logged. It is mostly for good: a second agent, of another user, has the port. */
static void try_port(void *user)
{
    struct agent *agent = user;
    struct metrics_port *metrics = &agent->metrics;
    struct pi_error err;
    if (open_port(agent, &err) == 0) {
        free(pi_steal(metrics->failure));
        log_line("metrics at http://%s" METRICS_PATH, metrics->address);
        return;
    }
    if (!metrics->failure)
        log_line("no metrics: %s; choose another port (--metrics, or " API_METRICS_VARIABLE
                 "), or free it: it is tried every %d s",
                 err.text, RETRY_MS / 1000);
    free(metrics->failure);
    metrics->failure = strdup(err.text);
    timer_set(metrics->timer, RETRY_MS);
}

int metrics_port_open(struct agent *agent, const char *address, struct pi_error *err)
{
    struct metrics_port *metrics = &agent->metrics;
    uint16_t port;
    int r = address ? parse_address(address, &port, err) : 0;
    if (r < 0 || !address)
        return r;
    if (!(metrics->timer = timer_new(&agent->loop, try_port, agent)))
        return pi_fail(err, ENOMEM, "metrics");
    snprintf(metrics->address, sizeof metrics->address, "127.0.0.1:%u", port);
    try_port(agent);
    return 0;
}

void metrics_port_close(struct agent *agent)
{
    struct metrics_port *metrics = &agent->metrics;
    pump_stop(&metrics->pump);
    api_server_free(pi_steal(metrics->server));
    timer_free(pi_steal(metrics->timer));
    free(pi_steal(metrics->failure));
    pi_buf_done(&metrics->page.text);
}
