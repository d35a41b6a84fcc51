/* SPDX-License-Identifier: MIT */
/* Members of a switch: datagram sockets in the current folder, as QEMU's -netdev dgram has them, and frames with a mark. */
#ifndef TESTS_UNIT_SWITCH_FIXTURE_H
#define TESTS_UNIT_SWITCH_FIXTURE_H

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/switch/fabric.h"

static const uint8_t everybody[FRAME_MAC_SIZE] = {255, 255, 255, 255, 255, 255};

static inline int bind_qemu(const char *name)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(at.sun_path, sizeof at.sun_path, "%s.qemu", name);
    unlink(at.sun_path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

/* Makes a folder the current one; template ends with XXXXXX. */
static inline void enter_network(char *template)
{
    assert_non_null(mkdtemp(template));
    assert_int_equal(chdir(template), 0);
}

/* Nothing of the switch may be left in it. */
static inline void leave_network(const char *folder, const char *const *names, int *qemu, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char path[80];
        pi_close_p(&qemu[i]);
        snprintf(path, sizeof path, "%s.qemu", names[i]);
        unlink(path);
    }
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(rmdir(folder), 0);
}

static inline void plan_network(struct fabric_plan *plan, const char *const *names, size_t count)
{
    *plan = (struct fabric_plan){.self = {{0x52, 0x54, 0, 0, 0, 1}, {htonl(0x0a4d0001)}},
                                 .prefix = 20,
                                 .domain = "lab.internal",
                                 .count = count};
    for (size_t i = 0; i < count; i++) {
        struct fabric_member *member = &plan->members[i];
        *member = (struct fabric_member){
            .owner = {{0x52, 0x54, 0, 0, 0, (uint8_t)(0x10 + i)}, {htonl(0x0a4d0010u + (uint32_t)i)}},
            .plugged = true};
        snprintf(member->name, sizeof member->name, "%s", names[i]);
    }
}

/* An IPv4 packet that says so, and nothing more. */
static inline size_t make_frame(const struct frame_owner *from, const uint8_t *to, uint8_t mark,
                                uint8_t *frame)
{
    memset(frame, 0, 64);
    memcpy(frame, to, FRAME_MAC_SIZE);
    memcpy(frame + 6, from->mac, FRAME_MAC_SIZE);
    frame[12] = 8;
    frame[14] = 0x45;
    memcpy(frame + 26, &from->address, 4);
    frame[63] = mark;
    return 64;
}

/* The member with this name sends. */
static inline void send_as(const char *name, const void *frame, size_t size, int fd)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof to.sun_path, "%s.in", name);
    assert_int_equal(sendto(fd, frame, size, 0, (const struct sockaddr *)&to, sizeof to), size);
}

/* The mark of the next frame that a member gets, or -1 for none. */
static inline int mark_at(int fd)
{
    uint8_t frame[FRAME_MAX];
    ssize_t size = recv(fd, frame, sizeof frame, MSG_DONTWAIT);
    return size < 0 ? -1 : frame[63];
}

#endif
