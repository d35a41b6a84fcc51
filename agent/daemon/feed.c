/* SPDX-License-Identifier: MIT */
#include "agent/daemon/feed.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/api/operations.h"
#include "agent/base/auto.h"

struct feed_reader {
    const struct feed *feed;
    uint64_t next;
    struct pi_buf rest; /* of the line that is being read: the feed may forget that line meanwhile */
    bool follow;
};

void feed_add(struct feed *feed, const char *line, size_t size)
{
    char **place = &feed->lines[feed->count++ % FEED_LINES];
    free(*place);
    if (asprintf(place, "%.*s\n", (int)size, line) < 0)
        *place = NULL;
}

void feed_done(struct feed *feed)
{
    for (size_t i = 0; i < FEED_LINES; i++)
        free(feed->lines[i]);
    *feed = (struct feed){0};
}

static uint64_t oldest(const struct feed *feed)
{
    return feed->count > FEED_LINES ? feed->count - FEED_LINES : 0;
}

static int tell_missed(struct pi_buf *ret, uint64_t count)
{
    char text[96];
    snprintf(text, sizeof text, "%" PRIu64 " events are missing here: each instance's own events have them",
             count);
    json_auto_t *object = api_write(event, &((struct api_event){.kind = API_EVENT_NOTE, .text = text}));
    pi_auto_free char *line = object ? json_dumps(object, JSON_COMPACT) : NULL;
    return line ? pi_buf_printf(ret, "%s\n", line) : -ENOMEM;
}

static int take_line(struct feed_reader *reader)
{
    const struct feed *feed = reader->feed;
    uint64_t first = oldest(feed);
    if (reader->next < first) {
        uint64_t missed = first - reader->next;
        reader->next = first;
        return tell_missed(&reader->rest, missed);
    }
    const char *line = reader->next < feed->count ? feed->lines[reader->next++ % FEED_LINES] : "";
    return line ? pi_buf_add(&reader->rest, line, strlen(line)) : -ENOMEM;
}

static long feed_read(void *source, char *buf, size_t max)
{
    struct feed_reader *reader = source;
    struct pi_buf *rest = &reader->rest;
    if (!rest->size && take_line(reader) < 0)
        return -1;
    size_t n = rest->size < max ? rest->size : max;
    if (!n)
        return reader->follow ? 0 : -1;
    memcpy(buf, rest->data, n);
    pi_buf_consume(rest, n);
    return (long)n;
}

static void feed_close(void *source)
{
    struct feed_reader *reader = source;
    pi_buf_done(&reader->rest);
    free(reader);
}

int feed_stream(const struct feed *feed, bool follow, struct api_stream *ret, struct pi_error *err)
{
    struct feed_reader *reader = malloc(sizeof *reader);
    if (!reader)
        return pi_fail(err, ENOMEM, "stream");
    *reader =
        (struct feed_reader){.feed = feed, .next = follow ? feed->count : oldest(feed), .follow = follow};
    *ret = (struct api_stream){.read = feed_read,
                               .close = feed_close,
                               .source = reader,
                               .topic = feed,
                               .content_type = API_TYPE_LINES};
    return 0;
}
