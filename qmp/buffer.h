/* SPDX-License-Identifier: MIT */
/* Internal to qmp/: a byte buffer with a limit. */
#ifndef QMP_BUFFER_H
#define QMP_BUFFER_H

#include <stddef.h>

struct qmp_buffer {
    char *data; /* NULL until the first addition; not NUL-terminated */
    size_t size;
    size_t capacity;
};

/* 0, -ENOMEM, or -ENOBUFS if it would hold more than max bytes. The content is unchanged on failure. */
int qmp_buffer_add(struct qmp_buffer *buffer, const char *bytes, size_t size, size_t max);

/* Removes size bytes that start at offset; both must lie within. */
void qmp_buffer_remove(struct qmp_buffer *buffer, size_t offset, size_t size);

void qmp_buffer_done(struct qmp_buffer *buffer);

#endif
