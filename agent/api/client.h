/* SPDX-License-Identifier: MIT */
/*
 * The command line's side of the control API: libcurl over the agent's unix socket. Single-threaded; several
 * transfers can run at once, driven by api_client_wait().
 */
#ifndef PIAGENT_API_CLIENT_H
#define PIAGENT_API_CLIENT_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/api/types.h"

#define API_SOCKET_NAME "agent.sock" /* in pi_paths.runtime */

/* In pi_paths.runtime, locked (flock) by the agent for its whole life. It holds the agent's process, and this
 * word from the moment on at which the agent was told to stop: who follows a machine starts no other one. */
#define API_LOCK_NAME    "agent.lock"
#define API_LOCK_STOPPED " stopped"

struct api_client;

/* Connects to nothing yet. */
int api_client_new(const char *socket_path, struct api_client **ret, struct pi_error *err);
void api_client_free(struct api_client *client);

/* slow is called once in each api_client_call() that takes longer than ms: a person who waits is to be told.
 */
void api_client_on_slow(struct api_client *client, uint64_t ms, void (*slow)(void));

/*
 * One request to its end. body may be NULL. *ret (may be NULL) gets the reply's JSON object, a new reference.
 * A failure that the agent reports comes back with its kind and message; no agent at the socket is PI_AGENT
 * (-ECONNREFUSED), or one that hangs up (-ECONNRESET), no answer in timeout_ms PI_TIMEOUT.
 */
int api_client_call(struct api_client *client, const char *method, const char *path, const json_t *body,
                    uint64_t timeout_ms, json_t **ret, struct pi_error *err);

struct api_sink {
    /* Bytes of a reply of status 200 or 202. A negative return ends the transfer, with that as its result. */
    int (*data)(const char *bytes, size_t size, void *user);
    /* Once, at the end: result 0, or negative with err filled (the agent's own failure, PI_AGENT when the
     * connection broke). Not called after api_transfer_cancel(). */
    void (*done)(int result, const struct pi_error *err, void *user);
    void *user;
};

/* Starts a transfer that has no time limit (a follow stream, console input). The body is copied. */
struct api_transfer;
int api_client_start(struct api_client *client, const char *method, const char *path, const void *body,
                     size_t size, const struct api_sink *sink, struct api_transfer **ret,
                     struct pi_error *err);
void api_transfer_cancel(struct api_transfer *transfer);

/* Drives all transfers until something happened, one of the extra descriptors is ready (their revents are
 * set; extra may be NULL), or timeout_ms passed (-1: none). */
int api_client_wait(struct api_client *client, struct pollfd *extra, unsigned extra_count, int timeout_ms,
                    struct pi_error *err);

#endif
