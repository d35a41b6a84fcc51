/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/base/paths.h"
#include "base_fixture.h"

static void set(const char *name, const char *value)
{
    assert_int_equal(value ? setenv(name, value, 1) : unsetenv(name), 0);
}

static void set_all(const char *value)
{
    static const char *const names[] = {"XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME",
                                        "XDG_RUNTIME_DIR"};
    for (size_t i = 0; i < PI_ARRAY_SIZE(names); i++)
        set(names[i], value);
}

static void paths_follow_the_xdg_variables(void **state)
{
    pi_auto_paths struct pi_paths p = {0};
    (void)state;
    set("HOME", NULL);
    set("XDG_DATA_HOME", "/d");
    set("XDG_CACHE_HOME", "/c");
    set("XDG_CONFIG_HOME", "/o");
    set("XDG_RUNTIME_DIR", "/r");
    assert_int_equal(pi_paths_find(&p, NULL), 0);
    assert_string_equal(p.instances, "/d/piagent/instances");
    assert_string_equal(p.state, "/d/piagent");
    assert_string_equal(p.images, "/c/piagent/images");
    assert_string_equal(p.config, "/o/piagent");
    assert_string_equal(p.runtime, "/r/piagent");
}

static void unset_empty_and_relative_variables_give_the_defaults(void **state)
{
    static const char *const values[] = {NULL, "", "relative/path", "./x"};
    char runtime[64];
    (void)state;
    snprintf(runtime, sizeof runtime, "/run/user/%u", (unsigned)geteuid());
    bool has_session = access(runtime, F_OK) == 0;
    snprintf(runtime, sizeof runtime, has_session ? "/run/user/%u/piagent" : "/tmp/piagent-%u",
             (unsigned)geteuid());
    set("HOME", "/h");
    for (size_t i = 0; i < PI_ARRAY_SIZE(values); i++) {
        pi_auto_paths struct pi_paths p = {0};
        set_all(values[i]);
        assert_int_equal(pi_paths_find(&p, NULL), 0);
        assert_string_equal(p.instances, "/h/.local/share/piagent/instances");
        assert_string_equal(p.state, "/h/.local/share/piagent");
        assert_string_equal(p.images, "/h/.cache/piagent/images");
        assert_string_equal(p.config, "/h/.config/piagent");
        assert_string_equal(p.runtime, runtime);
    }
}

static void without_a_home_the_variable_to_set_is_named(void **state)
{
    struct pi_paths p = {.state = (char *)"untouched"};
    struct pi_error err;
    (void)state;
    set_all(NULL);
    set("HOME", "not/absolute");
    assert_true(pi_paths_find(&p, &err) < 0);
    assert_int_equal(err.kind, PI_HOST);
    assert_string_equal(err.text, "neither XDG_DATA_HOME nor HOME is set to an absolute path");
    assert_string_equal(p.state, "untouched");
}

static void socket_path_that_is_too_long_says_so(void **state)
{
    struct sockaddr_un address = {.sun_path = "untouched"};
    struct pi_error err;
    char folder[128];
    (void)state;
    memset(folder, 'f', sizeof folder);
    folder[0] = '/';
    folder[sizeof address.sun_path - 3] = '\0';
    assert_true(pi_socket_address(folder, "ab", &address, &err) < 0);
    assert_int_equal(err.kind, PI_HOST);
    assert_non_null(strstr(err.text, "longer than the 107 bytes that a unix socket can have"));
    assert_non_null(strstr(err.text, "XDG_RUNTIME_DIR"));
    assert_string_equal(address.sun_path, "untouched");
    assert_int_equal(pi_socket_address(folder, "a", &address, &err), 0);
    assert_int_equal(strlen(address.sun_path), sizeof address.sun_path - 1);
    assert_int_equal(address.sun_family, AF_UNIX);
}

static void put_program(const struct folder *f, const char *name, mode_t mode)
{
    assert_int_equal(pi_file_write(f->fd, name, "#!/bin/sh\n", 10, mode, NULL), 0);
}

static void program_is_the_first_in_path_that_can_be_run(void **state)
{
    const struct folder *f = *state;
    pi_auto_free char *found = NULL, *path = NULL;
    assert_int_equal(mkdirat(f->fd, "a", 0700), 0);
    assert_int_equal(mkdirat(f->fd, "b", 0700), 0);
    assert_int_equal(mkdirat(f->fd, "c", 0700), 0);
    assert_int_equal(mkdirat(f->fd, "a/tool", 0700), 0);
    put_program(f, "b/tool", 0600);
    put_program(f, "c/tool", 0700);
    assert_true(asprintf(&path, "::/nowhere:%s/a:%s/b:%s/c:/bin", f->path, f->path, f->path) > 0);
    set("PATH", path);
    assert_int_equal(pi_program_find("tool", &found, NULL), 0);
    assert_string_equal(found, folder_path(f, "c/tool"));
}

static void program_is_not_looked_for_in_relative_folders(void **state)
{
    const struct folder *f = *state;
    char *found = NULL;
    put_program(f, "tool", 0700);
    assert_int_equal(fchdir(f->fd), 0);
    set("PATH", ".:");
    assert_true(pi_program_find("tool", &found, NULL) < 0);
    assert_int_equal(chdir("/"), 0);
    assert_null(found);
}

static void program_with_a_slash_is_taken_as_given(void **state)
{
    const struct folder *f = *state;
    pi_auto_free char *absolute = NULL, *relative = NULL;
    put_program(f, "tool", 0700);
    set("PATH", "");
    assert_int_equal(pi_program_find(folder_path(f, "tool"), &absolute, NULL), 0);
    assert_string_equal(absolute, folder_path(f, "tool"));
    assert_int_equal(fchdir(f->fd), 0);
    assert_int_equal(pi_program_find("./tool", &relative, NULL), 0);
    assert_int_equal(chdir("/"), 0);
    assert_string_equal(relative, absolute);
}

static void missing_program_is_said_to_be_missing(void **state)
{
    const struct folder *f = *state;
    struct pi_error err;
    char *found = NULL;
    set("PATH", f->path);
    assert_true(pi_program_find("tool", &found, &err) < 0);
    assert_int_equal(err.kind, PI_HOST);
    assert_string_equal(err.text, "tool is not installed (not found in PATH)");
    assert_true(pi_program_find(folder_path(f, "tool"), &found, &err) < 0);
    assert_int_equal(err.kind, PI_HOST);
    assert_true(pi_program_find(f->path, &found, &err) < 0);
    assert_non_null(strstr(err.text, "Is a directory"));
    put_program(f, "tool", 0600);
    assert_true(pi_program_find(folder_path(f, "tool"), &found, &err) < 0);
    assert_non_null(strstr(err.text, "Permission denied"));
    assert_null(found);
}

static void loopback_is_connected_to_without_waiting(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    pi_auto_close int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(server, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(listen(server, 1), 0);
    pi_auto_close int fd = pi_loopback_connect(ntohs(address.sin_port));
    assert_true(fd >= 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK) && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
    int nodelay = 0;
    socklen_t nodelay_size = sizeof nodelay;
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &nodelay_size), 0);
    assert_true(nodelay); /* small packets, such as those of a terminal, do not wait for each other */
    pi_auto_close int served = accept(server, NULL, NULL);
    assert_int_equal(send(served, "hello", 5, 0), 5);
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    char said[8];
    assert_int_equal(poll(&readable, 1, 10000), 1);
    assert_int_equal(recv(fd, said, sizeof said, 0), 5);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_follow_the_xdg_variables),
        cmocka_unit_test(unset_empty_and_relative_variables_give_the_defaults),
        cmocka_unit_test(without_a_home_the_variable_to_set_is_named),
        cmocka_unit_test(socket_path_that_is_too_long_says_so),
        cmocka_unit_test(loopback_is_connected_to_without_waiting),
        TEST(program_is_the_first_in_path_that_can_be_run),
        TEST(program_is_not_looked_for_in_relative_folders),
        TEST(program_with_a_slash_is_taken_as_given),
        TEST(missing_program_is_said_to_be_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
