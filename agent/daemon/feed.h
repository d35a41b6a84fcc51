/* SPDX-License-Identifier: MIT */
/*
 * The newest events of all instances, in memory, for whoever follows all of them: lines, each reader at its
 * own pace. A reader that falls behind is told how many events it missed, and goes on with the oldest that is
 * kept.
 */
#ifndef PIAGENT_DAEMON_FEED_H
#define PIAGENT_DAEMON_FEED_H

#include "agent/api/control_server.h"

#define FEED_LINES 1024u

/* Zeroed memory is a valid empty one. */
struct feed {
    char *lines[FEED_LINES]; /* line i is at i % FEED_LINES */
    uint64_t count;          /* that were ever added */
};

/* A line, without its newline; copied. */
void feed_add(struct feed *feed, const char *line, size_t size);
void feed_done(struct feed *feed);

/* A stream of what comes from now on (follow), or of what is kept. The topic is the feed, which must outlive
 * it. */
int feed_stream(const struct feed *feed, bool follow, struct api_stream *ret, struct pi_error *err);

#endif
