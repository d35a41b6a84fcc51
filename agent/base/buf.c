/* SPDX-License-Identifier: MIT */
#include "agent/base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"

static int buf_reserve(struct pi_buf *buf, size_t extra)
{
    size_t max = buf->max ? buf->max : PI_BUF_MAX;
    if (extra > max - buf->size)
        return -E2BIG;
    size_t need = buf->size + extra + 1;
    if (need <= buf->capacity)
        return 0;
    size_t capacity = buf->capacity ? buf->capacity : 256;
    while (capacity < need)
        capacity *= 2;
    char *data = realloc(buf->data, capacity);
    if (!data)
        return -ENOMEM;
    buf->data = data;
    buf->capacity = capacity;
    return 0;
}

int pi_buf_add(struct pi_buf *buf, const void *data, size_t size)
{
    int r = buf_reserve(buf, size);
    if (r < 0)
        return r;
    if (size)
        memcpy(buf->data + buf->size, data, size);
    buf->size += size;
    buf->data[buf->size] = '\0';
    return 0;
}

int pi_buf_puts(struct pi_buf *buf, const char *text)
{
    return pi_buf_add(buf, text, strlen(text));
}

int pi_buf_printf(struct pi_buf *buf, const char *format, ...)
{
    pi_auto_free char *text = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0) {
        text = NULL;
        return -ENOMEM;
    }
    return pi_buf_add(buf, text, (size_t)n);
}

void pi_buf_consume(struct pi_buf *buf, size_t n)
{
    if (!n)
        return;
    buf->size -= n;
    memmove(buf->data, buf->data + n, buf->size + 1);
}

void pi_buf_done(struct pi_buf *buf)
{
    free(buf->data);
    *buf = (struct pi_buf){.max = buf->max};
}

static int strv_take(struct pi_strv *v, char *item)
{
    char **items = item ? realloc(v->items, (v->count + 2) * sizeof *items) : NULL;
    if (!items) {
        free(item);
        return -ENOMEM;
    }
    v->items = items;
    v->items[v->count++] = item;
    v->items[v->count] = NULL;
    return 0;
}

int pi_strv_add(struct pi_strv *v, const char *item)
{
    return strv_take(v, strdup(item));
}

int pi_strv_addf(struct pi_strv *v, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    return strv_take(v, text);
}

void pi_strv_cut(struct pi_strv *v, size_t count)
{
    while (v->count > count) {
        free(v->items[--v->count]);
        v->items[v->count] = NULL;
    }
}

void pi_strv_done(struct pi_strv *v)
{
    pi_strv_cut(v, 0);
    free(v->items);
    *v = (struct pi_strv){0};
}
