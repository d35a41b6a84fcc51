/* SPDX-License-Identifier: MIT */
/*
 * The server of the control API: libmicrohttpd on the agent's unix socket. The agent's own loop drives it, so there
 * are no threads. It checks who asks (SO_PEERCRED: only this uid and root), reads the body, calls one handler, and
 * sends the handler's reply or stream. A second one serves the metrics on a TCP port, to anyone on this host.
 */
#ifndef PIAGENT_API_CONTROL_SERVER_H
#define PIAGENT_API_CONTROL_SERVER_H

#include "agent/api/types.h"

struct api_server;
struct api_call;

/*
 * A reply that goes on: bytes as they come. The server calls read() when there is room. It returns how many bytes it
 * put into buf, 0 if there is nothing now (the server calls it again after api_server_wake() of the topic), or -1 at
 * the end. The server calls close() once, when the reply is over for whatever reason.
 */
struct api_stream {
    long (*read)(void *source, char *buf, size_t max);
    void (*close)(void *source);
    void *source;
    const void *topic;
    const char *content_type;
};

/*
 * The server calls it once a request, when the body is complete (at most API_BODY_MAX). It answers with one of the
 * api_reply_* functions: at once, or later from the loop. Until then the connection waits.
 */
typedef void (*api_handler_fn)(struct api_call *call, void *user);

enum api_clients {
    API_CLIENTS_OWNER,  /* of a unix socket */
    API_CLIENTS_ANYONE, /* of a TCP port: few at once, and none for long */
};

/* listen_fd is taken over on success. */
int api_server_new(int listen_fd, enum api_clients clients, api_handler_fn handler, void *user,
                   struct api_server **ret, struct pi_error *err);
void api_server_free(struct api_server *server);

/* Serves a connection that was accepted elsewhere; fd is taken over, also on failure. */
void api_server_add(struct api_server *server, int fd);

/* For the loop: run when the descriptor is readable or the timeout (-1: none) has passed. */
int api_server_fd(const struct api_server *server);
int api_server_timeout_ms(struct api_server *server);
void api_server_run(struct api_server *server);

/* Tells the streams with this topic that there is something new to read. */
void api_server_wake(struct api_server *server, const void *topic);
/* Ends the streams with this topic, when read() has nothing more for them. Call it when the topic goes away. */
void api_server_end(struct api_server *server, const void *topic);

/* The request. The strings live as long as the call. */
const char *api_call_method(const struct api_call *call);
const char *api_call_path(const struct api_call *call);
const char *api_call_query(struct api_call *call, const char *name); /* NULL when absent */
/* Calls fn for each query parameter (value may be NULL) until one returns negative, which is returned. */
int api_call_each_query(struct api_call *call, int (*fn)(const char *name, const char *value, void *user),
                        void *user);
const struct pi_buf *api_call_body(const struct api_call *call);

/* The body as a JSON object, an empty one for an empty body: new reference, or NULL with err filled. */
json_t *api_call_json(const struct api_call *call, struct pi_error *err);

/* The answers. Exactly one of them ends the call, which must not be touched afterwards. body is stolen. */
void api_reply(struct api_call *call, unsigned status, json_t *body);
/* Text of another type. text is emptied. */
void api_reply_text(struct api_call *call, const char *type, struct pi_buf *text);
void api_reply_error(struct api_call *call, const struct pi_error *err);
/* Status 405; allow lists the methods that the path has: "GET, POST". */
void api_reply_not_allowed(struct api_call *call, const char *allow, const struct pi_error *err);
void api_reply_stream(struct api_call *call, const struct api_stream *stream);

#endif
