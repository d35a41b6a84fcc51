/* SPDX-License-Identifier: MIT */
#include "qmp/buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 512

int qmp_buffer_add(struct qmp_buffer *buffer, const char *bytes, size_t size, size_t max)
{
    if (size > max || buffer->size > max - size)
        return -ENOBUFS;

    size_t capacity = buffer->capacity ? buffer->capacity : FIRST_CAPACITY;
    while (capacity < buffer->size + size)
        capacity *= 2;
    if (capacity != buffer->capacity) {
        char *data = realloc(buffer->data, capacity);
        if (!data)
            return -ENOMEM;
        buffer->data = data;
        buffer->capacity = capacity;
    }
    memcpy(buffer->data + buffer->size, bytes, size);
    buffer->size += size;
    return 0;
}

void qmp_buffer_remove(struct qmp_buffer *buffer, size_t offset, size_t size)
{
    buffer->size -= size;
    memmove(buffer->data + offset, buffer->data + offset + size, buffer->size - offset);
}

void qmp_buffer_done(struct qmp_buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct qmp_buffer){0};
}
