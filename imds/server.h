/* SPDX-License-Identifier: MIT */
/*
 * The instance metadata service (IMDS). It serves each instance its NoCloud seed under a secret key, and
 * receives the reports of its cloud-init. HTTP/1.1. A connection takes one request, or, if the client asks for it
 * (Connection: keep-alive), any number of them for documents. (cloud-init opens a new connection for each file and report.)
 *
 *   GET, HEAD  /KEY/meta-data, user-data, vendor-data, network-config   200 and the exact bytes, or no bytes
 *   GET, HEAD  /KEY/peers                                               200 and the exact bytes, which are JSON
 *   POST       /KEY/events                                              200
 *   anything else, an unknown key, or a key without access              404, the same for all
 *
 * A report that is too long or cannot be parsed is answered with 200 too, but not handed on. After any other
 * answer the guest would send the same bytes again, and end its boot "degraded".
 *
 * A hostile guest must not harm the others. Every guest connects from 127.0.0.1 (QEMU's user network), so the
 * server cannot tell them apart before it knows the key, and a limit by address would hit all of them.
 * Instead:
 *
 * - Every connection has one deadline for its whole request and response, even if bytes keep trickling in. A connection that
 *   is kept has it anew after each document.
 * - If all connections are taken, a new one replaces the oldest. An honest exchange takes milliseconds, so
 *   the oldest is not an honest one.
 * - Header and body are bounded.
 *
 * A browser that was tricked into sending requests here (DNS rebinding) knows no key, so it learns and
 * changes nothing. The server need not check Host or Origin.
 *
 * The server has no thread, clock or log; the caller's loop drives it. It makes callbacks only from within
 * imds_server_run(). They may change the registry, but not free the server. RLIMIT_NOFILE should be well
 * above the number of connections: the server never uses more than half of it.
 */
#ifndef IMDS_SERVER_H
#define IMDS_SERVER_H

#include "imds/registry.h"
#include "imds/report.h"

struct imds_handler {
    /* Optional. A client asks, by GET or HEAD, for a document that its key gives access to. The callback may put that
     * document into the registry anew, and the client gets the new one. If it returns false, the client asks too
     * often: it is answered with 429 (RFC 6585). */
    bool (*wanted)(void *owner, enum imds_document document, void *user);

    /* Optional. A client got a whole document by GET. user_agent is what the client sent, in
     * visible ASCII and spaces, at most 63 characters: "Cloud-Init/22.4.2"; "" if it sent none. */
    void (*served)(void *owner, enum imds_document document, const char *user_agent, void *user);

    /* Optional. A report was received and parsed. Nothing limits how many a guest sends. */
    void (*reported)(void *owner, const struct imds_report *report, void *user);
};

/* 0 = the default. At worst, a guest with a key makes the server hold header_bytes + body_bytes for each
 * connection: 288 MiB with the defaults. */
struct imds_limits {
    unsigned connections; /* 4,096 */
    unsigned
        request_ms; /* 60,000: from the connection, or the document before, to the last byte of a response */
    size_t header_bytes; /* 8 KiB a connection, request line and headers; at least 1 KiB */
    size_t body_bytes;   /* IMDS_REPORT_MAX: of a report, kept until it is whole */
};

struct imds_server;

/*
 * Serves the registry, which must outlive the server, on a listening stream socket, TCP or unix. The server
 * owns listen_fd on success. handler and limits are copied; limits may be NULL. 0, -ENOMEM, or the errno that
 * says why the descriptor cannot be used.
 */
int imds_server_new(int listen_fd, struct imds_registry *registry, const struct imds_handler *handler,
                    void *user, const struct imds_limits *limits, struct imds_server **ret);

/* Serves a connection that the caller accepted (from a second listening socket). The server owns fd, also on
 * failure. 0 or -ECONNABORTED. now_ms as below. */
int imds_server_add(struct imds_server *server, int fd, uint64_t now_ms);

/* Poll this for reading; when it is readable, call imds_server_run(). It belongs to the server. */
int imds_server_fd(const struct imds_server *server);

/* Milliseconds until imds_server_run() is due even if nothing becomes readable; -1 = never. Ask again after
 * every run. now_ms is of any clock that never goes back, the same in all calls. */
int imds_server_timeout_ms(const struct imds_server *server, uint64_t now_ms);

/* Does what can be done now. Never blocks. */
void imds_server_run(struct imds_server *server, uint64_t now_ms);

/* Cuts every connection. NULL is fine. */
void imds_server_free(struct imds_server *server);

#endif
