/* SPDX-License-Identifier: MIT */
#include "agent/api/control_server.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/auto.h"

#define CONNECTIONS_MAX 4096
#define ANYONES_MAX     16 /* connections of API_CLIENTS_ANYONE */
/* Two streams for each of a thousand instances in the foreground, and some more. The remaining connections are for
 * requests, so that the agent can always be asked. */
#define STREAMS_MAX  (CONNECTIONS_MAX - 256)
#define HEADERS_MAX  ((size_t)32 << 10)
#define STREAM_BLOCK ((size_t)16 << 10)
/* An idle connection between requests; a suspended one (a stream that waits) has no time limit. */
#define IDLE_SECONDS         60u
#define ANYONES_IDLE_SECONDS 10u

struct api_call {
    struct api_server *server;
    struct MHD_Connection *connection;
    const char *method;
    char *path;
    struct pi_buf body;
    bool too_large;
    bool in_handler; /* the access handler is on the stack: a reply is queued there, not resumed */
    bool replied;
    bool failed; /* there was no memory for the reply */

    struct api_stream stream;
    bool streams, suspended, ending;
    LIST_ENTRY(api_call) entry;
};

struct api_server {
    struct MHD_Daemon *daemon;
    int epoll_fd; /* MHD's own, and the sockets of the streams: for the end of their clients only */
    enum api_clients clients;
    unsigned stream_count;
    api_handler_fn handler;
    void *user;
    bool resumed; /* connections were resumed: MHD must run now, and does not ask for it in a loop of ours */
    bool stopping;
    LIST_HEAD(, api_call) calls;
};

static const unsigned statuses[PI_KINDS] = {
    [PI_FAILED] = 500, [PI_USAGE] = 400,   [PI_NOT_FOUND] = 404, [PI_CONFLICT] = 409, [PI_UNVERIFIED] = 422,
    [PI_HOST] = 507,   [PI_NETWORK] = 502, [PI_GUEST] = 500,     [PI_TIMEOUT] = 504,  [PI_AGENT] = 503,
};

const char *api_call_method(const struct api_call *call)
{
    return call->method;
}

const char *api_call_path(const struct api_call *call)
{
    return call->path;
}

const char *api_call_query(struct api_call *call, const char *name)
{
    return MHD_lookup_connection_value(call->connection, MHD_GET_ARGUMENT_KIND, name);
}

struct each_query {
    int (*fn)(const char *name, const char *value, void *user);
    void *user;
    int result;
};

static enum MHD_Result on_query_value(void *user, enum MHD_ValueKind kind, const char *name,
                                      const char *value)
{
    struct each_query *each = user;
    (void)kind;
    each->result = each->fn(name, value, each->user);
    return each->result < 0 ? MHD_NO : MHD_YES;
}

int api_call_each_query(struct api_call *call, int (*fn)(const char *name, const char *value, void *user),
                        void *user)
{
    struct each_query each = {.fn = fn, .user = user};
    MHD_get_connection_values(call->connection, MHD_GET_ARGUMENT_KIND, on_query_value, &each);
    return each.result;
}

const struct pi_buf *api_call_body(const struct api_call *call)
{
    return &call->body;
}

json_t *api_call_json(const struct api_call *call, struct pi_error *err)
{
    if (!call->body.size)
        return json_object();
    return pi_json_parse(call->body.data, call->body.size, err);
}

static void resume_connection(struct api_call *call)
{
    call->suspended = false;
    call->server->resumed = true;
    MHD_resume_connection(call->connection);
}

static void queue_reply(struct api_call *call, unsigned status, struct MHD_Response *response)
{
    call->failed = !response || MHD_queue_response(call->connection, status, response) != MHD_YES;
    if (response)
        MHD_destroy_response(response);
    call->replied = true;
    if (!call->in_handler)
        resume_connection(call);
}

/* text (NULL: there was no memory for it) is taken over. */
static void reply_with(struct api_call *call, unsigned status, const char *type, char *text, size_t size,
                       const char *allow)
{
    struct MHD_Response *response =
        text ? MHD_create_response_from_buffer(size, text, MHD_RESPMEM_MUST_FREE) : NULL;
    if (response)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    else
        free(text);
    if (response && allow)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allow);
    queue_reply(call, status, response);
}

static void reply_json(struct api_call *call, unsigned status, json_t *body, const char *allow)
{
    json_auto_t *owned = body;
    char *text = owned ? json_dumps(owned, JSON_COMPACT) : NULL;
    size_t length = text ? strlen(text) : 0;
    if (text)
        text[length] = '\n'; /* in place of its NUL, which nobody reads */
    reply_with(call, status, "application/json", text, length + 1, allow);
}

void api_reply_text(struct api_call *call, const char *type, struct pi_buf *text)
{
    size_t size = text->size;
    reply_with(call, MHD_HTTP_OK, type, pi_steal(text->data), size, NULL);
    *text = (struct pi_buf){0};
}

void api_reply(struct api_call *call, unsigned status, json_t *body)
{
    reply_json(call, status, body, NULL);
}

static json_t *failure_json(const struct pi_error *err)
{
    return json_pack("{s:o}", "error", pi_failure_write(err));
}

void api_reply_error(struct api_call *call, const struct pi_error *err)
{
    reply_json(call, statuses[err->kind] ? statuses[err->kind] : 500, failure_json(err), NULL);
}

void api_reply_not_allowed(struct api_call *call, const char *allow, const struct pi_error *err)
{
    reply_json(call, MHD_HTTP_METHOD_NOT_ALLOWED, failure_json(err), allow);
}

static int socket_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

static bool client_is_gone(struct MHD_Connection *connection)
{
    char byte;
    ssize_t n = recv(socket_of(connection), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    /* A client that had not read all of it leaves ECONNRESET behind. */
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static ssize_t stream_read(void *user, uint64_t position, char *buf, size_t max)
{
    struct api_call *call = user;
    (void)position;
    long n = call->stream.read(call->stream.source, buf, max);
    if (n > 0)
        return n;
    if (n < 0 || call->ending)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (client_is_gone(call->connection))
        return MHD_CONTENT_READER_END_WITH_ERROR;
    call->suspended = true;
    MHD_suspend_connection(call->connection);
    return 0;
}

/* MHD does not look at a suspended connection. Without this watch, nobody would see that its client has gone until
 * there is something to send. */
static int watch_client(struct api_call *call)
{
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = call};
    return epoll_ctl(call->server->epoll_fd, EPOLL_CTL_ADD, socket_of(call->connection), &event);
}

static void end_stream(struct api_call *call)
{
    epoll_ctl(call->server->epoll_fd, EPOLL_CTL_DEL, socket_of(call->connection), NULL);
    call->server->stream_count--;
    if (call->stream.close)
        call->stream.close(call->stream.source);
}

void api_reply_stream(struct api_call *call, const struct api_stream *stream)
{
    if (call->server->stream_count == STREAMS_MAX || watch_client(call) < 0) {
        struct pi_error err;
        pi_refuse(
            &err, PI_AGENT,
            "%u consoles and logs are being followed, and there is no room for more: end some of them first",
            call->server->stream_count);
        if (stream->close)
            stream->close(stream->source);
        api_reply_error(call, &err);
        return;
    }
    call->stream = *stream;
    call->streams = true;
    call->server->stream_count++;
    /* A client that does not read for a while (Ctrl-S) costs a descriptor and no memory. It goes on where it stopped. */
    MHD_set_connection_option(call->connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, stream_read, call, NULL);
    if (response)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, stream->content_type);
    queue_reply(call, MHD_HTTP_OK, response);
}

static void resume_streams(struct api_server *server, const void *topic, bool ending)
{
    struct api_call *call;
    LIST_FOREACH(call, &server->calls, entry) {
        if (!call->streams || (topic && call->stream.topic != topic))
            continue;
        call->ending |= ending;
        if (call->suspended)
            resume_connection(call);
    }
}

void api_server_wake(struct api_server *server, const void *topic)
{
    resume_streams(server, topic, false);
}

void api_server_end(struct api_server *server, const void *topic)
{
    resume_streams(server, topic, true);
}

/* Peer credentials beat whatever the request claims. The socket is 0600; this check also holds if its folder is open
 * to others. */
static bool peer_allowed(struct MHD_Connection *connection)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    return getsockopt(socket_of(connection), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}

static struct api_call *call_new(struct api_server *server, struct MHD_Connection *connection,
                                 const char *method, const char *path)
{
    struct api_call *call = calloc(1, sizeof *call);
    if (!call || !(call->path = strdup(path))) {
        free(call);
        return NULL;
    }
    call->server = server;
    call->connection = connection;
    call->method = method;
    call->body.max = API_BODY_MAX;
    LIST_INSERT_HEAD(&server->calls, call, entry);
    return call;
}

static void reply_stopped(struct api_call *call)
{
    struct pi_error err;
    pi_refuse(&err, PI_AGENT, "the agent was stopped");
    api_reply_error(call, &err);
}

static void handle_call(struct api_call *call)
{
    struct pi_error err;
    call->in_handler = true;
    if (call->server->clients == API_CLIENTS_OWNER && !peer_allowed(call->connection)) {
        pi_refuse(&err, PI_AGENT, "this agent belongs to another user");
        api_reply_error(call, &err);
    } else if (call->too_large) {
        pi_refuse(&err, PI_USAGE, "the request is larger than %zu bytes", API_BODY_MAX);
        api_reply_error(call, &err);
    } else if (call->server->stopping) {
        reply_stopped(call);
    } else {
        call->server->handler(call, call->server->user);
    }
    call->in_handler = false;
    if (!call->replied) {
        call->suspended = true;
        MHD_suspend_connection(call->connection);
    }
}

static enum MHD_Result on_api_request(void *user, struct MHD_Connection *connection, const char *path,
                                      const char *method, const char *version, const char *data, size_t *size,
                                      void **state)
{
    struct api_call *call = *state;
    (void)version;
    if (!call) {
        *state = call_new(user, connection, method, path);
        return *state ? MHD_YES : MHD_NO;
    }
    if (*size) {
        /* The rest of a body that is too large is read and dropped, so that the client gets its answer. */
        call->too_large |= pi_buf_add(&call->body, data, *size) < 0;
        *size = 0;
        return MHD_YES;
    }
    if (!call->replied)
        handle_call(call);
    /* If the reply could not be made, MHD would ask for it for ever. MHD_NO makes it close the connection. */
    return call->failed ? MHD_NO : MHD_YES;
}

static void on_api_completed(void *user, struct MHD_Connection *connection, void **state,
                             enum MHD_RequestTerminationCode code)
{
    struct api_call *call = *state;
    (void)user;
    (void)connection;
    (void)code;
    if (!call)
        return;
    *state = NULL;
    LIST_REMOVE(call, entry);
    if (call->streams)
        end_stream(call);
    pi_buf_done(&call->body);
    free(call->path);
    free(call);
}

/* MHD complains about clients that went away. A person could do nothing about that. */
__attribute__((format(printf, 2, 0))) static void no_log(void *user, const char *format, va_list args)
{
    (void)user;
    (void)format;
    (void)args;
}

/* A NUL would end the text early, so that "web%00x" named the instance "web". A text with a NUL stays escaped, and no
 * instance has such a name. */
static size_t unescape_without_nul(void *user, struct MHD_Connection *connection, char *text)
{
    (void)user;
    (void)connection;
    return strstr(text, "%00") ? strlen(text) : MHD_http_unescape(text);
}

static int watch_mhd(struct api_server *server)
{
    struct epoll_event event = {.events = EPOLLIN};
    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return server->epoll_fd < 0
               ? -1
               : epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD,
                           MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd, &event);
}

int api_server_new(int listen_fd, enum api_clients clients, api_handler_fn handler, void *user,
                   struct api_server **ret, struct pi_error *err)
{
    bool owner = clients == API_CLIENTS_OWNER;
    pi_auto_free struct api_server *server = calloc(1, sizeof *server);
    if (!server)
        return pi_fail(err, ENOMEM, "control API");
    server->clients = clients;
    server->handler = handler;
    server->user = user;
    LIST_INIT(&server->calls);
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_api_request, server,
        MHD_OPTION_EXTERNAL_LOGGER, no_log, NULL, MHD_OPTION_UNESCAPE_CALLBACK, unescape_without_nul, NULL,
        MHD_OPTION_LISTEN_SOCKET, (MHD_socket)listen_fd, MHD_OPTION_NOTIFY_COMPLETED, on_api_completed,
        server, MHD_OPTION_CONNECTION_LIMIT, owner ? (unsigned)CONNECTIONS_MAX : (unsigned)ANYONES_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, owner ? IDLE_SECONDS : ANYONES_IDLE_SECONDS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, HEADERS_MAX, MHD_OPTION_END);
    if (!server->daemon)
        return pi_fail(err, EIO, "the control API's server did not start");
    if (watch_mhd(server) < 0) {
        int r = pi_fail(err, errno, "control API");
        MHD_quiesce_daemon(server->daemon); /* it must not close the caller's descriptor */
        api_server_free(pi_steal(server));
        return r;
    }
    *ret = pi_steal(server);
    return 0;
}

void api_server_free(struct api_server *server)
{
    if (!server)
        return;
    struct api_call *call;
    /* From here on no request reaches the handler or is suspended: MHD cannot stop with a suspended connection. */
    server->stopping = true;
    LIST_FOREACH(call, &server->calls, entry)
        if (call->suspended && !call->replied)
            reply_stopped(call);
    api_server_end(server, NULL);
    /* Sends the replies that were just queued. A client that does not read is not waited for. */
    MHD_run(server->daemon);
    MHD_run(server->daemon);
    resume_streams(server, NULL, true);
    MHD_stop_daemon(server->daemon);
    pi_close_p(&server->epoll_fd);
    free(server);
}

void api_server_add(struct api_server *server, int fd)
{
    const struct sockaddr nobody = {.sa_family = AF_UNIX};
    MHD_add_connection(server->daemon, fd, &nobody, sizeof nobody);
}

int api_server_fd(const struct api_server *server)
{
    return server->epoll_fd;
}

int api_server_timeout_ms(struct api_server *server)
{
    MHD_UNSIGNED_LONG_LONG ms;
    if (server->resumed)
        return 0;
    if (MHD_get_timeout(server->daemon, &ms) != MHD_YES)
        return -1;
    return ms > 3600000 ? 3600000 : (int)ms;
}

void api_server_run(struct api_server *server)
{
    struct epoll_event events[64];
    int count = epoll_wait(server->epoll_fd, events, PI_ARRAY_SIZE(events), 0);
    for (int i = 0; i < count; i++) {
        struct api_call *call = events[i].data.ptr;
        if (call && call->suspended)
            resume_connection(call);
    }
    server->resumed = false;
    MHD_run(server->daemon);
    /* The first closes connections, and the next one listens again if there were too many. */
    MHD_run(server->daemon);
}
