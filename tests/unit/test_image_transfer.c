/* SPDX-License-Identifier: MIT */
/* The parts of a transfer that need no network: answers, spans, the pace, and the way to several connections.
 */
#include "image_fixture.h"

#include <errno.h>

#include "agent/image/answer.h"
#include "agent/image/http.h"
#include "agent/image/pace.h"
#include "agent/image/ranges.h"
#include "agent/image/spans.h"

#define MIB ((uint64_t)1 << 20)

static void read_headers(struct image_answer *answer, const char *const *lines)
{
    for (; *lines; lines++)
        assert_int_equal(image_answer_read(answer, *lines, strlen(*lines)), 0);
}

static void last_answer_of_a_chain_of_redirects_counts(void **state)
{
    (void)state;
    static const char *const lines[] = {"HTTP/1.1 302 Found\r\n",
                                        "ETag: \"elsewhere\"\r\n",
                                        "Content-Range: bytes 0-1/2\r\n",
                                        "\r\n",
                                        "HTTP/1.1 206 Partial Content\r\n",
                                        "last-modified:  Sat, 28 Nov 2026 17:00:00 GMT \r\n",
                                        NULL};
    struct image_answer answer = {0};
    read_headers(&answer, lines);
    assert_string_equal(answer.etag, "");
    assert_false(answer.has_range);
    assert_string_equal(answer.last_modified, "Sat, 28 Nov 2026 17:00:00 GMT");
}

static void range_counts_when_it_is_whole_and_the_one_asked_for(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool good;
    } cases[] = {
        {"Content-Range: bytes 100-199/1000", true},   {"Content-Range: bytes 101-199/1000", false},
        {"Content-Range: bytes 100-199/1001", false},  {"Content-Range: bytes 100-1000/1000", false},
        {"Content-Range: bytes 100-99/1000", false},   {"Content-Range: bytes 100-199/*", false},
        {"Content-Range: bytes 100-199/1000x", false}, {"Content-Range: lines 100-199/1000", false},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct image_answer answer = {0};
        assert_int_equal(image_answer_read(&answer, cases[i].line, strlen(cases[i].line)), 0);
        assert_int_equal(image_answer_has_range(&answer, 100, 1000), cases[i].good);
    }
}

static void headers_without_end_are_refused(void **state)
{
    (void)state;
    struct image_answer answer = {0};
    char line[1000];
    size_t bytes = 0;
    memset(line, 'x', sizeof line);
    for (; bytes + sizeof line <= IMAGE_HTTP_HEADERS_MAX; bytes += sizeof line)
        assert_int_equal(image_answer_read(&answer, line, sizeof line), 0);
    assert_int_equal(image_answer_read(&answer, line, sizeof line), -EMSGSIZE);
}

static void answer_agrees_unless_a_validator_is_another(void **state)
{
    (void)state;
    static const struct {
        const char *etag, *answered;
        bool agrees;
    } cases[] = {
        {"\"one\"", "ETag: \"one\"", true},   {"\"one\"", "ETag: \"two\"", false},
        {"\"one\"", "ETag: W/\"two\"", true}, {"\"one\"", "Server: x", true},
        {NULL, "ETag: \"two\"", true},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct image_answer answer = {0};
        struct image_resume resume = {.etag = (char *)cases[i].etag};
        assert_int_equal(image_answer_read(&answer, cases[i].answered, strlen(cases[i].answered)), 0);
        assert_int_equal(image_answer_agrees(&answer, &resume), cases[i].agrees);
    }
}

/* Connection 0 has received so much of what it asked for, all of it written. */
static struct image_spans begun_spans(uint64_t total, uint64_t received)
{
    struct image_spans spans;
    image_spans_init(&spans, 0);
    assert_int_equal(image_spans_frontier(&spans), 0);
    assert_int_equal(image_spans_missing(&spans), 0);
    image_spans_answered(&spans, 0, total);
    spans.taken[0].at = received;
    return spans;
}

static void spans_cover_what_is_missing_without_gap_or_overlap(void **state)
{
    (void)state;
    struct image_spans spans = begun_spans(20 * MIB + 7, MIB);
    assert_true(image_spans_split(&spans, 1, 0));
    image_spans_cut(&spans);
    uint64_t next = spans.taken[1].end;
    assert_int_equal(spans.taken[0].end, spans.taken[1].at);
    for (unsigned i = 2; image_spans_take(&spans, i); i++) {
        assert_int_equal(spans.taken[i].at, next);
        assert_int_equal(spans.taken[i].last, spans.taken[i].end == spans.total);
        next = spans.taken[i].end;
    }
    assert_int_equal(next, 20 * MIB + 7);
    assert_int_equal(image_spans_missing(&spans), 19 * MIB + 7);
}

static void frontier_is_before_the_first_byte_that_is_missing(void **state)
{
    (void)state;
    struct image_spans spans = begun_spans(64 * MIB, MIB);
    assert_true(image_spans_split(&spans, 1, 8 * MIB));
    image_spans_cut(&spans);
    assert_true(image_spans_take(&spans, 2));
    assert_int_equal(image_spans_frontier(&spans), MIB);
    spans.taken[0].at = spans.taken[0].end;
    assert_int_equal(image_spans_frontier(&spans), 9 * MIB);
    spans.taken[1].at += MIB;
    spans.taken[1].held_bytes = MIB / 4; /* received, and not on disk yet */
    assert_int_equal(image_spans_frontier(&spans), 10 * MIB);
    spans.taken[1].held_bytes = 0;
    image_spans_give_back(&spans, 1);
    assert_int_equal(image_spans_frontier(&spans), 10 * MIB);
    assert_true(image_spans_take(&spans, 3));
    assert_int_equal(spans.taken[3].at, 10 * MIB);
    assert_int_equal(spans.taken[3].end, 13 * MIB);
}

static void first_connection_that_breaks_before_the_proof_leaves_no_gap(void **state)
{
    (void)state;
    struct image_spans spans = begun_spans(64 * MIB, MIB);
    assert_true(image_spans_split(&spans, 1, 8 * MIB));
    image_spans_cut(&spans);
    image_spans_give_back(&spans, 0);
    assert_int_equal(image_spans_frontier(&spans), MIB);
    assert_int_equal(image_spans_missing(&spans), 63 * MIB);
}

static void span_that_was_received_is_not_given_back(void **state)
{
    (void)state;
    struct image_spans spans = begun_spans(64 * MIB, 10 * MIB);
    assert_true(image_spans_split(&spans, 1, 0));
    spans.taken[0].at = spans.split + MIB; /* the proof took so long */
    image_spans_cut(&spans);
    image_spans_give_back(&spans, 0);
    assert_int_equal(spans.left_count, 0);
    assert_int_equal(image_spans_frontier(&spans), spans.split);
}

static void split_leaves_the_first_connection_its_lead(void **state)
{
    (void)state;
    struct image_spans spans = begun_spans(64 * MIB, 0);
    assert_false(image_spans_split(&spans, 1, 61 * MIB));
    assert_true(image_spans_split(&spans, 1, 60 * MIB));
    assert_int_equal(spans.taken[1].at, 60 * MIB);
    image_spans_join(&spans);
    assert_int_equal(image_spans_missing(&spans), 64 * MIB);
    spans = begun_spans(UINT64_MAX, 0);
    assert_false(image_spans_split(&spans, 1, 0));
}

static void size_is_known_when_the_object_ends(void **state)
{
    (void)state;
    struct image_spans spans = begun_spans(UINT64_MAX, 12345);
    image_spans_ended(&spans, 0);
    image_spans_drop(&spans, 0);
    assert_int_equal(spans.total, 12345);
    assert_int_equal(image_spans_frontier(&spans), 12345);
}

/* Windows of half a second at these rates (MiB a second), up to 0; returns the connections wanted then. */
static unsigned pace_after(unsigned max, uint64_t missing, const unsigned *rates, enum image_pace_state *ret)
{
    struct image_pace pace;
    uint64_t now_ms = 1000, received = 0;
    image_pace_init(&pace, max, now_ms);
    for (; *rates; rates++) {
        now_ms += 500;
        received += *rates * MIB / 2;
        image_pace_step(&pace, received, missing, now_ms);
        image_pace_step(&pace, received + MIB, missing, now_ms + 1); /* within the window: nothing */
    }
    *ret = pace.state;
    return pace.wanted;
}

static void connections_grow_while_more_bring_more(void **state)
{
    (void)state;
    static const struct {
        unsigned rates[6], max;
        uint64_t missing;
        unsigned wanted;
        enum image_pace_state state;
    } cases[] = {
        {{4}, 8, 1024 * MIB, 4, IMAGE_PACE_LETTING_GROW},
        {{4, 4}, 8, 1024 * MIB, 4, IMAGE_PACE_MEASURING},
        {{4, 4, 5}, 8, 1024 * MIB, 8, IMAGE_PACE_LETTING_GROW},
        {{4, 9, 4}, 8, 1024 * MIB, 4, IMAGE_PACE_SETTLED},
        {{4, 4, 4, 16}, 8, 1024 * MIB, 4, IMAGE_PACE_SETTLED},
        {{4, 4, 16, 16, 32}, 8, 1024 * MIB, 8, IMAGE_PACE_MEASURING},
        {{64, 64}, 8, 1024 * MIB, 1, IMAGE_PACE_MEASURING}, /* fast enough */
        {{4}, 8, 4 * MIB, 1, IMAGE_PACE_MEASURING},         /* nearly done */
        {{4}, 8, 0, 1, IMAGE_PACE_MEASURING},               /* cannot be shared */
        {{4}, 3, 1024 * MIB, 3, IMAGE_PACE_LETTING_GROW},
        {{4}, 1, 1024 * MIB, 1, IMAGE_PACE_MEASURING},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        enum image_pace_state end;
        assert_int_equal(pace_after(cases[i].max, cases[i].missing, cases[i].rates, &end), cases[i].wanted);
        assert_int_equal(end, cases[i].state);
    }
}

static void pace_settles_on_the_connections_that_are_left(void **state)
{
    (void)state;
    struct image_pace pace;
    image_pace_init(&pace, 8, 0);
    image_pace_step(&pace, MIB, 1024 * MIB, 1000);
    assert_int_equal(pace.wanted, 4);
    image_pace_settle(&pace, 3);
    image_pace_step(&pace, 2 * MIB, 1024 * MIB, 2000);
    image_pace_step(&pace, 4 * MIB, 1024 * MIB, 3000);
    assert_int_equal(pace.wanted, 3);
}

static void way_to_several_connections_is_by_a_proof(void **state)
{
    (void)state;
    enum { GIVE_BACK = IMAGE_RANGES_DO_GIVE_BACK, CUT = IMAGE_RANGES_DO_CUT, JOIN = IMAGE_RANGES_DO_JOIN };
    static const struct {
        enum image_ranges_event event;
        enum image_ranges_state before, after;
        unsigned actions;
    } cases[] = {
        {IMAGE_RANGES_ANSWER_WHOLE, IMAGE_RANGES_ASKING, IMAGE_RANGES_WHOLE, IMAGE_RANGES_DO_BEGIN},
        {IMAGE_RANGES_ANSWER_RANGE, IMAGE_RANGES_ASKING, IMAGE_RANGES_SERVED, IMAGE_RANGES_DO_BEGIN},
        {IMAGE_RANGES_NO_SUCH_RANGE, IMAGE_RANGES_ASKING, IMAGE_RANGES_ASKING, IMAGE_RANGES_DO_RESTART},
        {IMAGE_RANGES_NO_SUCH_RANGE, IMAGE_RANGES_SERVED, IMAGE_RANGES_SERVED, 0},
        {IMAGE_RANGES_NO_SUCH_RANGE, IMAGE_RANGES_PROVING, IMAGE_RANGES_PROVING, 0},
        {IMAGE_RANGES_SPLIT, IMAGE_RANGES_WHOLE, IMAGE_RANGES_PROVING, 0},
        {IMAGE_RANGES_SPLIT, IMAGE_RANGES_SERVED, IMAGE_RANGES_SERVED, CUT},
        {IMAGE_RANGES_ANSWER_RANGE, IMAGE_RANGES_PROVING, IMAGE_RANGES_SERVED, CUT},
        {IMAGE_RANGES_ANSWER_WHOLE, IMAGE_RANGES_PROVING, IMAGE_RANGES_PROVING, IMAGE_RANGES_DO_REFUSE},
        {IMAGE_RANGES_OTHER_FAILED, IMAGE_RANGES_PROVING, IMAGE_RANGES_SINGLE, JOIN},
        {IMAGE_RANGES_FIRST_DONE, IMAGE_RANGES_PROVING, IMAGE_RANGES_SINGLE, JOIN},
        {IMAGE_RANGES_FIRST_FAILED, IMAGE_RANGES_PROVING, IMAGE_RANGES_PROVING, CUT | GIVE_BACK},
        {IMAGE_RANGES_FIRST_FAILED, IMAGE_RANGES_SERVED, IMAGE_RANGES_SERVED, GIVE_BACK},
        {IMAGE_RANGES_OTHER_FAILED, IMAGE_RANGES_SERVED, IMAGE_RANGES_SERVED, GIVE_BACK},
        {IMAGE_RANGES_FIRST_DONE, IMAGE_RANGES_SERVED, IMAGE_RANGES_SERVED, 0},
        {IMAGE_RANGES_ANSWER_WHOLE, IMAGE_RANGES_SERVED, IMAGE_RANGES_SERVED, IMAGE_RANGES_DO_REFUSE},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        enum image_ranges_state now = cases[i].before;
        assert_int_equal(image_ranges_next(&now, cases[i].event), cases[i].actions);
        assert_int_equal(now, cases[i].after);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(last_answer_of_a_chain_of_redirects_counts),
        cmocka_unit_test(range_counts_when_it_is_whole_and_the_one_asked_for),
        cmocka_unit_test(headers_without_end_are_refused),
        cmocka_unit_test(answer_agrees_unless_a_validator_is_another),
        cmocka_unit_test(spans_cover_what_is_missing_without_gap_or_overlap),
        cmocka_unit_test(frontier_is_before_the_first_byte_that_is_missing),
        cmocka_unit_test(first_connection_that_breaks_before_the_proof_leaves_no_gap),
        cmocka_unit_test(span_that_was_received_is_not_given_back),
        cmocka_unit_test(split_leaves_the_first_connection_its_lead),
        cmocka_unit_test(size_is_known_when_the_object_ends),
        cmocka_unit_test(connections_grow_while_more_bring_more),
        cmocka_unit_test(pace_settles_on_the_connections_that_are_left),
        cmocka_unit_test(way_to_several_connections_is_by_a_proof),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
