/* SPDX-License-Identifier: MIT */
/*
 * Timers and watches of descriptors, on libuv. Each is an object of its own that can be freed at any time,
 * also from its own callback (libuv closes handles later; this hides it).
 */
#ifndef PIAGENT_LOOP_LOOP_H
#define PIAGENT_LOOP_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct watch;
struct timer;

/* Calls fn when fd is readable (also at its end or on an error), and when it is writable if that was asked
 * for. The descriptor stays the caller's, and must be open until watch_free(). NULL without memory, or if the
 * descriptor cannot be polled. */
struct watch *watch_new(uv_loop_t *loop, int fd, void (*fn)(void *user), void *user);
/* Whether fn is also called when fd is writable. */
void watch_set_writable(struct watch *watch, bool wanted);
void watch_free(struct watch *watch);

/* A timer that is not set. NULL without memory. */
struct timer *timer_new(uv_loop_t *loop, void (*fn)(void *user), void *user);
/* Once, after ms; replaces what was set. */
void timer_set(struct timer *timer, uint64_t ms);
/* These three take NULL: it is a timer that is not set. */
void timer_clear(struct timer *timer);
bool timer_is_set(const struct timer *timer);
void timer_free(struct timer *timer);

#endif
