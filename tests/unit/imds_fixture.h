/* SPDX-License-Identifier: MIT */
/*
 * A server and its clients in one thread: the clock is the test's, and clients' sockets are spoken to while
 * the server is driven between. Included by the tests of the server.
 */
#ifndef TESTS_IMDS_FIXTURE_H
#define TESTS_IMDS_FIXTURE_H

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "imds/server.h"

#define KEY   "0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210"

struct fixture {
    struct imds_registry *registry;
    struct imds_server *server;
    struct sockaddr_storage address;
    socklen_t address_size;
    uint64_t now_ms;
    unsigned served, reported;
    void *last_owner;
    enum imds_document last_document;
    char last_agent[64];
    struct imds_report last_report;
    const char *remove_when_reported;
    const char *renewed; /* the list of peers under KEY that a client's wish makes; "" = it removes it */
    bool turn_away;
};

static bool renew_wanted(void *owner, enum imds_document document, void *user)
{
    struct fixture *fx = user;
    (void)owner, (void)document;
    if (fx->renewed && *fx->renewed) {
        const struct imds_bytes peers = {fx->renewed, strlen(fx->renewed)};
        assert_int_equal(imds_registry_put_peers(fx->registry, KEY, &peers, fx), 0);
    } else if (fx->renewed) {
        assert_int_equal(imds_registry_remove(fx->registry, KEY), 0);
    }
    return !fx->turn_away;
}

static void note_served(void *owner, enum imds_document document, const char *user_agent, void *user)
{
    struct fixture *fx = user;
    fx->served++;
    fx->last_owner = owner;
    fx->last_document = document;
    snprintf(fx->last_agent, sizeof(fx->last_agent), "%s", user_agent);
}

static void note_reported(void *owner, const struct imds_report *report, void *user)
{
    struct fixture *fx = user;
    fx->reported++;
    fx->last_owner = owner;
    fx->last_report = *report;
    if (fx->remove_when_reported)
        imds_registry_remove(fx->registry, fx->remove_when_reported);
}

/* A listener of the family, AF_INET or AF_UNIX (abstract, named by the kernel). */
static inline int listen_anywhere(int family, struct sockaddr_storage *ret, socklen_t *ret_size)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (family == AF_INET)
        assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    else
        assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(sa_family_t)), 0);
    assert_int_equal(listen(fd, SOMAXCONN), 0);
    *ret_size = sizeof(*ret);
    assert_int_equal(getsockname(fd, (struct sockaddr *)ret, ret_size), 0);
    return fd;
}

static inline struct fixture *fixture_new(int family, const struct imds_limits *limits)
{
    static const struct imds_handler handler = {
        .wanted = renew_wanted, .served = note_served, .reported = note_reported};
    struct fixture *fx = calloc(1, sizeof(*fx));
    assert_non_null(fx);
    fx->now_ms = 1000000;
    int fd = listen_anywhere(family, &fx->address, &fx->address_size);
    assert_int_equal(imds_registry_new(&fx->registry), 0);
    assert_int_equal(imds_server_new(fd, fx->registry, &handler, fx, limits, &fx->server), 0);
    return fx;
}

static inline void fixture_free(struct fixture *fx)
{
    imds_server_free(fx->server);
    imds_registry_free(fx->registry);
    free(fx);
}

static inline void put(struct fixture *fx, const char *key, enum imds_document document, const void *data,
                       size_t size, void *owner)
{
    struct imds_seed seed = {0};
    seed.documents[document] = (struct imds_bytes){data, size};
    assert_int_equal(imds_registry_put(fx->registry, key, &seed, true, owner), 0);
}

/* Runs the server until it has nothing to do for a moment. */
static inline void settle(struct fixture *fx)
{
    for (int runs = 0;; runs++) {
        assert_true(runs < 1000000);
        struct pollfd p = {.fd = imds_server_fd(fx->server), .events = POLLIN};
        if (poll(&p, 1, 1) == 0 && imds_server_timeout_ms(fx->server, fx->now_ms) != 0)
            return;
        imds_server_run(fx->server, fx->now_ms);
    }
}

static inline int dial(const struct fixture *fx)
{
    int fd = socket(fx->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&fx->address, fx->address_size), 0);
    return fd;
}

/* Sends what the server takes, for at most 10 seconds; it may end the connection before that. */
static inline void say(struct fixture *fx, int fd, const void *data, size_t size)
{
    const char *next = data;
    for (int idle = 0; size > 0 && idle < 10000; idle++) {
        ssize_t n = send(fd, next, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            break;
        if (n > 0) {
            next += n;
            size -= (size_t)n;
            idle = 0;
        }
        settle(fx);
    }
}

/* Reads to the end of the connection, at most 10 idle seconds. The answer is NUL-terminated and the caller's;
 * NULL if the connection is still open or was reset before any byte. */
static inline char *hear(struct fixture *fx, int fd, size_t *ret_size)
{
    size_t size = 0, room = 0;
    char *answer = NULL;
    ssize_t n = -1;
    for (int idle = 0; idle < 10000; idle++) {
        if (size == room) {
            room = room ? room * 4 : 4096;
            answer = realloc(answer, room + 1);
            assert_non_null(answer);
        }
        settle(fx);
        n = recv(fd, answer + size, room - size, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            break;
        if (n > 0) {
            size += (size_t)n;
            idle = 0;
        }
    }
    answer[size] = '\0';
    if (ret_size)
        *ret_size = size;
    if (n < 0 && size == 0) {
        free(answer);
        return NULL;
    }
    return answer;
}

static inline bool is_open(struct fixture *fx, int fd)
{
    char byte;
    settle(fx);
    return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

/* One whole exchange; the answer is the caller's. */
static inline char *ask_bytes(struct fixture *fx, const void *request, size_t size, size_t *ret_size)
{
    int fd = dial(fx);
    say(fx, fd, request, size);
    char *answer = hear(fx, fd, ret_size);
    close(fd);
    return answer;
}

static inline char *ask(struct fixture *fx, const char *method, const char *path)
{
    char request[512];
    int size = snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: x\r\nUser-Agent: test/1\r\n\r\n",
                        method, path);
    return ask_bytes(fx, request, (size_t)size, NULL);
}

static inline char *post(struct fixture *fx, const char *path, const char *body, size_t body_size)
{
    char *request = malloc(512 + body_size);
    int size =
        snprintf(request, 512, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", path, body_size);
    memcpy(request + size, body, body_size);
    char *answer = ask_bytes(fx, request, (size_t)size + body_size, NULL);
    free(request);
    return answer;
}

static inline bool has_status(const char *answer, int status)
{
    char line[32];
    snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
    return answer && strncmp(answer, line, strlen(line)) == 0;
}

/* The start of the body. */
static inline char *body_of(char *answer)
{
    char *end = answer ? strstr(answer, "\r\n\r\n") : NULL;
    assert_non_null(end);
    return end + 4;
}

#endif
