/* SPDX-License-Identifier: MIT */
#include "imds/server.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "imds/route.h"

/* A connection that was cut exists until libmicrohttpd notices. This many new ones may come meanwhile. */
#define CUT_SLACK 64

struct connection {
    TAILQ_ENTRY(connection) link;
    int fd;   /* libmicrohttpd's */
    bool cut; /* it is no longer in the list */
    uint64_t deadline_ms;
    struct imds_route route;
    bool granted; /* it is sent a document */
    bool kept;    /* the client wants to ask for more on it */
    bool keep_body;
    char *body;
    size_t body_size;
    char user_agent[64];
};

TAILQ_HEAD(connections, connection);

struct imds_server {
    struct MHD_Daemon *daemon;
    struct MHD_Response *nothing;
    struct imds_registry *registry;
    struct imds_handler handler;
    void *user;
    struct imds_limits limits;
    uint64_t now_ms;
    struct connections connections; /* oldest first, so that the first has the earliest deadline */
    unsigned connection_count;
};

/* libmicrohttpd has no call that closes a connection. It closes one whose socket was shut down. */
static void cut_connection(struct imds_server *server, struct connection *c)
{
    TAILQ_REMOVE(&server->connections, c, link);
    server->connection_count--;
    c->cut = true;
    shutdown(c->fd, SHUT_RDWR);
}

static void connection_opened(struct imds_server *server, struct MHD_Connection *mhd, void **context)
{
    int fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    struct connection *c = calloc(1, sizeof(*c));
    if (!c) {
        shutdown(fd, SHUT_RDWR);
        return;
    }
    if (server->connection_count == server->limits.connections)
        cut_connection(server, TAILQ_FIRST(&server->connections));
    c->fd = fd;
    c->deadline_ms = server->now_ms + server->limits.request_ms;
    TAILQ_INSERT_TAIL(&server->connections, c, link);
    server->connection_count++;
    *context = c;
}

/* The connection waits for its next request, with the deadline of a new one. */
static void connection_renewed(struct imds_server *server, struct connection *c)
{
    if (c->cut)
        return;
    c->deadline_ms = server->now_ms + server->limits.request_ms;
    TAILQ_REMOVE(&server->connections, c, link);
    TAILQ_INSERT_TAIL(&server->connections, c, link);
}

static void connection_closed(struct imds_server *server, struct connection *c)
{
    if (!c->cut) {
        TAILQ_REMOVE(&server->connections, c, link);
        server->connection_count--;
    }
    free(c->body);
    free(c);
}

static void on_connection(void *user, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        connection_opened(user, mhd, context);
    else if (*context)
        connection_closed(user, *context);
}

static void copy_user_agent(struct MHD_Connection *mhd, char *ret, size_t size)
{
    const char *text = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, MHD_HTTP_HEADER_USER_AGENT);
    for (; text && *text && size > 1; text++, size--)
        *ret++ = *text >= ' ' && *text <= '~' ? *text : '?';
    *ret = '\0';
}

static bool asks_to_keep(struct MHD_Connection *mhd)
{
    const char *text = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONNECTION);
    return text && strcasecmp(text, "keep-alive") == 0;
}

static void request_begins(const struct imds_server *server, struct connection *c, struct MHD_Connection *mhd,
                           const char *method, const char *path)
{
    imds_route_parse(method, path, &c->route);
    const struct imds_entry *entry = imds_registry_find(server->registry, c->route.key);
    c->granted = false;
    c->kept = asks_to_keep(mhd);
    c->keep_body = c->route.target == IMDS_ROUTE_EVENTS && entry && entry->reports;
    copy_user_agent(mhd, c->user_agent, sizeof(c->user_agent));
}

/* Reads a body to its end even if nobody wants it: closing a socket with unread bytes resets the connection,
 * and the answer is lost. */
static void body_arrives(const struct imds_server *server, struct connection *c, const char *data,
                         size_t size)
{
    if (!c->keep_body)
        return;
    char *body =
        size <= server->limits.body_bytes - c->body_size ? realloc(c->body, c->body_size + size) : NULL;
    if (!body) {
        free(c->body);
        c->body = NULL;
        c->keep_body = false;
        return;
    }
    memcpy(body + c->body_size, data, size);
    c->body = body;
    c->body_size += size;
}

static void release_document(void *bytes)
{
    imds_blob_unref(imds_blob_of(bytes));
}

static enum MHD_Result send_document(struct MHD_Connection *mhd, struct imds_blob *blob, const char *type,
                                     bool kept)
{
    struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback(
        blob->size, imds_blob_ref(blob)->bytes, release_document);
    if (!response) {
        imds_blob_unref(blob);
        return MHD_NO;
    }
    enum MHD_Result r = MHD_NO;
    if (MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES &&
        (kept || MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_YES))
        r = MHD_queue_response(mhd, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return r;
}

static void hand_on_report(const struct imds_server *server, const struct connection *c, void *owner)
{
    struct imds_report report;
    if (server->handler.reported && c->keep_body &&
        imds_report_parse(c->body ? c->body : "", c->body_size, &report) == 0)
        server->handler.reported(owner, &report, server->user);
}

/* The entry of the client's key, if that gives access to what the client asks for; else NULL. */
static const struct imds_entry *find_granted(const struct imds_server *server, const struct connection *c)
{
    const struct imds_entry *entry = imds_registry_find(server->registry, c->route.key);
    bool document = c->route.target == IMDS_ROUTE_DOCUMENT;
    return entry && (document ? entry->documents[c->route.document] != NULL : entry->reports) ? entry : NULL;
}

static enum MHD_Result answer_document(const struct imds_server *server, struct connection *c,
                                       struct MHD_Connection *mhd, const struct imds_entry *entry)
{
    enum imds_document document = c->route.document;
    if (server->handler.wanted && !server->handler.wanted(entry->owner, document, server->user))
        return MHD_queue_response(mhd, MHD_HTTP_TOO_MANY_REQUESTS, server->nothing);
    if (!(entry = find_granted(server, c))) /* the callback may have changed the registry */
        return MHD_queue_response(mhd, MHD_HTTP_NOT_FOUND, server->nothing);
    c->granted = true;
    return send_document(mhd, entry->documents[document],
                         document == IMDS_PEERS ? "application/json" : "text/plain", c->kept);
}

static enum MHD_Result request_ends(const struct imds_server *server, struct connection *c,
                                    struct MHD_Connection *mhd)
{
    const struct imds_entry *entry = find_granted(server, c);
    if (!entry)
        return MHD_queue_response(mhd, MHD_HTTP_NOT_FOUND, server->nothing);
    if (c->route.target == IMDS_ROUTE_DOCUMENT)
        return answer_document(server, c, mhd, entry);
    hand_on_report(server, c, entry->owner);
    return MHD_queue_response(mhd, MHD_HTTP_OK, server->nothing);
}

static enum MHD_Result on_imds_request(void *user, struct MHD_Connection *mhd, const char *path,
                                       const char *method, const char *version, const char *data,
                                       size_t *size, void **request)
{
    (void)version;
    struct connection *c = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    if (!c)
        return MHD_NO;
    if (!*request) {
        *request = c;
        request_begins(user, c, mhd, method, path);
        return MHD_YES;
    }
    if (*size > 0) {
        body_arrives(user, c, data, *size);
        *size = 0;
        return MHD_YES;
    }
    return request_ends(user, c, mhd);
}

static void on_imds_completed(void *user, struct MHD_Connection *mhd, void **request,
                              enum MHD_RequestTerminationCode how)
{
    (void)mhd;
    struct imds_server *server = user;
    struct connection *c = *request;
    if (!c || how != MHD_REQUEST_TERMINATED_COMPLETED_OK || !c->granted)
        return;
    connection_renewed(server, c);
    if (!server->handler.served || c->route.head)
        return;
    const struct imds_entry *entry = imds_registry_find(server->registry, c->route.key);
    if (entry && entry->documents[c->route.document])
        server->handler.served(entry->owner, c->route.document, c->user_agent, server->user);
}

/* Guests must not take the descriptors that the rest of the process needs. */
static unsigned connections_affordable(unsigned wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur / 2 >= wanted)
        return wanted;
    return limit.rlim_cur >= 4 ? (unsigned)(limit.rlim_cur / 2) : 1;
}

static struct imds_limits limits_or_defaults(const struct imds_limits *wanted)
{
    struct imds_limits limits = wanted ? *wanted : (struct imds_limits){0};
    limits.connections = connections_affordable(limits.connections ? limits.connections : 4096);
    if (limits.request_ms == 0)
        limits.request_ms = 60000;
    if (limits.header_bytes == 0)
        limits.header_bytes = (size_t)8 << 10;
    if (limits.body_bytes == 0)
        limits.body_bytes = IMDS_REPORT_MAX;
    return limits;
}

static int check_listening(int fd)
{
    int listening = 0;
    socklen_t size = sizeof(listening);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0)
        return -errno;
    return listening ? 0 : -EINVAL;
}

static int make_nothing(struct MHD_Response **ret)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (!response)
        return -ENOMEM;
    if (MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close") != MHD_YES) {
        MHD_destroy_response(response);
        return -ENOMEM;
    }
    *ret = response;
    return 0;
}

/*
 * Without MHD_USE_ERROR_LOG, libmicrohttpd logs nothing. It closes the descriptor that it got, after some
 * failures too, so it gets a duplicate.
 */
static int start_daemon(struct imds_server *server, int listen_fd)
{
    if (fcntl(listen_fd, F_SETFL, fcntl(listen_fd, F_GETFL) | O_NONBLOCK) < 0)
        return -errno;
    int own_fd = fcntl(listen_fd, F_DUPFD_CLOEXEC, 0);
    if (own_fd < 0)
        return -errno;
    errno = 0;
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL, 0, NULL, NULL, on_imds_request, server, MHD_OPTION_LISTEN_SOCKET, own_fd,
        MHD_OPTION_CONNECTION_LIMIT, server->limits.connections + CUT_SLACK,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, server->limits.header_bytes, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, server, MHD_OPTION_NOTIFY_COMPLETED, on_imds_completed, server, MHD_OPTION_END);
    if (server->daemon)
        return 0;
    return errno ? -errno : -ENOMEM;
}

int imds_server_new(int listen_fd, struct imds_registry *registry, const struct imds_handler *handler,
                    void *user, const struct imds_limits *limits, struct imds_server **ret)
{
    int r = check_listening(listen_fd);
    if (r < 0)
        return r;
    struct imds_server *server = calloc(1, sizeof(*server));
    if (!server)
        return -ENOMEM;
    server->registry = registry;
    server->handler = *handler;
    server->user = user;
    server->limits = limits_or_defaults(limits);
    TAILQ_INIT(&server->connections);
    r = make_nothing(&server->nothing);
    if (r == 0)
        r = start_daemon(server, listen_fd);
    if (r < 0) {
        imds_server_free(server);
        return r;
    }
    close(listen_fd);
    *ret = server;
    return 0;
}

int imds_server_add(struct imds_server *server, int fd, uint64_t now_ms)
{
    /* A dummy address: nothing here asks for it. */
    const struct sockaddr nobody = {.sa_family = AF_UNIX};
    server->now_ms = now_ms;
    return MHD_add_connection(server->daemon, fd, &nobody, sizeof(nobody)) == MHD_YES ? 0 : -ECONNABORTED;
}

int imds_server_fd(const struct imds_server *server)
{
    return MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

int imds_server_timeout_ms(const struct imds_server *server, uint64_t now_ms)
{
    unsigned long long pending;
    if (MHD_get_timeout(server->daemon, &pending) == MHD_YES && pending == 0)
        return 0;
    const struct connection *oldest = TAILQ_FIRST(&server->connections);
    if (!oldest)
        return -1;
    uint64_t left = oldest->deadline_ms > now_ms ? oldest->deadline_ms - now_ms : 0;
    return left < INT_MAX ? (int)left : INT_MAX;
}

void imds_server_run(struct imds_server *server, uint64_t now_ms)
{
    server->now_ms = now_ms;
    struct connection *oldest;
    while ((oldest = TAILQ_FIRST(&server->connections)) && oldest->deadline_ms <= now_ms)
        cut_connection(server, oldest);
    MHD_run(server->daemon);
}

void imds_server_free(struct imds_server *server)
{
    if (!server)
        return;
    if (server->daemon)
        MHD_stop_daemon(server->daemon);
    if (server->nothing)
        MHD_destroy_response(server->nothing);
    free(server);
}
