/* SPDX-License-Identifier: MIT */
#include "agent/cli/client/instance_follow.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/cli/terminal/bar.h"
#include "agent/cli/terminal/table.h"

#define BREAKS_MAX 5 /* an agent that dies that often is not started again */
#define REDRAW_MS  200
#define IDLE_MS    1000
#define SILENCE_MS 60000 /* an emulated guest on a loaded host is silent for some 15 s at most */

static int on_event(char *line, size_t size, void *user)
{
    struct cli_follow *follow = user;
    struct api_event event = {0};
    pi_auto_buf struct pi_buf text = {0};
    json_auto_t *doc = pi_json_parse(line, size, NULL);
    /* An event that cannot be read comes from a newer agent, and is passed over. */
    if (doc && api_read(event, doc, &event, NULL) == 0) {
        enum cli_tell tell = cli_view_event(&follow->view, &event, &text);
        struct cli_screen *screen = &follow->leader->screen;
        bool stays = tell == CLI_TELL_ALWAYS && !follow->leader->brief;
        bool wanted = stays || (tell != CLI_TELL_NOTHING && !screen->redraws);
        bool news = !event.seq || event.seq > follow->known;
        follow->heard_ms = pi_monotonic_ms();
        if (wanted && news && text.size && !screen->hidden && !follow->settled)
            cli_screen_line(screen, "%s: %s", follow->view.name, text.data);
        if (follow->json && json_object_set_new(doc, "name", json_string(follow->view.name)) == 0)
            cli_json_line(stdout, doc);
    }
    api_done(event, &event);
    return 0;
}

static int on_events_data(const char *bytes, size_t size, void *user)
{
    struct cli_follow *follow = user;
    return pi_lines_feed(&follow->lines, bytes, size, on_event, follow);
}

static void on_events_done(int result, const struct pi_error *err, void *user)
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
    const struct api_sink sink = {.data = on_events_data, .done = on_events_done, .user = follow};
    snprintf(path, sizeof path, "/v1/instances/%s/events?since=%" PRIu64 "&follow=1", follow->view.name,
             follow->view.seq);
    pi_lines_done(&follow->lines);
    follow->lines = (struct pi_lines){.partial.max = API_EVENT_LINE_MAX};
    follow->ended = false;
    return api_client_start(follow->agent->client, "GET", path, NULL, 0, &sink, &follow->transfer, err);
}

static int begin(struct cli_follow *follow, struct cli_agent *agent, const struct api_instance *instance,
                 struct pi_error *err)
{
    follow->agent = agent;
    follow->heard_ms = pi_monotonic_ms();
    follow->known = instance->last_event;
    snprintf(follow->uuid, sizeof follow->uuid, "%s", instance->spec.uuid);
    cli_view_init(&follow->view, instance, pi_monotonic_ms(), pi_realtime_ms());
    if (instance->boot_event && instance->boot_event <= instance->last_event &&
        !cli_state_is_over(instance->state))
        follow->view.seq = instance->boot_event - 1;
    return start(follow, err);
}

static void fill_caught(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGINT);
    sigaddset(ret, SIGTERM);
    sigaddset(ret, SIGHUP);
}

void cli_follow_hold_signals(void)
{
    sigset_t caught;
    fill_caught(&caught);
    sigprocmask(SIG_BLOCK, &caught, NULL);
}

int cli_follow_take_signal(unsigned patience_ms)
{
    const struct timespec patience = {.tv_sec = patience_ms / 1000, .tv_nsec = patience_ms % 1000 * 1000000L};
    sigset_t caught;
    fill_caught(&caught);
    int number = sigtimedwait(&caught, NULL, &patience);
    return number < 0 ? 0 : number;
}

int cli_follow_look(const struct cli_follow *follow, struct api_instance *ret, struct pi_error *err)
{
    return cli_get_same_instance(follow->agent, follow->view.name, follow->uuid, ret, err);
}

int cli_follow_up(struct cli_follow *follow, enum cli_up *ret_up, struct api_instance *ret,
                  struct pi_error *err)
{
    pi_auto_instance struct api_instance instance = {0};
    const struct cli_view *view = &follow->view;
    uint64_t seq = view->seq; /* events may come while the agent is asked */
    *ret_up = CLI_NOT_UP;
    if (!cli_view_is_up(view) || (follow->asked_seq && follow->asked_seq == seq))
        return 0;
    int r = cli_follow_look(follow, &instance, err);
    if (r < 0) /* if the agent has died, the next step starts it again */
        return err->kind == PI_AGENT ? 0 : r;
    /* A boot that failed stays failed, also when its guest is paused or has powered off since. */
    enum cli_up up =
        instance.cloud_init == API_CLOUD_INIT_FAILED ? CLI_UP_FAILED : cli_instance_up(&instance);
    if (up == CLI_NOT_UP ||
        (up == CLI_UP_READY && view->state != VM_READY)) { /* its event is still to come */
        follow->asked_seq = seq;
        return 0;
    }
    *ret_up = up;
    *ret = instance;
    instance = (struct api_instance){0};
    return 0;
}

int cli_follow_open(struct cli_follow *follow, struct cli_agent *agent, const struct api_instance *instance,
                    struct pi_error *err)
{
    sigset_t caught;
    *follow = (struct cli_follow){.agent = agent, .leader = follow, .signal_fd = -1};
    cli_screen_init(&follow->screen);
    fill_caught(&caught);
    int fd = signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return pi_fail(err, errno, "cannot catch signals");
    sigaddset(&caught, SIGCONT); /* for the screen; SIGCONT still ends a stop */
    sigprocmask(SIG_BLOCK, &caught, &follow->old_mask);
    follow->signal_fd = fd;
    int r = begin(follow, agent, instance, err);
    if (r < 0)
        cli_follow_close(follow);
    return r;
}

int cli_follow_join(struct cli_follow *follow, struct cli_follow *leader, struct cli_agent *agent,
                    const struct api_instance *instance, struct pi_error *err)
{
    *follow = (struct cli_follow){.leader = leader, .signal_fd = -1, .json = leader->json};
    int r = begin(follow, agent, instance, err);
    if (r < 0) {
        cli_follow_close(follow);
        return r;
    }
    while (leader->next)
        leader = leader->next;
    leader->next = follow;
    return 0;
}

void cli_follow_close(struct cli_follow *follow)
{
    if (!follow->agent)
        return;
    cli_screen_clear(&follow->leader->screen);
    api_transfer_cancel(follow->transfer);
    pi_lines_done(&follow->lines);
    if (follow->signal_fd >= 0) {
        close(follow->signal_fd);
        sigprocmask(SIG_SETMASK, &follow->old_mask, NULL);
    }
    *follow = (struct cli_follow){0};
}

/* The stream ended although the instance lives. */
static int go_on(struct cli_follow *follow, struct pi_error *err)
{
    if (follow->result < 0 && follow->error.kind != PI_AGENT) {
        *err = follow->error;
        return follow->result;
    }
    const char *url = follow->agent->host.url;
    if (!url && cli_agent_was_stopped(&follow->agent->paths))
        return pi_refuse(
            err, PI_AGENT,
            "the agent was stopped; %s is as it was, and the next command starts the agent again",
            follow->view.name);
    if (follow->breaks++ >= BREAKS_MAX && url)
        return pi_refuse(err, PI_AGENT, "the connection to %s broke %d times; %s goes on", url, BREAKS_MAX,
                         follow->view.name);
    if (follow->breaks > BREAKS_MAX)
        return pi_refuse(err, PI_AGENT, "the agent died %d times, see %s/agent.log", BREAKS_MAX,
                         follow->agent->paths.state);
    int r = cli_reconnect(follow->agent, err);
    if (r < 0)
        return r;
    return start(follow, err);
}

uint64_t cli_follow_quiet_ms(struct cli_follow *follow, uint64_t limit_ms)
{
    uint64_t now = pi_monotonic_ms(), realtime = pi_realtime_ms();
    pi_auto_instance struct api_instance instance = {0};
    if (now - follow->heard_ms >= limit_ms &&
        cli_get_instance(follow->agent, follow->view.name, &instance, NULL) == 0 && instance.last_sign_ms) {
        uint64_t quiet = realtime > instance.last_sign_ms ? realtime - instance.last_sign_ms : 0;
        if (quiet < now && now - quiet > follow->heard_ms)
            follow->heard_ms = now - quiet;
    }
    return now - follow->heard_ms;
}

/* A boot that prints nothing looks the same for every reason: so the usual reasons are told, once. A guest
 * that has asked for its seed is alive, and may be busy. */
static void tell_silence(struct cli_follow *follow)
{
    static const char firmware[] =
        "the image may be for another architecture (--arch) or firmware (--firmware), or hold no system";
    static const char kernel[] = "it may be slow or hang, or its kernel has no console= for the serial port";
    const struct cli_view *view = &follow->view;
    if (follow->silence_told || follow->settled || view->seq < follow->known || view->seeded ||
        view->stage[0] || view->trouble[0] || cli_view_is_up(view) || view->state != VM_RUNNING ||
        cli_follow_quiet_ms(follow, SILENCE_MS) < SILENCE_MS)
        return;
    bool early = !view->step[0] || !strcmp(view->step, "firmware");
    cli_screen_line(&follow->leader->screen, "%s: nothing on its console for a minute: %s", view->name,
                    early ? firmware : kernel);
    follow->silence_told = true;
}

static bool is_shown(const struct cli_follow *follow)
{
    return !follow->settled && !cli_view_is_over(&follow->view);
}

/* One line for each instance, in their order, as many as there is room for. */
static void draw_views(struct cli_follow *leader)
{
    pi_auto_buf struct pi_buf text = {0};
    unsigned width = cli_screen_width(&leader->screen), room = cli_screen_height(&leader->screen);
    unsigned all = 0, lines = 0;
    char more[sizeof leader->rest + 32];
    int r = 0;
    for (const struct cli_follow *follow = leader; follow; follow = follow->next)
        all += is_shown(follow);
    bool rest = leader->rest[0] != '\0';
    unsigned wanted = all + rest <= room ? all : room > 1 ? room - 1 : 1;
    for (struct cli_follow *follow = leader; r == 0 && lines < wanted; follow = follow->next) {
        if (!is_shown(follow))
            continue;
        r = lines++ ? pi_buf_puts(&text, "\n") : 0;
        if (r == 0)
            r = cli_view_render(&follow->view, pi_monotonic_ms(), width, &text);
    }
    if (all > wanted)
        snprintf(more, sizeof more, "and %u more%s%s", all - wanted, rest ? "; " : "", leader->rest);
    else
        snprintf(more, sizeof more, "%s", leader->rest);
    if (r == 0 && lines && more[0] && (r = pi_buf_puts(&text, "\n")) == 0)
        r = cli_fit(more, width, &text);
    if (r == 0 && lines)
        cli_screen_status(&leader->screen, text.data);
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
    if (follow->view.error.kind != PI_OK && !follow->next && !follow->settled) {
        *err = follow->view.error;
        return -EIO;
    }
    for (struct cli_follow *one = follow; one; one = one->next) {
        cli_view_look(&one->view, pi_monotonic_ms());
        tell_silence(one);
    }
    for (struct cli_follow *one = follow; one; one = one->next)
        if (one->ended && !one->settled && !cli_view_is_over(&one->view) && (r = go_on(one, err)) < 0)
            return r;
    draw_views(follow);
    return 0;
}
