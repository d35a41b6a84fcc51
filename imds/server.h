/* SPDX-License-Identifier: MIT */
/*
 * The instance metadata service: serves each instance its cloud-init NoCloud seed under a secret key, and
 * receives what its cloud-init reports. HTTP/1.1, one request a connection (cloud-init opens a new one for
 * each file and report anyway), so that a connection's age is its request's age.
 *
 *   GET, HEAD  /KEY/meta-data, user-data, vendor-data, network-config   200 and the exact bytes, or no bytes
 *   POST       /KEY/events                                              200
 *   anything else, or a key that is unknown or does not open that       404, the same for all
 *
 * A report that is too long or can't be parsed is answered 200 as well, but not handed on: a guest whose
 * webhook fails ends its boot "degraded", and would repeat the same bytes only to get the same answer.
 *
 * What a guest may do to others. Every guest arrives from 127.0.0.1 (QEMU's user network), so there is
 * nothing to tell friend from foe by before the key is known, and limits by address would hit all of them.
 * Instead: every connection has a deadline for its whole request and response, however busily it trickles;
 * when all connections are taken, the oldest is cut for the new one, and as an honest exchange takes
 * milliseconds, the oldest is a squatter; header and body are bounded. A browser tricked into sending
 * requests here (DNS rebinding) does not know a key, so it learns and changes nothing: no check of Host or
 * Origin is needed.
 *
 * The server owns no thread, no clock and no log; the caller's loop drives it. Callbacks come out of
 * imds_server_run() only; they may change the registry, but not free the server. RLIMIT_NOFILE should be
 * well above the number of connections: the server never uses more than half of it.
 */
#ifndef IMDS_SERVER_H
#define IMDS_SERVER_H

#include "imds/registry.h"
#include "imds/report.h"

struct imds_handler {
    /* Optional. A seed document went out whole by GET. user_agent is the client's word, in visible ASCII and
     * spaces, at most 63 characters, "" where it sent none: "Cloud-Init/22.4.2". */
    void (*served)(void *owner, enum imds_document document, const char *user_agent, void *user);

    /* Optional. A report was received and parsed. Nothing limits how many a guest sends. */
    void (*reported)(void *owner, const struct imds_report *report, void *user);
};

/* 0 anywhere = the default. At worst, a guest with a key makes the server hold header_bytes + body_bytes for
 * each connection: 288 MiB with the defaults. */
struct imds_limits {
    unsigned connections; /* 4,096 */
    unsigned request_ms;  /* 60,000: from the connection to the last byte of its response */
    size_t header_bytes;  /* 8 KiB a connection, request line and headers; at least 1 KiB */
    size_t body_bytes;    /* IMDS_REPORT_MAX: of a report, kept until it is whole */
};

struct imds_server;

/*
 * Serves the registry (which outlives the server) on a listening stream socket, TCP or unix. listen_fd is
 * taken over on success. handler and limits are copied; limits may be NULL. 0, -ENOMEM, or the errno of a
 * descriptor that is not usable.
 */
int imds_server_new(int listen_fd, struct imds_registry *registry, const struct imds_handler *handler,
                    void *user, const struct imds_limits *limits, struct imds_server **ret);

/* Serves a connection that was accepted elsewhere (a second listening socket), as one of its own. fd is taken
 * over, also on failure. 0 or -ECONNABORTED. now_ms as below. */
int imds_server_add(struct imds_server *server, int fd, uint64_t now_ms);

/* Poll this for reading; when it is readable, call imds_server_run(). It belongs to the server. */
int imds_server_fd(const struct imds_server *server);

/* Milliseconds until imds_server_run() is due even if nothing becomes readable; -1 = never. Ask again after
 * every run. now_ms is of any clock that never goes back, the same in all calls. */
int imds_server_timeout_ms(const struct imds_server *server, uint64_t now_ms);

/* Does what can be done now. Never blocks. */
void imds_server_run(struct imds_server *server, uint64_t now_ms);

/* Cuts every connection. NULL is nothing to do. */
void imds_server_free(struct imds_server *server);

#endif
