/* SPDX-License-Identifier: MIT */
/* The client against the real QEMU of each architecture, emulating a machine without a guest. Skipped where
 * it is missing. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "qmp/commands.h"
#include "skip.h"

#define PATIENCE_MS 25000
#define UUID        "550e8400-e29b-41d4-a716-446655440000"

struct architecture {
    const char *binary, *machine, *cpu;
};

static const struct architecture x86_64 = {"qemu-system-x86_64", "q35", "max"};
static const struct architecture aarch64 = {"qemu-system-aarch64", "virt", "cortex-a57"};

struct vm {
    char folder[32];
    struct sockaddr_un address;
    pid_t pid;
    int fd; /* this end of the connection, -1 = none */
    struct qmp_client *client;
    struct qmp_event_info events[32];
    unsigned event_count;
    int result; /* of the last command; 1 = none yet */
    json_t *data;
    char why[QMP_WHY_MAX];
    int closed;
};

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void on_event(const struct qmp_event *event, void *user)
{
    struct vm *vm = user;
    assert_true(vm->event_count < 32);
    assert_int_equal(qmp_event_decode(event, &vm->events[vm->event_count++]), 0);
}

static void on_closed(int reason, const char *why, void *user)
{
    (void)why;
    struct vm *vm = user;
    vm->closed++;
    assert_int_equal(reason, 0);
}

static void on_reply(int result, const json_t *data, const char *why, void *user)
{
    struct vm *vm = user;
    vm->result = result;
    json_decref(vm->data);
    vm->data = json_deep_copy(data);
    snprintf(vm->why, sizeof(vm->why), "%s", why ? why : "");
}

static const struct qmp_handler handler = {.event = on_event, .closed = on_closed};

/* The socket is bound and listening before QEMU runs, so one connect is enough, at any time. */
static int listen_in(struct vm *vm)
{
    strcpy(vm->folder, "/tmp/piagent-qmp-XXXXXX");
    assert_non_null(mkdtemp(vm->folder));
    vm->address.sun_family = AF_UNIX;
    snprintf(vm->address.sun_path, sizeof(vm->address.sun_path), "%s/qmp", vm->folder);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&vm->address, sizeof(vm->address)), 0);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

static int launch(struct vm *vm, const struct architecture *of)
{
    const char *argv[] = {of->binary,
                          "-nodefaults",
                          "-display",
                          "none",
                          "-S",
                          "-machine",
                          of->machine,
                          "-accel",
                          "tcg",
                          "-cpu",
                          of->cpu,
                          "-m",
                          "64M",
                          "-uuid",
                          UUID,
                          "-chardev",
                          "socket,id=qmp,fd=3,server=on,wait=off",
                          "-mon",
                          "chardev=qmp,mode=control",
                          NULL};
    int listener = listen_in(vm);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, listener, 3);
    int r = posix_spawnp(&vm->pid, of->binary, &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(listener);
    return -r;
}

static void attach(struct vm *vm)
{
    vm->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(vm->fd, (struct sockaddr *)&vm->address, sizeof(vm->address)), 0);
    vm->client = qmp_client_new(&handler, vm, now_ms() + PATIENCE_MS);
    assert_non_null(vm->client);
}

static void detach(struct vm *vm)
{
    if (vm->fd >= 0)
        close(vm->fd);
    vm->fd = -1;
    qmp_client_free(vm->client);
    vm->client = NULL;
}

static void start(struct vm *vm, const struct architecture *of)
{
    if (launch(vm, of) != 0) {
        skip_because("%s is not installed", of->binary);
    }
    attach(vm);
}

static void flush(struct vm *vm)
{
    const char *bytes;
    size_t size = qmp_client_pending(vm->client, &bytes);
    if (size == 0)
        return;
    ssize_t n = send(vm->fd, bytes, size, MSG_NOSIGNAL);
    assert_true(n > 0);
    qmp_client_sent(vm->client, (size_t)n);
}

/* Sends what is pending, and waits for something from QEMU. */
static void turn(struct vm *vm)
{
    flush(vm);
    struct pollfd ready = {.fd = vm->fd, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
    char bytes[4096];
    ssize_t n = recv(vm->fd, bytes, sizeof(bytes), 0);
    assert_true(n >= 0 || errno == ECONNRESET); /* which is an end of file too: see qmp/qmp.h */
    if (n <= 0)
        qmp_client_close(vm->client, 0, "end of file");
    else
        assert_int_equal(qmp_client_receive(vm->client, bytes, (size_t)n), 0);
}

static int run(struct vm *vm, enum qmp_command command)
{
    vm->result = 1;
    assert_int_equal(qmp_command_execute(vm->client, command, now_ms() + PATIENCE_MS, on_reply, vm), 0);
    while (vm->result == 1)
        turn(vm);
    return vm->result;
}

static const struct qmp_event_info *wait_for(struct vm *vm, enum qmp_event_kind kind)
{
    for (;;) {
        for (unsigned i = 0; i < vm->event_count; i++)
            if (vm->events[i].kind == kind)
                return &vm->events[i];
        turn(vm);
    }
}

static enum qmp_run_state run_state(struct vm *vm)
{
    struct qmp_status status;
    assert_int_equal(run(vm, QMP_QUERY_STATUS), 0);
    assert_int_equal(qmp_status_decode(vm->data, &status), 0);
    assert_int_equal(status.running, status.state == QMP_RUN_RUNNING);
    return status.state;
}

static void quit(struct vm *vm)
{
    int r = run(vm, QMP_QUIT);
    assert_true(r == 0 || r == -ECONNRESET); /* QEMU may be gone before its answer is out */
    const struct qmp_event_info *shutdown = wait_for(vm, QMP_EVENT_SHUTDOWN);
    assert_false(shutdown->guest);
    assert_string_equal(shutdown->reason, "host-qmp-quit");
    while (!vm->closed)
        turn(vm);
    assert_int_equal(vm->closed, 1);
    int status;
    assert_int_equal(waitpid(vm->pid, &status, 0), vm->pid);
    vm->pid = 0;
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int set_up(void **state)
{
    struct vm *vm = calloc(1, sizeof(*vm));
    *state = vm;
    if (vm)
        vm->fd = -1;
    return vm ? 0 : -1;
}

static int tear_down(void **state)
{
    struct vm *vm = *state;
    if (vm->pid > 0) {
        kill(vm->pid, SIGKILL);
        waitpid(vm->pid, NULL, 0);
    }
    detach(vm);
    json_decref(vm->data);
    unlink(vm->address.sun_path);
    rmdir(vm->folder);
    free(vm);
    return 0;
}

static void live(struct vm *vm, const struct architecture *of)
{
    struct qmp_uuid uuid;
    struct qmp_kvm kvm;
    start(vm, of);
    assert_int_equal(run_state(vm), QMP_RUN_PRELAUNCH);
    assert_int_equal(run(vm, QMP_QUERY_UUID), 0);
    assert_int_equal(qmp_uuid_decode(vm->data, &uuid), 0);
    assert_string_equal(uuid.text, UUID);
    assert_int_equal(run(vm, QMP_QUERY_KVM), 0);
    assert_int_equal(qmp_kvm_decode(vm->data, &kvm), 0);
    assert_false(kvm.enabled);

    assert_int_equal(run(vm, QMP_CONT), 0);
    assert_true(wait_for(vm, QMP_EVENT_RESUME)->realtime_ms > 1600000000000);
    assert_int_equal(run_state(vm), QMP_RUN_RUNNING);
    assert_int_equal(run(vm, QMP_SYSTEM_POWERDOWN), 0);
    wait_for(vm, QMP_EVENT_POWERDOWN);
    assert_int_equal(run(vm, QMP_SYSTEM_RESET), 0);
    const struct qmp_event_info *reset = wait_for(vm, QMP_EVENT_RESET);
    assert_false(reset->guest);
    assert_string_equal(reset->reason, "host-qmp-system-reset");
    assert_int_equal(run(vm, QMP_STOP), 0);
    wait_for(vm, QMP_EVENT_STOP);
    assert_int_equal(run_state(vm), QMP_RUN_PAUSED);
    quit(vm);
}

static void x86_64_lives_its_life(void **state)
{
    live(*state, &x86_64);
}

static void aarch64_lives_its_life(void **state)
{
    live(*state, &aarch64);
}

static void an_unknown_command_is_refused_and_nothing_else_breaks(void **state)
{
    struct vm *vm = *state;
    start(vm, &x86_64);
    vm->result = 1;
    assert_int_equal(qmp_client_execute(vm->client, "fly", NULL, now_ms() + PATIENCE_MS, on_reply, vm), 0);
    while (vm->result == 1)
        turn(vm);
    assert_int_equal(vm->result, -EREMOTEIO);
    assert_int_equal(strncmp(vm->why, "CommandNotFound: ", 17), 0);
    assert_int_equal(run_state(vm), QMP_RUN_PRELAUNCH);
    quit(vm);
}

/* As after the agent was killed: the earlier client leaves commands behind that QEMU is still answering. */
static void the_next_client_takes_over_from_one_that_vanished(void **state)
{
    static const char *const left_behind[] = {"cont", "query-qmp-schema", "stop", "query-qmp-schema"};
    struct vm *vm = *state;
    start(vm, &x86_64);
    assert_int_equal(run(vm, QMP_CONT), 0);
    for (int turns = 0; turns < 8; turns++) {
        for (size_t i = 0; i < sizeof(left_behind) / sizeof(left_behind[0]); i++)
            assert_int_equal(qmp_client_execute(vm->client, left_behind[i], NULL, UINT64_MAX, NULL, NULL), 0);
        flush(vm);
        detach(vm);
        attach(vm);
        /* Whichever of them QEMU still took, each of these gets the reply that is meant for it. */
        assert_int_equal(run(vm, QMP_STOP), 0);
        assert_int_equal(run_state(vm), QMP_RUN_PAUSED);
        struct qmp_uuid uuid;
        assert_int_equal(run(vm, QMP_QUERY_UUID), 0);
        assert_int_equal(qmp_uuid_decode(vm->data, &uuid), 0);
        vm->event_count = 0;
    }
    quit(vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(x86_64_lives_its_life, set_up, tear_down),
        cmocka_unit_test_setup_teardown(aarch64_lives_its_life, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_unknown_command_is_refused_and_nothing_else_breaks, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_next_client_takes_over_from_one_that_vanished, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
