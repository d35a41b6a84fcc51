/* SPDX-License-Identifier: MIT */
/*
 * A bounded log on disk that any number of readers follow, each at its own pace: the console and the journal.
 * The newest bytes are in NAME, those before in NAME.1; when NAME is full it takes the place of NAME.1. A
 * reader is nothing but an offset, so a slow or stopped one costs nothing and holds nobody up: when it falls
 * behind what is kept, it goes on from there.
 */
#ifndef PIAGENT_LOOP_LOGFILE_H
#define PIAGENT_LOOP_LOGFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/error.h"

struct logfile {
    int dir_fd; /* borrowed */
    char name[32];
    int fd, old_fd; /* NAME and NAME.1; old_fd is -1 if there is none */
    uint64_t old_size;
    uint64_t start; /* offset of NAME's first byte, counted from the oldest byte kept when it was opened */
    uint64_t end;   /* offset behind its last byte */
    size_t max;     /* bytes in one file */
};

#define LOGFILE_NONE ((struct logfile){.fd = -1, .old_fd = -1})

/* Opens or creates the files, 0600. dir_fd must outlive it. */
int logfile_open(int dir_fd, const char *name, size_t max, struct logfile *ret, struct pi_error *err);
void logfile_close(struct logfile *log);

/* Adds at the end. 0 or -errno (a full disk): then nothing was added, and the next addition is tried anew. */
int logfile_append(struct logfile *log, const void *data, size_t size);

/* The oldest offset that is still kept. */
uint64_t logfile_oldest(const struct logfile *log);

/* Reads up to max bytes at *offset and moves it on; an offset before the oldest is moved there first. 0 at
 * the end. */
size_t logfile_read(const struct logfile *log, uint64_t *offset, char *buf, size_t max);

#endif
