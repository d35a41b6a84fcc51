/* SPDX-License-Identifier: MIT */
/*
 * A client of the control API: libcurl over the agent's unix socket. It has one thread. Several transfers can run at
 * once, and api_client_wait() drives them.
 */
#ifndef PIAGENT_API_CLIENT_H
#define PIAGENT_API_CLIENT_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/api/types.h"

#define API_SOCKET_NAME "agent.sock" /* in pi_paths.runtime */

/* In pi_paths.runtime. The agent locks it (flock) for its whole life, and writes its process number into it. When
 * somebody stops the agent, it adds the word: a command that follows an instance then starts no other agent. */
#define API_LOCK_NAME    "agent.lock"
#define API_LOCK_STOPPED " stopped"

/* In the agent's environment, and in that of a command that starts it: the address of its metrics. */
#define API_METRICS_VARIABLE "PIAGENT_METRICS"

struct api_client;

/* Connects to nothing yet. */
int api_client_new(const char *socket_path, struct api_client **ret, struct pi_error *err);
void api_client_free(struct api_client *client);

/* From here on the wait of either client drives the transfers of both: of agents of several hosts. client has no transfer yet,
 * and other has to outlive it. */
void api_client_share(struct api_client *client, struct api_client *other);

/* Each api_client_call() that takes longer than ms calls slow once, to tell the person who waits. */
void api_client_on_slow(struct api_client *client, uint64_t ms, void (*slow)(void));

/*
 * Sends one request and waits for its answer. body may be NULL. *ret (may be NULL) gets the reply's JSON object, a new
 * reference, checked (reply_check.h). A failure that the agent reports has the agent's kind and message. Others: PI_AGENT if there is no agent
 * at the socket (-ECONNREFUSED), it hangs up (-ECONNRESET) or its answer is refused, PI_TIMEOUT if it does not answer in timeout_ms.
 */
int api_client_call(struct api_client *client, const char *method, const char *path, const json_t *body,
                    uint64_t timeout_ms, json_t **ret, struct pi_error *err);

struct api_sink {
    /* Gets bytes of a reply of status 200 or 202. A negative return ends the transfer and is its result. */
    int (*data)(const char *bytes, size_t size, void *user);
    /* Is called once, at the end, but not after api_transfer_cancel(). result is 0, or negative with err filled: the
     * agent's failure, or PI_AGENT if the connection broke. */
    void (*done)(int result, const struct pi_error *err, void *user);
    void *user;
};

/* Starts a transfer that has no time limit (a follow stream, console input). The body is copied. */
struct api_transfer;
int api_client_start(struct api_client *client, const char *method, const char *path, const void *body,
                     size_t size, const struct api_sink *sink, struct api_transfer **ret,
                     struct pi_error *err);
void api_transfer_cancel(struct api_transfer *transfer);

/* Drives all transfers until something happens, one of the extra descriptors is ready (their revents are set; extra
 * may be NULL), or timeout_ms has passed (-1: no limit). */
int api_client_wait(struct api_client *client, struct pollfd *extra, unsigned extra_count, int timeout_ms,
                    struct pi_error *err);

#endif
