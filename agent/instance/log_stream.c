/* SPDX-License-Identifier: MIT */
#include "agent/instance/log_stream.h"

#include <errno.h>
#include <stdlib.h>

#include "agent/api/control_server.h"
#include "agent/instance/instance.h"

struct log_reader {
    struct instance *instance;
    const struct log_source *source;
    uint64_t offset, version;
    bool follow;
};

static long read_next(void *user, char *buf, size_t max)
{
    struct log_reader *reader = user;
    const struct log_source *source = reader->source;
    size_t n = source->read(reader->instance, &reader->offset, buf, max);
    /* The reader is at the end of the log, so at the end of a line: another line may come here. */
    if (n == 0 && reader->follow && source->read_beside)
        n = source->read_beside(reader->instance, &reader->version, buf, max);
    return n == 0 && !reader->follow ? -1 : (long)n;
}

static void close_reader(void *user)
{
    struct log_reader *reader = user;
    instance_unref(reader->instance);
    free(reader);
}

int log_stream_new(struct instance *instance, const struct log_source *source, const void *topic,
                   uint64_t offset, bool follow, struct api_stream *ret, struct pi_error *err)
{
    struct log_reader *reader = malloc(sizeof *reader);
    if (!reader)
        return pi_fail(err, ENOMEM, "stream");
    *reader = (struct log_reader){.instance = instance, .source = source, .offset = offset, .follow = follow};
    instance_ref(instance);
    *ret = (struct api_stream){.read = read_next,
                               .close = close_reader,
                               .source = reader,
                               .topic = topic,
                               .content_type = source->content_type};
    return 0;
}
