/*
 * The client where memory runs out, at each allocation in turn. The library's own sources are compiled in
 * here, with an allocator that fails on demand; jansson is given the same.
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
#include <jansson.h>

static long allocations_left = -1; /* negative = any number */
static long live;                  /* allocations that were not freed */

static bool is_refused(void)
{
    if (allocations_left == 0)
        return true;
    allocations_left -= allocations_left > 0;
    return false;
}

static void *counted_realloc(void *old, size_t size)
{
    void *p = is_refused() ? NULL : realloc(old, size);
    live += p && !old;
    return p;
}

static void *counted_malloc(size_t size)
{
    return counted_realloc(NULL, size);
}

static void *counted_calloc(size_t count, size_t size)
{
    void *p = counted_malloc(count * size);
    return p ? memset(p, 0, count * size) : NULL;
}

static void counted_free(void *p)
{
    live -= p != NULL;
    free(p);
}

#define calloc  counted_calloc
#define realloc counted_realloc
#define free    counted_free
#include "qmp/buffer.c" // NOLINT(bugprone-suspicious-include)
#include "qmp/qmp.c"    // NOLINT(bugprone-suspicious-include)
#undef calloc
#undef realloc
#undef free

/* The analyzer takes it that any call may have freed the client in a callback; here none does. */
// NOLINTBEGIN(clang-analyzer-unix.Malloc)
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
    /* jansson takes some lacks of memory for bad JSON; where it says nothing, that is not passed on as bad
     * JSON. */
    assert_true(reason == 0 || reason == -ENOMEM || reason == -EPROTO);
    assert_int_not_equal(why[strlen(why) - 1], ' ');
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

/* A whole conversation; the number of commands that were taken. */
static unsigned converse(struct watcher *watcher)
{
    *watcher = (struct watcher){.client = qmp_client_new(&handler, watcher, 1000)};
    if (!watcher->client)
        return 0;
    unsigned taken = 0;
    receive(watcher, "{\"QMP\": {}}\r\n");
    send_all(watcher);
    receive(watcher, "{\"return\": {}, \"id\": \"3e8-0\"}\r\n");
    json_t *arguments =
        json_pack("{s:s}", "text", "a text that is longer than any first buffer of a few bytes");
    int r = qmp_client_execute(watcher->client, "say", arguments, 10, on_answer, watcher);
    assert_true(r == 0 || r == -ENOMEM || r == -ECONNRESET);
    taken += r == 0;
    send_all(watcher);
    receive(watcher, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}, \"id\": \"3e8-1\"}\r\n");
    receive(watcher, "{\"event\": \"STOP\"}\r\n");
    qmp_client_close(watcher->client, 0, "the end");
    qmp_client_free(watcher->client);
    return taken;
}

static void every_failing_allocation_is_survived(void **state)
{
    (void)state;
    json_malloc_t saved_malloc;
    json_free_t saved_free;
    json_get_alloc_funcs(&saved_malloc, &saved_free);
    json_set_alloc_funcs(counted_malloc, counted_free);
    long before = live;
    bool complete = false;
    for (long n = 0; !complete; n++) {
        struct watcher watcher;
        assert_in_range(n, 0, 1000);
        allocations_left = n;
        unsigned taken = converse(&watcher);
        complete = allocations_left != 0;
        allocations_left = -1;
        assert_int_equal(live, before);
        assert_int_equal(watcher.replies, taken);
        assert_int_equal(watcher.closed, watcher.client ? 1 : 0);
        if (complete)
            assert_int_equal(watcher.events + watcher.ready + watcher.replies, 3);
    }
    json_set_alloc_funcs(saved_malloc, saved_free);
}

// NOLINTEND(clang-analyzer-unix.Malloc)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
