/* SPDX-License-Identifier: MIT */
/*
 * The guest's serial console. It is read at all times, whoever looks on or not: a QEMU whose console is
 * connected but not read hangs, monitor and all. Output goes to a bounded log, which viewers follow; input is
 * queued up to a limit.
 */
#ifndef PIAGENT_DAEMON_CONSOLE_H
#define PIAGENT_DAEMON_CONSOLE_H

#include <stddef.h>

#include "agent/base/error.h"
#include "agent/daemon/loop.h"

#define CONSOLE_INPUT_MAX ((size_t)64 << 10)

struct console;

struct console_handler {
    void (*output)(const char *bytes, size_t size, void *user);
};

/* Connects to the unix socket FOLDER/NAME. */
int console_new(uv_loop_t *loop, const char *folder, const char *name, const struct console_handler *handler,
                void *user, struct console **ret, struct pi_error *err);
void console_free(struct console *console);

/* Types into the guest. -ENOBUFS where it does not take what was sent before; nothing is sent then. */
int console_type(struct console *console, const char *bytes, size_t size);

/* Reads what is there now: for the last words of a QEMU that has ended. */
void console_drain(struct console *console);

#endif
