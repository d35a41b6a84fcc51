#include "agent/cli/follow.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"

#define EVENT_LINE_MAX ((size_t)256 << 10)
#define BREAKS_MAX     5 /* an agent that dies that often is not started again */
#define REDRAW_MS      200
#define IDLE_MS        1000

static int on_event(char *line, size_t size, void *user)
{
    struct cli_follow *follow = user;
    struct api_event event = {0};
    pi_auto_buf struct pi_buf text = {0};
    json_auto_t *doc = pi_json_parse(line, size, NULL);
    /* What cannot be read is of a newer agent, and passed over. */
    if (doc && api_read(event, doc, &event, NULL) == 0) {
        enum cli_tell tell = cli_view_event(&follow->view, &event, &text);
        bool wanted = tell == CLI_TELL_ALWAYS || (tell == CLI_TELL_STEP && !follow->screen.redraws);
        if (wanted && text.size && !follow->screen.hidden)
            cli_screen_line(&follow->screen, "%s: %s", follow->view.name, text.data);
    }
    api_done(event, &event);
    return 0;
}

static int on_data(const char *bytes, size_t size, void *user)
{
    struct cli_follow *follow = user;
    return pi_lines_feed(&follow->lines, bytes, size, on_event, follow);
}

static void on_done(int result, const struct pi_error *err, void *user)
{
    struct cli_follow *follow = user;
    follow->transfer = NULL;
    follow->ended = true;
    follow->result = result;
    follow->error = *err;
}

static int start(struct cli_follow *follow, struct pi_error *err)
{
    char path[PI_NAME_MAX + 80];
    const struct api_sink sink = {.data = on_data, .done = on_done, .user = follow};
    snprintf(path, sizeof path, "/v1/instances/%s/events?since=%" PRIu64 "&follow=1", follow->view.name,
             follow->view.seq);
    pi_lines_done(&follow->lines);
    follow->lines = (struct pi_lines){.partial.max = EVENT_LINE_MAX};
    follow->ended = false;
    return api_client_start(follow->agent->client, "GET", path, NULL, 0, &sink, &follow->transfer, err);
}

int cli_follow_open(struct cli_follow *follow, struct cli_agent *agent, const struct api_instance *instance,
                    struct pi_error *err)
{
    sigset_t caught;
    *follow = (struct cli_follow){.agent = agent};
    cli_view_init(&follow->view, instance, pi_monotonic_ms(), pi_realtime_ms());
    cli_screen_init(&follow->screen);
    sigemptyset(&caught);
    sigaddset(&caught, SIGINT);
    sigaddset(&caught, SIGTERM);
    sigaddset(&caught, SIGHUP);
    int fd = signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return pi_fail(err, errno, "cannot catch signals");
    sigprocmask(SIG_BLOCK, &caught, &follow->old_mask);
    follow->signal_fd = fd;
    int r = start(follow, err);
    if (r < 0)
        cli_follow_close(follow);
    return r;
}

void cli_follow_close(struct cli_follow *follow)
{
    if (!follow->agent)
        return;
    cli_screen_clear(&follow->screen);
    api_transfer_cancel(follow->transfer);
    pi_lines_done(&follow->lines);
    close(follow->signal_fd);
    sigprocmask(SIG_SETMASK, &follow->old_mask, NULL);
    *follow = (struct cli_follow){0};
}

/* The stream ended although the instance lives. An agent that stops in order takes its socket away; one that
 * was killed leaves it. */
static int go_on(struct cli_follow *follow, struct pi_error *err)
{
    pi_auto_free char *socket = NULL;
    if (follow->result < 0 && follow->error.kind != PI_AGENT) {
        *err = follow->error;
        return follow->result;
    }
    if (asprintf(&socket, "%s/%s", follow->agent->paths.runtime, API_SOCKET_NAME) < 0)
        return pi_fail(err, ENOMEM, "cannot talk to the agent");
    if (access(socket, F_OK) != 0)
        return pi_refuse(
            err, PI_AGENT,
            "the agent was stopped; %s is as it was, and the next command starts the agent again",
            follow->view.name);
    if (follow->breaks++ >= BREAKS_MAX)
        return pi_refuse(err, PI_AGENT, "the agent died %d times, see %s/agent.log", BREAKS_MAX,
                         follow->agent->paths.state);
    int r = cli_reconnect(follow->agent, err);
    if (r < 0)
        return r;
    return start(follow, err);
}

static void draw(struct cli_follow *follow)
{
    pi_auto_buf struct pi_buf line = {0};
    if (cli_view_is_over(&follow->view))
        return;
    if (cli_view_render(&follow->view, pi_monotonic_ms(), cli_screen_width(&follow->screen), &line) == 0)
        cli_screen_status(&follow->screen, line.data);
}

int cli_follow_step(struct cli_follow *follow, struct pollfd *extra, unsigned extra_count,
                    struct pi_error *err)
{
    struct pollfd fds[3] = {{.fd = follow->signal_fd, .events = POLLIN}};
    struct signalfd_siginfo info;
    int timeout_ms = follow->screen.redraws && !follow->screen.hidden ? REDRAW_MS : IDLE_MS;
    for (unsigned i = 0; i < extra_count; i++)
        fds[1 + i] = extra[i];
    int r = api_client_wait(follow->agent->client, fds, 1 + extra_count, timeout_ms, err);
    if (r < 0)
        return r;
    for (unsigned i = 0; i < extra_count; i++)
        extra[i].revents = fds[1 + i].revents;
    while (read(follow->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        follow->signal = (int)info.ssi_signo;
    if (follow->view.error.kind != PI_OK) {
        *err = follow->view.error;
        return -EIO;
    }
    if (follow->ended && !cli_view_is_over(&follow->view) && (r = go_on(follow, err)) < 0)
        return r;
    draw(follow);
    return 0;
}
