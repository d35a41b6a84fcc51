/* SPDX-License-Identifier: MIT */
#include "agent/cli/client/console_attach.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/fs.h"
#include "agent/cli/terminal/host_hint.h"
#include "agent/cli/terminal/last_line.h"
#include "agent/cli/terminal/strip.h"

#define ESCAPE    0x1d /* Ctrl-] */
#define INPUT_MAX 65536
#define SEND_MAX  4096 /* in one request: less than the agent holds for a guest, so that it fits sooner */
#define AGAIN_MS  200
#define PAUSE_MS  500  /* earlier output comes at once: output after such a pause is new */
#define DRAIN_MS  2000 /* for the console's last bytes after the instance has ended */

struct console {
    struct cli_follow *follow;
    struct api_transfer *output, *input;
    struct pi_buf keys;  /* typed and not yet taken: one request at a time keeps their order */
    size_t under_way;    /* of them, in the request */
    uint64_t refused_ms; /* when they were last refused: no room, or no console yet; 0 = taken */
    bool typing;         /* standard input has not ended */
    bool detached;
    bool output_over, output_lost; /* it has ended; it ended because the agent is gone */
    int result;                    /* of input or output, if it failed for good */
    struct pi_error error;
    size_t old_bytes; /* to come at most: shown without control sequences, */
    uint64_t old_ms;  /* the last of them so far, or 0 */
    struct cli_strip strip;
    struct cli_last_line line; /* of what this terminal shows */
    bool told_up;              /* in this boot, or it was up before */
    bool told_silent;          /* that its cloud-init does not report: it may after all */
    bool raw;
    struct termios saved;
};

static int show_output(struct console *console, const char *bytes, size_t size)
{
    cli_last_line_feed(&console->line, bytes, size);
    return pi_write_all(STDOUT_FILENO, bytes, size);
}

static int show_old(struct console *console, const char *bytes, size_t size)
{
    pi_auto_buf struct pi_buf text = {0};
    console->old_bytes -= size;
    console->old_ms = pi_monotonic_ms();
    if (pi_buf_add(&text, bytes, size) < 0)
        return -ENOMEM;
    return show_output(console, text.data, cli_strip(&console->strip, text.data, text.size));
}

static int on_output(const char *bytes, size_t size, void *user)
{
    struct console *console = user;
    if (console->old_ms && pi_monotonic_ms() - console->old_ms > PAUSE_MS)
        console->old_bytes = 0;
    size_t old = size < console->old_bytes ? size : console->old_bytes;
    int r = old ? show_old(console, bytes, old) : 0;
    return r < 0 ? r : show_output(console, bytes + old, size - old);
}

static void on_output_done(int result, const struct pi_error *err, void *user)
{
    struct console *console = user;
    console->output = NULL;
    console->output_over = true;
    /* The follow handles an agent that is gone. */
    console->output_lost = result < 0 && err->kind == PI_AGENT;
    if (result < 0 && err->kind != PI_AGENT) {
        console->result = result;
        console->error = *err;
    }
}

static void on_input_done(int result, const struct pi_error *err, void *user)
{
    struct console *console = user;
    console->input = NULL;
    if (result < 0 && err->kind == PI_CONFLICT) {
        console->refused_ms = pi_monotonic_ms();
        return;
    }
    /* Keys that were under way to an agent that is gone are lost with it. */
    pi_buf_consume(&console->keys, console->under_way);
    console->refused_ms = 0;
    if (result < 0 && err->kind != PI_AGENT) {
        console->result = result;
        console->error = *err;
    }
}

static int start_output(struct console *console, unsigned tail_bytes, struct pi_error *err)
{
    char path[PI_NAME_MAX + 80];
    const struct api_sink sink = {.data = on_output, .done = on_output_done, .user = console};
    snprintf(path, sizeof path, "/v1/instances/%s/console?tail=%u&lines=1&follow=1",
             console->follow->view.name, tail_bytes);
    console->output_over = console->output_lost = false;
    return api_client_start(console->follow->agent->client, "GET", path, NULL, 0, &sink, &console->output,
                            err);
}

static int send_keys(struct console *console, struct pi_error *err)
{
    char path[PI_NAME_MAX + 80];
    const struct api_sink sink = {.done = on_input_done, .user = console};
    if (console->input || !console->keys.size ||
        (console->refused_ms && pi_monotonic_ms() < console->refused_ms + AGAIN_MS))
        return 0;
    console->under_way = console->keys.size < SEND_MAX ? console->keys.size : SEND_MAX;
    snprintf(path, sizeof path, "/v1/instances/%s/console", console->follow->view.name);
    return api_client_start(console->follow->agent->client, "POST", path, console->keys.data,
                            console->under_way, &sink, &console->input, err);
}

static void take_keys(struct console *console)
{
    char bytes[4096];
    ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
    if (n <= 0) {
        console->typing = n < 0 && (errno == EINTR || errno == EAGAIN);
        return;
    }
    char *escape = console->raw ? memchr(bytes, ESCAPE, (size_t)n) : NULL;
    if (escape)
        n = escape - bytes;
    console->detached = escape != NULL;
    pi_buf_add(&console->keys, bytes, (size_t)n);
}

/* Keys go to the guest as they are typed, Ctrl-C too. If either side is no terminal, nothing is changed. */
static void enter_raw(struct console *console)
{
    if (!isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &console->saved) < 0)
        return;
    const char *name = console->follow->view.name;
    cli_screen_line(
        &console->follow->screen,
        "%s: the serial console; Ctrl-] leaves it; log in from another terminal with: piagent ssh %s", name,
        name);
    struct termios raw = console->saved;
    cfmakeraw(&raw);
    console->raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

static void done(struct console *console)
{
    api_transfer_cancel(console->output);
    api_transfer_cancel(console->input);
    pi_buf_done(&console->keys);
    if (console->raw) {
        tcsetattr(STDIN_FILENO, TCSADRAIN, &console->saved);
        /* Firmware and boot loaders colour, hide the cursor and turn the wrapping of lines off. */
        static const char as_before[] = "\033[0m\033[?7h\033[?25h\r\n";
        pi_write_all(STDOUT_FILENO, as_before, sizeof as_before - 1);
    }
    console->follow->screen.hidden = false;
}

#define LOG_IN "log in from another terminal, or after Ctrl-], with: piagent ssh %s\r\n"

/* Adds how the boot ended; nothing while that is not known. */
static void say_up(struct console *console, struct pi_buf *ret)
{
    const char *name = console->follow->view.name;
    pi_auto_instance struct api_instance instance = {0};
    enum cli_up up;
    if (cli_follow_up(console->follow, &up, &instance, NULL) < 0)
        return;
    console->told_silent = up == CLI_UP_SILENT;
    if (up == CLI_UP_READY)
        pi_buf_printf(ret, "%s: ready; " LOG_IN, name, name);
    else if (up == CLI_UP_FAILED)
        pi_buf_printf(ret, "%s: cloud-init failed; why: piagent status %s\r\n", name, name);
    else if (up == CLI_UP_SILENT)
        pi_buf_printf(ret, "%s: up: %s\r\n%s: " LOG_IN, name,
                      instance.reason ? instance.reason : "its SSH server answers", name, name);
}

/* Tells it once a boot, above the guest's current line, if that line can be drawn again. */
static void tell_guest_up(struct console *console)
{
    const struct cli_view *view = &console->follow->view;
    const struct cli_last_line *line = &console->line;
    pi_auto_buf struct pi_buf text = {0}, hint = {0};
    if (view->seq < console->follow->known) /* earlier events are still being read */
        return;
    if (!cli_view_is_up(view) || (console->told_silent && !view->silent))
        console->told_up = console->told_silent = false;
    if (cli_view_is_up(view) && !console->told_up && console->raw && !line->odd)
        say_up(console, &text);
    if (!text.size)
        return;
    console->told_up = true;
    static const char over_line[] = "\r\033[K";
    pi_write_all(STDOUT_FILENO, over_line, sizeof over_line - 1);
    const char *told = cli_host_hint(text.data, cli_host_chosen(), &hint);
    pi_write_all(STDOUT_FILENO, told, strlen(told));
    pi_write_all(STDOUT_FILENO, line->text, line->size);
}

static int step_console(struct console *console, struct pi_error *err)
{
    struct pollfd keys = {.fd = STDIN_FILENO, .events = POLLIN};
    /* A terminal is always read, because of Ctrl-]. */
    bool room = console->typing && (console->raw || console->keys.size < INPUT_MAX);
    int r = cli_follow_step(console->follow, &keys, room, err);
    /* Polls again, because libcurl does not notice that the writer of a pipe has closed it. */
    if (r == 0 && room && poll(&keys, 1, 0) > 0)
        take_keys(console);
    if (r == 0 && console->output_lost && !cli_view_is_over(&console->follow->view))
        r = start_output(console, 0, err);
    if (r == 0)
        r = send_keys(console, err);
    if (r == 0)
        tell_guest_up(console);
    if (r == 0 && console->result < 0) {
        *err = console->error;
        r = console->result;
    }
    return r;
}

/* The instance has ended: its last output may still be under way. */
static int drain(struct console *console, struct pi_error *err)
{
    uint64_t end = pi_monotonic_ms() + DRAIN_MS;
    int r = 0;
    while (r == 0 && !console->output_over && pi_monotonic_ms() < end)
        r = api_client_wait(console->follow->agent->client, NULL, 0, 100, err);
    return r;
}

int cli_console_attach(struct cli_follow *follow, unsigned tail_bytes, bool old, enum cli_console_end *ret,
                       struct pi_error *err)
{
    __attribute__((cleanup(done))) struct console console = {.follow = follow,
                                                             .typing = true,
                                                             .told_up = cli_view_is_up(&follow->view),
                                                             .told_silent = follow->view.silent};
    enter_raw(&console);
    console.old_bytes = old && console.raw ? tail_bytes : 0;
    console.strip.returns = true;
    cli_screen_clear(&follow->screen);
    follow->screen.hidden = true;
    int r = start_output(&console, tail_bytes, err);
    while (r == 0 && !follow->signal && !console.detached && !cli_view_is_over(&follow->view))
        r = step_console(&console, err);
    if (r == 0 && cli_view_is_over(&follow->view))
        r = drain(&console, err);
    if (r == 0)
        *ret = follow->signal     ? CLI_CONSOLE_SIGNAL
               : console.detached ? CLI_CONSOLE_DETACHED
                                  : CLI_CONSOLE_OVER;
    return r;
}

void cli_console_tell_left(struct cli_follow *follow)
{
    const char *name = follow->view.name;
    cli_screen_line(&follow->screen,
                    "%s runs on; come back with: piagent console %s, log in with: piagent ssh %s", name, name,
                    name);
}

void cli_console_tell_over(struct cli_follow *follow)
{
    const struct cli_view *view = &follow->view;
    pi_auto_instance struct api_instance instance = {0};
    struct pi_error err;
    bool removed =
        cli_get_instance(follow->agent, view->name, &instance, &err) < 0 && err.kind == PI_NOT_FOUND;
    cli_screen_line(&follow->screen, "%s: %s%s%s%s", view->name, view->state_word,
                    removed ? ", and removed" : "", view->reason[0] ? ": " : "", view->reason);
}
