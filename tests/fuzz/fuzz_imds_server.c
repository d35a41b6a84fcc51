/* SPDX-License-Identifier: MIT */
/*
 * A guest's whole connection, as its bytes come: 0xff between them lets the server run and 5 seconds pass.
 * Whatever it sends, it is answered by HTTP or not at all, its report is well-formed, and the guest after it
 * is served.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "imds/server.h"

#undef NDEBUG
#include <assert.h>

#define KEY       "0123456789abcdef0123456789abcdef"
#define PEERS_KEY "fedcba9876543210fedcba9876543210"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct service {
    struct imds_registry *registry;
    struct imds_server *server;
    struct sockaddr_un address;
    socklen_t address_size;
    uint64_t now_ms;
    unsigned served;
};

static void on_served(void *owner, enum imds_document document, const char *user_agent, void *user)
{
    struct service *service = user;
    assert(owner == service && document < IMDS_DOCUMENTS);
    for (const char *c = user_agent; *c; c++)
        assert(*c >= ' ' && *c <= '~');
    service->served++;
}

static void on_reported(void *owner, const struct imds_report *report, void *user)
{
    assert(owner == user && report->name[0]);
}

static struct service *service_new(void)
{
    static const struct imds_handler handler = {.served = on_served, .reported = on_reported};
    static const struct imds_bytes peers = {"[]", 2};
    static const struct imds_seed seed = {.documents = {{"meta", 4}, {"user", 4}, {"vendor", 6}, {NULL, 0}}};
    struct service *service = calloc(1, sizeof *service);
    assert(service);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    service->address.sun_family = AF_UNIX; /* abstract, named by the kernel */
    service->address_size = sizeof service->address;
    assert(bind(fd, (struct sockaddr *)&service->address, sizeof(sa_family_t)) == 0 && listen(fd, 16) == 0);
    assert(getsockname(fd, (struct sockaddr *)&service->address, &service->address_size) == 0);
    assert(imds_registry_new(&service->registry) == 0);
    assert(imds_registry_put(service->registry, KEY, &seed, true, service) == 0);
    assert(imds_registry_put_peers(service->registry, PEERS_KEY, &peers, service) == 0);
    assert(imds_server_new(fd, service->registry, &handler, service, NULL, &service->server) == 0);
    return service;
}

static int dial(const struct service *service)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert(connect(fd, (const struct sockaddr *)&service->address, service->address_size) == 0);
    return fd;
}

/* As often as it takes to accept, read, answer and close. */
static void run(struct service *service)
{
    for (int i = 0; i < 4; i++)
        imds_server_run(service->server, service->now_ms);
}

static void hang_up(struct service *service, int fd)
{
    close(fd);
    run(service);
}

static void converse(struct service *service, const uint8_t *data, size_t size)
{
    char answer[512];
    int fd = dial(service);
    while (size) {
        const uint8_t *pause = memchr(data, 0xff, size);
        size_t part = pause ? (size_t)(pause - data) : size;
        if (part)
            (void)!send(fd, data, part, MSG_NOSIGNAL);
        run(service);
        service->now_ms += pause ? 5000 : 0;
        data += part + (pause != NULL);
        size -= part + (pause != NULL);
    }
    ssize_t n = recv(fd, answer, sizeof answer, 0);
    assert(n <= 0 || (n > 12 && memcmp(answer, "HTTP/1.1 ", 9) == 0));
    hang_up(service, fd);
}

static void serve_honest(struct service *service)
{
    static const char request[] = "GET /" KEY "/user-data HTTP/1.1\r\nHost: x\r\n\r\n";
    char answer[512];
    unsigned before = service->served;
    int fd = dial(service);
    assert(send(fd, request, sizeof request - 1, MSG_NOSIGNAL) == (ssize_t)sizeof request - 1);
    run(service);
    ssize_t n = recv(fd, answer, sizeof answer, 0);
    assert(n > 16 && memcmp(answer, "HTTP/1.1 200", 12) == 0 && memcmp(answer + n - 4, "user", 4) == 0);
    hang_up(service, fd);
    assert(service->served == before + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct service *service;
    if (!service)
        service = service_new();
    converse(service, data, size);
    serve_honest(service);
    return 0;
}
