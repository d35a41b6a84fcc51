/* SPDX-License-Identifier: MIT */
/*
 * Which bytes of an object are on disk, which are on their way, and which nobody has asked for. Pure
 * functions. Connections are numbered; each has at most one span, and connection 0 is the first one.
 *
 *     0          frontier                                        next             total
 *     |############|------taken[0]------|####|---taken[1]---|-left-|................|
 *       on disk      being received      on     being        asked   nobody has
 *                                        disk   received     again   asked for it
 *
 * At first, connection 0 has everything up to the end, so next is total. image_spans_split() takes a span out
 * of its way; image_spans_cut() tells connection 0 to end where that span begins.
 */
#ifndef PIAGENT_IMAGE_SPANS_H
#define PIAGENT_IMAGE_SPANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMAGE_CONNECTIONS_MAX 8u
#define IMAGE_SPAN_BYTES      ((uint64_t)4 << 20) /* that a connection asks for at once, at most */

/* Zeroed memory is no span. */
struct image_span {
    uint64_t at, end;  /* still to be written; end UINT64_MAX = the object's end, which is not known */
    size_t held_bytes; /* received for at, and not yet written */
    bool last;         /* it ends where the object ends: if the server sends more, the server is wrong */
};

struct image_spans {
    uint64_t total; /* bytes of the object; UINT64_MAX = unknown */
    uint64_t next;  /* nobody has asked for anything from here on; UINT64_MAX = unknown */
    uint64_t split; /* where the span begins that was taken out of connection 0's way */
    struct image_span taken[IMAGE_CONNECTIONS_MAX]; /* by connection */
    struct image_span left[IMAGE_CONNECTIONS_MAX];  /* by connections that failed; each lost one for good */
    size_t left_count;
};

/* Connection 0 asks for everything from `at` on. */
void image_spans_init(struct image_spans *spans, uint64_t at);

/* Connection 0 will receive the bytes from `at` up to total, which may be UINT64_MAX. */
void image_spans_answered(struct image_spans *spans, uint64_t at, uint64_t total);

/* The object ended where this connection stands: its size was not known. */
void image_spans_ended(struct image_spans *spans, unsigned connection);

/* Gives the connection the next span. False if all are taken. */
bool image_spans_take(struct image_spans *spans, unsigned connection);

/* Gives the connection a span that begins lead_bytes ahead of connection 0, or later. False if connection 0
 * has not that much before it. */
bool image_spans_split(struct image_spans *spans, unsigned connection, uint64_t lead_bytes);

/* Connection 0 ends where the split was made, or where it is, if it is past that. */
void image_spans_cut(struct image_spans *spans);

/* Connection 0 has everything up to the end again: all others have nothing. */
void image_spans_join(struct image_spans *spans);

/* The connection failed, and holds nothing: what is missing of its span can be taken again. */
void image_spans_give_back(struct image_spans *spans, unsigned connection);

/* The connection has nothing any more. */
void image_spans_drop(struct image_spans *spans, unsigned connection);

/* Everything before it is on disk; UINT64_MAX if nothing is known. */
uint64_t image_spans_frontier(const struct image_spans *spans);

/* How many bytes were not received yet; 0 if the total is unknown. */
uint64_t image_spans_missing(const struct image_spans *spans);

/* The offset of the next byte that is received. */
static inline uint64_t image_span_position(const struct image_span *span)
{
    return span->at + span->held_bytes;
}

#endif
