/* SPDX-License-Identifier: MIT */
/* A byte buffer that grows, up to a limit. It is NUL-terminated as soon as something was added. */
#ifndef PIAGENT_BASE_BUF_H
#define PIAGENT_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

struct pi_buf {
    char *data; /* NULL until the first addition */
    size_t size;
    size_t capacity;
    size_t max; /* size never exceeds it; 0 = PI_BUF_MAX */
};

#define PI_BUF_MAX ((size_t)64 << 20)

/* Each returns 0, -ENOMEM, or -E2BIG if the buffer would grow past its limit. The content is unchanged on
 * failure. */
int pi_buf_add(struct pi_buf *buf, const void *data, size_t size);
int pi_buf_puts(struct pi_buf *buf, const char *text);
int pi_buf_printf(struct pi_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drops the first n bytes. */
void pi_buf_consume(struct pi_buf *buf, size_t n);

void pi_buf_done(struct pi_buf *buf);
#define pi_auto_buf __attribute__((cleanup(pi_buf_done)))

/* A vector of strings, NULL-terminated: an argv under construction. */
struct pi_strv {
    char **items; /* NULL until the first addition */
    size_t count;
};

/* Each returns 0 or -ENOMEM. pi_strv_add copies. */
int pi_strv_add(struct pi_strv *v, const char *item);
int pi_strv_addf(struct pi_strv *v, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drops all items but the first count. */
void pi_strv_cut(struct pi_strv *v, size_t count);

void pi_strv_done(struct pi_strv *v);
#define pi_auto_strv __attribute__((cleanup(pi_strv_done)))

#endif
