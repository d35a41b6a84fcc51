/* SPDX-License-Identifier: MIT */
/* Hostile guests, also many of them, cannot harm the others. */
#include "imds_fixture.h"

#include <sys/resource.h>

#define REQUEST_MS 5000

static const struct imds_limits four_connections = {.connections = 4, .request_ms = REQUEST_MS};

/* Both ends of every connection are in this process. */
static int raise_descriptor_limit(void **state)
{
    (void)state;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -1;
    limit.rlim_cur = limit.rlim_max < 8192 ? limit.rlim_max : 8192;
    return setrlimit(RLIMIT_NOFILE, &limit);
}

static int setup(void **state)
{
    struct fixture *fx = fixture_new(AF_INET, NULL);
    put(fx, KEY, IMDS_META_DATA, "honest", 6, NULL);
    *state = fx;
    return 0;
}

static int setup_small(void **state)
{
    struct fixture *fx = fixture_new(AF_INET, &four_connections);
    put(fx, KEY, IMDS_META_DATA, "honest", 6, NULL);
    *state = fx;
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

static void assert_honest_client_is_served(struct fixture *fx)
{
    char *answer = ask(fx, "GET", "/" KEY "/meta-data");
    assert_true(has_status(answer, 200));
    assert_string_equal(body_of(answer), "honest");
    free(answer);
}

static void idle_server_has_nothing_to_wait_for(void **state)
{
    struct fixture *fx = *state;
    settle(fx);
    assert_int_equal(imds_server_timeout_ms(fx->server, fx->now_ms), -1);
    assert_honest_client_is_served(fx);
    settle(fx);
    assert_int_equal(imds_server_timeout_ms(fx->server, fx->now_ms), -1);
}

static void timeout_is_the_oldest_connections_deadline(void **state)
{
    struct fixture *fx = *state;
    int first = dial(fx);
    settle(fx);
    fx->now_ms += 1000;
    int second = dial(fx);
    settle(fx);
    assert_int_equal(imds_server_timeout_ms(fx->server, fx->now_ms), REQUEST_MS - 1000);
    fx->now_ms += REQUEST_MS - 1000;
    assert_int_equal(imds_server_timeout_ms(fx->server, fx->now_ms), 0);
    assert_false(is_open(fx, first));
    assert_true(is_open(fx, second));
    assert_int_equal(imds_server_timeout_ms(fx->server, fx->now_ms), 1000);
    close(first);
    close(second);
}

/* Feeds the text to the server byte by byte, one each 500 ms; true if the connection was cut at its
 * deadline. */
static bool trickle_is_cut(struct fixture *fx, const char *text)
{
    int fd = dial(fx);
    settle(fx);
    for (uint64_t elapsed = 0; elapsed < REQUEST_MS; elapsed += 500) {
        assert_true(is_open(fx, fd));
        say(fx, fd, text++, 1);
        fx->now_ms += 500;
    }
    bool cut = !is_open(fx, fd);
    close(fd);
    return cut;
}

static void slow_sender_is_cut_however_busily_it_trickles(void **state)
{
    struct fixture *fx = *state;
    assert_true(trickle_is_cut(fx, "GET /" KEY "/meta-data HTTP/1.1\r\n"));

    static const char head[] = "POST /" KEY "/events HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n";
    int fd = dial(fx);
    say(fx, fd, head, sizeof(head) - 1);
    for (int i = 0; i < 10; i++) {
        assert_true(is_open(fx, fd));
        say(fx, fd, "{", 1);
        fx->now_ms += REQUEST_MS / 10;
    }
    assert_false(is_open(fx, fd));
    close(fd);
    assert_int_equal(fx->reported, 0);
}

static void kept_connection_has_its_deadline_anew_and_is_cut_when_idle(void **state)
{
    static const char get[] = "GET /" KEY "/meta-data HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n";
    struct fixture *fx = *state;
    int fd = dial(fx), younger = dial(fx);
    settle(fx);
    fx->now_ms += REQUEST_MS - 1;
    say(fx, fd, get, sizeof(get) - 1);
    settle(fx);
    fx->now_ms += REQUEST_MS - 1;
    char answer[512];
    assert_false(is_open(fx, younger));
    assert_int_equal(fx->served, 1);
    while (recv(fd, answer, sizeof(answer), MSG_DONTWAIT) > 0)
        ;
    assert_true(is_open(fx, fd));
    fx->now_ms += 1;
    assert_false(is_open(fx, fd));
    close(fd);
    close(younger);
}

static void slow_reader_is_cut(void **state)
{
    struct fixture *fx = *state;
    size_t size = (size_t)12 << 20;
    char *big = calloc(1, size);
    put(fx, OTHER, IMDS_USER_DATA, big, size, NULL);
    free(big);
    static const char request[] = "GET /" OTHER "/user-data HTTP/1.1\r\nHost: x\r\n\r\n";
    int fd = dial(fx);
    say(fx, fd, request, sizeof(request) - 1);
    fx->now_ms += REQUEST_MS;
    size_t got;
    char *answer = hear(fx, fd, &got);
    assert_true(got < size);
    free(answer);
    close(fd);
    assert_int_equal(fx->served, 0);
    assert_int_equal(imds_server_timeout_ms(fx->server, fx->now_ms), -1);
}

static void oldest_connection_makes_room_when_all_are_taken(void **state)
{
    struct fixture *fx = *state;
    int squatters[4];
    for (int i = 0; i < 4; i++) {
        squatters[i] = dial(fx);
        say(fx, squatters[i], "GET /", 5);
    }
    assert_true(is_open(fx, squatters[0]));
    assert_honest_client_is_served(fx);
    assert_false(is_open(fx, squatters[0]));
    for (int i = 1; i < 4; i++)
        assert_true(is_open(fx, squatters[i]));
    for (int i = 0; i < 4; i++)
        close(squatters[i]);
}

static void half_open_flood_does_not_shut_out_honest_clients(void **state)
{
    enum { COUNT = 500 };
    struct fixture *fx = *state;
    int fds[COUNT];
    for (int i = 0; i < COUNT; i++) {
        fds[i] = dial(fx);
        if (i % 100 == 0)
            assert_honest_client_is_served(fx);
    }
    assert_honest_client_is_served(fx);
    int open = 0;
    for (int i = 0; i < COUNT; i++) {
        open += is_open(fx, fds[i]);
        close(fds[i]);
    }
    assert_true(open < 4);
}

static void flood_of_unknown_keys_does_not_shut_out_honest_clients(void **state)
{
    struct fixture *fx = *state;
    for (unsigned i = 0; i < 200; i++) {
        char path[100];
        snprintf(path, sizeof(path), "/%032x/meta-data", i);
        char *answer = ask(fx, "GET", path);
        assert_true(has_status(answer, 404));
        free(answer);
        if (i % 20 == 0)
            assert_honest_client_is_served(fx);
    }
    assert_int_equal(fx->served, 10);
}

static void six_hundred_at_once_each_get_their_own_seed(void **state)
{
    enum { COUNT = 600 };
    struct fixture *fx = *state;
    int *fds = calloc(COUNT, sizeof(*fds));
    for (unsigned i = 0; i < COUNT; i++) {
        char key[IMDS_KEY_LENGTH + 1], text[32];
        snprintf(key, sizeof(key), "%032x", i);
        int size = snprintf(text, sizeof(text), "instance-id: i-%u\n", i);
        put(fx, key, IMDS_META_DATA, text, (size_t)size, NULL);
        fds[i] = dial(fx);
        assert_int_equal(send(fds[i], "GET /", 5, 0), 5);
        if (i % 100 == 0)
            settle(fx);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        char rest[100];
        int size = snprintf(rest, sizeof(rest), "%032x/meta-data HTTP/1.1\r\nHost: x\r\n\r\n", i);
        assert_int_equal(send(fds[i], rest, (size_t)size, 0), size);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        char text[32];
        snprintf(text, sizeof(text), "instance-id: i-%u\n", i);
        char *answer = hear(fx, fds[i], NULL);
        assert_true(has_status(answer, 200));
        assert_string_equal(body_of(answer), text);
        free(answer);
        close(fds[i]);
    }
    free(fds);
    assert_int_equal(fx->served, COUNT);
}

static void header_past_its_bound_is_refused(void **state)
{
    struct fixture *fx = *state;
    size_t size = (size_t)1 << 20;
    char *request = malloc(size);
    static const char *const beginnings[] = {"GET /" KEY "/meta-data HTTP/1.1\r\nHost: x\r\nX: ", "GET /",
                                             "GET /" KEY "/meta-data HTTP/1.1\r\nHost: x\r\nX"};
    for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++) {
        memset(request, 'x', size);
        memcpy(request, beginnings[i], strlen(beginnings[i]));
        char *answer = ask_bytes(fx, request, size, NULL);
        assert_false(has_status(answer, 200));
        free(answer);
    }
    free(request);
    assert_int_equal(fx->served, 0);
    assert_honest_client_is_served(fx);
}

static void body_past_its_bound_is_answered_and_dropped(void **state)
{
    static const char report[] = "{\"name\":\"a\",\"event_type\":\"start\",\"timestamp\":1}";
    static const struct {
        size_t size;
        unsigned reported;
    } cases[] = {{IMDS_REPORT_MAX, 1}, {IMDS_REPORT_MAX + 1, 0}, {(size_t)4 << 20, 0}};
    struct fixture *fx = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *body = malloc(cases[i].size);
        memset(body, ' ', cases[i].size);
        memcpy(body, report, sizeof(report) - 1);
        fx->reported = 0;
        char *answer = post(fx, "/" KEY "/events", body, cases[i].size);
        assert_true(has_status(answer, 200));
        assert_int_equal(fx->reported, cases[i].reported);
        free(answer);
        answer = post(fx, "/" OTHER "/events", body, cases[i].size);
        assert_true(has_status(answer, 404));
        free(answer);
        free(body);
    }
}

static void what_is_not_http_is_refused(void **state)
{
    static const char *const cases[] = {
        "\r\n\r\n\r\n\r\n",
        "GET\r\n\r\n",
        "\x16\x03\x01\x02\x01\x01",
        "GET /" KEY "/meta-data HTTP/9.9\r\n\r\n",
        "POST /" KEY "/events HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n{}",
        "POST /" KEY "/events HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n{}",
        "POST /" KEY "/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    };
    struct fixture *fx = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int fd = dial(fx);
        say(fx, fd, cases[i], strlen(cases[i]));
        shutdown(fd, SHUT_WR);
        char *answer = hear(fx, fd, NULL);
        assert_false(has_status(answer, 200));
        free(answer);
        close(fd);
    }
    assert_int_equal(fx->served + fx->reported, 0);
    assert_honest_client_is_served(fx);
}

static void client_that_hangs_up_at_any_byte_leaves_nothing_behind(void **state)
{
    static const char request[] =
        "POST /" KEY "/events HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{\"a\":1}  ";
    struct fixture *fx = *state;
    for (size_t i = 0; i < sizeof(request); i++) {
        int fd = dial(fx);
        say(fx, fd, request, i);
        close(fd);
        settle(fx);
        assert_int_equal(imds_server_timeout_ms(fx->server, fx->now_ms), -1);
    }
}

static void connections_never_take_more_than_half_of_the_descriptors(void **state)
{
    (void)state;
    struct rlimit before, low;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = before;
    low.rlim_cur = 40;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    struct fixture *fx = fixture_new(AF_INET, NULL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    int fds[30], open = 0;
    for (int i = 0; i < 30; i++) {
        fds[i] = dial(fx);
        settle(fx);
    }
    for (int i = 0; i < 30; i++) {
        open += is_open(fx, fds[i]);
        close(fds[i]);
    }
    assert_int_equal(open, 20);
    fixture_free(fx);
}

#define BIG_SERVER(test)   cmocka_unit_test_setup_teardown(test, setup, teardown)
#define SMALL_SERVER(test) cmocka_unit_test_setup_teardown(test, setup_small, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BIG_SERVER(idle_server_has_nothing_to_wait_for),
        SMALL_SERVER(timeout_is_the_oldest_connections_deadline),
        SMALL_SERVER(slow_sender_is_cut_however_busily_it_trickles),
        SMALL_SERVER(kept_connection_has_its_deadline_anew_and_is_cut_when_idle),
        SMALL_SERVER(slow_reader_is_cut),
        SMALL_SERVER(oldest_connection_makes_room_when_all_are_taken),
        SMALL_SERVER(half_open_flood_does_not_shut_out_honest_clients),
        BIG_SERVER(flood_of_unknown_keys_does_not_shut_out_honest_clients),
        BIG_SERVER(six_hundred_at_once_each_get_their_own_seed),
        BIG_SERVER(header_past_its_bound_is_refused),
        BIG_SERVER(body_past_its_bound_is_answered_and_dropped),
        BIG_SERVER(what_is_not_http_is_refused),
        BIG_SERVER(client_that_hangs_up_at_any_byte_leaves_nothing_behind),
        cmocka_unit_test(connections_never_take_more_than_half_of_the_descriptors),
    };
    return cmocka_run_group_tests(tests, raise_descriptor_limit, NULL);
}
