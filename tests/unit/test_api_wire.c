/* SPDX-License-Identifier: MIT */
/* Server and client together over a real unix socket: the server in a thread that only this file's handler
 * and the wake-up pipe speak to, the client in the test. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "agent/api/client.h"
#include "agent/api/control_server.h"
#include "agent/base/auto.h"
#include "agent/base/paths.h"
#include "base_fixture.h"
#include "skip.h"

#define CALL_MS 20000u

/* The test's orders to the server's thread, a byte each. */
enum order { ORDER_QUIT = 'q', ORDER_WAKE = 'w', ORDER_END = 'e', ORDER_ANSWER = 'a' };

struct fixture {
    struct folder *folder;
    char socket[64];
    struct api_server *server;
    struct api_client *client;
    pthread_t thread;
    int orders[2];
    struct api_call *waiting; /* the call to /later */
    atomic_int available;     /* bytes that the stream has */
    atomic_int closed;        /* streams that were closed */
    atomic_int asked;         /* calls that the handler saw */
    bool over;                /* the stream says that it ends */
};

static long stream_read(void *source, char *buf, size_t max)
{
    struct fixture *f = source;
    int n = atomic_load(&f->available);
    if (n == 0)
        return f->over ? -1 : 0;
    if ((size_t)n > max)
        n = (int)max;
    memset(buf, 'x', (size_t)n);
    atomic_fetch_sub(&f->available, n);
    return n;
}

static void stream_close(void *source)
{
    struct fixture *f = source;
    atomic_fetch_add(&f->closed, 1);
}

static void refuse_as_told(struct api_call *call)
{
    struct pi_error err;
    const char *kind = api_call_query(call, "kind");
    enum pi_kind which = PI_FAILED;
    while (pi_kind_names[which] && strcmp(pi_kind_names[which], kind) != 0)
        which++;
    pi_refuse(&err, which, "because of %s", kind);
    api_reply_error(call, &err);
}

static void echo(struct api_call *call)
{
    struct pi_error err;
    json_t *body = api_call_json(call, &err);
    if (body)
        api_reply(call, 200,
                  json_pack("{s:s,s:s,s:o,s:i}", "method", api_call_method(call), "path", api_call_path(call),
                            "body", body, "size", (int)api_call_body(call)->size));
    else
        api_reply_error(call, &err);
}

static void on_call(struct api_call *call, void *user)
{
    struct fixture *f = user;
    const char *path = api_call_path(call);
    atomic_fetch_add(&f->asked, 1);
    if (!strcmp(path, "/error"))
        refuse_as_told(call);
    else if (!strcmp(path, "/later"))
        f->waiting = call;
    else if (!strcmp(path, "/never"))
        (void)call;
    else if (!strcmp(path, "/nothing"))
        api_reply(call, 200, NULL);
    else if (!strcmp(path, "/stream"))
        api_reply_stream(call, &(struct api_stream){.read = stream_read,
                                                    .close = stream_close,
                                                    .source = f,
                                                    .topic = f,
                                                    .content_type = "text/plain"});
    else
        echo(call);
}

static void obey(struct fixture *f, char order)
{
    if (order == ORDER_WAKE)
        api_server_wake(f->server, f);
    else if (order == ORDER_END)
        api_server_end(f->server, f);
    else if (order == ORDER_ANSWER && f->waiting)
        api_reply(pi_steal(f->waiting), 200, json_pack("{s:b}", "later", 1));
}

static void *serve(void *user)
{
    struct fixture *f = user;
    for (;;) {
        struct pollfd fds[] = {{.fd = api_server_fd(f->server), .events = POLLIN},
                               {.fd = f->orders[0], .events = POLLIN}};
        poll(fds, 2, api_server_timeout_ms(f->server));
        char order = 0;
        if ((fds[1].revents & POLLIN) && read(f->orders[0], &order, 1) == 1 && order == ORDER_QUIT)
            return NULL;
        obey(f, order);
        api_server_run(f->server);
    }
}

static void tell(struct fixture *f, char order)
{
    assert_int_equal(write(f->orders[1], &order, 1), 1);
}

static int listen_at(const char *folder)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(pi_socket_address(folder, API_SOCKET_NAME, &address, NULL), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 64), 0);
    return fd;
}

static int setup(void **state)
{
    static struct fixture f;
    void *folder;
    f = (struct fixture){0};
    if (folder_setup(&folder) < 0)
        return -1;
    f.folder = folder;
    snprintf(f.socket, sizeof f.socket, "%s/%s", f.folder->path, API_SOCKET_NAME);
    if (pipe2(f.orders, O_CLOEXEC) < 0 ||
        api_server_new(listen_at(f.folder->path), API_CLIENTS_OWNER, on_call, &f, &f.server, NULL) < 0 ||
        api_client_new(f.socket, &f.client, NULL) < 0)
        return -1;
    *state = &f;
    return pthread_create(&f.thread, NULL, serve, &f);
}

static void server_down(struct fixture *f)
{
    if (!f->server)
        return;
    tell(f, ORDER_QUIT);
    pthread_join(f->thread, NULL);
    api_server_free(f->server);
    f->server = NULL;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    void *folder = f->folder;
    server_down(f);
    api_client_free(f->client);
    close(f->orders[0]);
    close(f->orders[1]);
    return folder_teardown(&folder);
}

static void request_arrives_and_its_reply_comes_back(void **state)
{
    struct fixture *f = *state;
    static const char *const methods[] = {"GET", "POST", "DELETE"};
    for (size_t i = 0; i < PI_ARRAY_SIZE(methods); i++) {
        json_auto_t *reply = NULL, *body = json_pack("{s:s}", "a", "caf\xc3\xa9"), *empty = json_object();
        json_t *sent = i == 1 ? body : NULL;
        assert_int_equal(api_client_call(f->client, methods[i], "/v1/x?y=1", sent, CALL_MS, &reply, NULL), 0);
        assert_string_equal(json_string_value(json_object_get(reply, "method")), methods[i]);
        assert_string_equal(json_string_value(json_object_get(reply, "path")), "/v1/x");
        assert_true(json_equal(json_object_get(reply, "body"), sent ? sent : empty));
    }
}

static void path_goes_as_it_is(void **state)
{
    struct fixture *f = *state;
    json_auto_t *reply = NULL;
    assert_int_equal(
        api_client_call(f->client, "DELETE", "/v1/instances/../agent", NULL, CALL_MS, &reply, NULL), 0);
    assert_string_equal(json_string_value(json_object_get(reply, "path")), "/v1/instances/../agent");
}

static void every_kind_of_error_arrives_as_the_same_kind(void **state)
{
    struct fixture *f = *state;
    for (int kind = PI_FAILED; kind < PI_KINDS; kind++) {
        struct pi_error err;
        char path[64], wanted[64];
        json_t *reply = NULL;
        snprintf(path, sizeof path, "/error?kind=%s", pi_kind_names[kind]);
        snprintf(wanted, sizeof wanted, "because of %s", pi_kind_names[kind]);
        assert_true(api_client_call(f->client, "GET", path, NULL, CALL_MS, &reply, &err) < 0);
        assert_int_equal(err.kind, kind);
        assert_string_equal(err.text, wanted);
        assert_null(reply);
    }
}

static void body_is_limited(void **state)
{
    struct fixture *f = *state;
    pi_auto_free char *text = malloc(API_BODY_MAX + 1);
    struct pi_error err;
    memset(text, 'x', API_BODY_MAX + 1);
    for (size_t over = 0; over <= 1; over++) {
        json_auto_t *body = json_pack("{s:s#}", "a", text, (int)(API_BODY_MAX - 8 + over)), *reply = NULL;
        int r = api_client_call(f->client, "POST", "/x", body, CALL_MS, &reply, &err);
        assert_int_equal(r < 0, over);
        if (r == 0)
            assert_int_equal(json_integer_value(json_object_get(reply, "size")), API_BODY_MAX);
    }
    assert_int_equal(err.kind, PI_USAGE);
    assert_string_equal(err.text, "the request is larger than 2097152 bytes");
    assert_int_equal(atomic_load(&f->asked), 1);
}

static void body_that_is_not_json_is_refused(void **state)
{
    struct fixture *f = *state;
    struct pi_error err;
    json_auto_t *list = json_pack("[i]", 1);
    assert_true(api_client_call(f->client, "POST", "/x", list, CALL_MS, NULL, &err) < 0);
    assert_int_equal(err.kind, PI_USAGE);
    assert_string_equal(err.text, "not a JSON object");
}

static void reply_that_could_not_be_made_ends_the_connection(void **state)
{
    struct fixture *f = *state;
    struct pi_error err;
    assert_true(api_client_call(f->client, "GET", "/nothing", NULL, CALL_MS, NULL, &err) < 0);
    assert_int_equal(err.kind, PI_AGENT);
    assert_non_null(strstr(err.text, "the connection to the agent broke"));
}

/* One transfer as the tests see it. */
struct seen {
    size_t bytes;
    int stop_after, result;
    bool over;
    struct pi_error err;
};

static int on_data(const char *bytes, size_t size, void *user)
{
    struct seen *seen = user;
    (void)bytes;
    seen->bytes += size;
    return seen->stop_after && seen->bytes >= (size_t)seen->stop_after ? -ECANCELED : 0;
}

static void on_done(int result, const struct pi_error *err, void *user)
{
    struct seen *seen = user;
    assert_false(seen->over);
    seen->over = true;
    seen->result = result;
    seen->err = *err;
}

static struct api_transfer *begin(struct fixture *f, const char *path, struct seen *seen)
{
    struct api_transfer *transfer = NULL;
    const struct api_sink sink = {.data = on_data, .done = on_done, .user = seen};
    assert_int_equal(api_client_start(f->client, "GET", path, NULL, 0, &sink, &transfer, NULL), 0);
    return transfer;
}

/* Drives the client until the bytes or the end are there. */
static void wait_for(struct fixture *f, struct seen *seen, size_t bytes)
{
    for (int i = 0; i < 2000 && !seen->over && seen->bytes < bytes; i++)
        assert_int_equal(api_client_wait(f->client, NULL, 0, 10, NULL), 0);
}

static void wait_for_handler(struct fixture *f, int calls)
{
    for (int i = 0; i < 2000 && atomic_load(&f->asked) < calls; i++)
        assert_int_equal(api_client_wait(f->client, NULL, 0, 10, NULL), 0);
    assert_int_equal(atomic_load(&f->asked), calls);
}

static void wait_for_close(struct fixture *f, int closed)
{
    for (int i = 0; i < 2000 && atomic_load(&f->closed) < closed; i++)
        poll(NULL, 0, 1);
    assert_int_equal(atomic_load(&f->closed), closed);
}

static void reply_may_come_later(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    begin(f, "/later", &seen);
    wait_for_handler(f, 1);
    assert_false(seen.over);
    tell(f, ORDER_ANSWER);
    wait_for(f, &seen, SIZE_MAX);
    assert_true(seen.over);
    assert_int_equal(seen.result, 0);
    assert_int_equal(seen.bytes, strlen("{\"later\":true}\n"));
}

static void stream_runs_as_it_is_woken_and_ends(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    atomic_store(&f->available, 100000);
    begin(f, "/stream", &seen);
    wait_for(f, &seen, 100000);
    assert_int_equal(seen.bytes, 100000);
    for (int i = 1; i <= 20; i++) {
        atomic_store(&f->available, 1);
        tell(f, ORDER_WAKE);
        wait_for(f, &seen, 100000 + (size_t)i);
        assert_int_equal(seen.bytes, 100000 + i);
    }
    assert_int_equal(atomic_load(&f->closed), 0);
    atomic_store(&f->available, 70000);
    tell(f, ORDER_END);
    wait_for(f, &seen, SIZE_MAX);
    assert_true(seen.over);
    assert_int_equal(seen.result, 0);
    assert_int_equal(seen.bytes, 170020);
    wait_for_close(f, 1);
}

static void stream_that_says_its_end_is_over(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    f->over = true;
    atomic_store(&f->available, 5);
    begin(f, "/stream", &seen);
    wait_for(f, &seen, SIZE_MAX);
    assert_true(seen.over && seen.result == 0 && seen.bytes == 5);
    wait_for_close(f, 1);
}

static void client_that_leaves_a_quiet_stream_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0}, other = {0};
    atomic_store(&f->available, 1);
    struct api_transfer *transfer = begin(f, "/stream", &seen);
    wait_for(f, &seen, 1);
    api_transfer_cancel(transfer);
    /* libcurl closes a connection that was cut short at once. */
    wait_for_close(f, 1);
    assert_false(seen.over);
    begin(f, "/later", &other);
    wait_for_handler(f, 2);
    tell(f, ORDER_ANSWER);
    wait_for(f, &other, SIZE_MAX);
    assert_int_equal(other.result, 0);
    assert_int_equal(atomic_load(&f->closed), 1);
}

static void sink_can_stop_its_transfer(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {.stop_after = 10};
    atomic_store(&f->available, 100);
    begin(f, "/stream", &seen);
    wait_for(f, &seen, SIZE_MAX);
    assert_true(seen.over);
    assert_int_equal(seen.result, -ECANCELED);
    assert_true(seen.err.kind != PI_OK && seen.err.text[0]);
    wait_for_close(f, 1);
}

static void many_transfers_run_at_once(void **state)
{
    struct fixture *f = *state;
    struct seen streams[20] = {0}, call = {0};
    for (size_t i = 0; i < PI_ARRAY_SIZE(streams); i++)
        begin(f, "/stream", &streams[i]);
    wait_for_handler(f, PI_ARRAY_SIZE(streams));
    begin(f, "/later", &call);
    wait_for_handler(f, PI_ARRAY_SIZE(streams) + 1);
    tell(f, ORDER_ANSWER);
    wait_for(f, &call, SIZE_MAX);
    assert_true(call.over && call.result == 0);
    tell(f, ORDER_END);
    for (size_t i = 0; i < PI_ARRAY_SIZE(streams); i++) {
        wait_for(f, &streams[i], SIZE_MAX);
        assert_true(streams[i].over && streams[i].result == 0);
    }
    wait_for_close(f, PI_ARRAY_SIZE(streams));
}

static void descriptor_of_the_caller_ends_the_wait(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct api_transfer *transfer = begin(f, "/never", &seen);
    wait_for_handler(f, 1);
    assert_int_equal(write(ends[1], "x", 1), 1);
    struct pollfd extra = {.fd = ends[0], .events = POLLIN};
    for (int i = 0; i < 100 && !extra.revents; i++)
        assert_int_equal(api_client_wait(f->client, &extra, 1, (int)CALL_MS, NULL), 0);
    assert_int_equal(extra.revents, POLLIN);
    api_transfer_cancel(transfer);
    close(ends[0]);
    close(ends[1]);
}

static void answer_that_does_not_come_in_time_is_a_timeout(void **state)
{
    struct fixture *f = *state;
    struct pi_error err;
    assert_int_equal(api_client_call(f->client, "GET", "/never", NULL, 50, NULL, &err), -ETIMEDOUT);
    assert_int_equal(err.kind, PI_TIMEOUT);
}

static void without_an_agent_it_is_said_at_once(void **state)
{
    struct fixture *f = *state;
    struct pi_error err;
    server_down(f);
    for (int turn = 0; turn < 2; turn++) { /* a socket without a listener, then none */
        assert_int_equal(api_client_call(f->client, "GET", "/", NULL, CALL_MS, NULL, &err), -ECONNREFUSED);
        assert_int_equal(err.kind, PI_AGENT);
        assert_non_null(strstr(err.text, "no agent answers at /tmp/"));
        unlink(f->socket);
    }
}

static void agent_that_ends_answers_what_waits(void **state)
{
    struct fixture *f = *state;
    struct seen waits = {0}, stream = {0};
    begin(f, "/never", &waits);
    begin(f, "/stream", &stream);
    wait_for_handler(f, 2);
    server_down(f);
    wait_for(f, &waits, SIZE_MAX);
    wait_for(f, &stream, SIZE_MAX);
    assert_true(waits.over && stream.over);
    assert_int_equal(waits.err.kind, PI_AGENT);
    assert_string_equal(waits.err.text, "the agent was stopped");
    assert_int_equal(stream.result, 0);
    assert_int_equal(atomic_load(&f->closed), 1);
}

static int connect_raw(const struct fixture *f, const char *request)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (pi_socket_address(f->folder->path, API_SOCKET_NAME, &address, NULL) < 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        pi_write_all(fd, request, strlen(request)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void request_that_comes_while_the_agent_ends_does_not_reach_it(void **state)
{
    struct fixture *f = *state;
    tell(f, ORDER_QUIT);
    pthread_join(f->thread, NULL);
    pi_auto_close int fd = connect_raw(f, "GET /never HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(fd >= 0);
    api_server_free(f->server);
    f->server = NULL;
    assert_int_equal(atomic_load(&f->asked), 0);
}

static void another_user_is_refused(void **state)
{
    struct fixture *f = *state;
    if (geteuid() != 0) {
        skip_because("cannot here: only root can be another user");
    }
    assert_int_equal(chmod(f->folder->path, 0755), 0);
    assert_int_equal(chmod(f->socket, 0666), 0);
    int pipe_ends[2], status;
    assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char reply[1024];
        if (setgid(65534) < 0 || setuid(65534) < 0)
            _exit(1);
        int fd = connect_raw(f, "GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        for (ssize_t n; fd >= 0 && (n = read(fd, reply, sizeof reply)) > 0;)
            if (write(pipe_ends[1], reply, (size_t)n) != n)
                _exit(1);
        _exit(fd < 0);
    }
    close(pipe_ends[1]);
    char got[2048];
    size_t used = 0;
    for (ssize_t n; (n = read(pipe_ends[0], got + used, sizeof got - 1 - used)) > 0;)
        used += (size_t)n;
    got[used] = '\0';
    close(pipe_ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_non_null(strstr(got, "503"));
    assert_non_null(strstr(got, "this agent belongs to another user"));
    assert_int_equal(atomic_load(&f->asked), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(request_arrives_and_its_reply_comes_back),
        TEST(path_goes_as_it_is),
        TEST(every_kind_of_error_arrives_as_the_same_kind),
        TEST(body_is_limited),
        TEST(body_that_is_not_json_is_refused),
        TEST(reply_that_could_not_be_made_ends_the_connection),
        TEST(reply_may_come_later),
        TEST(stream_runs_as_it_is_woken_and_ends),
        TEST(stream_that_says_its_end_is_over),
        TEST(client_that_leaves_a_quiet_stream_is_noticed),
        TEST(sink_can_stop_its_transfer),
        TEST(many_transfers_run_at_once),
        TEST(descriptor_of_the_caller_ends_the_wait),
        TEST(answer_that_does_not_come_in_time_is_a_timeout),
        TEST(without_an_agent_it_is_said_at_once),
        TEST(agent_that_ends_answers_what_waits),
        TEST(request_that_comes_while_the_agent_ends_does_not_reach_it),
        TEST(another_user_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
