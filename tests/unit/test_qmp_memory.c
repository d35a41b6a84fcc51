/* SPDX-License-Identifier: MIT */
/* The client when memory runs out: each accepted command is answered, and closed() is called once. */
#include "memory_fixture.h"

#include "qmp/qmp.h"

struct watcher {
    struct qmp_client *client;
    unsigned ready, events, replies, closed;
};

static void on_ready(void *user)
{
    struct watcher *watcher = user;
    watcher->ready++;
}

static void on_event(const struct qmp_event *event, void *user)
{
    (void)event;
    struct watcher *watcher = user;
    watcher->events++;
}

static void on_closed(int reason, const char *why, void *user)
{
    struct watcher *watcher = user;
    memory_promise((reason == 0 || reason == -ENOMEM) && why[strlen(why) - 1] != ' ');
    watcher->closed++;
}

static void on_answer(int result, const json_t *data, const char *why, void *user)
{
    (void)result, (void)data, (void)why;
    struct watcher *watcher = user;
    watcher->replies++;
}

static const struct qmp_handler handler = {.ready = on_ready, .event = on_event, .closed = on_closed};

static void receive(struct watcher *watcher, const char *text)
{
    qmp_client_receive(watcher->client, text, strlen(text));
}

static void send_all(struct watcher *watcher)
{
    const char *bytes;
    qmp_client_sent(watcher->client, qmp_client_pending(watcher->client, &bytes));
}

static int conversation_is_held(struct pi_error *err)
{
    struct watcher watcher = {.client = qmp_client_new(&handler, &watcher, 1000)};
    (void)err;
    if (!watcher.client)
        return -ENOMEM;
    receive(&watcher, "{\"QMP\": {}}\r\n");
    send_all(&watcher);
    receive(&watcher, "{\"return\": {}, \"id\": \"3e8\"}\r\n");
    json_t *arguments =
        json_pack("{s:s}", "text", "a text that is longer than any first buffer of a few bytes");
    int r = qmp_client_execute(watcher.client, "say", arguments, 10, on_answer, &watcher);
    memory_promise(r == 0 || r == -ENOMEM || r == -ECONNRESET);
    send_all(&watcher);
    receive(&watcher, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}, \"id\": 1}\r\n");
    receive(&watcher, "{\"event\": \"STOP\"}\r\n");
    qmp_client_close(watcher.client, 0, "the end");
    qmp_client_free(watcher.client);
    memory_promise(watcher.replies == (r == 0) && watcher.closed == 1);
    return watcher.ready + watcher.events + watcher.replies == 3 ? 0 : -ENOMEM;
}

static void every_failing_allocation_is_survived(void **state)
{
    static const struct memory_operation operation =
        MEMORY_OPERATION(conversation_is_held, .silent = true, .parses = true);
    (void)state;
    memory_check(&operation, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
