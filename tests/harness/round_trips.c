/* SPDX-License-Identifier: MIT */
/*
 * What scripts/bench qmp measures: COUNT times "query-status" to the QEMU at SOCKET, one after the other, through libqmp or by a
 * bare loop of write() and read(). Prints the nanoseconds that one took.
 *
 *   round_trips libqmp|bare SOCKET COUNT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "qmp/commands.h"

#define WARM_UP 100

static _Noreturn void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail(path);
    return fd;
}

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static size_t read_some(int fd, char *bytes, size_t size)
{
    ssize_t n = read(fd, bytes, size);
    if (n <= 0)
        fail("read");
    return (size_t)n;
}

static void write_all(int fd, const char *bytes, size_t size)
{
    if (write(fd, bytes, size) != (ssize_t)size)
        fail("write");
}

/* By hand. */

static void read_line(int fd)
{
    char bytes[4096];
    while (bytes[read_some(fd, bytes, sizeof bytes) - 1] != '\n')
        ;
}

static void ask_bare(int fd, unsigned count)
{
    static const char question[] = "{\"execute\": \"query-status\"}\n";
    while (count--) {
        write_all(fd, question, sizeof question - 1);
        read_line(fd);
    }
}

static double measure_bare(int fd, unsigned count)
{
    static const char hello[] = "{\"execute\": \"qmp_capabilities\"}\n";
    read_line(fd);
    write_all(fd, hello, sizeof hello - 1);
    read_line(fd);
    ask_bare(fd, WARM_UP);
    double begin = now_ns();
    ask_bare(fd, count);
    return now_ns() - begin;
}

/* Through libqmp. */

struct talk {
    struct qmp_client *client;
    unsigned left;
};

static void on_status(int result, const json_t *data, const char *why, void *user)
{
    struct talk *talk = user;
    struct qmp_status status;
    if (result < 0 || qmp_status_decode(data, &status) < 0) {
        fprintf(stderr, "query-status: %s\n", why ? why : "the answer cannot be read");
        exit(1);
    }
    if (--talk->left)
        qmp_command_execute(talk->client, QMP_QUERY_STATUS, UINT64_MAX, on_status, talk);
}

static void ask_libqmp(struct talk *talk, int fd, unsigned count)
{
    char in[4096];
    talk->left = count;
    qmp_command_execute(talk->client, QMP_QUERY_STATUS, UINT64_MAX, on_status, talk);
    while (talk->left) {
        const char *out;
        size_t size = qmp_client_pending(talk->client, &out);
        if (size) {
            write_all(fd, out, size);
            qmp_client_sent(talk->client, size);
        }
        if (qmp_client_receive(talk->client, in, read_some(fd, in, sizeof in)) < 0)
            fail("libqmp");
    }
}

static double measure_libqmp(int fd, unsigned count)
{
    static const struct qmp_handler handler;
    struct talk talk = {.client = qmp_client_new(&handler, NULL, UINT64_MAX)};
    ask_libqmp(&talk, fd, WARM_UP);
    double begin = now_ns();
    ask_libqmp(&talk, fd, count);
    double took = now_ns() - begin;
    qmp_client_free(talk.client);
    return took;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    unsigned count = (unsigned)strtoul(argv[3], NULL, 10);
    int fd = connect_to(argv[2]);
    double took = strcmp(argv[1], "bare") ? measure_libqmp(fd, count) : measure_bare(fd, count);
    printf("%.0f\n", took / count);
    return 0;
}
