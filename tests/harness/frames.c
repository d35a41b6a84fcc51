/* SPDX-License-Identifier: MIT */
/*
 * One end of a network that scripts/bench measures: a datagram is a frame, one system call each, as QEMU does it. FD is a
 * datagram socket; the sender's is connected.
 *
 *   frames send FD SECONDS < FRAME     sends the frame as fast as the other end takes it; prints how many were sent
 *   frames receive FD                  counts frames until its standard input has ended and none came for half a second (a minute
 *                                      for the first one); prints how many, and the seconds from the first one to the last
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define LOOK     256 /* frames between two looks at the clock */
#define PATIENCE 120 /* half seconds that it waits for the first frame */

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int fail(const char *what)
{
    perror(what);
    return 1;
}

static int send_frames(int fd, double seconds)
{
    static uint8_t frame[65536];
    size_t size = fread(frame, 1, sizeof frame, stdin);
    unsigned long long sent = 0;
    for (double end = now_s() + seconds; sent % LOOK || now_s() < end; sent++)
        while (send(fd, frame, size, 0) < 0)
            if (errno != EAGAIN && errno != ENOBUFS && errno != EINTR)
                return fail("send");
    printf("%llu\n", sent);
    return 0;
}

static bool has_input_ended(void)
{
    struct pollfd polled = {STDIN_FILENO, POLLIN, 0};
    char byte;
    return poll(&polled, 1, 0) == 1 && read(STDIN_FILENO, &byte, 1) == 0;
}

static int receive_frames(int fd)
{
    static uint8_t frame[65536];
    const struct timeval pause = {.tv_usec = 500000};
    unsigned long long received = 0;
    double first = 0, last = 0;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &pause, sizeof pause) < 0)
        return fail("setsockopt");
    for (int waited = 0;;) {
        ssize_t n = recv(fd, frame, sizeof frame, 0);
        if (n < 0 && errno == EAGAIN && (received ? has_input_ended() : ++waited == PATIENCE))
            break;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return fail("recv");
        if (n <= 0)
            continue;
        last = now_s();
        if (received++ == 0)
            first = last;
    }
    printf("%llu %.6f\n", received, last - first);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "send") == 0)
        return send_frames(atoi(argv[2]), atof(argv[3]));
    if (argc == 3 && strcmp(argv[1], "receive") == 0)
        return receive_frames(atoi(argv[2]));
    fprintf(stderr, "usage: frames send FD SECONDS < FRAME | frames receive FD\n");
    return 2;
}
