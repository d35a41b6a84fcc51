/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/loop/logfile.h"
#include "base_fixture.h"

#define MAX 10

static struct logfile open_log(const struct folder *f)
{
    struct logfile log = LOGFILE_NONE;
    assert_int_equal(logfile_open(f->fd, "log", MAX, &log, NULL), 0);
    return log;
}

static void add(struct logfile *log, const char *text)
{
    assert_int_equal(logfile_append(log, text, strlen(text)), 0);
}

/* All from *offset on, read in pieces of at most max bytes. */
static void assert_reads(const struct logfile *log, uint64_t *offset, size_t max, const char *wanted)
{
    char got[256];
    size_t used = 0;
    for (size_t n; (n = logfile_read(log, offset, got + used, max)) > 0;)
        used += n;
    got[used] = '\0';
    assert_string_equal(got, wanted);
}

static void assert_size(const struct folder *f, const char *name, off_t size)
{
    struct stat st;
    assert_int_equal(fstatat(f->fd, name, &st, 0), 0);
    assert_int_equal(st.st_size, size);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void log_is_read_in_pieces_of_any_size(void **state)
{
    struct logfile log = open_log(*state);
    add(&log, "abc");
    add(&log, "");
    add(&log, "defg");
    for (size_t max = 1; max < 9; max++) {
        uint64_t offset = 0;
        assert_reads(&log, &offset, max, "abcdefg");
        assert_int_equal(offset, 7);
    }
    logfile_close(&log);
}

static void full_log_takes_the_place_of_the_old_one(void **state)
{
    const struct folder *f = *state;
    struct logfile log = open_log(f);
    uint64_t offset = 0;
    add(&log, "0123456789");
    assert_int_equal(log.old_fd, -1);
    add(&log, "abcdefgh");
    assert_size(f, "log", 8);
    assert_size(f, "log.1", 10);
    assert_reads(&log, &offset, 100, "0123456789abcdefgh");
    add(&log, "ABC");
    assert_size(f, "log", 3);
    assert_size(f, "log.1", 8);
    assert_int_equal(logfile_oldest(&log), 10);
    assert_reads(&log, &offset, 100, "ABC");
    logfile_close(&log);
}

static void reader_keeps_its_place_across_rotations(void **state)
{
    struct logfile log = open_log(*state);
    uint64_t offset = 0;
    for (int i = 0; i < 100; i++) {
        char line[8];
        snprintf(line, sizeof line, "%d\n", i);
        add(&log, line);
        assert_reads(&log, &offset, 2, line);
        assert_int_equal(offset, log.end);
    }
    logfile_close(&log);
}

static void slow_reader_goes_on_from_the_oldest_kept(void **state)
{
    struct logfile log = open_log(*state);
    uint64_t offset = 0;
    char got[2];
    add(&log, "aaaaaaaa");
    assert_int_equal(logfile_read(&log, &offset, got, 2), 2);
    add(&log, "bbbbbbbb");
    add(&log, "cccccccc");
    assert_reads(&log, &offset, 100, "bbbbbbbbcccccccc");
    assert_int_equal(offset, 24);
    logfile_close(&log);
}

static void reopened_log_goes_on_where_it_was(void **state)
{
    const struct folder *f = *state;
    struct logfile log = open_log(f);
    uint64_t offset = 0;
    add(&log, "12345678");
    add(&log, "abcd");
    logfile_close(&log);
    assert_int_equal(log.fd, -1);
    log = open_log(f);
    assert_int_equal(logfile_oldest(&log), 0);
    add(&log, "ef");
    assert_reads(&log, &offset, 100, "12345678abcdef");
    assert_size(f, "log", 6);
    logfile_close(&log);
}

static void addition_larger_than_a_file_is_kept_whole(void **state)
{
    struct logfile log = open_log(*state);
    uint64_t offset = 0;
    add(&log, "x");
    add(&log, "0123456789abcdef");
    add(&log, "y");
    assert_reads(&log, &offset, 100, "0123456789abcdefy");
    logfile_close(&log);
}

static void links_are_not_followed(void **state)
{
    const struct folder *f = *state;
    struct logfile log = LOGFILE_NONE;
    struct pi_error err;
    assert_int_equal(symlinkat("elsewhere", f->fd, "log"), 0);
    assert_int_equal(logfile_open(f->fd, "log", MAX, &log, &err), -ELOOP);
    assert_int_equal(log.fd, -1);
    assert_int_equal(faccessat(f->fd, "elsewhere", F_OK, 0), -1);
}

/* A limit on the size of files stands for a disk that gets full in the middle of a write. */
static int add_with_room_for(struct logfile *log, const char *text, rlim_t size)
{
    struct rlimit old, limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    limit = (struct rlimit){size, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    int r = logfile_append(log, text, strlen(text));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    return r;
}

static void addition_that_was_cut_short_leaves_nothing(void **state)
{
    const struct folder *f = *state;
    struct logfile log = open_log(f);
    uint64_t offset = 0;
    add(&log, "ab");
    assert_int_equal(add_with_room_for(&log, "lost", 4), -ENOSPC);
    assert_int_equal(add_with_room_for(&log, "lost", 2), -EFBIG);
    assert_reads(&log, &offset, 100, "ab");
    assert_size(f, "log", 2);
    logfile_close(&log);
    log = open_log(f);
    add(&log, "c");
    assert_reads(&log, &offset, 100, "c");
    logfile_close(&log);
}

static void reader_passes_over_what_cannot_be_read(void **state)
{
    const struct folder *f = *state;
    struct logfile log = open_log(f);
    uint64_t offset = 0;
    char got[8];
    add(&log, "abcdefgh");
    assert_int_equal(truncate(folder_path(f, "log"), 0), 0);
    assert_int_equal(logfile_read(&log, &offset, got, sizeof got), 0);
    assert_int_equal(offset, 8);
    logfile_close(&log);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        TEST(log_is_read_in_pieces_of_any_size),
        TEST(full_log_takes_the_place_of_the_old_one),
        TEST(reader_keeps_its_place_across_rotations),
        TEST(slow_reader_goes_on_from_the_oldest_kept),
        TEST(reopened_log_goes_on_where_it_was),
        TEST(addition_larger_than_a_file_is_kept_whole),
        TEST(links_are_not_followed),
        TEST(addition_that_was_cut_short_leaves_nothing),
        TEST(reader_passes_over_what_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
