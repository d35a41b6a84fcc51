/* SPDX-License-Identifier: MIT */
#ifndef PIAGENT_WORKER_WORKER_MAIN_H
#define PIAGENT_WORKER_WORKER_MAIN_H

#include <jansson.h>

#include "agent/base/error.h"
#include "agent/image/provenance.h"
#include "agent/worker/protocol.h"

/* `piagent worker KIND`: carries out the request on its standard input. Returns its exit code. */
int worker_main(int argc, char **argv);

/* Writes one line, {key: value}, and takes the reference to value. */
void worker_write(const char *key, json_t *value);

/* The jobs. *ret_result is the caller's, or NULL if the job succeeded and has no more to say. */
int worker_run_prepare(const json_t *request, json_t **ret_result, struct pi_error *err);
int worker_run_snapshot(const json_t *request, json_t **ret_result, struct pi_error *err);

/* Gets the image that the request names into the store, and tells its progress. SIGTERM makes it end early, with an error.
 * *ret is empty before. */
int worker_get_image(const struct worker_prepare *wanted, struct image *ret, struct pi_error *err);

/* fsync of every file of a folder, whichever program wrote it, and of the folder. */
int worker_sync_all(int dir_fd, struct pi_error *err);

/* Gives the folder a link to the file of that name in the source's folder, or a copy, if the file system has no such links. */
int worker_share_file(const char *source, const char *folder, const char *name, struct pi_error *err);

#endif
