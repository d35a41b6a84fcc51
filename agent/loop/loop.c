/* SPDX-License-Identifier: MIT */
#include "agent/loop/loop.h"

#include <stdlib.h>

struct watch {
    uv_poll_t handle;
    int events; /* that are waited for */
    void (*fn)(void *user);
    void *user;
};

struct timer {
    uv_timer_t handle;
    void (*fn)(void *user);
    void *user;
};

static void on_handle_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_descriptor_ready(uv_poll_t *handle, int status, int events)
{
    struct watch *watch = handle->data;
    (void)status;
    (void)events;
    watch->fn(watch->user);
}

struct watch *watch_new(uv_loop_t *loop, int fd, void (*fn)(void *user), void *user)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return NULL;
    watch->fn = fn;
    watch->user = user;
    if (uv_poll_init(loop, &watch->handle, fd) < 0) {
        free(watch);
        return NULL;
    }
    watch->handle.data = watch;
    watch_set_writable(watch, false);
    return watch;
}

void watch_set_writable(struct watch *watch, bool wanted)
{
    int events = UV_READABLE | UV_DISCONNECT | (wanted ? UV_WRITABLE : 0);
    /* libuv takes the descriptor out of its set and adds it anew even if nothing changes. */
    if (events != watch->events)
        uv_poll_start(&watch->handle, events, on_descriptor_ready);
    watch->events = events;
}

void watch_free(struct watch *watch)
{
    if (!watch)
        return;
    uv_poll_stop(&watch->handle);
    uv_close((uv_handle_t *)&watch->handle, on_handle_closed);
}

static void on_timer_due(uv_timer_t *handle)
{
    struct timer *timer = handle->data;
    timer->fn(timer->user);
}

struct timer *timer_new(uv_loop_t *loop, void (*fn)(void *user), void *user)
{
    struct timer *timer = calloc(1, sizeof *timer);
    if (!timer)
        return NULL;
    timer->fn = fn;
    timer->user = user;
    uv_timer_init(loop, &timer->handle);
    timer->handle.data = timer;
    return timer;
}

void timer_set(struct timer *timer, uint64_t ms)
{
    uv_update_time(timer->handle.loop);
    uv_timer_start(&timer->handle, on_timer_due, ms, 0);
}

void timer_clear(struct timer *timer)
{
    if (timer)
        uv_timer_stop(&timer->handle);
}

bool timer_is_set(const struct timer *timer)
{
    return timer && uv_is_active((const uv_handle_t *)&timer->handle);
}

void timer_free(struct timer *timer)
{
    if (!timer)
        return;
    uv_timer_stop(&timer->handle);
    uv_close((uv_handle_t *)&timer->handle, on_handle_closed);
}
