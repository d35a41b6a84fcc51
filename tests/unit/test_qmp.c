/* SPDX-License-Identifier: MIT */
/*
 * The client against a scripted peer. A script is a list of steps; the first character of a step says what it
 * is:
 *   <TEXT     QEMU sends TEXT and CR LF
 *   >TEXT     exactly this line, and no more, is there to send; it is sent
 *   -         nothing is there to send
 *   xNAME T   command NAME is executed, its deadline is T
 *   tT        the clock says T
 *   cTEXT     the connection ends: reason -ECONNABORTED, why TEXT
 *   =TEXT     these callbacks were made since the last such step ("" = none); checked at the script's end too
 *   ~TEXT     as =, but they only start with TEXT
 * In texts, ' stands for " and @N for the id of the N-th command (the handshake is 0). The greeting is due at
 * 1000. Each script runs with QEMU's bytes in pieces of several sizes, down to one.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qmp/qmp.h"

#define GREETING \
    "<{'QMP': {'version': {'qemu': {'micro': 22, 'minor': 2, 'major': 7}}, 'capabilities': ['oob']}}"
#define NEGOTIATE  ">{'execute':'qmp_capabilities','id':@0}"
#define NEGOTIATED "<{'return': {}, 'id': @0}"
#define HANDSHAKE  GREETING, NEGOTIATE, NEGOTIATED, "=ready"

struct peer {
    struct qmp_client *client;
    size_t piece;
    char log[4096];
};

struct tag {
    struct peer *peer;
    char name[32];
};

static void note(struct peer *peer, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct peer *peer, const char *format, ...)
{
    size_t used = strlen(peer->log);
    va_list args;
    va_start(args, format);
    vsnprintf(peer->log + used, sizeof(peer->log) - used, format, args);
    va_end(args);
}

static const char *separator(const struct peer *peer)
{
    return peer->log[0] ? "; " : "";
}

static void on_ready(void *user)
{
    struct peer *peer = user;
    assert_int_equal(qmp_client_state(peer->client), QMP_READY);
    note(peer, "%sready", separator(peer));
}

static void on_event(const struct qmp_event *event, void *user)
{
    struct peer *peer = user;
    note(peer, "%sevent %s at %llu", separator(peer), event->name, (unsigned long long)event->realtime_ms);
    if (event->data) {
        char *data = json_dumps(event->data, JSON_COMPACT | JSON_SORT_KEYS);
        note(peer, " %s", data);
        free(data);
    }
}

static void on_closed(int reason, const char *why, void *user)
{
    struct peer *peer = user;
    assert_int_equal(qmp_client_state(peer->client), QMP_CLOSED);
    note(peer, "%sclosed %s %s", separator(peer), strerrorname_np(-reason), why);
}

static const struct qmp_handler handler = {.ready = on_ready, .event = on_event, .closed = on_closed};

static void on_reply(int result, const json_t *data, const char *why, void *user)
{
    struct tag *tag = user;
    char *text = data ? json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    assert_true(!data == (result < 0));
    assert_true(!why == (result == 0));
    note(tag->peer, "%s%s: %s", separator(tag->peer), tag->name, text ? text : strerrorname_np(-result));
    if (why)
        note(tag->peer, " %s", why);
    free(text);
    free(tag);
}

/* The script's notation as what it stands for. */
static const char *expand(const char *text, char ret[2048])
{
    char *to = ret;
    for (; *text && to < ret + 2000; text++) {
        if (*text == '\'')
            *to++ = '"';
        else if (*text == '@')
            to += *++text == '0' ? sprintf(to, "\"3e8\"")
                                 : sprintf(to, "%c", *text); /* 3e8: see qmp_client_new() */
        else
            *to++ = *text;
    }
    assert_int_equal(*text, '\0');
    *to = '\0';
    return ret;
}

static void receive(struct peer *peer, const char *text)
{
    char line[2048];
    size_t left = strlen(expand(text, line));
    line[left++] = '\r';
    line[left++] = '\n';
    for (const char *at = line; left > 0;) {
        size_t size = left < peer->piece ? left : peer->piece;
        int r = qmp_client_receive(peer->client, at, size);
        assert_true((r < 0) == (qmp_client_state(peer->client) == QMP_CLOSED));
        at += size;
        left -= size;
    }
}

static void expect_sent(struct peer *peer, const char *text)
{
    char line[2048];
    const char *bytes;
    size_t expected = strlen(expand(text, line));
    line[expected++] = '\n';
    size_t size = qmp_client_pending(peer->client, &bytes);
    assert_int_equal(size, expected);
    assert_memory_equal(bytes, line, size);
    qmp_client_sent(peer->client, size);
}

static void execute(struct peer *peer, const char *text)
{
    struct tag *tag = calloc(1, sizeof(*tag));
    const char *space = strchr(text, ' ');
    tag->peer = peer;
    snprintf(tag->name, sizeof(tag->name), "%.*s", (int)(space - text), text);
    uint64_t deadline = strtoull(space, NULL, 10);
    int r = qmp_client_execute(peer->client, tag->name, NULL, deadline, on_reply, tag);
    if (r < 0) {
        note(peer, "%s%s refused: %s", separator(peer), tag->name, strerrorname_np(-r));
        free(tag);
    }
}

static void expect_log(struct peer *peer, const char *text)
{
    char expected[2048];
    assert_string_equal(peer->log, expand(text, expected));
    peer->log[0] = '\0';
}

static void expect_log_start(struct peer *peer, const char *text)
{
    assert_true(strlen(peer->log) > strlen(text));
    peer->log[strlen(text)] = '\0';
    expect_log(peer, text);
}

static void step(struct peer *peer, const char *text)
{
    const char *bytes;
    switch (text[0]) {
    case '<':
        receive(peer, text + 1);
        break;
    case '>':
        expect_sent(peer, text + 1);
        break;
    case '-':
        assert_int_equal(qmp_client_pending(peer->client, &bytes), 0);
        break;
    case 'x':
        execute(peer, text + 1);
        break;
    case 't':
        qmp_client_expire(peer->client, strtoull(text + 1, NULL, 10));
        break;
    case 'c':
        qmp_client_close(peer->client, -ECONNABORTED, text + 1);
        break;
    case '~':
        expect_log_start(peer, text + 1);
        break;
    case '=':
        expect_log(peer, text + 1);
        break;
    default:
        fail_msg("not a step: %s", text);
    }
}

static void play_in_pieces(const char *const *script, size_t piece)
{
    struct peer peer = {.piece = piece};
    peer.client = qmp_client_new(&handler, &peer, 1000);
    assert_non_null(peer.client);
    for (; *script; script++)
        step(&peer, *script);
    step(&peer, "=");
    /* Whatever the script left open ends here, so that no tag leaks. */
    qmp_client_close(peer.client, 0, "the end");
    qmp_client_free(peer.client);
}

static void play(const char *const *script)
{
    static const size_t pieces[] = {1, 2, 3, 7, 64, SIZE_MAX};
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
        play_in_pieces(script, pieces[i]);
}

#define SCRIPT(name, ...)                               \
    static void name(void **state)                      \
    {                                                   \
        (void)state;                                    \
        play((const char *const[]){__VA_ARGS__, NULL}); \
    }

SCRIPT(nothing_is_sent_before_the_greeting, "-", GREETING, NEGOTIATE, "-", "=", NEGOTIATED, "=ready", "-")

SCRIPT(commands_given_early_are_sent_once_ready, "xquery-status 500", "-", GREETING, NEGOTIATE, "xstop 600",
       "-", NEGOTIATED, "=ready", ">{'execute':'query-status','id':@1}\n{'execute':'stop','id':@2}",
       "<{'return': {'running': false}, 'id': @1}", "=query-status: {'running':false}",
       "<{'id': @2, 'return': {}}", "=stop: {}")

SCRIPT(replies_are_matched_by_id_in_any_order, HANDSHAKE, "xa 500", ">{'execute':'a','id':@1}", "xb 500",
       ">{'execute':'b','id':@2}", "<{'return': 2, 'id': @2}", "=b: 2", "<{'return': [1], 'id': @1}",
       "=a: [1]")

SCRIPT(errors_carry_class_and_description, HANDSHAKE, "xfly 500", ">{'execute':'fly','id':@1}",
       "<{'error': {'class': 'CommandNotFound', 'desc': 'The command fly has not been found'}, 'id': @1}",
       "=fly: EREMOTEIO CommandNotFound: The command fly has not been found", "xstop 500",
       ">{'execute':'stop','id':@2}", "<{'return': {}, 'id': @2}", "=stop: {}")

SCRIPT(
    events_come_with_data_and_time, HANDSHAKE,
    "<{'timestamp': {'seconds': 1267040730, 'microseconds': 682951}, 'event': 'RESET', 'data': {'guest': true}}",
    "=event RESET at 1267040730682 {'guest':true}", "<{'event': 'STOP'}", "=event STOP at 0",
    "<{'event': 'STOP', 'timestamp': {'seconds': -1, 'microseconds': -1}}", "=event STOP at 0",
    "<{'event': 'STOP', 'timestamp': {'seconds': 1e13, 'microseconds': 0}}", "=event STOP at 0")

SCRIPT(events_before_and_in_the_handshake_are_passed_on, "<{'event': 'STOP'}", "=event STOP at 0", GREETING,
       NEGOTIATE, "<{'event': 'RESUME'}", NEGOTIATED, "=event RESUME at 0; ready")

SCRIPT(numbers_too_large_for_an_integer_are_read_as_reals, HANDSHAKE,
       "<{'event': 'GUEST_PANICKED', 'data': {'arg1': 18446744073709551615}}",
       "=event GUEST_PANICKED at 0 {'arg1':1.8446744073709552e19}")

SCRIPT(line_ends_empty_lines_and_resync_bytes_are_passed_over, "<\r\n\n\xff",
       "<{'half\xff\xff{'event': 'STOP'}\n", "=event STOP at 0", HANDSHAKE)

SCRIPT(an_overdue_command_fails_and_its_late_reply_is_dropped, HANDSHAKE, "xa 500",
       ">{'execute':'a','id':@1}", "t499", "=", "t500", "=a: ETIMEDOUT QEMU did not answer in time", "t501",
       "=", "<{'return': {}, 'id': @1}", "=", "xb 600", ">{'execute':'b','id':@2}",
       "<{'return': {}, 'id': @2}", "=b: {}")

SCRIPT(an_overdue_command_that_was_not_begun_is_never_sent, "xa 500", "xb 400", "xc 500", "t400",
       "=b: ETIMEDOUT QEMU did not answer in time", GREETING, NEGOTIATE, "xd 450", "t450",
       "=d: ETIMEDOUT QEMU did not answer in time", NEGOTIATED, "=ready",
       ">{'execute':'a','id':@1}\n{'execute':'c','id':@3}", "<{'return': 3, 'id': @3}",
       "<{'return': 1, 'id': @1}", "=c: 3; a: 1")

SCRIPT(an_overdue_command_is_not_sent_even_if_it_is_the_next, HANDSHAKE, "xa 500", "t500",
       "=a: ETIMEDOUT QEMU did not answer in time", "-")

SCRIPT(a_command_may_wait_forever, HANDSHAKE, "xa 18446744073709551615", "t18446744073709551615", "=",
       ">{'execute':'a','id':@1}", "<{'return': 1, 'id': @1}", "=a: 1")

SCRIPT(replies_to_an_earlier_client_are_dropped, "xa 5000", GREETING, "<{'return': {}, 'id': '3e7'}",
       NEGOTIATE, "<{'return': {}, 'id': @1}", "<{'error': {'class': 'a', 'desc': 'b'}, 'id': null}", "=",
       NEGOTIATED, "=ready", "<{'return': {}, 'id': '3e8'}", ">{'execute':'a','id':@1}",
       "<{'return': 1, 'id': @1}", "=a: 1")

SCRIPT(a_late_greeting_closes, "t999", "=", "xa 5000", "t1000",
       "=a: ECONNRESET QEMU did not greet in time; closed ETIMEDOUT QEMU did not greet in time", GREETING,
       "-", "=")

SCRIPT(a_late_handshake_closes, GREETING, NEGOTIATE, "t1000", "=closed ETIMEDOUT QEMU did not greet in time")

SCRIPT(once_ready_the_greeting_is_never_overdue, HANDSHAKE, "t18446744073709551615", "=")

SCRIPT(a_refused_handshake_closes, GREETING, NEGOTIATE, "xa 5000",
       "<{'error': {'class': 'GenericError', 'desc': 'no'}, 'id': @0}",
       "=a: ECONNRESET GenericError: no; closed EPROTO GenericError: no")

SCRIPT(the_end_while_waiting_for_the_greeting, "xa 500", "cgone",
       "=a: ECONNRESET gone; closed ECONNABORTED gone")

SCRIPT(the_end_in_the_handshake, GREETING, "xa 500", "cgone", "=a: ECONNRESET gone; closed ECONNABORTED gone",
       "-")

SCRIPT(the_end_once_ready, HANDSHAKE, "xa 500", "xb 500", "cgone",
       "=a: ECONNRESET gone; b: ECONNRESET gone; closed ECONNABORTED gone", "-")

SCRIPT(the_end_is_for_good, HANDSHAKE, "cgone", "=closed ECONNABORTED gone", "cagain", "=", "xa 500",
       "=a refused: ECONNRESET", "t99999", "<{'event': 'STOP'}", GREETING, "=", "-")

static void each_breach_of_the_protocol_closes(void **state)
{
    (void)state;
    static const struct {
        const char *message, *why;
    } cases[] = {
        {GREETING, "QEMU greeted twice"},
        {"<{'return': {}}", "QEMU sent a reply without an id"},
        {"<{'error': {'class': 'GenericError', 'desc': 'JSON parse error'}}",
         "GenericError: JSON parse error"},
        {"<[1]", "QEMU sent something that is not a greeting, an event or a reply"},
        {"<{'id': @1}", "QEMU sent something that is not a greeting, an event or a reply"},
        {"<{'QMP': 1}", "QEMU sent something that is not a greeting, an event or a reply"},
        {"<{'error': 1, 'id': @1}", "QEMU sent a malformed reply"},
        {"<{'error': {'class': 'a'}, 'id': @1}", "QEMU sent a malformed reply"},
        {"<{'error': {'class': 1, 'desc': 'b'}, 'id': @1}", "QEMU sent a malformed reply"},
        {"<{'return': {}, 'error': {'class': 'a', 'desc': 'b'}, 'id': @1}", "QEMU sent a malformed reply"},
        {"<{'event': 1}", "QEMU sent a malformed event"},
        {"<{'event': 'STOP', 'data': []}", "QEMU sent a malformed event"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char log[512];
        snprintf(log, sizeof(log), "=a: ECONNRESET %s; closed EPROTO %s", cases[i].why, cases[i].why);
        play((const char *const[]){HANDSHAKE, "xa 5000", cases[i].message, log, NULL});
    }
}

/* The rest of the message is jansson's, and differs between its versions. */
SCRIPT(a_key_given_twice_closes, HANDSHAKE, "xa 5000", "<{'event': 'STOP', 'event': 'RESUME'}",
       "~a: ECONNRESET QEMU sent something that is not JSON: ")

SCRIPT(half_a_message_closes, HANDSHAKE, "xa 5000", "<{'event': 'STOP'",
       "~a: ECONNRESET QEMU sent something that is not JSON: ")

SCRIPT(a_handshake_reply_before_the_greeting_closes, "<{'return': {}, 'id': @0}",
       "=closed EPROTO QEMU sent a reply to a command before it was sent")

static void short_writes_lose_nothing(void **state)
{
    (void)state;
    struct peer peer = {.piece = SIZE_MAX};
    peer.client = qmp_client_new(&handler, &peer, 1000);
    step(&peer, GREETING);
    step(&peer, "xa 500");
    step(&peer, "xb 500");
    char stream[256];
    size_t size = 0;
    const char *bytes;
    for (size_t n; (n = qmp_client_pending(peer.client, &bytes)) > 0;) {
        stream[size++] = bytes[0];
        qmp_client_sent(peer.client, 1);
        if (n == 1 && qmp_client_state(peer.client) == QMP_NEGOTIATING)
            step(&peer, NEGOTIATED);
        if (stream[size - 1] == '"' && qmp_client_state(peer.client) == QMP_READY)
            step(&peer, "t500"); /* a is begun and goes out whole; b is not */
    }
    char expected[256];
    stream[size] = '\0';
    assert_string_equal(
        stream, expand("{'execute':'qmp_capabilities','id':@0}\n{'execute':'a','id':@1}\n", expected));
    step(&peer, "=ready; a: ETIMEDOUT QEMU did not answer in time; b: ETIMEDOUT QEMU did not answer in time");
    qmp_client_free(peer.client);
}

static void a_descriptor_goes_along_with_the_first_byte_of_its_command(void **state)
{
    (void)state;
    struct peer peer = {.piece = 1000};
    const char *bytes;
    peer.client = qmp_client_new(&handler, &peer, 1000);
    assert_int_equal(qmp_client_execute(peer.client, "stop", NULL, UINT64_MAX, NULL, NULL), 0);
    assert_int_equal(qmp_client_execute_fd(peer.client, "getfd", NULL, 7, UINT64_MAX, NULL, NULL), 0);
    assert_int_equal(qmp_client_execute_fd(peer.client, "getfd", NULL, -1, UINT64_MAX, NULL, NULL), -EBADF);
    assert_int_equal(qmp_client_execute(peer.client, "cont", NULL, UINT64_MAX, NULL, NULL), 0);
    assert_int_equal(qmp_client_execute_fd(peer.client, "getfd", NULL, 8, UINT64_MAX, NULL, NULL), 0);
    assert_int_equal(qmp_client_pending_fd(peer.client), -1);
    static const char *const handshake[] = {HANDSHAKE};
    for (size_t i = 0; i < sizeof handshake / sizeof *handshake; i++)
        step(&peer, handshake[i]);

    /* What comes before a descriptor is sent alone. */
    assert_int_equal(qmp_client_pending_fd(peer.client), -1);
    expect_sent(&peer, "{'execute':'stop','id':@1}");
    assert_int_equal(qmp_client_pending_fd(peer.client), 7);
    assert_true(qmp_client_pending(peer.client, &bytes) > 1);
    qmp_client_sent(peer.client, 1);
    assert_int_equal(qmp_client_pending_fd(peer.client), -1);
    size_t size = qmp_client_pending(peer.client, &bytes);
    assert_non_null(strstr(bytes, "\"cont\""));
    assert_true(bytes + size < strstr(strstr(bytes, "\"cont\""), "getfd"));
    qmp_client_sent(peer.client, size);
    assert_int_equal(qmp_client_pending_fd(peer.client), 8);
    expect_sent(&peer, "{'execute':'getfd','id':@4}");
    assert_int_equal(qmp_client_pending_fd(peer.client), -1);
    qmp_client_free(peer.client);
}

static void the_next_deadline_is_the_earliest(void **state)
{
    (void)state;
    struct peer peer = {.piece = SIZE_MAX};
    peer.client = qmp_client_new(&handler, &peer, 1000);
    assert_int_equal(qmp_client_deadline_ms(peer.client), 1000);
    step(&peer, "xa 500");
    step(&peer, "xb 700");
    assert_int_equal(qmp_client_deadline_ms(peer.client), 500);
    step(&peer, "t600");
    assert_int_equal(qmp_client_deadline_ms(peer.client), 700);
    step(&peer, "t700");
    assert_int_equal(qmp_client_deadline_ms(peer.client), 1000);
    step(&peer, GREETING);
    step(&peer, NEGOTIATED);
    assert_true(qmp_client_deadline_ms(peer.client) == UINT64_MAX);
    step(&peer, "xc 2000");
    assert_int_equal(qmp_client_deadline_ms(peer.client), 2000);
    step(&peer, "cgone");
    assert_true(qmp_client_deadline_ms(peer.client) == UINT64_MAX);
    qmp_client_free(peer.client);
}

static void arguments_are_sent_in_ascii_on_one_line(void **state)
{
    (void)state;
    struct peer peer = {.piece = SIZE_MAX};
    peer.client = qmp_client_new(&handler, &peer, 1000);
    step(&peer, GREETING);
    step(&peer, NEGOTIATE);
    step(&peer, NEGOTIATED);
    json_t *arguments = json_pack("{s:s}", "text", "a\nü");
    json_incref(arguments);
    assert_int_equal(qmp_client_execute(peer.client, "say", arguments, UINT64_MAX, NULL, NULL), 0);
    assert_int_equal(arguments->refcount, 1);
    step(&peer, ">{'execute':'say','id':@1,'arguments':{'text':'a\\n\\u00FC'}}");
    step(&peer, "<{'return': {}, 'id': @1}");
    qmp_client_close(peer.client, 0, "gone");
    assert_int_equal(qmp_client_execute(peer.client, "say", arguments, UINT64_MAX, NULL, NULL), -ECONNRESET);
    qmp_client_free(peer.client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_sent_before_the_greeting),
        cmocka_unit_test(commands_given_early_are_sent_once_ready),
        cmocka_unit_test(replies_are_matched_by_id_in_any_order),
        cmocka_unit_test(errors_carry_class_and_description),
        cmocka_unit_test(events_come_with_data_and_time),
        cmocka_unit_test(events_before_and_in_the_handshake_are_passed_on),
        cmocka_unit_test(numbers_too_large_for_an_integer_are_read_as_reals),
        cmocka_unit_test(line_ends_empty_lines_and_resync_bytes_are_passed_over),
        cmocka_unit_test(an_overdue_command_fails_and_its_late_reply_is_dropped),
        cmocka_unit_test(an_overdue_command_that_was_not_begun_is_never_sent),
        cmocka_unit_test(an_overdue_command_is_not_sent_even_if_it_is_the_next),
        cmocka_unit_test(a_command_may_wait_forever),
        cmocka_unit_test(replies_to_an_earlier_client_are_dropped),
        cmocka_unit_test(a_late_greeting_closes),
        cmocka_unit_test(a_late_handshake_closes),
        cmocka_unit_test(once_ready_the_greeting_is_never_overdue),
        cmocka_unit_test(a_refused_handshake_closes),
        cmocka_unit_test(the_end_while_waiting_for_the_greeting),
        cmocka_unit_test(the_end_in_the_handshake),
        cmocka_unit_test(the_end_once_ready),
        cmocka_unit_test(the_end_is_for_good),
        cmocka_unit_test(each_breach_of_the_protocol_closes),
        cmocka_unit_test(a_key_given_twice_closes),
        cmocka_unit_test(half_a_message_closes),
        cmocka_unit_test(a_handshake_reply_before_the_greeting_closes),
        cmocka_unit_test(short_writes_lose_nothing),
        cmocka_unit_test(a_descriptor_goes_along_with_the_first_byte_of_its_command),
        cmocka_unit_test(the_next_deadline_is_the_earliest),
        cmocka_unit_test(arguments_are_sent_in_ascii_on_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
