/* SPDX-License-Identifier: MIT */
#ifndef PIAGENT_WORKER_WORKER_MAIN_H
#define PIAGENT_WORKER_WORKER_MAIN_H

#include <jansson.h>

#include "agent/base/error.h"

/* `piagent worker KIND`: does what the request on its standard input asks for. Returns its exit code. */
int worker_main(int argc, char **argv);

/* Writes one line, {key: value}, and takes the reference to value. */
void worker_write(const char *key, json_t *value);

/* The jobs. *ret_result is the caller's, NULL if there is nothing to say but that it succeeded. */
int worker_run_fetch(const json_t *request, json_t **ret_result, struct pi_error *err);
int worker_run_prepare(const json_t *request, json_t **ret_result, struct pi_error *err);

#endif
