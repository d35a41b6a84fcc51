/* SPDX-License-Identifier: MIT */
/* The server with honest clients. "unit_imds_server serve KEY META USER VENDOR NETWORK" serves that seed to
 * the Python tests instead. It prints its port, then a line for each request and report. */
#include "imds_fixture.h"

#include <fcntl.h>
#include <time.h>

static int setup_tcp(void **state)
{
    *state = fixture_new(AF_INET, NULL);
    return 0;
}

static int setup_unix(void **state)
{
    *state = fixture_new(AF_UNIX, NULL);
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

static void documents_are_served_byte_for_byte(void **state)
{
    static const char binary[] = "#cloud-config\n\0\r\n\r\n\xff";
    struct fixture *fx = *state;
    for (int i = 0; i < IMDS_SEED_DOCUMENTS; i++) {
        enum imds_document document = (enum imds_document)i;
        put(fx, KEY, document, binary, sizeof(binary), fx);
        char request[200];
        size_t answer_size;
        int size = snprintf(request, sizeof(request), "GET /" KEY "/%s HTTP/1.1\r\nHost: x\r\n\r\n",
                            imds_document_name(document));
        char *answer = ask_bytes(fx, request, (size_t)size, &answer_size);
        assert_true(has_status(answer, 200));
        assert_non_null(strstr(answer, "\r\nContent-Type: text/plain\r\n"));
        assert_int_equal((size_t)(answer + answer_size - body_of(answer)), sizeof(binary));
        assert_memory_equal(body_of(answer), binary, sizeof(binary));
        free(answer);
        assert_int_equal(fx->served, i + 1);
        assert_int_equal(fx->last_document, document);
        assert_ptr_equal(fx->last_owner, fx);
    }
}

static void put_peers(struct fixture *fx, const char *key, const char *list)
{
    const struct imds_bytes peers = {list, strlen(list)};
    assert_int_equal(imds_registry_put_peers(fx->registry, key, &peers, fx), 0);
}

static void key_of_peers_gives_access_to_nothing_else_and_no_other_key_to_them(void **state)
{
    struct fixture *fx = *state;
    put(fx, OTHER, IMDS_META_DATA, "x", 1, fx);
    put_peers(fx, KEY, "[1]");
    char *answer = ask(fx, "GET", "/" KEY "/peers");
    assert_true(has_status(answer, 200));
    assert_non_null(strstr(answer, "\r\nContent-Type: application/json\r\n"));
    assert_string_equal(body_of(answer), "[1]");
    free(answer);
    assert_int_equal(fx->last_document, IMDS_PEERS);
    static const char *const none[][2] = {{"GET", "/" KEY "/meta-data"}, {"GET", "/" KEY "/user-data"},
                                          {"GET", "/" OTHER "/peers"},   {"POST", "/" KEY "/peers"},
                                          {"POST", "/" KEY "/events"},   {"GET", "/" KEY "/peers/"}};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        answer = ask(fx, none[i][0], none[i][1]);
        if (!has_status(answer, 404))
            fail_msg("%s %s was answered", none[i][0], none[i][1]);
        free(answer);
    }
}

static void document_is_made_anew_for_the_client_that_asks_or_the_client_is_turned_away(void **state)
{
    struct fixture *fx = *state;
    put_peers(fx, KEY, "[1]");
    fx->renewed = "[1, 2]";
    char *answer = ask(fx, "GET", "/" KEY "/peers");
    assert_string_equal(body_of(answer), "[1, 2]");
    free(answer);
    fx->turn_away = true;
    answer = ask(fx, "GET", "/" KEY "/peers");
    assert_true(has_status(answer, 429));
    free(answer);
    answer = ask(fx, "GET", "/" OTHER "/peers");
    assert_true(has_status(answer, 404));
    free(answer);
    fx->turn_away = false;
    fx->renewed = ""; /* removes it */
    answer = ask(fx, "HEAD", "/" KEY "/peers");
    assert_true(has_status(answer, 404));
    free(answer);
    assert_int_equal(fx->served, 1);
}

static void absent_document_is_an_empty_one(void **state)
{
    struct fixture *fx = *state;
    put(fx, KEY, IMDS_META_DATA, "x", 1, NULL);
    char *answer = ask(fx, "GET", "/" KEY "/network-config");
    assert_true(has_status(answer, 200));
    assert_non_null(strstr(answer, "\r\nContent-Length: 0\r\n"));
    assert_string_equal(body_of(answer), "");
    free(answer);
    assert_int_equal(fx->served, 1);
}

static void head_has_the_length_without_the_bytes_and_serves_nothing(void **state)
{
    struct fixture *fx = *state;
    put(fx, KEY, IMDS_USER_DATA, "12345", 5, NULL);
    char *answer = ask(fx, "HEAD", "/" KEY "/user-data");
    assert_true(has_status(answer, 200));
    assert_non_null(strstr(answer, "\r\nContent-Length: 5\r\n"));
    assert_string_equal(body_of(answer), "");
    free(answer);
    assert_int_equal(fx->served, 0);
}

/* The answer without its Date, which changes by itself. */
static char *undated(char *answer)
{
    assert_non_null(answer);
    char *date = strstr(answer, "Date: ");
    assert_non_null(date);
    char *rest = strstr(date, "\r\n") + 2;
    memmove(date, rest, strlen(rest) + 1);
    return answer;
}

static void unknown_keys_and_unknown_paths_look_the_same(void **state)
{
    static const char *const cases[][2] = {
        {"GET", "/" OTHER "/meta-data"},
        {"GET", "/" OTHER "/nothing"},
        {"GET", "/" KEY "/nothing"},
        {"GET", "/" KEY "/"},
        {"GET", "/"},
        {"GET", "//" KEY "/meta-data"},
        {"GET", "/" KEY "/events"},
        {"POST", "/" OTHER "/events"},
        {"POST", "/" KEY "/meta-data"},
        {"PUT", "/" KEY "/user-data"},
        {"DELETE", "/" KEY "/events"},
        {"OPTIONS", "/" KEY "/meta-data"},
        {"HEAD", "/" OTHER "/meta-data"},
    };
    struct fixture *fx = *state;
    put(fx, KEY, IMDS_META_DATA, "x", 1, NULL);
    char *expected = undated(ask(fx, "GET", "/unknown"));
    assert_true(has_status(expected, 404));
    assert_string_equal(body_of(expected), "");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *answer = undated(ask(fx, cases[i][0], cases[i][1]));
        assert_string_equal(answer, expected);
        free(answer);
    }
    free(expected);
    assert_int_equal(fx->served + fx->reported, 0);
}

#define REPORT                                                                                     \
    "{\"name\":\"modules-final/config-scripts-user\",\"event_type\":\"finish\",\"timestamp\":1.5," \
    "\"result\":\"FAIL\"}"

static void report_is_handed_on_to_its_owner(void **state)
{
    struct fixture *fx = *state;
    int owner, stranger;
    put(fx, KEY, IMDS_META_DATA, "x", 1, &owner);
    put(fx, OTHER, IMDS_META_DATA, "y", 1, &stranger);
    char *answer = post(fx, "/" KEY "/events", REPORT, strlen(REPORT));
    assert_true(has_status(answer, 200));
    free(answer);
    assert_int_equal(fx->reported, 1);
    assert_ptr_equal(fx->last_owner, &owner);
    assert_string_equal(fx->last_report.module, "config-scripts-user");
    assert_int_equal(fx->last_report.result, IMDS_RESULT_FAIL);
}

static void report_in_chunks_is_put_together(void **state)
{
    static const char request[] =
        "POST /" KEY "/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        "29\r\n{\"name\":\"modules-final\",\"timestamp\":1e3,\r\n"
        "15\r\n\"event_type\":\"start\"}\r\n0\r\n\r\n";
    struct fixture *fx = *state;
    put(fx, KEY, IMDS_META_DATA, "x", 1, NULL);
    char *answer = ask_bytes(fx, request, sizeof(request) - 1, NULL);
    assert_true(has_status(answer, 200));
    free(answer);
    assert_int_equal(fx->reported, 1);
    assert_int_equal(fx->last_report.timestamp_ms, 1000000);
}

static void bad_report_is_answered_200_and_not_handed_on(void **state)
{
    struct fixture *fx = *state;
    put(fx, KEY, IMDS_META_DATA, "x", 1, NULL);
    static const char *const cases[] = {"", "nonsense", "{}", "[1]"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *answer = post(fx, "/" KEY "/events", cases[i], strlen(cases[i]));
        assert_true(has_status(answer, 200));
        free(answer);
    }
    assert_int_equal(fx->reported, 0);
}

static void user_agent_is_cleaned_and_cut(void **state)
{
    static const struct {
        const char *sent, *told;
    } cases[] = {
        {"User-Agent: Cloud-Init/22.4.2\r\n", "Cloud-Init/22.4.2"},
        {"", ""},
        {"User-Agent: a\x1b[31m\xff z\r\n", "a?[31m? z"},
        {"User-Agent: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n",
         "012345678901234567890123456789012345678901234567890123456789012"},
    };
    struct fixture *fx = *state;
    put(fx, KEY, IMDS_META_DATA, "x", 1, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char request[300];
        int size = snprintf(request, sizeof(request), "GET /" KEY "/meta-data HTTP/1.1\r\nHost: x\r\n%s\r\n",
                            cases[i].sent);
        free(ask_bytes(fx, request, (size_t)size, NULL));
        assert_int_equal(fx->served, i + 1);
        assert_string_equal(fx->last_agent, cases[i].told);
    }
}

/* Asks twice on one connection; the number of documents that were served. */
static unsigned ask_twice(struct fixture *fx, const char *first, const char *second)
{
    char requests[512];
    unsigned before = fx->served;
    int size = snprintf(requests, sizeof(requests),
                        "%s\r\nHost: x\r\n%s\r\n\r\n%s\r\nHost: x\r\nConnection: close\r\n\r\n",
                        "GET /" KEY "/meta-data HTTP/1.1", first, second);
    free(ask_bytes(fx, requests, (size_t)size, NULL));
    return fx->served - before;
}

static void connection_is_kept_for_a_client_that_asks_for_it(void **state)
{
    static const char get[] = "GET /" KEY "/meta-data HTTP/1.1",
                      post[] = "POST /" KEY "/events HTTP/1.1\r\nContent-Length: 0";
    struct fixture *fx = *state;
    put(fx, KEY, IMDS_META_DATA, "x", 1, NULL);
    assert_int_equal(ask_twice(fx, "Connection: Keep-Alive", get), 2);
    assert_int_equal(ask_twice(fx, "Connection: keep-alive", post), 1);
    assert_int_equal(ask_twice(fx, "X: keep-alive", get), 1);
    assert_int_equal(ask_twice(fx, "Connection: close", get), 1);
}

static void other_answers_end_the_connection_whatever_the_client_asks(void **state)
{
    static const char *const requests[] = {"GET /" OTHER "/meta-data", "POST /" KEY "/events", "GET /"};
    struct fixture *fx = *state;
    put(fx, KEY, IMDS_META_DATA, "x", 1, NULL);
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        char request[256];
        int size = snprintf(request, sizeof(request),
                            "%s HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
                            requests[i]);
        char *answer = ask_bytes(fx, request, (size_t)size, NULL);
        assert_non_null(strstr(answer, "\r\nConnection: close\r\n"));
        free(answer);
    }
}

#define BIG ((size_t)12 << 20)

/* Starts to fetch a document that is too big for the socket's buffers, does something to its entry, and reads
 * the rest. */
static void check_transfer(struct fixture *fx, void (*meanwhile)(struct fixture *))
{
    char *big = malloc(BIG);
    assert_non_null(big);
    for (size_t i = 0; i < BIG; i++)
        big[i] = (char)(i * 7 >> 3);
    put(fx, KEY, IMDS_USER_DATA, big, BIG, NULL);
    static const char request[] = "GET /" KEY "/user-data HTTP/1.1\r\nHost: x\r\n\r\n";
    int fd = dial(fx);
    say(fx, fd, request, sizeof(request) - 1);
    assert_int_equal(fx->served, 0);
    meanwhile(fx);
    size_t size;
    char *answer = hear(fx, fd, &size);
    assert_int_equal((size_t)(answer + size - body_of(answer)), BIG);
    assert_memory_equal(body_of(answer), big, BIG);
    close(fd);
    free(answer);
    free(big);
}

static void remove_entry(struct fixture *fx)
{
    assert_int_equal(imds_registry_remove(fx->registry, KEY), 0);
}

static void replace_entry(struct fixture *fx)
{
    put(fx, KEY, IMDS_USER_DATA, "new", 3, NULL);
}

static void leave_entry(struct fixture *fx)
{
    (void)fx;
}

static void big_document_is_served_once_its_last_byte_is_out(void **state)
{
    struct fixture *fx = *state;
    check_transfer(fx, leave_entry);
    assert_int_equal(fx->served, 1);
}

static void removal_during_a_transfer_lets_it_end_whole(void **state)
{
    struct fixture *fx = *state;
    check_transfer(fx, remove_entry);
    assert_int_equal(fx->served, 0);
    char *answer = ask(fx, "GET", "/" KEY "/user-data");
    assert_true(has_status(answer, 404));
    free(answer);
}

static void replacement_during_a_transfer_does_not_mix_old_and_new(void **state)
{
    struct fixture *fx = *state;
    check_transfer(fx, replace_entry);
    char *answer = ask(fx, "GET", "/" KEY "/user-data");
    assert_string_equal(body_of(answer), "new");
    free(answer);
}

static void callback_may_remove_the_entry_that_it_is_told_of(void **state)
{
    struct fixture *fx = *state;
    put(fx, KEY, IMDS_META_DATA, "x", 1, NULL);
    fx->remove_when_reported = KEY;
    char *answer = post(fx, "/" KEY "/events", REPORT, strlen(REPORT));
    assert_true(has_status(answer, 200));
    free(answer);
    assert_int_equal(fx->reported, 1);
    answer = post(fx, "/" KEY "/events", REPORT, strlen(REPORT));
    assert_true(has_status(answer, 404));
    free(answer);
}

static void server_may_end_in_the_middle_of_everything(void **state)
{
    struct fixture *fx = *state;
    char *big = calloc(1, BIG);
    put(fx, KEY, IMDS_USER_DATA, big, BIG, NULL);
    free(big);
    static const char *const beginnings[] = {
        "", "GET /", "GET /" KEY "/user-data HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /" KEY "/events HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"};
    int fds[4];
    for (size_t i = 0; i < 4; i++) {
        fds[i] = dial(fx);
        say(fx, fds[i], beginnings[i], strlen(beginnings[i]));
    }
    settle(fx);
    imds_server_free(fx->server);
    fx->server = NULL;
    for (size_t i = 0; i < 4; i++)
        close(fds[i]);
    assert_int_equal(fx->served + fx->reported, 0);
}

static void descriptor_that_does_not_listen_is_refused_and_left_alone(void **state)
{
    (void)state;
    static const struct imds_handler handler = {0};
    struct imds_registry *registry;
    assert_int_equal(imds_registry_new(&registry), 0);
    struct imds_server *server = NULL;
    int idle = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int file = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_int_equal(imds_server_new(idle, registry, &handler, NULL, NULL, &server), -EINVAL);
    assert_int_equal(imds_server_new(file, registry, &handler, NULL, NULL, &server), -ENOTSOCK);
    assert_int_equal(imds_server_new(-1, registry, &handler, NULL, NULL, &server), -EBADF);
    assert_null(server);
    assert_int_equal(close(idle), 0);
    assert_int_equal(close(file), 0);
    imds_registry_free(registry);
}

static void say_served(void *owner, enum imds_document document, const char *user_agent, void *user)
{
    (void)owner, (void)user;
    printf("served %s %s\n", imds_document_name(document), user_agent);
    fflush(stdout);
}

static void say_reported(void *owner, const struct imds_report *report, void *user)
{
    (void)owner, (void)user;
    printf("reported %s %d %d %llu %s\n", report->name, report->event, report->result,
           (unsigned long long)report->timestamp_ms, report->description);
    fflush(stdout);
}

/* Until standard input ends. */
static int serve(char *const *texts)
{
    static const struct imds_handler handler = {.served = say_served, .reported = say_reported};
    struct sockaddr_storage address;
    socklen_t size;
    int fd = listen_anywhere(AF_INET, &address, &size);
    struct imds_seed seed;
    for (int i = 0; i < IMDS_SEED_DOCUMENTS; i++)
        seed.documents[i] = (struct imds_bytes){texts[1 + i], strlen(texts[1 + i])};
    struct imds_registry *registry = NULL;
    struct imds_server *server = NULL;
    if (imds_registry_new(&registry) < 0 || imds_registry_put(registry, texts[0], &seed, true, NULL) < 0 ||
        imds_server_new(fd, registry, &handler, NULL, NULL, &server) < 0)
        return 1;
    printf("%d\n", ntohs(((struct sockaddr_in *)&address)->sin_port));
    fflush(stdout);
    struct pollfd p[] = {{.fd = imds_server_fd(server), .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    while (p[1].revents == 0) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        uint64_t now_ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
        imds_server_run(server, now_ms);
        poll(p, 2, imds_server_timeout_ms(server, now_ms));
    }
    imds_server_free(server);
    imds_registry_free(registry);
    return 0;
}

#define TCP(test) cmocka_unit_test_setup_teardown(test, setup_tcp, teardown)

int main(int argc, char **argv)
{
    if (argc == 7 && strcmp(argv[1], "serve") == 0)
        return serve(argv + 2);
    const struct CMUnitTest tests[] = {
        TCP(documents_are_served_byte_for_byte),
        {"documents_are_served_over_a_unix_socket", documents_are_served_byte_for_byte, setup_unix, teardown,
         NULL},
        TCP(key_of_peers_gives_access_to_nothing_else_and_no_other_key_to_them),
        TCP(document_is_made_anew_for_the_client_that_asks_or_the_client_is_turned_away),
        TCP(absent_document_is_an_empty_one),
        TCP(head_has_the_length_without_the_bytes_and_serves_nothing),
        TCP(unknown_keys_and_unknown_paths_look_the_same),
        TCP(report_is_handed_on_to_its_owner),
        TCP(report_in_chunks_is_put_together),
        TCP(bad_report_is_answered_200_and_not_handed_on),
        TCP(user_agent_is_cleaned_and_cut),
        TCP(connection_is_kept_for_a_client_that_asks_for_it),
        TCP(other_answers_end_the_connection_whatever_the_client_asks),
        TCP(big_document_is_served_once_its_last_byte_is_out),
        TCP(removal_during_a_transfer_lets_it_end_whole),
        TCP(replacement_during_a_transfer_does_not_mix_old_and_new),
        TCP(callback_may_remove_the_entry_that_it_is_told_of),
        TCP(server_may_end_in_the_middle_of_everything),
        cmocka_unit_test(descriptor_that_does_not_listen_is_refused_and_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
