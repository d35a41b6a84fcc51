/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/daemon/feed.h"

static void add(struct feed *feed, unsigned from, unsigned count)
{
    for (unsigned i = from; i < from + count; i++) {
        char line[16];
        feed_add(feed, line, (size_t)snprintf(line, sizeof line, "%u", i));
    }
}

static struct api_stream open_stream(const struct feed *feed, bool follow)
{
    struct api_stream stream = {0};
    assert_int_equal(feed_stream(feed, follow, &stream, NULL), 0);
    assert_ptr_equal(stream.topic, feed);
    return stream;
}

/* Reads all that is there now, in pieces of at most max bytes. Returns the result of the last read. */
static long read_all(const struct api_stream *stream, size_t max, struct pi_buf *ret)
{
    char piece[64];
    long n;
    assert_true(max <= sizeof piece);
    pi_buf_consume(ret, ret->size);
    while ((n = stream->read(stream->source, piece, max)) > 0)
        assert_int_equal(pi_buf_add(ret, piece, (size_t)n), 0);
    return n;
}

static void follower_hears_what_comes_after_it_in_pieces_of_any_size(void **state)
{
    struct feed feed = {0};
    pi_auto_buf struct pi_buf got = {0};
    (void)state;
    add(&feed, 0, 5);
    struct api_stream stream = open_stream(&feed, true);
    assert_int_equal(read_all(&stream, 64, &got), 0);
    assert_int_equal(got.size, 0);
    add(&feed, 100, 2);
    assert_int_equal(read_all(&stream, 2, &got), 0);
    assert_string_equal(got.data, "100\n101\n");
    add(&feed, 102, 1);
    assert_int_equal(read_all(&stream, 1, &got), 0);
    assert_string_equal(got.data, "102\n");
    stream.close(stream.source);
    feed_done(&feed);
}

static void reader_of_what_is_kept_comes_to_its_end(void **state)
{
    struct feed feed = {0};
    pi_auto_buf struct pi_buf got = {0};
    (void)state;
    struct api_stream stream = open_stream(&feed, false);
    assert_int_equal(read_all(&stream, 64, &got), -1);
    stream.close(stream.source);
    add(&feed, 0, FEED_LINES + 7);
    stream = open_stream(&feed, false);
    assert_int_equal(read_all(&stream, 64, &got), -1);
    assert_memory_equal(got.data, "7\n8\n9\n", 6);
    assert_string_equal(got.data + got.size - 5, "1030\n");
    stream.close(stream.source);
    feed_done(&feed);
}

static void follower_that_falls_behind_is_told_how_many_it_missed_and_gets_whole_lines(void **state)
{
    struct feed feed = {0};
    pi_auto_buf struct pi_buf got = {0};
    char piece[2];
    (void)state;
    struct api_stream stream = open_stream(&feed, true);
    add(&feed, 5000, 1);
    assert_int_equal(stream.read(stream.source, piece, sizeof piece), 2);
    add(&feed, 0, FEED_LINES + 3);
    assert_int_equal(read_all(&stream, 64, &got), 0);
    assert_memory_equal(got.data, "00\n{", 4);
    char *end = strchr(got.data, '}');
    assert_non_null(strstr(got.data, "\"kind\":\"note\""));
    assert_non_null(strstr(got.data, "3 events are missing here"));
    assert_memory_equal(end, "}\n3\n4\n", 6);
    assert_string_equal(got.data + got.size - 5, "1026\n");
    stream.close(stream.source);
    feed_done(&feed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follower_hears_what_comes_after_it_in_pieces_of_any_size),
        cmocka_unit_test(reader_of_what_is_kept_comes_to_its_end),
        cmocka_unit_test(follower_that_falls_behind_is_told_how_many_it_missed_and_gets_whole_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
