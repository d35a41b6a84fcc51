/* SPDX-License-Identifier: MIT */
/* A follower of one of an instance's logs, as a stream of the control API. It holds the instance. */
#ifndef PIAGENT_INSTANCE_LOG_STREAM_H
#define PIAGENT_INSTANCE_LOG_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/error.h"

struct api_stream;
struct instance;

struct log_source {
    /* Reads up to max bytes at *offset and moves it on; 0 at the end. */
    size_t (*read)(struct instance *instance, uint64_t *offset, char *buf, size_t max);
    /* At the end, between two lines: what is not in the log, if *version is older. NULL: there is nothing. */
    size_t (*read_beside)(struct instance *instance, uint64_t *version, char *buf, size_t max);
    const char *content_type;
};

/* source is borrowed for ever; topic: api_stream.topic. */
int log_stream_new(struct instance *instance, const struct log_source *source, const void *topic,
                   uint64_t offset, bool follow, struct api_stream *ret, struct pi_error *err);

#endif
