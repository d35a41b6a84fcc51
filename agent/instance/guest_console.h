/* SPDX-License-Identifier: MIT */
/*
 * The guest's serial console: read at all times, kept in a bounded log, shown to any number of viewers. Its
 * words are the first sign of life, and show how far a boot has come.
 */
#ifndef PIAGENT_INSTANCE_GUEST_CONSOLE_H
#define PIAGENT_INSTANCE_GUEST_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/error.h"
#include "agent/loop/logfile.h"

struct api_stream;
struct channel;
struct instance;
struct timer;

struct guest_console {
    struct logfile log;
    struct channel *channel; /* NULL: not connected */
    struct timer *timer;     /* connects again */
    bool failure_told;       /* the journal says that the console cannot be read */
};

/* 0 or -ENOMEM. */
int console_init(struct instance *instance);
int console_open_log(struct instance *instance, struct pi_error *err);
void console_reset(struct instance *instance);
void console_done(struct instance *instance);
/* Ends its viewers' streams. */
void console_end(struct instance *instance);

/* Connects to QEMU's console, unless it is connected. */
int console_connect(struct instance *instance, struct pi_error *err);
/* The same for a QEMU that runs already; if that fails, says so once and tries again. */
void console_keep_connected(struct instance *instance);
/* Reads what is there now: the last output of a QEMU that has ended or panicked. */
void console_drain(struct instance *instance);

/* Types into the guest. PI_CONFLICT if there is no console, or the guest does not read it. */
int console_type(struct instance *instance, const char *bytes, size_t size, struct pi_error *err);

/* A stream of the console: so many bytes before the end, and of these so many lines (UINT64_MAX: all), and
 * whether it begins with a whole line. */
struct console_part {
    uint64_t tail, last_lines;
    bool lines, follow;
};
int console_stream(struct instance *instance, const struct console_part *part, struct api_stream *ret,
                   struct pi_error *err);

#endif
