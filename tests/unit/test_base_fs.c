/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "base_fixture.h"
#include "skip.h"

static void assert_content(const struct folder *f, const char *name, const char *wanted)
{
    pi_auto_buf struct pi_buf got = {0};
    assert_int_equal(pi_file_read(f->fd, name, 1 << 20, &got, NULL), 0);
    assert_int_equal(got.size, strlen(wanted));
    assert_memory_equal(got.data ? got.data : "", wanted, got.size);
}

static void put(const struct folder *f, const char *name, const char *text)
{
    assert_int_equal(pi_file_write(f->fd, name, text, strlen(text), 0600, NULL), 0);
}

static int entries(const char *path)
{
    pi_auto_closedir DIR *dir = opendir(path);
    int count = -2; /* "." and ".." */
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    return count;
}

static void write_replaces_the_whole_file(void **state)
{
    const struct folder *f = *state;
    struct stat st;
    put(f, "file", "a long first content");
    put(f, "file", "short");
    assert_content(f, "file", "short");
    put(f, "file", "");
    assert_content(f, "file", "");
    assert_int_equal(fstatat(f->fd, "file", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(entries(f->path), 1);
}

/* A store of UEFI variables that its guest has written to is larger than the 64 MiB of the flash. */
static void copy_takes_files_larger_than_a_buffer(void **state)
{
    const struct folder *f = *state;
    const off_t size = (off_t)PI_BUF_MAX + 4097;
    char end[4] = "";
    struct stat st;
    put(f, "file", "begin");
    assert_int_equal(mkdirat(f->fd, "other", 0700), 0);
    pi_auto_close int to = openat(f->fd, "other", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    pi_auto_close int fd = openat(f->fd, "file", O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "end", 3, size - 3), 3);
    assert_int_equal(pi_file_copy(f->fd, "file", to, NULL), 0);
    pi_auto_close int copy = openat(to, "file", O_RDONLY | O_CLOEXEC);
    assert_int_equal(fstat(copy, &st), 0);
    assert_int_equal(st.st_size, size);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(pread(copy, end, 3, size - 3), 3);
    assert_string_equal(end, "end");
    assert_int_equal(ftruncate(fd, ((off_t)256 << 20) + 1), 0);
    assert_int_equal(pi_file_copy(f->fd, "file", to, NULL), -ENOTSUP);
}

static void write_sets_its_mode_whatever_the_umask_or_the_old_file(void **state)
{
    const struct folder *f = *state;
    struct stat st;
    mode_t old = umask(077);
    put(f, "file", "x");
    assert_int_equal(pi_file_write(f->fd, "file", "y", 1, 0444, NULL), 0);
    umask(old);
    assert_int_equal(fstatat(f->fd, "file", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0444);
}

static void what_need_not_be_durable_is_replaced_as_a_whole_too(void **state)
{
    const struct folder *f = *state;
    struct pi_error err;
    put(f, "file", "longer than the new one");
    assert_int_equal(pi_file_replace(f->fd, "file", "new", 3, 0600, NULL), 0);
    assert_content(f, "file", "new");
    assert_int_equal(pi_file_replace(f->fd, "none/file", "x", 1, 0600, &err), -ENOENT);
    assert_int_equal(entries(f->path), 1);
}

static void write_replaces_a_link_and_not_what_it_names(void **state)
{
    const struct folder *f = *state;
    struct stat st;
    put(f, "other", "untouched");
    assert_int_equal(symlinkat("other", f->fd, "file"), 0);
    put(f, "file", "new");
    assert_int_equal(fstatat(f->fd, "file", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISREG(st.st_mode));
    assert_content(f, "other", "untouched");
}

static void write_goes_below_folders_and_to_absolute_paths(void **state)
{
    const struct folder *f = *state;
    assert_int_equal(mkdirat(f->fd, "sub", 0700), 0);
    put(f, "sub/file", "x");
    assert_content(f, "sub/file", "x");
    assert_int_equal(pi_file_write(AT_FDCWD, folder_path(f, "sub/file"), "y", 1, 0600, NULL), 0);
    assert_content(f, "sub/file", "y");
    assert_int_equal(entries(folder_path(f, "sub")), 1);
}

static void failed_write_says_which_file(void **state)
{
    const struct folder *f = *state;
    struct pi_error err;
    char name[300];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_int_equal(pi_file_write(f->fd, "none/file", "x", 1, 0600, &err), -ENOENT);
    assert_string_equal(err.text, "cannot write none/file: No such file or directory");
    assert_int_equal(pi_file_write(f->fd, name, "x", 1, 0600, NULL), -ENAMETOOLONG);
    assert_int_equal(mkdirat(f->fd, "folder", 0700), 0);
    assert_true(pi_file_write(f->fd, "folder", "x", 1, 0600, NULL) < 0);
    assert_int_equal(entries(f->path), 1);
}

/* A limit on the size of files stands for every failure in the middle of a write; it cannot be taken back,
 * hence the process. */
static void broken_write_leaves_the_old_content_and_nothing_else(void **state)
{
    const struct folder *f = *state;
    static char big[100000];
    put(f, "file", "old");
    pid_t pid = fork();
    if (pid == 0) {
        const struct rlimit limit = {4096, 4096};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        _exit(pi_file_write(f->fd, "file", big, sizeof big, 0600, NULL) == -EFBIG ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_content(f, "file", "old");
    assert_int_equal(entries(f->path), 1);
}

static void full_disk_leaves_the_old_content(void **state)
{
    const struct folder *f = *state;
    static char big[100000];
    if (mount("none", f->path, "tmpfs", 0, "size=64k") < 0) {
        skip_because("cannot here: mount a small tmpfs: %s", strerror(errno));
    }
    /* f->fd is the folder below the mount. */
    const char *path = folder_path(f, "file");
    int r = pi_file_write(AT_FDCWD, path, "old", 3, 0600, NULL);
    int full = pi_file_write(AT_FDCWD, path, big, sizeof big, 0600, NULL);
    pi_auto_buf struct pi_buf got = {0};
    pi_file_read(AT_FDCWD, path, 100, &got, NULL);
    int count = entries(f->path);
    assert_int_equal(umount(f->path), 0);
    assert_int_equal(r, 0);
    assert_int_equal(full, -ENOSPC);
    assert_string_equal(got.data, "old");
    assert_int_equal(count, 1);
}

static void read_is_bounded(void **state)
{
    const struct folder *f = *state;
    pi_auto_buf struct pi_buf got = {0};
    struct pi_error err;
    put(f, "file", "12345");
    assert_int_equal(pi_file_read(f->fd, "file", 4, &got, &err), -EFBIG);
    assert_string_equal(err.text, "file: larger than 4 bytes");
    assert_null(got.data);
    assert_int_equal(pi_file_read(f->fd, "file", 5, &got, NULL), 0);
    assert_string_equal(got.data, "12345");
}

static void read_appends(void **state)
{
    const struct folder *f = *state;
    pi_auto_buf struct pi_buf got = {0};
    put(f, "file", "b");
    assert_int_equal(pi_buf_puts(&got, "a"), 0);
    assert_int_equal(pi_file_read(f->fd, "file", 5, &got, NULL), 0);
    assert_string_equal(got.data, "ab");
}

static void only_regular_files_are_read(void **state)
{
    const struct folder *f = *state;
    pi_auto_buf struct pi_buf got = {0};
    struct pi_error err;
    assert_int_equal(mkfifoat(f->fd, "fifo", 0600), 0);
    assert_true(pi_file_read(f->fd, "fifo", 5, &got, &err) < 0);
    assert_string_equal(err.text, "fifo: not a regular file");
    assert_true(pi_file_read(f->fd, ".", 5, &got, &err) < 0);
    assert_int_equal(pi_file_read(f->fd, "none", 5, &got, &err), -ENOENT);
    assert_int_equal(err.kind, PI_NOT_FOUND);
    assert_null(got.data);
}

static void folder_is_made_with_its_parents(void **state)
{
    const struct folder *f = *state;
    struct stat st;
    mode_t old = umask(0);
    assert_int_equal(pi_dir_make(folder_path(f, "a/b//c/"), NULL), 0);
    umask(old);
    assert_int_equal(pi_dir_make(folder_path(f, "a/b/c"), NULL), 0);
    assert_int_equal(fstatat(f->fd, "a/b/c", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    pi_auto_close int fd = pi_dir_open(folder_path(f, "a/b"), NULL);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

static void unsafe_folder_is_refused(void **state)
{
    const struct folder *f = *state;
    struct pi_error err;
    assert_int_equal(mkdirat(f->fd, "real", 0700), 0);
    assert_int_equal(symlinkat("real", f->fd, "link"), 0);
    assert_true(pi_dir_make(folder_path(f, "link"), &err) < 0);
    assert_true(pi_dir_make(folder_path(f, "link/"), &err) < 0);
    assert_int_equal(fchmodat(f->fd, "real", 0777, 0), 0);
    assert_true(pi_dir_make(folder_path(f, "real"), &err) < 0);
    assert_non_null(strstr(err.text, "can be written by others: chmod go-w it first"));
    assert_int_equal(err.kind, PI_HOST);
    assert_int_equal(fchmodat(f->fd, "real", 0755, 0), 0);
    assert_int_equal(pi_dir_make(folder_path(f, "real"), &err), 0);
    put(f, "file", "x");
    assert_true(pi_dir_make(folder_path(f, "file"), &err) < 0);
    assert_true(pi_dir_make(folder_path(f, "file/below"), &err) < 0);
}

static void folder_of_another_user_is_refused(void **state)
{
    const struct folder *f = *state;
    struct pi_error err;
    assert_int_equal(mkdirat(f->fd, "theirs", 0700), 0);
    if (fchownat(f->fd, "theirs", geteuid() + 1, (gid_t)-1, 0) < 0) {
        skip_because("cannot here: only root can give a folder away");
    }
    assert_true(pi_dir_make(folder_path(f, "theirs"), &err) < 0);
    assert_non_null(strstr(err.text, "belongs to another user"));
}

static void removal_takes_the_tree_and_follows_no_link(void **state)
{
    const struct folder *f = *state;
    assert_int_equal(pi_dir_make(folder_path(f, "tree/a/b"), NULL), 0);
    assert_int_equal(pi_dir_make(folder_path(f, "kept"), NULL), 0);
    put(f, "kept/file", "x");
    put(f, "tree/a/b/file", "x");
    assert_int_equal(symlinkat("../../kept", f->fd, "tree/a/link"), 0);
    assert_int_equal(symlinkat("nowhere", f->fd, "tree/dangling"), 0);
    assert_int_equal(mkfifoat(f->fd, "tree/fifo", 0600), 0);
    assert_int_equal(pi_tree_remove(f->fd, "tree", NULL), 0);
    assert_int_equal(faccessat(f->fd, "tree", F_OK, AT_SYMLINK_NOFOLLOW), -1);
    assert_content(f, "kept/file", "x");
    assert_int_equal(symlinkat("kept", f->fd, "link"), 0);
    assert_int_equal(pi_tree_remove(f->fd, "link", NULL), 0);
    assert_content(f, "kept/file", "x");
    assert_int_equal(pi_tree_remove(f->fd, "not there", NULL), 0);
}

static void discarded_tree_is_gone_at_once_and_takes_earlier_rests_along(void **state)
{
    const struct folder *f = *state;
    assert_int_equal(mkdirat(f->fd, "tree", 0700), 0);
    assert_int_equal(mkdirat(f->fd, "tree/sub", 0700), 0);
    put(f, "tree/sub/file", "x");
    put(f, ".rest.0123abcd", "x");
    put(f, "other", "x");
    assert_int_equal(pi_tree_discard(f->fd, "tree", NULL), 0);
    assert_int_equal(pi_tree_discard(f->fd, "tree", NULL), 0);
    assert_int_equal(entries(f->path), 1);
}

static void sweep_takes_what_has_a_temporary_name_and_nothing_else(void **state)
{
    static const struct {
        const char *name;
        bool swept;
    } cases[] = {
        {".file.0123abcd", true},  {".a.b.89abcdef", true},    {"file.0123abcd", false},
        {".file.0123abcg", false}, {".file.0123abc", false},   {".0123abcd", false},
        {"..0123abcd", false},     {".file-0123abcd", false},  {".file.00123abcd", false},
        {".file.0123ABCD", false}, {".file.0123abcd.", false},
    };
    const struct folder *f = *state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++)
        put(f, cases[i].name, "x");
    assert_int_equal(symlinkat("other", f->fd, ".link.0123abcd"), 0);
    put(f, "other", "x");
    pi_temp_sweep(f->fd);
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++)
        if ((faccessat(f->fd, cases[i].name, F_OK, 0) < 0) != cases[i].swept)
            fail_msg("%s", cases[i].name);
    assert_true(faccessat(f->fd, ".link.0123abcd", F_OK, AT_SYMLINK_NOFOLLOW) < 0);
    assert_content(f, "other", "x");
}

static void free_space_is_known(void **state)
{
    const struct folder *f = *state;
    uint64_t bytes = UINT64_MAX;
    assert_int_equal(pi_space_free(f->path, &bytes, NULL), 0);
    assert_true(bytes < UINT64_MAX);
    assert_int_equal(pi_space_free(folder_path(f, "none"), &bytes, NULL), -ENOENT);
}

static void last_line_of_a_log_is_the_last_that_says_something(void **state)
{
    static const struct {
        const char *text, *line;
        off_t from;
    } cases[] = {
        {"", "", 0},
        {"\n\n", "", 0},
        {"one", "one", 0},
        {"one\ntwo\n", "two", 0},
        {"one\ntwo\n\n", "two", 0},
        {"one\ntw\033o\n", "tw?o", 0},
        {"one\ntwo\n", "", 8},
        {"one\ntwo\n", "two", 4},
        {"one\n", "", 9},
    };
    const struct folder *f = *state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        char line[64];
        put(f, "log", cases[i].text);
        pi_auto_close int fd = openat(f->fd, "log", O_RDONLY | O_CLOEXEC);
        pi_last_line(fd, cases[i].from, line, sizeof line);
        assert_string_equal(line, cases[i].line);
    }
    pi_auto_buf struct pi_buf text = {0};
    char line[8];
    for (int i = 0; i < 3000; i++)
        assert_int_equal(pi_buf_puts(&text, "x"), 0);
    put(f, "log", text.data);
    pi_auto_close int fd = openat(f->fd, "log", O_RDONLY | O_CLOEXEC);
    pi_last_line(fd, 0, line, sizeof line);
    assert_int_equal(line[0], 'x');
    assert_true(strlen(line) < sizeof line);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        TEST(last_line_of_a_log_is_the_last_that_says_something),
        TEST(write_replaces_the_whole_file),
        TEST(copy_takes_files_larger_than_a_buffer),
        TEST(write_sets_its_mode_whatever_the_umask_or_the_old_file),
        TEST(what_need_not_be_durable_is_replaced_as_a_whole_too),
        TEST(write_replaces_a_link_and_not_what_it_names),
        TEST(write_goes_below_folders_and_to_absolute_paths),
        TEST(failed_write_says_which_file),
        TEST(broken_write_leaves_the_old_content_and_nothing_else),
        TEST(full_disk_leaves_the_old_content),
        TEST(read_is_bounded),
        TEST(read_appends),
        TEST(only_regular_files_are_read),
        TEST(folder_is_made_with_its_parents),
        TEST(unsafe_folder_is_refused),
        TEST(folder_of_another_user_is_refused),
        TEST(removal_takes_the_tree_and_follows_no_link),
        TEST(discarded_tree_is_gone_at_once_and_takes_earlier_rests_along),
        TEST(sweep_takes_what_has_a_temporary_name_and_nothing_else),
        TEST(free_space_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
