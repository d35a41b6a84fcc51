/* SPDX-License-Identifier: MIT */
/* The folders of jobs that begin and end at the same time, as those of an array do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/fs.h"
#include "agent/cli/client/job_folder.h"

enum { JOBS = 8, TURNS = 100 };

/* The exit code of a job that makes its folder and removes it, again and again: 0 if each stayed until then. */
static int take_turns(void)
{
    for (int i = 0; i < TURNS; i++) {
        struct cli_job_folder folder;
        struct stat st;
        char path[sizeof folder.path + 8];
        if (cli_job_folder_make(&folder, NULL) < 0)
            return 1;
        snprintf(path, sizeof path, "%s/run", folder.path);
        if (stat(path, &st) < 0 || cli_job_folder_remove(&folder, NULL) < 0)
            return 2;
    }
    return 0;
}

static void test_jobs_that_begin_together_leave_each_other_alone(void **state)
{
    char base[] = "/tmp/pi-unit-XXXXXX";
    pid_t jobs[JOBS];
    (void)state;
    assert_non_null(mkdtemp(base));
    assert_int_equal(setenv("TMPDIR", base, 1), 0);
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = fork();
        assert_true(jobs[i] >= 0);
        if (jobs[i] == 0)
            _exit(take_turns());
    }
    for (int i = 0; i < JOBS; i++) {
        int status;
        assert_int_equal(waitpid(jobs[i], &status, 0), jobs[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(rmdir(base), 0); /* nothing is left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs_that_begin_together_leave_each_other_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
