/* SPDX-License-Identifier: MIT */
/*
 * An instance's events: JSON lines in its folder, read by any number of followers. What cannot be written to
 * a full disk is kept in memory up to a limit. An event is told to followers when the record that it speaks
 * of is on disk.
 */
#ifndef PIAGENT_INSTANCE_JOURNAL_H
#define PIAGENT_INSTANCE_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/api/types.h"
#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/loop/logfile.h"

struct api_stream;
struct instance;

struct journal {
    struct logfile log;
    struct pi_buf tail; /* what could not be written: the log's continuation */
    uint64_t told;      /* the offset up to which followers may read */
    uint64_t next_seq, told_seq;
    struct api_event image; /* the image's progress while it is fetched: in memory only */
    uint64_t image_version; /* counts its changes; 0 = none */
};

void journal_init(struct instance *instance);
void journal_done(struct instance *instance);
/* Ends its streams. */
void journal_end(struct instance *instance);

int journal_open(struct instance *instance, struct pi_error *err);
/* Hands fn the newest events of the agents before this one, in their order, and goes on after them. */
void journal_recall(struct instance *instance,
                    void (*fn)(struct instance *instance, const struct api_event *event));
/* Whether that leaves out older ones. */
bool journal_is_cut(const struct instance *instance);

/* Gives the event its number and both clocks. */
void journal_stamp(struct instance *instance, struct api_event *event);
/* Appends an event that was stamped, and tells it at once unless the record is to be written first. Strings
 * are borrowed. */
void journal_append(struct instance *instance, struct api_event *event);
/* Both at once, for all events but those that may be a milestone of the boot: milestones_add(). */
void journal_add(struct instance *instance, struct api_event *event);
/* An API_EVENT_NOTE, cleaned, and the same line in the agent's log. */
void journal_note(struct instance *instance, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Shows followers how far the image is. */
void journal_progress(struct instance *instance, const struct api_event *image);

/* Shows all events to those who follow them. */
void journal_tell(struct instance *instance);
/* Writes what could not be written before. False if that fails again. */
bool journal_flush(struct instance *instance);
/* The number of the newest event that was told; 0 = none. */
uint64_t journal_told_seq(const struct instance *instance);

/* A stream of the events after number since. */
int journal_stream(struct instance *instance, uint64_t since, bool follow, struct api_stream *ret,
                   struct pi_error *err);

#endif
