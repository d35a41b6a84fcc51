/* SPDX-License-Identifier: MIT */
#include "agent/daemon/console.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/buf.h"
#include "agent/base/paths.h"

struct console {
    int fd;
    struct watch *watch;
    struct console_handler handler;
    void *user;
    struct pi_buf input;
};

static void send_input(struct console *console)
{
    while (console->input.size) {
        ssize_t n = send(console->fd, console->input.data, console->input.size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n <= 0)
            break;
        pi_buf_consume(&console->input, (size_t)n);
    }
    if (console->watch)
        watch_set_writable(console->watch, console->input.size > 0);
}

/* Whether there may be more. */
static bool read_some(struct console *console)
{
    char chunk[16384];
    ssize_t n = recv(console->fd, chunk, sizeof chunk, MSG_DONTWAIT);
    if (n > 0)
        console->handler.output(chunk, (size_t)n, console->user);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        watch_free(pi_steal(console->watch));
    return n > 0;
}

static void on_io(void *user)
{
    struct console *console = user;
    read_some(console);
    send_input(console);
}

int console_new(uv_loop_t *loop, const char *folder, const char *name, const struct console_handler *handler,
                void *user, struct console **ret, struct pi_error *err)
{
    pi_auto_close int fd = pi_socket_connect(folder, name, err);
    if (fd < 0)
        return fd;
    struct console *console = calloc(1, sizeof *console);
    if (!console)
        return pi_fail(err, ENOMEM, "console");
    *console = (struct console){
        .fd = pi_steal_fd(&fd), .handler = *handler, .user = user, .input.max = CONSOLE_INPUT_MAX};
    console->watch = watch_new(loop, console->fd, on_io, console);
    if (!console->watch) {
        console_free(console);
        return pi_fail(err, ENOMEM, "console");
    }
    *ret = console;
    return 0;
}

void console_free(struct console *console)
{
    if (!console)
        return;
    watch_free(console->watch);
    pi_close_p(&console->fd);
    pi_buf_done(&console->input);
    free(console);
}

int console_type(struct console *console, const char *bytes, size_t size)
{
    if (pi_buf_add(&console->input, bytes, size) < 0)
        return -ENOBUFS;
    send_input(console);
    return 0;
}

void console_drain(struct console *console)
{
    /* As much as a socket can hold, not for as long as someone writes. */
    for (int i = 0; i < 64 && read_some(console); i++)
        ;
}
