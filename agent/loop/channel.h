/* SPDX-License-Identifier: MIT */
/*
 * A connection to one of QEMU's character devices (the guest's serial console, the guest agent's port), or to a
 * network's switch. It is read at all times, because a QEMU whose console is connected but not read hangs together with its
 * monitor. Input is queued up to a limit.
 */
#ifndef PIAGENT_LOOP_CHANNEL_H
#define PIAGENT_LOOP_CHANNEL_H

#include <stddef.h>

#include "agent/base/error.h"
#include "agent/loop/loop.h"

#define CHANNEL_INPUT_MAX ((size_t)64 << 10)

struct channel;

struct channel_handler {
    size_t input_max; /* 0 = CHANNEL_INPUT_MAX */
    void (*output)(const char *bytes, size_t size, void *user);
};

/* Connects to the unix socket FOLDER/NAME. */
int channel_new(uv_loop_t *loop, const char *folder, const char *name, const struct channel_handler *handler,
                void *user, struct channel **ret, struct pi_error *err);
void channel_free(struct channel *channel);

/* Sends bytes. -ENOBUFS if the other side has not read what was sent before; then nothing is sent. */
int channel_type(struct channel *channel, const char *bytes, size_t size);

/* The same, and passes fd (SCM_RIGHTS), which stays the caller's, with the first byte. -ENOBUFS also if bytes wait. */
int channel_pass(struct channel *channel, const char *bytes, size_t size, int fd);

/* Reads what is there now: the last output of a QEMU that has ended. */
void channel_drain(struct channel *channel);

#endif
