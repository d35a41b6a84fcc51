/* SPDX-License-Identifier: MIT */
/* The network of isolated instances in this process: frames over the socket, and the answers.
 * integration/test_isolated.py tests packet by packet what gets out of it. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/net/link.h"
#include "agent/net/net.h"

struct fixture {
    int qemu;
    struct net_link link;
    size_t frames, bytes;
};

static int setup(void **state)
{
    static struct fixture f;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    f = (struct fixture){.qemu = ends[0], .link.fd = ends[1]};
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    const struct fixture *f = *state;
    close(f->qemu);
    close(f->link.fd);
    return 0;
}

static void say(const struct fixture *f, uint32_t length, const void *bytes, size_t size)
{
    uint32_t wire = htonl(length);
    assert_int_equal(send(f->qemu, &wire, sizeof wire, 0), sizeof wire);
    assert_int_equal(send(f->qemu, bytes, size, 0), size);
}

static void count(const uint8_t *bytes, size_t size, void *user)
{
    struct fixture *f = user;
    for (size_t i = 0; i < size; i++)
        assert_int_equal(bytes[i], 'a' + (int)f->frames);
    f->frames++;
    f->bytes += size;
}

static void frames_come_whole_however_they_were_cut(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(net_link_receive(&f->link, count, f), 0);
    say(f, 3, "aa", 2);
    assert_int_equal(net_link_receive(&f->link, count, f), 0);
    assert_int_equal(f->frames, 0);
    assert_int_equal(send(f->qemu, "a", 1, 0), 1);
    say(f, 0, "", 0);
    say(f, 2, "cc", 2);
    assert_int_equal(net_link_receive(&f->link, count, f), 0);
    assert_int_equal(f->frames, 3);
    assert_int_equal(f->bytes, 5);
    shutdown(f->qemu, SHUT_WR);
    assert_int_equal(net_link_receive(&f->link, count, f), -ENODATA);
}

static void frame_larger_than_any_of_qemus_ends_it(void **state)
{
    struct fixture *f = *state;
    say(f, NET_FRAME_MAX + 1, "", 0);
    assert_int_equal(net_link_receive(&f->link, count, f), -EMSGSIZE);
}

static size_t drain(const struct fixture *f)
{
    char bytes[65536];
    size_t total = 0;
    for (ssize_t n; (n = recv(f->qemu, bytes, sizeof bytes, MSG_DONTWAIT)) > 0;)
        total += (size_t)n;
    return total;
}

static void frame_that_began_is_finished_and_those_after_it_are_dropped(void **state)
{
    struct fixture *f = *state;
    static const uint8_t frame[60000];
    size_t sent = 0, got;
    while (!net_link_waits(&f->link) && sent < 1000) {
        net_link_send(&f->link, frame, sizeof frame);
        sent++;
    }
    assert_true(net_link_waits(&f->link));
    net_link_send(&f->link, frame, sizeof frame);
    got = drain(f);
    while (net_link_waits(&f->link)) {
        net_link_flush(&f->link);
        got += drain(f);
    }
    assert_int_equal(got, sent * (NET_LENGTH_SIZE + sizeof frame));
    net_link_send(&f->link, frame, NET_FRAME_MAX + 1);
    assert_int_equal(drain(f), 0);
}

/* True if the network answers an ARP request for the address. */
static bool is_there(struct fixture *f, struct net_stack *stack, const char *address)
{
    uint8_t arp[42] = {[12] = 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 10, 0, 2, 15};
    memset(arp, 0xff, 6);
    memcpy(arp + 6, arp + 22, 6);
    inet_pton(AF_INET, address, arp + 38);
    say(f, sizeof arp, arp, sizeof arp);
    shutdown(f->qemu, SHUT_WR);
    net_stack_run(stack);
    return drain(f) >= NET_LENGTH_SIZE + sizeof arp;
}

static void the_imds_and_the_router_are_there_and_nobody_else(void **state)
{
    static const struct {
        const char *address;
        bool there;
    } cases[] = {{NET_IMDS_ADDRESS, true}, {"10.0.2.2", true}, {"10.0.2.77", false}};
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct fixture *f = *state;
        struct net_stack *stack;
        const char *const forwards[] = {NULL};
        assert_int_equal(net_stack_new(f->link.fd, "/nonexistent", forwards, &stack, NULL), 0);
        assert_int_equal(is_there(f, stack, cases[i].address), cases[i].there);
        net_stack_free(stack);
        teardown(state);
        setup(state);
    }
}

static void forward_that_is_none_or_taken_is_named(void **state)
{
    const struct fixture *f = *state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    pi_auto_close int taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(taken, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(taken, 1), 0);
    assert_int_equal(getsockname(taken, (struct sockaddr *)&address, &size), 0);
    char text[64];
    snprintf(text, sizeof text, "127.0.0.1:%u:22", ntohs(address.sin_port));
    const char *const forwards[][2] = {{text, NULL}, {"80", NULL}};
    const char *const why[] = {"cannot listen on 127.0.0.1:", "--forward 80 is not"};
    for (size_t i = 0; i < PI_ARRAY_SIZE(forwards); i++) {
        struct pi_error err = {0};
        struct net_stack *stack = NULL;
        assert_true(net_stack_new(f->link.fd, "/nonexistent", forwards[i], &stack, &err) < 0);
        assert_null(stack);
        assert_memory_equal(err.text, why[i], strlen(why[i]));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(frames_come_whole_however_they_were_cut),
        TEST(frame_larger_than_any_of_qemus_ends_it),
        TEST(frame_that_began_is_finished_and_those_after_it_are_dropped),
        TEST(the_imds_and_the_router_are_there_and_nobody_else),
        TEST(forward_that_is_none_or_taken_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
