/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/vm/host_port.h"

static int listener(uint16_t *ret_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

static void port_with_a_listener_is_busy(void **state)
{
    (void)state;
    uint16_t port;
    struct pi_error err = {0};
    pi_auto_close int fd = listener(&port);
    assert_true(vm_port_check("127.0.0.1", port, &err) < 0);
    assert_int_equal(err.kind, PI_HOST);
    assert_non_null(strstr(err.text, "in use"));
    assert_true(vm_port_check("0.0.0.0", port, NULL) < 0);
}

static void foreign_address_is_refused(void **state)
{
    (void)state;
    struct pi_error err = {0};
    /* RFC 5737: an address for documents. */
    assert_true(vm_port_check("192.0.2.1", 20000, &err) < 0);
    assert_int_equal(err.kind, PI_HOST);
    assert_non_null(strstr(err.text, "not an address of this host"));
    assert_true(vm_port_check("nonsense", 20000, &err) < 0);
    assert_non_null(strstr(err.text, "nonsense"));
}

static bool all_but_one(uint16_t port, void *user)
{
    return port != *(uint16_t *)user;
}

static void pick_takes_the_only_port_that_is_left(void **state)
{
    (void)state;
    uint16_t left, port = 0;
    assert_int_equal(vm_port_pick(NULL, NULL, &left, NULL), 0);
    assert_in_range(left, 20000, 29999);
    assert_int_equal(vm_port_pick(all_but_one, &left, &port, NULL), 0);
    assert_int_equal(port, left);
}

static void pick_says_where_no_port_is_left(void **state)
{
    (void)state;
    uint16_t outside = 80, port = 0;
    struct pi_error err = {0};
    assert_true(vm_port_pick(all_but_one, &outside, &port, &err) < 0);
    assert_int_equal(err.kind, PI_HOST);
    assert_int_equal(port, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(port_with_a_listener_is_busy),
        cmocka_unit_test(foreign_address_is_refused),
        cmocka_unit_test(pick_takes_the_only_port_that_is_left),
        cmocka_unit_test(pick_says_where_no_port_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
