/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/base/proc.h"
#include "agent/base/text.h"
#include "base_fixture.h"

#define DEADLINE_MS 20000

/* A shell that runs script, its output on a pipe whose reading end is returned. */
static int start(const char *script, struct pi_spawn how, pid_t *ret_pid, int *ret_pidfd)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    how.argv = (const char *const[]){"/bin/sh", "-c", script, NULL};
    how.fds = (int[]){-1, ends[1], 2};
    how.fd_count = 3;
    assert_int_equal(pi_spawn(&how, ret_pid, ret_pidfd, NULL), 0);
    close(ends[1]);
    return ends[0];
}

static void read_all(int fd, char *ret, size_t size)
{
    size_t used = 0;
    for (ssize_t n; (n = read(fd, ret + used, size - 1 - used)) > 0;)
        used += (size_t)n;
    ret[used] = '\0';
    close(fd);
}

static int reap(int pidfd, int *ret_code, char text[64])
{
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    assert_int_equal(poll(&ended, 1, DEADLINE_MS), 1);
    int r = pi_reap(pidfd, ret_code, text, 64);
    close(pidfd);
    return r;
}

static void child_gets_the_descriptors_given_and_no_other(void **state)
{
    int pair[2], leaked[2], ends[2], code, pidfd;
    char got[64], text[64];
    pid_t pid;
    (void)state;
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    assert_int_equal(pipe(leaked), 0); /* NOLINT: what a careless library may leave open */
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    /* Given twice, and in an order in which each would overwrite another. */
    const int fds[] = {-1, ends[1], 2, ends[1], pair[1], 1, 0};
    /* By what the shell has built in: it would open descriptors of its own for anything else. */
    static const char script[] =
        "i=0; while [ $i -lt 32 ]; do [ -e /proc/$$/fd/$i ] && printf '%d ' $i; i=$((i+1)); done; "
        "echo three >&3; echo four >&4";
    const struct pi_spawn how = {.argv = (const char *const[]){"/bin/sh", "-c", script, NULL},
                                 .fds = fds,
                                 .fd_count = PI_ARRAY_SIZE(fds)};
    assert_int_equal(pi_spawn(&how, &pid, &pidfd, NULL), 0);
    close(ends[1]);
    close(pair[1]);
    read_all(ends[0], got, sizeof got);
    assert_string_equal(got, "0 1 2 3 4 5 6 three\n");
    read_all(pair[0], got, sizeof got);
    assert_string_equal(got, "four\n");
    assert_int_equal(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(reap(pidfd, &code, text), 0);
    close(leaked[0]);
    close(leaked[1]);
}

static void descriptor_of_minus_one_is_nothing_to_read(void **state)
{
    int code, pidfd;
    char got[64], text[64];
    pid_t pid;
    (void)state;
    int out = start("wc -c", (struct pi_spawn){0}, &pid, &pidfd);
    read_all(out, got, sizeof got);
    assert_string_equal(got, "0\n");
    assert_int_equal(reap(pidfd, &code, text), 0);
}

static void program_that_cannot_be_run_is_reported_by_its_errno(void **state)
{
    struct folder *f = *state;
    static const struct {
        const char *name;
        int errnum;
    } cases[] = {{"none", ENOENT}, {"plain", EACCES}, {"garbage", ENOEXEC}};
    assert_int_equal(pi_file_write(f->fd, "plain", "x", 1, 0600, NULL), 0);
    assert_int_equal(pi_file_write(f->fd, "garbage", "x", 1, 0700, NULL), 0);
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct pi_error err;
        pid_t pid = -7;
        int pidfd = -7;
        const char *path = folder_path(f, cases[i].name);
        const struct pi_spawn how = {
            .argv = (const char *const[]){path, NULL}, .fds = (const int[]){-1, -1, -1}, .fd_count = 3};
        assert_int_equal(pi_spawn(&how, &pid, &pidfd, &err), -cases[i].errnum);
        assert_true(pi_starts_with(err.text, "cannot start /tmp/"));
        assert_int_equal(pid, -7);
        assert_int_equal(pidfd, -7);
    }
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void new_session_is_made_where_asked(void **state)
{
    (void)state;
    for (int session = 0; session <= 1; session++) {
        int code, pidfd;
        char got[64], text[64], wanted[64];
        pid_t pid;
        int out =
            start("cut -d' ' -f6 /proc/$$/stat", (struct pi_spawn){.new_session = session}, &pid, &pidfd);
        read_all(out, got, sizeof got);
        snprintf(wanted, sizeof wanted, "%d\n", (int)(session ? pid : getsid(0)));
        assert_string_equal(got, wanted);
        assert_int_equal(reap(pidfd, &code, text), 0);
    }
}

static void child_has_default_signals_and_the_environment_given(void **state)
{
    static const char *const environment[] = {"ONLY=this", NULL};
    int code, pidfd;
    char got[128], text[64];
    pid_t pid;
    sigset_t blocked;
    (void)state;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    signal(SIGPIPE, SIG_IGN);
    int out = start("echo $ONLY; grep -E 'Sig(Blk|Ign)' /proc/self/status | tr -d '\\t\\n'",
                    (struct pi_spawn){.environ_ = environment}, &pid, &pidfd);
    sigprocmask(SIG_UNBLOCK, &blocked, NULL);
    signal(SIGPIPE, SIG_DFL);
    read_all(out, got, sizeof got);
    assert_string_equal(got, "this\nSigBlk:0000000000000000SigIgn:0000000000000000");
    assert_int_equal(reap(pidfd, &code, text), 0);
}

static void end_of_a_process_is_put_into_words(void **state)
{
    static const struct {
        const char *script;
        int code;
        const char *text;
    } cases[] = {
        {"exit 0", 0, "exit code 0"},
        {"exit 3", 3, "exit code 3"},
        {"kill -KILL $$", 128 + SIGKILL, "killed by SIGKILL"},
        {"ulimit -c 0; kill -ABRT $$", 128 + SIGABRT, "killed by SIGABRT"},
        {"kill -40 $$", 128 + 40, "killed by signal 40"},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        int code, pidfd;
        char text[64];
        pid_t pid;
        close(start(cases[i].script, (struct pi_spawn){0}, &pid, &pidfd));
        assert_int_equal(reap(pidfd, &code, text), 0);
        assert_int_equal(code, cases[i].code);
        assert_string_equal(text, cases[i].text);
    }
}

static void running_process_and_strange_one_are_not_reaped(void **state)
{
    int code, pidfd;
    char text[64];
    pid_t pid;
    (void)state;
    close(start("exec sleep 1000", (struct pi_spawn){0}, &pid, &pidfd));
    assert_int_equal(pi_reap(pidfd, &code, text, sizeof text), -EAGAIN);
    assert_int_equal(pi_signal(pidfd, SIGTERM), 0);
    assert_int_equal(reap(pidfd, &code, text), 0);
    assert_string_equal(text, "killed by SIGTERM");

    const struct pi_identity init = {.pid = getppid()};
    struct pi_identity id;
    assert_int_equal(pi_identify(init.pid, &id, NULL), 0);
    pidfd = pi_identity_open(&id);
    assert_int_equal(pi_reap(pidfd, &code, text, sizeof text), -ECHILD);
    close(pidfd);
}

static void identity_finds_its_process_as_long_as_it_runs(void **state)
{
    struct pi_identity id;
    int code, pidfd;
    char text[64];
    pid_t pid;
    (void)state;
    close(start("exec sleep 1000", (struct pi_spawn){0}, &pid, &pidfd));
    assert_int_equal(pi_identify(pid, &id, NULL), 0);
    assert_int_equal(id.pid, pid);
    assert_true(id.start_ticks > 0);
    assert_int_equal(strlen(id.boot_id), PI_BOOT_ID_LENGTH);
    int found = pi_identity_open(&id);
    assert_true(found >= 0);
    assert_int_equal(pi_signal(found, SIGKILL), 0);

    /* Ended, but not yet reaped: the pid is still there. */
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    assert_int_equal(poll(&ended, 1, DEADLINE_MS), 1);
    assert_int_equal(pi_identity_open(&id), -ESRCH);
    assert_int_equal(reap(pidfd, &code, text), 0);
    assert_int_equal(pi_identity_open(&id), -ESRCH);
    assert_int_equal(pi_signal(found, SIGKILL), -ESRCH);
    close(found);
    struct pi_error err;
    assert_true(pi_identify(pid, &id, &err) < 0);
    assert_non_null(strstr(err.text, "cannot identify process"));
}

static void process_of_another_start_or_boot_is_not_the_same(void **state)
{
    struct pi_identity id, other;
    (void)state;
    assert_int_equal(pi_identify(getpid(), &id, NULL), 0);
    int fd = pi_identity_open(&id);
    assert_true(fd >= 0);
    close(fd);
    other = id;
    other.start_ticks++;
    assert_int_equal(pi_identity_open(&other), -ESRCH);
    other = id;
    other.boot_id[0] = other.boot_id[0] == '0' ? '1' : '0';
    assert_int_equal(pi_identity_open(&other), -ESRCH);
    other = id;
    other.pid = 0;
    assert_int_equal(pi_identity_open(&other), -ESRCH);
    other.pid = -1;
    assert_int_equal(pi_identity_open(&other), -ESRCH);
}

static void name_with_parentheses_does_not_hide_the_start_time(void **state)
{
    struct folder *f = *state;
    struct pi_identity id, named;
    int pidfd, code;
    char text[64];
    pid_t pid;
    const char *path = folder_path(f, "a) S 1 (2) 3");
    assert_int_equal(symlink("/bin/sleep", path), 0);
    const struct pi_spawn how = {
        .argv = (const char *const[]){path, "1000", NULL}, .fds = (const int[]){-1, -1, 2}, .fd_count = 3};
    assert_int_equal(pi_identify(getpid(), &id, NULL), 0);
    assert_int_equal(pi_spawn(&how, &pid, &pidfd, NULL), 0);
    assert_int_equal(pi_identify(pid, &named, NULL), 0);
    assert_true(named.start_ticks >= id.start_ticks && named.start_ticks < id.start_ticks + 1000000);
    assert_int_equal(pi_signal(pidfd, SIGKILL), 0);
    assert_int_equal(reap(pidfd, &code, text), 0);
}

static void identity_that_cannot_be_checked_is_not_called_gone(void **state)
{
    struct pi_identity id;
    int fds[64], count = 0;
    struct rlimit old, few = {.rlim_cur = 32};
    (void)state;
    assert_int_equal(pi_identify(getpid(), &id, NULL), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    few.rlim_max = old.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    while (count < 64 && (fds[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        count++;
    int r = pi_identity_open(&id);
    if (count)
        close(fds[--count]);
    int one_left = pi_identity_open(&id);
    while (count)
        close(fds[--count]);
    setrlimit(RLIMIT_NOFILE, &old);
    assert_int_equal(r, -EMFILE);
    assert_int_equal(one_left, -EMFILE);
}

static int run(const char *script, struct pi_buf *output, int *ret_code, struct pi_error *err)
{
    return pi_run((const char *const[]){"sh", "-c", script, NULL}, output, ret_code, err);
}

static void child_waits_with_nothing_else_open_and_is_dropped_without_running_its_program(void **state)
{
    struct folder *f = *state;
    struct pi_child child;
    int ends[2];
    char script[300], byte;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    snprintf(script, sizeof script, "echo x > %s", folder_path(f, "ran"));
    const struct pi_spawn how = {.argv = (const char *const[]){"/bin/sh", "-c", script, NULL},
                                 .fds = (const int[]){-1, -1, 2},
                                 .fd_count = 3};
    assert_int_equal(pi_child_new(&how, &child, NULL), 0);
    assert_true(child.pid > 0);
    close(ends[1]);
    struct pollfd closed = {.fd = ends[0], .events = POLLIN};
    assert_int_equal(poll(&closed, 1, DEADLINE_MS), 1);
    assert_int_equal(read(ends[0], &byte, 1), 0);
    close(ends[0]);
    usleep(100000); /* for a program that runs although it must not */
    pi_child_drop(&child);
    pi_child_drop(&child);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(faccessat(f->fd, "ran", F_OK, 0), -1);
}

static void child_that_was_killed_while_it_waited_cannot_go(void **state)
{
    struct pi_child child;
    int pidfd = -7;
    (void)state;
    const struct pi_spawn how = {
        .argv = (const char *const[]){"/bin/true", NULL}, .fds = (const int[]){-1, -1, 2}, .fd_count = 3};
    assert_int_equal(pi_child_new(&how, &child, NULL), 0);
    assert_int_equal(kill(child.pid, SIGKILL), 0);
    struct pollfd ended = {.fd = child.pidfd, .events = POLLIN};
    assert_int_equal(poll(&ended, 1, DEADLINE_MS), 1);
    assert_int_equal(pi_child_go(&child, &pidfd), -EPIPE);
    assert_int_equal(pidfd, -7);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void program_does_not_run_where_its_parent_ends_before(void **state)
{
    struct folder *f = *state;
    int ends[2];
    pid_t child = 0;
    char script[300];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    snprintf(script, sizeof script, "echo x > %s", folder_path(f, "ran"));
    pid_t parent = fork();
    if (parent == 0) {
        struct pi_child waiting = PI_CHILD_NONE;
        const struct pi_spawn how = {.argv = (const char *const[]){"/bin/sh", "-c", script, NULL},
                                     .fds = (const int[]){-1, -1, ends[1]},
                                     .fd_count = 3};
        _exit(pi_child_new(&how, &waiting, NULL) < 0 || write(ends[1], &waiting.pid, sizeof waiting.pid) < 0);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &child, sizeof child), sizeof child);
    /* The pipe's end is in the child, and would be the program's: the end of file is the end of either. */
    struct pollfd ended = {.fd = ends[0], .events = POLLIN};
    assert_int_equal(poll(&ended, 1, DEADLINE_MS), 1);
    assert_int_equal(read(ends[0], &child, sizeof child), 0);
    close(ends[0]);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    assert_int_equal(faccessat(f->fd, "ran", F_OK, 0), -1);
}

static void run_collects_output_and_errors(void **state)
{
    pi_auto_buf struct pi_buf output = {0};
    (void)state;
    assert_int_equal(pi_buf_puts(&output, "before "), 0);
    assert_int_equal(run("cat; echo out; echo err >&2", &output, NULL, NULL), 0);
    assert_string_equal(output.data, "before out\nerr\n");
}

static void failed_run_is_refused_with_what_it_said(void **state)
{
    static const struct {
        const char *script, *text;
    } cases[] = {
        {"echo first; echo '\033[1mthe reason' >&2; echo; exit 1", "sh: first; ?[1mthe reason"},
        {"echo 'sh: the reason'; echo; echo ' what failed'; exit 1", "sh: the reason; what failed"},
        {"echo the reason; seq 1000; echo the end; exit 1", "sh: the reason ... the end"},
        {"exit 1", "sh: it failed and printed nothing"},
        {"kill -KILL $$", "sh: it failed and printed nothing"},
        {"yes 'filling up' | head -c 200000; echo; echo the end; exit 1", "sh: filling up ... the end"},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct pi_error err;
        assert_true(run(cases[i].script, NULL, NULL, &err) < 0);
        assert_string_equal(err.text, cases[i].text);
    }
}

static void exit_code_is_given_where_asked(void **state)
{
    int code = -1;
    (void)state;
    assert_int_equal(run("exit 7", NULL, &code, NULL), 0);
    assert_int_equal(code, 7);
    assert_int_equal(run("kill -TERM $$", NULL, &code, NULL), 0);
    assert_int_equal(code, 128 + SIGTERM);
}

static void output_of_a_run_is_bounded_and_its_end_kept(void **state)
{
    pi_auto_buf struct pi_buf output = {0};
    (void)state;
    assert_int_equal(run("yes | head -c 1000000; echo the end", &output, NULL, NULL), 0);
    assert_int_equal(output.size, 64 << 10);
    assert_true(pi_ends_with(output.data, "y\nthe end\n"));
}

static void missing_program_is_not_run(void **state)
{
    struct pi_error err;
    (void)state;
    assert_true(pi_run((const char *const[]){"no-such-program-here", NULL}, NULL, NULL, &err) < 0);
    assert_int_equal(err.kind, PI_HOST);
}

static void memory_of_a_process_is_its_own_and_without_shared_files(void **state)
{
    (void)state;
    const size_t size = 64u << 20;
    uint64_t before = 0, with_files = 0, after = 0;
    assert_int_equal(pi_memory_read(getpid(), &before), 0);
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct stat program;
    assert_true(fd >= 0 && fstat(fd, &program) == 0);
    const char *file = mmap(NULL, (size_t)program.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    close(fd);
    assert_true(file != MAP_FAILED);
    assert_int_equal(pi_memory_read(getpid(), &with_files), 0);
    assert_true(with_files < before + (uint64_t)program.st_size);
    void *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    assert_true(memory != MAP_FAILED);
    assert_int_equal(pi_memory_read(getpid(), &after), 0);
    assert_true(after >= with_files + size - (4u << 20) && after < with_files + 2 * size);
    munmap(memory, size);
    munmap((void *)file, (size_t)program.st_size);
    assert_true(pi_memory_read(INT_MAX, &after) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(child_gets_the_descriptors_given_and_no_other),
        cmocka_unit_test(descriptor_of_minus_one_is_nothing_to_read),
        cmocka_unit_test_setup_teardown(program_that_cannot_be_run_is_reported_by_its_errno, folder_setup,
                                        folder_teardown),
        cmocka_unit_test(new_session_is_made_where_asked),
        cmocka_unit_test(child_has_default_signals_and_the_environment_given),
        cmocka_unit_test(end_of_a_process_is_put_into_words),
        cmocka_unit_test(running_process_and_strange_one_are_not_reaped),
        cmocka_unit_test(identity_finds_its_process_as_long_as_it_runs),
        cmocka_unit_test(process_of_another_start_or_boot_is_not_the_same),
        cmocka_unit_test_setup_teardown(name_with_parentheses_does_not_hide_the_start_time, folder_setup,
                                        folder_teardown),
        cmocka_unit_test(identity_that_cannot_be_checked_is_not_called_gone),
        cmocka_unit_test_setup_teardown(
            child_waits_with_nothing_else_open_and_is_dropped_without_running_its_program, folder_setup,
            folder_teardown),
        cmocka_unit_test(child_that_was_killed_while_it_waited_cannot_go),
        cmocka_unit_test_setup_teardown(program_does_not_run_where_its_parent_ends_before, folder_setup,
                                        folder_teardown),
        cmocka_unit_test(run_collects_output_and_errors),
        cmocka_unit_test(failed_run_is_refused_with_what_it_said),
        cmocka_unit_test(exit_code_is_given_where_asked),
        cmocka_unit_test(output_of_a_run_is_bounded_and_its_end_kept),
        cmocka_unit_test(missing_program_is_not_run),
        cmocka_unit_test(memory_of_a_process_is_its_own_and_without_shared_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
