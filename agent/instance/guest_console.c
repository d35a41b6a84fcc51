/* SPDX-License-Identifier: MIT */
#include "agent/instance/guest_console.h"

#include <errno.h>
#include <string.h>

#include "agent/api/operations.h"
#include "agent/base/auto.h"
#include "agent/instance/instance.h"
#include "agent/instance/log_stream.h"
#include "agent/instance/qemu_sockets.h"
#include "agent/loop/channel.h"
#include "agent/loop/loop.h"

#define CONSOLE_MAX      ((size_t)1 << 20)
#define CONSOLE_RETRY_MS 10000

static void on_console_retry(void *user)
{
    console_keep_connected(user);
}

int console_init(struct instance *instance)
{
    instance->console.log = LOGFILE_NONE;
    instance->console.timer = timer_new(instance->host->loop, on_console_retry, instance);
    return instance->console.timer ? 0 : -ENOMEM;
}

int console_open_log(struct instance *instance, struct pi_error *err)
{
    return logfile_open(instance->dir_fd, "console.log", CONSOLE_MAX, &instance->console.log, err);
}

void console_reset(struct instance *instance)
{
    timer_clear(instance->console.timer);
    channel_free(pi_steal(instance->console.channel));
    instance->console.failure_told = false;
}

void console_done(struct instance *instance)
{
    timer_free(instance->console.timer);
    logfile_close(&instance->console.log);
}

void console_end(struct instance *instance)
{
    host_end(instance->host, &instance->console.log);
}

static void on_console_output(const char *bytes, size_t size, void *user)
{
    struct instance *instance = user;
    instance->counts.console_bytes += size;
    guest_showed_sign(instance);
    silence_note_print(instance);
    boot_hear_console(instance, bytes, size);
    /* A full disk loses console output, never the guest. */
    if (logfile_append(&instance->console.log, bytes, size) == 0)
        host_wake(instance->host, &instance->console.log);
}

int console_connect(struct instance *instance, struct pi_error *err)
{
    static const struct channel_handler handler = {.output = on_console_output};
    struct qemu_socket_place place;
    if (instance->console.channel)
        return 0;
    qemu_sockets_find(instance, QEMU_SOCKET_CONSOLE, &place);
    return channel_new(instance->host->loop, place.folder, place.name, &handler, instance,
                       &instance->console.channel, err);
}

void console_keep_connected(struct instance *instance)
{
    struct guest_console *console = &instance->console;
    struct pi_error err;
    int r = console_connect(instance, &err);
    if (r < 0)
        timer_set(console->timer, CONSOLE_RETRY_MS);
    if (r < 0 && !console->failure_told)
        journal_note(instance, "its console cannot be read: %s; piagent tries again", err.text);
    else if (r == 0 && console->failure_told)
        journal_note(instance, "its console is read again");
    console->failure_told = r < 0;
}

void console_drain(struct instance *instance)
{
    if (instance->console.channel)
        channel_drain(instance->console.channel);
}

int console_type(struct instance *instance, const char *bytes, size_t size, struct pi_error *err)
{
    const char *name = instance->record.spec.name;
    if (!instance->console.channel)
        return pi_refuse(err, PI_CONFLICT, "%s is %s: there is no console to type into", name,
                         vm_state_names[instance->record.life.state]);
    if (size && channel_type(instance->console.channel, bytes, size) < 0)
        return pi_refuse(err, PI_CONFLICT, "%s does not read its console: what was typed is dropped", name);
    return 0;
}

/* Its viewers. */

static size_t read_console(struct instance *instance, uint64_t *offset, char *buf, size_t max)
{
    return logfile_read(&instance->console.log, offset, buf, max);
}

/* The offset at which the first whole line after offset begins; offset itself if no line begins nearby. */
static uint64_t line_start(const struct logfile *log, uint64_t offset)
{
    char chunk[4096];
    uint64_t before = offset - 1;
    size_t n = logfile_read(log, &before, chunk, sizeof chunk);
    const char *newline = memchr(chunk, '\n', n);
    uint64_t start = newline ? offset + (uint64_t)(newline - chunk) : offset;
    return start < log->end ? start : offset;
}

/* The offset at which the last lines begin, not before offset. The last line may be incomplete. */
static uint64_t last_lines_start(const struct logfile *log, uint64_t offset, uint64_t lines)
{
    char chunk[4096];
    uint64_t end = log->end, found = 0;
    while (end > offset) {
        uint64_t begin = end - offset > sizeof chunk ? end - sizeof chunk : offset, at = begin;
        size_t n = 0, more; /* one call reads no further than the end of one file */
        while ((more = logfile_read(log, &at, chunk + n, (size_t)(end - begin) - n)))
            n += more;
        for (size_t i = n; i > 0; i--)
            if (chunk[i - 1] == '\n' && begin + i < log->end && ++found == lines)
                return begin + i;
        end = begin;
    }
    return offset;
}

int console_stream(struct instance *instance, const struct console_part *part, struct api_stream *ret,
                   struct pi_error *err)
{
    static const struct log_source source = {.read = read_console, .content_type = API_TYPE_BYTES};
    const struct logfile *log = &instance->console.log;
    uint64_t oldest = logfile_oldest(log);
    uint64_t offset = part->tail < log->end - oldest ? log->end - part->tail : oldest;
    if (part->lines && offset > oldest)
        offset = line_start(log, offset);
    if (part->last_lines != UINT64_MAX)
        offset = part->last_lines ? last_lines_start(log, offset, part->last_lines) : log->end;
    return log_stream_new(instance, &source, log, offset, part->follow, ret, err);
}
