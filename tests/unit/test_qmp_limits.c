/* SPDX-License-Identifier: MIT */
/*
 * The client with a hostile QEMU (every limit, just within and just past it), and with callbacks that call
 * the client back in every allowed way.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qmp/qmp.h"

#define GREETING   "{\"QMP\": {}}\r\n"
#define NEGOTIATED "{\"return\": {}, \"id\": \"3e8\"}\r\n"
#define STOP       "{\"event\": \"STOP\"}\r\n"

/* The calls that the callbacks saw, and what they do next. */
struct watcher {
    struct qmp_client *client;
    unsigned ready, events, replies, closed;
    int result, reason;
    void (*act)(struct watcher *watcher);
};

static void act(struct watcher *watcher)
{
    if (watcher->act)
        watcher->act(watcher);
}

static void on_ready(void *user)
{
    struct watcher *watcher = user;
    watcher->ready++;
    act(watcher);
}

static void on_event(const struct qmp_event *event, void *user)
{
    (void)event;
    struct watcher *watcher = user;
    watcher->events++;
    act(watcher);
}

static void on_closed(int reason, const char *why, void *user)
{
    struct watcher *watcher = user;
    assert_non_null(why);
    watcher->closed++;
    watcher->reason = reason;
    act(watcher);
}

static void on_answer(int result, const json_t *data, const char *why, void *user)
{
    (void)data;
    (void)why;
    struct watcher *watcher = user;
    watcher->replies++;
    watcher->result = result;
    act(watcher);
}

static const struct qmp_handler handler = {.ready = on_ready, .event = on_event, .closed = on_closed};

static void watch(struct watcher *watcher)
{
    *watcher = (struct watcher){.client = qmp_client_new(&handler, watcher, 1000)};
    assert_non_null(watcher->client);
}

static int receive(struct watcher *watcher, const char *text)
{
    return qmp_client_receive(watcher->client, text, strlen(text));
}

static void send_all(struct watcher *watcher)
{
    const char *bytes;
    qmp_client_sent(watcher->client, qmp_client_pending(watcher->client, &bytes));
}

static void watch_ready(struct watcher *watcher)
{
    watch(watcher);
    assert_int_equal(receive(watcher, GREETING), 0);
    send_all(watcher);
    assert_int_equal(receive(watcher, NEGOTIATED), 0);
    assert_int_equal(watcher->ready, 1);
}

static int run(struct watcher *watcher, uint64_t deadline_ms)
{
    return qmp_client_execute(watcher->client, "stop", NULL, deadline_ms, on_answer, watcher);
}

static void a_line_may_be_as_long_as_the_limit(void **state)
{
    (void)state;
    static char line[QMP_LINE_MAX + 1];
    for (size_t length = QMP_LINE_MAX; length <= QMP_LINE_MAX + 1; length++) {
        struct watcher watcher;
        watch_ready(&watcher);
        memset(line, ' ', sizeof(line));
        memcpy(line, STOP, sizeof(STOP) - 3); /* without its end */
        line[length - 1] = '\n';
        int r = qmp_client_receive(watcher.client, line, length);
        assert_int_equal(r, length > QMP_LINE_MAX ? -EPROTO : 0);
        assert_int_equal(watcher.events, length > QMP_LINE_MAX ? 0 : 1);
        assert_int_equal(watcher.closed, length > QMP_LINE_MAX ? 1 : 0);
        qmp_client_free(watcher.client);
    }
}

static void a_line_without_an_end_closes_at_the_limit(void **state)
{
    (void)state;
    static char endless[4096];
    memset(endless, '[', sizeof(endless));
    struct watcher watcher;
    watch_ready(&watcher);
    size_t taken = 0;
    while (qmp_client_receive(watcher.client, endless, sizeof(endless)) == 0)
        taken += sizeof(endless);
    assert_int_equal(taken, QMP_LINE_MAX);
    assert_int_equal(watcher.reason, -EPROTO);
    qmp_client_free(watcher.client);
}

static void json_may_be_as_deep_as_the_limit(void **state)
{
    (void)state;
    for (int depth = QMP_DEPTH_MAX; depth <= QMP_DEPTH_MAX + 1; depth++) {
        char lists[2 * (QMP_DEPTH_MAX + 1) + 1] = "";
        memset(lists, '[', (size_t)depth - 2);
        memset(lists + depth - 2, ']', (size_t)depth - 2);
        char line[512];
        /* Brackets in strings do not count, nor does one behind an escaped quote. */
        snprintf(line, sizeof(line), "{\"event\": \"\\\"[[[[[[[[{{{{{{{{\", \"data\": {\"a\": %s}}\n", lists);
        struct watcher watcher;
        watch_ready(&watcher);
        assert_int_equal(receive(&watcher, line), depth > QMP_DEPTH_MAX ? -EPROTO : 0);
        assert_int_equal(watcher.events, depth > QMP_DEPTH_MAX ? 0 : 1);
        qmp_client_free(watcher.client);
    }
}

static void commands_without_a_reply_are_limited(void **state)
{
    (void)state;
    struct watcher watcher;
    watch_ready(&watcher);
    for (unsigned i = 0; i < QMP_OUTSTANDING_MAX; i++)
        assert_int_equal(run(&watcher, 10), 0);
    assert_int_equal(run(&watcher, 10), -EBUSY);
    qmp_client_expire(watcher.client, 10);
    assert_int_equal(watcher.replies, QMP_OUTSTANDING_MAX);
    assert_int_equal(run(&watcher, 20), 0);
    qmp_client_free(watcher.client);
}

static void bytes_to_send_are_limited(void **state)
{
    (void)state;
    static char text[QMP_PENDING_MAX];
    memset(text, 'a', sizeof(text) - 1);
    struct watcher watcher;
    watch_ready(&watcher);
    send_all(&watcher);
    json_t *large = json_pack("{s:s#}", "text", text, (int)(QMP_PENDING_MAX / 2));
    json_incref(large);
    assert_int_equal(qmp_client_execute(watcher.client, "a", large, 10, on_answer, &watcher), 0);
    const char *bytes;
    size_t pending = qmp_client_pending(watcher.client, &bytes);
    json_incref(large);
    assert_int_equal(qmp_client_execute(watcher.client, "a", large, 10, on_answer, &watcher), -ENOBUFS);
    assert_int_equal(qmp_client_pending(watcher.client, &bytes), pending);
    send_all(&watcher);
    assert_int_equal(qmp_client_execute(watcher.client, "a", large, 10, on_answer, &watcher), 0);
    assert_int_equal(watcher.replies, 0);
    qmp_client_free(watcher.client);
}

static void free_it(struct watcher *watcher)
{
    qmp_client_free(watcher->client);
}

static void close_it(struct watcher *watcher)
{
    qmp_client_close(watcher->client, -EIO, "enough");
}

static void receive_more(struct watcher *watcher)
{
    assert_int_equal(receive(watcher, STOP), -EBUSY);
}

/* With a deadline that has passed already: one turn of qmp_client_expire() must not run it. */
static void run_again(struct watcher *watcher)
{
    int r = run(watcher, 0);
    assert_int_equal(r, qmp_client_state(watcher->client) == QMP_CLOSED ? -ECONNRESET : 0);
}

static void expire_all(struct watcher *watcher)
{
    qmp_client_expire(watcher->client, 5000);
}

/* Each way a callback is made, with 3 commands outstanding. */
static void by_ready(struct watcher *watcher)
{
    receive(watcher, GREETING);
    receive(watcher, NEGOTIATED STOP STOP);
}

static void by_event(struct watcher *watcher)
{
    receive(watcher, STOP STOP);
}

static void by_reply(struct watcher *watcher)
{
    receive(watcher, GREETING);
    void (*later)(struct watcher *) = watcher->act;
    watcher->act = NULL;
    receive(watcher, NEGOTIATED);
    watcher->act = later;
    watcher->ready = 0;
    receive(watcher, "{\"return\": {}, \"id\": 2}\n{\"return\": {}, \"id\": 1}\n");
}

static void by_breach(struct watcher *watcher)
{
    receive(watcher, "[]\n" STOP);
}

static void by_expiry(struct watcher *watcher)
{
    qmp_client_expire(watcher->client, 500);
}

static void by_late_greeting(struct watcher *watcher)
{
    qmp_client_expire(watcher->client, 1000);
}

static void by_close(struct watcher *watcher)
{
    qmp_client_close(watcher->client, 0, "gone");
}

static void (*const ways[])(struct watcher *) = {
    by_ready, by_event, by_reply, by_breach, by_expiry, by_late_greeting, by_close,
};

static unsigned callbacks(const struct watcher *watcher)
{
    return watcher->ready + watcher->events + watcher->replies + watcher->closed;
}

static void play(struct watcher *watcher, void (*way)(struct watcher *), void (*act_)(struct watcher *))
{
    watch(watcher);
    for (int i = 0; i < 3; i++)
        assert_int_equal(run(watcher, 500), 0);
    watcher->act = act_;
    way(watcher);
    watcher->act = NULL;
}

#define FOR_EACH_WAY(i) for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)

static void freeing_in_a_callback_makes_it_the_last(void **state)
{
    (void)state;
    FOR_EACH_WAY(i) {
        struct watcher watcher;
        play(&watcher, ways[i], free_it);
        assert_int_equal(callbacks(&watcher), 1);
    }
}

static void closing_in_a_callback_ends_all_once(void **state)
{
    (void)state;
    FOR_EACH_WAY(i) {
        struct watcher watcher;
        play(&watcher, ways[i], close_it);
        assert_int_equal(watcher.closed, 1);
        assert_int_equal(watcher.replies, 3);
        assert_int_equal(qmp_client_state(watcher.client), QMP_CLOSED);
        assert_int_equal(receive(&watcher, STOP), watcher.reason < 0 ? watcher.reason : -ECONNRESET);
        qmp_client_free(watcher.client);
    }
}

static void receiving_in_a_callback_is_refused(void **state)
{
    (void)state;
    FOR_EACH_WAY(i) {
        struct watcher watcher;
        play(&watcher, ways[i], receive_more);
        assert_true(callbacks(&watcher) > 0);
        qmp_client_free(watcher.client);
    }
}

static void executing_in_a_callback_takes_one_turn_each(void **state)
{
    (void)state;
    FOR_EACH_WAY(i) {
        struct watcher watcher;
        play(&watcher, ways[i], run_again);
        unsigned made = callbacks(&watcher);
        assert_in_range(made, 2, 4); /* those of the connection itself */
        qmp_client_close(watcher.client, 0, "the end");
        assert_int_equal(watcher.closed, 1);
        qmp_client_free(watcher.client);
    }
}

static void expiring_in_a_callback_fails_each_command_once(void **state)
{
    (void)state;
    FOR_EACH_WAY(i) {
        struct watcher watcher;
        play(&watcher, ways[i], expire_all);
        qmp_client_close(watcher.client, 0, "the end");
        assert_int_equal(watcher.replies, 3);
        assert_int_equal(watcher.closed, 1);
        qmp_client_free(watcher.client);
    }
}

static void a_client_without_callbacks_works(void **state)
{
    (void)state;
    static const struct qmp_handler none = {0};
    struct qmp_client *client = qmp_client_new(&none, NULL, 1000);
    assert_int_equal(qmp_client_execute(client, "stop", NULL, 10, NULL, NULL), 0);
    assert_int_equal(
        qmp_client_receive(client, STOP GREETING NEGOTIATED STOP, strlen(STOP GREETING NEGOTIATED STOP)), 0);
    assert_int_equal(qmp_client_state(client), QMP_READY);
    qmp_client_expire(client, 10);
    qmp_client_close(client, 0, "gone");
    qmp_client_free(client);
    qmp_client_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_may_be_as_long_as_the_limit),
        cmocka_unit_test(a_line_without_an_end_closes_at_the_limit),
        cmocka_unit_test(json_may_be_as_deep_as_the_limit),
        cmocka_unit_test(commands_without_a_reply_are_limited),
        cmocka_unit_test(bytes_to_send_are_limited),
        cmocka_unit_test(freeing_in_a_callback_makes_it_the_last),
        cmocka_unit_test(closing_in_a_callback_ends_all_once),
        cmocka_unit_test(receiving_in_a_callback_is_refused),
        cmocka_unit_test(executing_in_a_callback_takes_one_turn_each),
        cmocka_unit_test(expiring_in_a_callback_fails_each_command_once),
        cmocka_unit_test(a_client_without_callbacks_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
