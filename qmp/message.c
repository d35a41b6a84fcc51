/* SPDX-License-Identifier: MIT */
#include "qmp/message.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define RESYNC 0xFF

/* jansson's own limit is 2048, and its recursion to that depth takes too much stack. */
static bool is_too_deep(const char *text, size_t size)
{
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < size; i++) {
        if (in_string && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            in_string = !in_string;
        else if (in_string)
            continue;
        else if (text[i] == '[' || text[i] == '{')
            depth++;
        else if ((text[i] == ']' || text[i] == '}') && depth > 0)
            depth--;
        if (depth > QMP_DEPTH_MAX)
            return true;
    }
    return false;
}

static int refuse_message(struct qmp_message *message, int r, const char *what, const char *detail)
{
    snprintf(message->why, sizeof(message->why), "%s%s", what, detail);
    return r;
}

/* QEMU sends unsigned 64-bit integers (the registers of a panicked guest, for example), which can be too
 * large for jansson's integers. Reads all numbers of such a message as reals. */
static json_t *load_json(const char *text, size_t size, json_error_t *error)
{
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, error);
    if (!root && json_error_code(error) == json_error_numeric_overflow)
        root = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, error);
    return root;
}

/* Both members are -1 if QEMU could not read the clock. */
static uint64_t timestamp_ms(const json_t *timestamp)
{
    double seconds = json_number_value(json_object_get(timestamp, "seconds"));
    double microseconds = json_number_value(json_object_get(timestamp, "microseconds"));
    if (!(seconds >= 0 && seconds < 1e12 && microseconds >= 0 && microseconds < 1e6))
        return 0;
    return (uint64_t)seconds * 1000 + (uint64_t)microseconds / 1000;
}

static int read_event(struct qmp_message *message)
{
    message->kind = QMP_MESSAGE_EVENT;
    message->event = (struct qmp_event){
        .name = json_string_value(json_object_get(message->root, "event")),
        .data = json_object_get(message->root, "data"),
        .realtime_ms = timestamp_ms(json_object_get(message->root, "timestamp")),
    };
    if (!message->event.name || (message->event.data && !json_is_object(message->event.data)))
        return refuse_message(message, -EPROTO, "QEMU sent a malformed event", "");
    return 0;
}

static int read_reply(struct qmp_message *message)
{
    message->kind = QMP_MESSAGE_REPLY;
    message->id = json_object_get(message->root, "id");
    message->data = json_object_get(message->root, "return");
    const json_t *error = json_object_get(message->root, "error");
    if (!error)
        return 0;
    const char *class = json_string_value(json_object_get(error, "class"));
    const char *desc = json_string_value(json_object_get(error, "desc"));
    if (message->data || !class || !desc)
        return refuse_message(message, -EPROTO, "QEMU sent a malformed reply", "");
    snprintf(message->why, sizeof(message->why), "%s: %s", class, desc);
    return 0;
}

static int read_message(struct qmp_message *message)
{
    const json_t *root = message->root;
    if (json_object_get(root, "return") || json_object_get(root, "error"))
        return read_reply(message);
    if (json_object_get(root, "event"))
        return read_event(message);
    if (!json_is_object(json_object_get(root, "QMP")))
        return refuse_message(message, -EPROTO,
                              "QEMU sent something that is not a greeting, an event or a reply", "");
    message->kind = QMP_MESSAGE_GREETING;
    return 0;
}

int qmp_message_parse(const char *line, size_t size, struct qmp_message *ret)
{
    *ret = (struct qmp_message){.kind = QMP_MESSAGE_NONE};
    const char *resync = memrchr(line, RESYNC, size);
    if (resync) {
        size -= (size_t)(resync + 1 - line);
        line = resync + 1;
    }
    while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r'))
        size--;
    if (size == 0)
        return 0;
    if (is_too_deep(line, size))
        return refuse_message(ret, -EPROTO, "QEMU sent JSON that is nested too deeply", "");

    json_error_t error = {0}; /* jansson leaves it empty in some cases if memory runs out */
    ret->root = load_json(line, size, &error);
    if (!ret->root && (!error.text[0] || json_error_code(&error) == json_error_out_of_memory))
        return refuse_message(ret, -ENOMEM, "no memory to read what QEMU sent", "");
    if (!ret->root)
        return refuse_message(ret, -EPROTO, "QEMU sent something that is not JSON: ", error.text);
    int r = read_message(ret);
    if (r < 0)
        qmp_message_done(ret);
    return r;
}

void qmp_message_done(struct qmp_message *message)
{
    json_decref(message->root);
    message->root = NULL;
}
