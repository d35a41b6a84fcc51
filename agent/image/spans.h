/* SPDX-License-Identifier: MIT */
/*
 * Keeps account of an object's bytes: those on disk, those on their way, and those that no connection has
 * asked for. Pure functions. Connections are numbered; each has at most one span, and connection 0 is the
 * first one.
 *
 *     0          frontier                                        next             total
 *     |############|------taken[0]------|####|---taken[1]---|-left-|................|
 *       on disk      being received      on     being        asked   nobody has
 *                                        disk   received     again   asked for it
 *
 * At first, connection 0 has everything up to the end, so next is total. image_spans_split() gives a part of
 * its span to another connection; image_spans_cut() makes connection 0 end where that part begins.
 */
#ifndef PIAGENT_IMAGE_SPANS_H
#define PIAGENT_IMAGE_SPANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMAGE_CONNECTIONS_MAX 8u
#define IMAGE_SPAN_BYTES      ((uint64_t)4 << 20) /* a connection asks for at most so many at once */

/* Zeroed memory is an empty span. */
struct image_span {
    uint64_t at, end;  /* still to be written; end UINT64_MAX = the object's end, which is not known */
    size_t held_bytes; /* received for at, and not yet written */
    bool last;         /* the object ends here too: a server that sends more is wrong */
};

struct image_spans {
    uint64_t total; /* bytes of the object; UINT64_MAX = unknown */
    uint64_t next;  /* no connection has asked for bytes from here on; UINT64_MAX = unknown */
    uint64_t split; /* the offset of the part that image_spans_split() took from connection 0 */
    struct image_span taken[IMAGE_CONNECTIONS_MAX]; /* by connection */
    struct image_span left[IMAGE_CONNECTIONS_MAX];  /* by connections that failed; each lost one for good */
    size_t left_count;
};

/* Connection 0 asks for everything from `at` on. */
void image_spans_init(struct image_spans *spans, uint64_t at);

/* Connection 0 will receive the bytes from `at` up to total, which may be UINT64_MAX. */
void image_spans_answered(struct image_spans *spans, uint64_t at, uint64_t total);

/* The object, whose size was unknown, ended at this connection's position. */
void image_spans_ended(struct image_spans *spans, unsigned connection);

/* Gives the connection the next span. False if all are taken. */
bool image_spans_take(struct image_spans *spans, unsigned connection);

/* Gives the connection a part of connection 0's span, lead_bytes or more ahead of it. False if connection 0
 * has less than that left. */
bool image_spans_split(struct image_spans *spans, unsigned connection, uint64_t lead_bytes);

/* Connection 0 ends at the split, or at once if it is past that. */
void image_spans_cut(struct image_spans *spans);

/* Connection 0 has everything up to the end again: all others have nothing. */
void image_spans_join(struct image_spans *spans);

/* The connection failed, and holds nothing: what is missing of its span can be taken again. */
void image_spans_give_back(struct image_spans *spans, unsigned connection);

/* The connection has no span any more. */
void image_spans_drop(struct image_spans *spans, unsigned connection);

/* The offset up to which every byte is on disk; UINT64_MAX if that is unknown. */
uint64_t image_spans_frontier(const struct image_spans *spans);

/* How many bytes were not received yet; 0 if the total is unknown. */
uint64_t image_spans_missing(const struct image_spans *spans);

/* The offset of the next byte that is received. */
static inline uint64_t image_span_position(const struct image_span *span)
{
    return span->at + span->held_bytes;
}

#endif
