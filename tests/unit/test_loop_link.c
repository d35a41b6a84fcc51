/* SPDX-License-Identifier: MIT */
/* The connections between the agent and a QEMU: sockets, console, QMP. The test plays QEMU, in the same
 * loop. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "agent/base/paths.h"
#include "agent/loop/channel.h"
#include "agent/loop/qmp_link.h"
#include "agent/loop/sockets.h"
#include "agent/vm/host_port.h"
#include "base_fixture.h"
#include "loop_fixture.h"

#define GREETING                                                                                          \
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 2, \"major\": 7}, \"package\": \"\"}, " \
    "\"capabilities\": []}}\r\n"

struct fixture {
    struct folder *folder;
    uv_loop_t loop;
    int listen_fd, peer; /* QEMU's ends */
    struct pi_buf got;   /* of the guest's output, or of what QEMU was sent */
    size_t wanted;       /* bytes of it, and then enough is set */
    bool enough;

    struct qmp_link *link;
    bool ready, closed, replied, close_in_reply, close_in_closed;
    int reason, result, replies;
    char events[64], id[32];
};

static int setup(void **state)
{
    static struct fixture f;
    void *folder;
    f = (struct fixture){.peer = -1};
    if (folder_setup(&folder) < 0 || uv_loop_init(&f.loop) < 0)
        return -1;
    f.folder = folder;
    f.listen_fd = socket_listen_unix(f.folder->path, "sock", NULL);
    *state = &f;
    return f.listen_fd < 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    void *folder = f->folder;
    pi_buf_done(&f->got);
    pi_close_p(&f->peer);
    pi_close_p(&f->listen_fd);
    return loop_close(&f->loop) < 0 ? -1 : folder_teardown(&folder);
}

static void answer_call(struct fixture *f)
{
    f->peer = accept4(f->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    assert_true(f->peer >= 0);
}

static void qemu_says(struct fixture *f, const char *text)
{
    assert_int_equal(send(f->peer, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void unix_socket_is_private_and_replaces_what_lay_there(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    mode_t old = umask(0);
    int again = socket_listen_unix(f->folder->path, "sock", NULL);
    umask(old);
    assert_true(again >= 0);
    assert_int_equal(fstatat(f->folder->fd, "sock", &st, 0), 0);
    assert_int_equal(st.st_mode, S_IFSOCK | 0600);
    assert_int_equal(fcntl(again, F_GETFD), FD_CLOEXEC);
    assert_true(fcntl(again, F_GETFL) & O_NONBLOCK);
    pi_auto_close int client = pi_socket_connect(f->folder->path, "sock", NULL);
    assert_true(client >= 0);
    close(f->listen_fd);
    f->listen_fd = again;
    answer_call(f);
}

static void connection_that_nobody_answers_says_where(void **state)
{
    struct fixture *f = *state;
    struct pi_error err;
    assert_int_equal(pi_socket_connect(f->folder->path, "none", &err), -ENOENT);
    assert_non_null(strstr(err.text, "/none: No such file"));
    close(pi_steal_fd(&f->listen_fd));
    assert_int_equal(pi_socket_connect(f->folder->path, "sock", &err), -ECONNREFUSED);
}

static uint16_t free_port(void)
{
    uint16_t port = 0;
    assert_int_equal(vm_port_pick(NULL, NULL, &port, NULL), 0);
    return port;
}

static void loopback_port_is_listened_at_by_one(void **state)
{
    struct sockaddr_in address;
    struct pi_error err;
    socklen_t size = sizeof address;
    uint16_t port = free_port();
    (void)state;
    pi_auto_close int fd = socket_listen_loopback(port, NULL);
    assert_true(fd >= 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(address.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    assert_int_equal(address.sin_port, htons(port));
    assert_int_equal(socket_listen_loopback(port, &err), -EADDRINUSE);
    assert_non_null(strstr(err.text, "another program listens at 127.0.0.1:"));
}

static void loopback_port_that_is_held_is_taken_for_all_but_the_next_listener(void **state)
{
    uint16_t port = free_port();
    (void)state;
    pi_auto_close int first = socket_listen_loopback(port, NULL), held = socket_hold_loopback(port, NULL);
    assert_true(first >= 0 && held >= 0);
    assert_int_equal(fcntl(held, F_GETFD), FD_CLOEXEC);
    close(pi_steal_fd(&first));
    assert_true(vm_port_check("127.0.0.1", port, NULL) < 0);
    assert_true(vm_port_check("0.0.0.0", port, NULL) < 0);
    pi_auto_close int next = socket_listen_loopback(port, NULL);
    assert_true(next >= 0);
}

static void on_output(const char *bytes, size_t size, void *user)
{
    struct fixture *f = user;
    assert_int_equal(pi_buf_add(&f->got, bytes, size), 0);
    f->enough = f->got.size >= f->wanted;
}

static struct channel *open_console(struct fixture *f)
{
    static const struct channel_handler handler = {.output = on_output};
    struct channel *console = NULL;
    assert_int_equal(channel_new(&f->loop, f->folder->path, "sock", &handler, f, &console, NULL), 0);
    answer_call(f);
    return console;
}

static void console_is_drained_without_being_asked(void **state)
{
    struct fixture *f = *state;
    struct channel *console = open_console(f);
    qemu_says(f, "login: ");
    f->wanted = 7;
    assert_true(loop_run_until(&f->loop, &f->enough));
    assert_string_equal(f->got.data, "login: ");
    channel_free(console);
}

static void last_words_are_read_after_the_end(void **state)
{
    struct fixture *f = *state;
    struct channel *console = open_console(f);
    for (int i = 0; i < 100; i++)
        qemu_says(f, "reboot: Power down\r\n");
    close(pi_steal_fd(&f->peer));
    channel_drain(console);
    assert_int_equal(f->got.size, 2000);
    channel_drain(console);
    channel_free(console);
}

static void on_typed(void *user)
{
    struct fixture *f = user;
    char chunk[4096];
    for (ssize_t n; (n = recv(f->peer, chunk, sizeof chunk, MSG_DONTWAIT)) > 0;)
        on_output(chunk, (size_t)n, f);
}

static void input_is_queued_up_to_its_limit_and_arrives_in_order(void **state)
{
    struct fixture *f = *state;
    struct channel *console = open_console(f);
    char block[1000];
    size_t typed = 0;
    /* The socket takes some, then the queue fills: the guest doesn't read. */
    for (int r = 0; r == 0 && typed < (16u << 20);) {
        memset(block, 'a' + (int)(typed / sizeof block % 26), sizeof block);
        r = channel_type(console, block, sizeof block);
        typed += r == 0 ? sizeof block : 0;
    }
    assert_true(typed < (16u << 20));
    assert_int_equal(channel_type(console, block, sizeof block), -ENOBUFS);
    f->wanted = typed;
    struct watch *reader = watch_new(&f->loop, f->peer, on_typed, f);
    assert_true(loop_run_until(&f->loop, &f->enough));
    assert_int_equal(f->got.size, typed);
    for (size_t i = 0; i < typed; i++)
        assert_int_equal(f->got.data[i], 'a' + (int)(i / sizeof block % 26));
    assert_int_equal(channel_type(console, block, sizeof block), 0);
    watch_free(reader);
    channel_free(console);
}

static void console_of_an_ended_qemu_is_not_turned_in_circles_for(void **state)
{
    struct fixture *f = *state;
    struct channel *console = open_console(f);
    close(pi_steal_fd(&f->peer));
    bool idle = false;
    for (int i = 0; i < 100 && !idle; i++)
        idle = uv_run(&f->loop, UV_RUN_NOWAIT) == 0;
    assert_true(idle);
    assert_int_equal(channel_type(console, "x", 1), 0);
    channel_free(console);
}

static void on_ready(void *user)
{
    ((struct fixture *)user)->ready = true;
}

static void on_event(const struct qmp_event *event, void *user)
{
    struct fixture *f = user;
    size_t used = strlen(f->events);
    snprintf(f->events + used, sizeof f->events - used, "%s ", event->name);
}

static void on_closed(int reason, const char *why, void *user)
{
    struct fixture *f = user;
    assert_non_null(why);
    assert_false(f->closed);
    f->closed = true;
    f->reason = reason;
    if (f->close_in_closed)
        qmp_link_close(f->link);
}

static void on_reply(int result, const json_t *data, const char *why, void *user)
{
    struct fixture *f = user;
    (void)data;
    (void)why;
    f->replied = true;
    f->replies++;
    f->result = result;
    if (f->close_in_reply)
        qmp_link_close(f->link);
}

static void open_link(struct fixture *f, uint64_t greeting_ms)
{
    static const struct qmp_handler handler = {.ready = on_ready, .event = on_event, .closed = on_closed};
    assert_int_equal(
        qmp_link_new(&f->loop, f->folder->path, "sock", greeting_ms, &handler, f, &f->link, NULL), 0);
    answer_call(f);
}

/* The next bytes to QEMU are the command; it returns success later. */
static void qemu_hears(struct fixture *f, const char *command)
{
    char line[512], wanted[64];
    size_t used = 0;
    for (int i = 0; i < 2000 && (!used || line[used - 1] != '\n'); i++) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
        ssize_t n = recv(f->peer, line + used, sizeof line - 1 - used, MSG_DONTWAIT);
        used += n > 0 ? (size_t)n : 0;
    }
    line[used] = '\0';
    snprintf(wanted, sizeof wanted, "\"%s\"", command);
    assert_non_null(strstr(line, wanted));
    json_auto_t *object =
        json_loads(line, JSON_DISABLE_EOF_CHECK, NULL); /* the first of those sent at once */
    char *id = json_dumps(json_object_get(object, "id"), JSON_ENCODE_ANY);
    assert_non_null(id);
    snprintf(f->id, sizeof f->id, "%s", id);
    free(id);
}

static void qemu_returns(struct fixture *f)
{
    char reply[128];
    snprintf(reply, sizeof reply, "{\"return\": {}, \"id\": %s}\r\n", f->id);
    qemu_says(f, reply);
}

static void shake_hands(struct fixture *f)
{
    qemu_says(f, GREETING);
    qemu_hears(f, "qmp_capabilities");
    qemu_returns(f);
    assert_true(loop_run_until(&f->loop, &f->ready));
}

static void handshake_events_and_replies_go_through(void **state)
{
    struct fixture *f = *state;
    open_link(f, LOOP_DEADLINE_MS);
    assert_int_equal(qmp_link_execute(f->link, QMP_CONT, LOOP_DEADLINE_MS, on_reply, f), 0);
    shake_hands(f);
    qemu_hears(f, "cont");
    qemu_says(f, "{\"event\": \"RESUME\", \"timestamp\": {\"seconds\": 1, \"microseconds\": 0}}\r\n");
    qemu_returns(f);
    assert_true(loop_run_until(&f->loop, &f->replied));
    assert_int_equal(f->result, 0);
    assert_string_equal(f->events, "RESUME ");
    assert_false(f->closed);
    qmp_link_close(f->link);
    assert_true(f->closed);
    assert_int_equal(f->reason, -ECONNRESET);
}

/* Reads up to the bytes that a descriptor comes with, "getfd" among them. */
static int qemu_takes_fd(struct fixture *f)
{
    alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    char line[512] = "";
    struct iovec data = {line, sizeof line - 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
    struct cmsghdr *header = NULL;
    int fd;
    while (!header) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        assert_true(recvmsg(f->peer, &message, MSG_CMSG_CLOEXEC) > 0);
        header = CMSG_FIRSTHDR(&message);
    }
    assert_int_equal(header->cmsg_type, SCM_RIGHTS);
    assert_non_null(strstr(line, "\"getfd\""));
    memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
}

static void descriptor_reaches_qemu_with_its_command(void **state)
{
    struct fixture *f = *state;
    struct stat sent, got;
    open_link(f, LOOP_DEADLINE_MS);
    shake_hands(f);
    assert_int_equal(qmp_link_execute(f->link, QMP_STOP, LOOP_DEADLINE_MS, NULL, NULL), 0);
    assert_int_equal(qmp_link_execute_with(f->link, QMP_GETFD, json_pack("{s:s}", "fdname", "save"),
                                           f->folder->fd, LOOP_DEADLINE_MS, NULL, NULL),
                     0);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    pi_auto_close int fd = qemu_takes_fd(f);
    assert_int_equal(fstat(fd, &got), 0);
    assert_int_equal(fstat(f->folder->fd, &sent), 0);
    assert_int_equal(got.st_ino, sent.st_ino);
    qmp_link_close(f->link);
}

static void greeting_that_does_not_come_closes(void **state)
{
    struct fixture *f = *state;
    open_link(f, 20);
    assert_true(loop_run_until(&f->loop, &f->closed));
    assert_int_equal(f->reason, -ETIMEDOUT);
    qmp_link_close(f->link);
}

static void command_without_an_answer_times_out_alone(void **state)
{
    struct fixture *f = *state;
    open_link(f, LOOP_DEADLINE_MS);
    shake_hands(f);
    assert_int_equal(qmp_link_execute(f->link, QMP_STOP, 20, on_reply, f), 0);
    assert_true(loop_run_until(&f->loop, &f->replied));
    assert_int_equal(f->result, -ETIMEDOUT);
    assert_false(f->closed);
    qmp_link_close(f->link);
    assert_int_equal(f->replies, 1);
}

static void late_reply_harms_nothing(void **state)
{
    struct fixture *f = *state;
    open_link(f, LOOP_DEADLINE_MS);
    shake_hands(f);
    assert_int_equal(qmp_link_execute(f->link, QMP_STOP, 20, on_reply, f), 0);
    qemu_hears(f, "stop");
    assert_true(loop_run_until(&f->loop, &f->replied));
    assert_int_equal(f->result, -ETIMEDOUT);
    qemu_returns(f);
    f->replied = false;
    assert_int_equal(qmp_link_execute(f->link, QMP_CONT, LOOP_DEADLINE_MS, on_reply, f), 0);
    qemu_hears(f, "cont");
    qemu_returns(f);
    assert_true(loop_run_until(&f->loop, &f->replied));
    assert_int_equal(f->result, 0);
    assert_int_equal(f->replies, 2);
    assert_false(f->closed);
    qmp_link_close(f->link);
}

static void link_can_be_closed_from_its_own_callbacks(void **state)
{
    struct fixture *f = *state;
    f->close_in_reply = f->close_in_closed = true;
    open_link(f, LOOP_DEADLINE_MS);
    shake_hands(f);
    assert_int_equal(qmp_link_execute(f->link, QMP_STOP, LOOP_DEADLINE_MS, on_reply, f), 0);
    assert_int_equal(qmp_link_execute(f->link, QMP_CONT, LOOP_DEADLINE_MS, on_reply, f), 0);
    qemu_hears(f, "stop");
    qemu_returns(f);
    assert_true(loop_run_until(&f->loop, &f->closed));
    assert_int_equal(f->replies, 2);
    assert_int_equal(f->result, -ECONNRESET);
}

static void closing_twice_at_once_is_closing(void **state)
{
    struct fixture *f = *state;
    f->close_in_closed = true;
    open_link(f, LOOP_DEADLINE_MS);
    qmp_link_close(f->link);
    assert_true(f->closed);
}

static void end_of_qemu_fails_what_is_outstanding_and_closes(void **state)
{
    struct fixture *f = *state;
    f->close_in_closed = true;
    open_link(f, LOOP_DEADLINE_MS);
    shake_hands(f);
    assert_int_equal(qmp_link_execute(f->link, QMP_QUIT, LOOP_DEADLINE_MS, on_reply, f), 0);
    qemu_hears(f, "quit");
    close(pi_steal_fd(&f->peer));
    assert_true(loop_run_until(&f->loop, &f->closed));
    assert_true(f->replied);
    assert_int_equal(f->result, -ECONNRESET);
    assert_int_equal(f->reason, -ECONNRESET);
}

static void peer_that_does_not_speak_qmp_is_given_up(void **state)
{
    struct fixture *f = *state;
    open_link(f, LOOP_DEADLINE_MS);
    qemu_says(f, "SSH-2.0-OpenSSH\r\n");
    assert_true(loop_run_until(&f->loop, &f->closed));
    assert_int_equal(f->reason, -EPROTO);
    assert_int_equal(qmp_link_execute(f->link, QMP_STOP, 1000, on_reply, f), -ECONNRESET);
    qmp_link_close(f->link);
}

static void peer_that_sends_without_end_is_given_up(void **state)
{
    struct fixture *f = *state;
    static char nothing[4096];
    size_t sent = 0;
    open_link(f, LOOP_DEADLINE_MS);
    shake_hands(f);
    memset(nothing, '\n', sizeof nothing); /* empty lines are ignored */
    while (!f->closed && sent < 64u << 20) {
        ssize_t n = send(f->peer, nothing, sizeof nothing, MSG_NOSIGNAL | MSG_DONTWAIT);
        sent += n > 0 ? (size_t)n : 0;
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    assert_true(f->closed);
    assert_int_equal(f->reason, -EPROTO);
    assert_in_range(sent, 4u << 20, 16u << 20);
    qmp_link_close(f->link);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(unix_socket_is_private_and_replaces_what_lay_there),
        TEST(connection_that_nobody_answers_says_where),
        TEST(loopback_port_is_listened_at_by_one),
        TEST(loopback_port_that_is_held_is_taken_for_all_but_the_next_listener),
        TEST(console_is_drained_without_being_asked),
        TEST(last_words_are_read_after_the_end),
        TEST(input_is_queued_up_to_its_limit_and_arrives_in_order),
        TEST(console_of_an_ended_qemu_is_not_turned_in_circles_for),
        TEST(handshake_events_and_replies_go_through),
        TEST(descriptor_reaches_qemu_with_its_command),
        TEST(greeting_that_does_not_come_closes),
        TEST(command_without_an_answer_times_out_alone),
        TEST(late_reply_harms_nothing),
        TEST(link_can_be_closed_from_its_own_callbacks),
        TEST(closing_twice_at_once_is_closing),
        TEST(end_of_qemu_fails_what_is_outstanding_and_closes),
        TEST(peer_that_does_not_speak_qmp_is_given_up),
        TEST(peer_that_sends_without_end_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
