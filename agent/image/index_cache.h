/* SPDX-License-Identifier: MIT */
/* Keeps Fedora's index for an hour beside the store, so that not every command needs the network. */
#ifndef PIAGENT_IMAGE_INDEX_CACHE_H
#define PIAGENT_IMAGE_INDEX_CACHE_H

#include <jansson.h>
#include <stdbool.h>

#include "agent/base/error.h"
#include "agent/image/meter.h"
#include "agent/image/store.h"

/*
 * The index at url: the kept copy if it is younger than an hour, else a new one. If the network fails, the
 * old copy with *ret_stale set. *ret is a new reference.
 */
int image_index_load(const struct image_store *store, const char *url, struct image_meter *meter,
                     json_t **ret, bool *ret_stale, struct pi_error *err);

#endif
