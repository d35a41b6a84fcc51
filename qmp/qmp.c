/* SPDX-License-Identifier: MIT */
#include "qmp/qmp.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qmp/buffer.h"
#include "qmp/message.h"

#define ID_MAX 24

struct command {
    uint64_t number;
    uint64_t deadline_ms;
    uint64_t begin; /* its place in the stream of all bytes to send, counted from the connection's start */
    size_t size;
    int fd; /* goes along with its first byte; -1 = none */
    qmp_reply_fn reply;
    void *user;
};

struct qmp_client {
    enum qmp_state state;
    int reason; /* why it is closed */
    unsigned entered;
    bool freed; /* freed in a callback: makes no more of them; the outermost call frees the memory */
    const struct qmp_handler *handler;
    void *user;
    uint64_t greeting_deadline_ms;

    struct qmp_buffer input;  /* the line that is not whole yet */
    struct qmp_buffer output; /* whole commands, the first of them perhaps sent in part */
    uint64_t sent;            /* the output's place in the stream */

    uint64_t next_number;
    struct command commands[QMP_OUTSTANDING_MAX]; /* in the order of their numbers */
    size_t count;
};

static void client_destroy(struct qmp_client *client)
{
    qmp_buffer_done(&client->input);
    qmp_buffer_done(&client->output);
    free(client);
}

static void client_enter(struct qmp_client *client)
{
    client->entered++;
}

static void client_leave(struct qmp_client *client)
{
    if (--client->entered == 0 && client->freed)
        client_destroy(client);
}

static struct command take_command(struct qmp_client *client, size_t index)
{
    struct command command = client->commands[index];
    client->count--;
    memmove(&client->commands[index], &client->commands[index + 1],
            (client->count - index) * sizeof(client->commands[0]));
    return command;
}

static void command_answer(const struct command *command, int result, const json_t *data, const char *why)
{
    if (command->reply)
        command->reply(result, data, why, command->user);
}

static void client_shut(struct qmp_client *client, int reason, const char *why)
{
    if (client->state == QMP_CLOSED)
        return;
    client->state = QMP_CLOSED;
    client->reason = reason;
    while (client->count > 0 && !client->freed) {
        struct command command = take_command(client, 0);
        command_answer(&command, -ECONNRESET, NULL, why);
    }
    if (!client->freed && client->handler->closed)
        client->handler->closed(reason, why, client->user);
}

static void on_negotiated(int result, const json_t *data, const char *why, void *user)
{
    (void)data;
    struct qmp_client *client = user;
    if (result == -EREMOTEIO) {
        client_shut(client, -EPROTO, why);
    } else if (result == 0) {
        client->state = QMP_READY;
        if (client->handler->ready)
            client->handler->ready(client->user);
    }
}

struct qmp_client *qmp_client_new(const struct qmp_handler *handler, void *user,
                                  uint64_t greeting_deadline_ms)
{
    struct qmp_client *client = calloc(1, sizeof(*client));
    if (!client)
        return NULL;
    client->handler = handler;
    client->user = user;
    client->greeting_deadline_ms = greeting_deadline_ms;
    /* It is the first command in the output. qmp_client_pending() holds it back until the greeting. */
    if (qmp_client_execute(client, "qmp_capabilities", NULL, UINT64_MAX, on_negotiated, client) < 0) {
        client_destroy(client);
        return NULL;
    }
    return client;
}

void qmp_client_free(struct qmp_client *client)
{
    if (!client)
        return;
    client_enter(client);
    client->freed = true;
    client->state = QMP_CLOSED;
    client->reason = -ECANCELED;
    client_leave(client);
}

enum qmp_state qmp_client_state(const struct qmp_client *client)
{
    return client->state;
}

/* The first command with a descriptor that begins at or after an offset in the stream; NULL if there is none. */
static const struct command *command_with_fd(const struct qmp_client *client, uint64_t offset)
{
    for (size_t i = 0; i < client->count; i++)
        if (client->commands[i].fd >= 0 && client->commands[i].begin >= offset)
            return &client->commands[i];
    return NULL;
}

/* The offset in the stream up to which bytes may be sent in this state, at once. */
static uint64_t client_offered(const struct qmp_client *client)
{
    const struct command *next;
    switch (client->state) {
    case QMP_NEGOTIATING: /* until it is answered, the handshake is the first command */
        return client->commands[0].begin + client->commands[0].size;
    case QMP_READY: /* a descriptor can only go along with the first byte */
        next = command_with_fd(client, client->sent + 1);
        return next ? next->begin : client->sent + client->output.size;
    default:
        return client->sent;
    }
}

int qmp_client_pending_fd(const struct qmp_client *client)
{
    const struct command *next = command_with_fd(client, client->sent);
    bool due = client->state == QMP_READY && next && next->begin == client->sent;
    return due ? next->fd : -1;
}

size_t qmp_client_pending(const struct qmp_client *client, const char **ret_bytes)
{
    *ret_bytes = client->output.data;
    return (size_t)(client_offered(client) - client->sent);
}

void qmp_client_sent(struct qmp_client *client, size_t size)
{
    client->sent += size;
    qmp_buffer_remove(&client->output, 0, size);
}

/*
 * Replies to an earlier connection may arrive on this one, but none after the reply to the handshake, as QEMU carries
 * out commands in their order. So the handshake has an id that no other connection has, a text, and later commands have
 * short ids, their numbers: QEMU reads each byte of a command on its own, with several system calls.
 */
static json_t *make_id(const struct qmp_client *client, uint64_t number)
{
    return number == 0 ? json_sprintf("%" PRIx64, client->greeting_deadline_ms)
                       : json_integer((json_int_t)number);
}

struct sink {
    struct qmp_buffer *buffer;
    int r;
};

static int add_bytes(const char *bytes, size_t size, void *user)
{
    struct sink *sink = user;
    sink->r = qmp_buffer_add(sink->buffer, bytes, size, QMP_PENDING_MAX);
    return sink->r;
}

/* Adds the command's line to the output. */
static int render_command(struct qmp_client *client, const char *name, json_t *arguments)
{
    json_auto_t *message =
        json_pack("{s:s, s:o}", "execute", name, "id", make_id(client, client->next_number));
    if (!message || (arguments && json_object_set(message, "arguments", arguments) < 0))
        return -ENOMEM;

    struct sink sink = {.buffer = &client->output};
    size_t before = client->output.size;
    if (json_dump_callback(message, add_bytes, &sink, JSON_COMPACT | JSON_ENSURE_ASCII) == 0 &&
        add_bytes("\n", 1, &sink) == 0)
        return 0;
    client->output.size = before;
    return sink.r < 0 ? sink.r : -ENOMEM;
}

static int client_execute(struct qmp_client *client, const char *command, json_t *arguments, int fd,
                          uint64_t deadline_ms, qmp_reply_fn reply, void *user)
{
    json_auto_t *stolen = arguments;
    if (client->state == QMP_CLOSED)
        return -ECONNRESET;
    if (client->count == QMP_OUTSTANDING_MAX)
        return -EBUSY;
    uint64_t begin = client->sent + client->output.size;
    int r = render_command(client, command, stolen);
    if (r < 0)
        return r;
    client->commands[client->count++] = (struct command){
        .number = client->next_number++,
        .deadline_ms = deadline_ms,
        .begin = begin,
        .size = (size_t)(client->sent + client->output.size - begin),
        .fd = fd,
        .reply = reply,
        .user = user,
    };
    return 0;
}

int qmp_client_execute(struct qmp_client *client, const char *command, json_t *arguments,
                       uint64_t deadline_ms, qmp_reply_fn reply, void *user)
{
    return client_execute(client, command, arguments, -1, deadline_ms, reply, user);
}

int qmp_client_execute_fd(struct qmp_client *client, const char *command, json_t *arguments, int fd,
                          uint64_t deadline_ms, qmp_reply_fn reply, void *user)
{
    if (fd < 0) {
        json_decref(arguments);
        return -EBADF;
    }
    return client_execute(client, command, arguments, fd, deadline_ms, reply, user);
}

/* The index of the command that has the id; client->count if there is none. Until the handshake is answered, it is the
 * first command, and all other ids are those of an earlier connection. */
static size_t find_command(const struct qmp_client *client, const json_t *id)
{
    if (client->state != QMP_READY) {
        char own[ID_MAX];
        snprintf(own, sizeof(own), "%" PRIx64, client->greeting_deadline_ms);
        return json_is_string(id) && strcmp(json_string_value(id), own) == 0 ? 0 : client->count;
    }
    size_t index = 0;
    while (index < client->count &&
           (!json_is_integer(id) || client->commands[index].number != (uint64_t)json_integer_value(id)))
        index++;
    return index;
}

static void on_qmp_reply(struct qmp_client *client, const struct qmp_message *message)
{
    if (!message->id) {
        client_shut(client, -EPROTO, message->data ? "QEMU sent a reply without an id" : message->why);
        return;
    }
    size_t index = find_command(client, message->id);
    if (index == client->count)
        return; /* the command has expired, or an earlier client sent it */
    if (client->commands[index].begin >= client_offered(client)) {
        client_shut(client, -EPROTO, "QEMU sent a reply to a command before it was sent");
        return;
    }
    struct command command = take_command(client, index);
    if (message->data)
        command_answer(&command, 0, message->data, NULL);
    else
        command_answer(&command, -EREMOTEIO, NULL, message->why);
}

static void on_greeting(struct qmp_client *client)
{
    if (client->state == QMP_GREETING)
        client->state = QMP_NEGOTIATING;
    else
        client_shut(client, -EPROTO, "QEMU greeted twice");
}

static void on_qmp_line(struct qmp_client *client)
{
    struct qmp_message message;
    int r = qmp_message_parse(client->input.data, client->input.size, &message);
    client->input.size = 0;
    if (r < 0) {
        client_shut(client, r, message.why);
        return;
    }
    if (message.kind == QMP_MESSAGE_GREETING)
        on_greeting(client);
    else if (message.kind == QMP_MESSAGE_REPLY)
        on_qmp_reply(client, &message);
    else if (message.kind == QMP_MESSAGE_EVENT && client->handler->event)
        client->handler->event(&message.event, client->user);
    qmp_message_done(&message);
}

static void feed_lines(struct qmp_client *client, const char *bytes, size_t size)
{
    while (size > 0 && client->state != QMP_CLOSED) {
        const char *newline = memchr(bytes, '\n', size);
        size_t part = newline ? (size_t)(newline + 1 - bytes) : size;
        int r = qmp_buffer_add(&client->input, bytes, part, QMP_LINE_MAX);
        if (r == -ENOBUFS)
            client_shut(client, -EPROTO, "QEMU sent a line that is too long");
        else if (r < 0)
            client_shut(client, r, "no memory to read what QEMU sent");
        else if (newline)
            on_qmp_line(client);
        bytes += part;
        size -= part;
    }
}

int qmp_client_receive(struct qmp_client *client, const char *bytes, size_t size)
{
    if (client->entered > 0)
        return -EBUSY;
    client_enter(client);
    feed_lines(client, bytes, size);
    int r = 0;
    if (client->state == QMP_CLOSED)
        r = client->reason < 0 ? client->reason : -ECONNRESET;
    client_leave(client);
    return r;
}

uint64_t qmp_client_deadline_ms(const struct qmp_client *client)
{
    uint64_t earliest = client->state < QMP_READY ? client->greeting_deadline_ms : UINT64_MAX;
    for (size_t i = 0; client->state != QMP_CLOSED && i < client->count; i++)
        if (client->commands[i].deadline_ms < earliest)
            earliest = client->commands[i].deadline_ms;
    return earliest;
}

/* Removes the command from the output if none of it was sent. */
static void take_back(struct qmp_client *client, const struct command *command, size_t index)
{
    if (command->begin < client->sent)
        return;
    qmp_buffer_remove(&client->output, (size_t)(command->begin - client->sent), command->size);
    for (; index < client->count; index++)
        client->commands[index].begin -= command->size;
}

static bool is_overdue(uint64_t deadline_ms, uint64_t now_ms)
{
    return deadline_ms <= now_ms && deadline_ms != UINT64_MAX;
}

void qmp_client_expire(struct qmp_client *client, uint64_t now_ms)
{
    client_enter(client);
    if (client->state < QMP_READY && is_overdue(client->greeting_deadline_ms, now_ms))
        client_shut(client, -ETIMEDOUT, "QEMU did not greet in time");

    /* A callback can add commands. This loop does not look at them, so it ends. Of the other commands, a
     * callback can only remove some that are overdue too. */
    uint64_t end = client->next_number;
    for (size_t i = 0;
         client->state != QMP_CLOSED && i < client->count && client->commands[i].number < end;) {
        if (!is_overdue(client->commands[i].deadline_ms, now_ms)) {
            i++;
            continue;
        }
        struct command command = take_command(client, i);
        take_back(client, &command, i);
        command_answer(&command, -ETIMEDOUT, NULL, "QEMU did not answer in time");
    }
    client_leave(client);
}

void qmp_client_close(struct qmp_client *client, int reason, const char *why)
{
    client_enter(client);
    client_shut(client, reason, why);
    client_leave(client);
}
