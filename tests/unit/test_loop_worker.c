/* SPDX-License-Identifier: MIT */
/* Workers, played by a shell: `sh worker prepare` runs the script "worker" in the folder that the test is in.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/base/fs.h"
#include "agent/base/text.h"
#include "agent/loop/worker_process.h"
#include "loop_fixture.h"

struct seen {
    uv_loop_t loop;
    int phases;
    char last_phase[32];
    bool done;
    int result;
    json_t *answer;
    struct pi_error err;
};

static int enter_folder(void **state)
{
    static char folder[] = "/tmp/piagent-test-XXXXXX";
    *state = folder;
    return mkdtemp(folder) ? chdir(folder) : -1;
}

static int leave_folder(void **state)
{
    return chdir("/tmp") == 0 ? pi_tree_remove(AT_FDCWD, *state, NULL) : -1;
}

static int setup(void **state)
{
    static struct seen seen;
    memset(&seen, 0, sizeof seen);
    *state = &seen;
    return uv_loop_init(&seen.loop);
}

static int teardown(void **state)
{
    struct seen *seen = *state;
    json_decref(seen->answer);
    return loop_close(&seen->loop);
}

static void on_progress(const json_t *progress, void *user)
{
    struct seen *seen = user;
    assert_false(seen->done);
    seen->phases++;
    snprintf(seen->last_phase, sizeof seen->last_phase, "%s",
             json_string_value(json_object_get(progress, "phase")));
}

static void on_done(int r, const json_t *result, const struct pi_error *err, void *user)
{
    struct seen *seen = user;
    assert_false(seen->done);
    seen->done = true;
    seen->result = r;
    seen->answer = json_incref((json_t *)result);
    if (r < 0)
        seen->err = *err;
}

static struct worker *start(struct seen *seen, const char *script, const struct pi_strv *environment)
{
    static const struct worker_handler handler = {.progress = on_progress, .done = on_done};
    json_auto_t *request = json_pack("{s:s}", "image", "fedora");
    const struct worker_job job = {
        .program = "/bin/sh", .kind = WORKER_PREPARE, .request = request, .environment = environment};
    struct worker *worker = NULL;
    assert_int_equal(pi_file_write(AT_FDCWD, "worker", script, strlen(script), 0600, NULL), 0);
    assert_int_equal(worker_start(&seen->loop, &job, &handler, seen, &worker, NULL), 0);
    return worker;
}

static void run(struct seen *seen, const char *script)
{
    start(seen, script, NULL);
    assert_true(loop_run_until(&seen->loop, &seen->done));
}

static void progress_comes_before_the_result(void **state)
{
    struct seen *seen = *state;
    run(seen,
        "echo '{\"progress\": {\"phase\": \"downloading\"}}'; echo '{\"progress\": {\"phase\": \"checking\"}}';"
        "echo '{\"result\": {\"path\": \"/x\"}}'");
    assert_int_equal(seen->phases, 2);
    assert_string_equal(seen->last_phase, "checking");
    assert_int_equal(seen->result, 0);
    assert_string_equal(json_string_value(json_object_get(seen->answer, "path")), "/x");
}

static void request_is_its_standard_input_and_its_kind_its_argument(void **state)
{
    struct seen *seen = *state;
    run(seen, "printf '{\"result\": {\"kind\": \"%s\", \"request\": %s}}\\n' \"$1\" \"$(cat)\"");
    json_t *request = json_object_get(seen->answer, "request");
    assert_string_equal(json_string_value(json_object_get(seen->answer, "kind")), "prepare");
    assert_string_equal(json_string_value(json_object_get(request, "image")), "fedora");
}

static void error_line_is_the_failure_whatever_the_exit_code(void **state)
{
    static const char *const ends[] = {"exit 7", "exit 0", "kill -KILL $$"};
    struct seen *seen = *state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(ends); i++) {
        char script[256];
        seen->done = false;
        snprintf(script, sizeof script,
                 "echo '{\"error\": {\"kind\": \"network\", \"message\": \"no mirror\"}}'; %s", ends[i]);
        run(seen, script);
        assert_true(seen->result < 0);
        assert_int_equal(seen->err.kind, PI_NETWORK);
        assert_string_equal(seen->err.text, "no mirror");
    }
}

static void malformed_error_is_still_a_failure(void **state)
{
    static const char *const lines[] = {"{\"error\": 1}", "{\"error\": {}}",
                                        "{\"error\": {\"kind\": \"ok\", \"message\": 1}}"};
    struct seen *seen = *state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(lines); i++) {
        char script[128];
        seen->done = false;
        snprintf(script, sizeof script, "echo '%s'", lines[i]);
        run(seen, script);
        assert_true(seen->result < 0);
        assert_int_equal(seen->err.kind, PI_FAILED);
        assert_string_equal(seen->err.text, "the worker failed, and its error cannot be read");
    }
}

static void crash_is_said(void **state)
{
    static const struct {
        const char *script, *text;
    } cases[] = {
        {"echo '{\"result\": {}}'; exit 3", "the worker ended with exit code 3: see the agent's log"},
        {"kill -KILL $$", "the worker ended with killed by SIGKILL: see the agent's log"},
        {"exit 0", "the worker ended with exit code 0: see the agent's log"},
        {"printf '{\"result\": {}}'", "the worker ended with exit code 0: see the agent's log"},
    };
    struct seen *seen = *state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        seen->done = false;
        json_decref(seen->answer);
        seen->answer = NULL;
        run(seen, cases[i].script);
        assert_true(seen->result < 0);
        assert_string_equal(seen->err.text, cases[i].text);
    }
}

static void lines_that_are_no_messages_are_passed_over(void **state)
{
    struct seen *seen = *state;
    run(seen,
        "echo hello; echo; echo '[1]'; echo '{\"phase\": \"x\"}'; echo '{\"result\": {\"path\": 1}}'; echo '{\"cut\":';"
        "printf '{\"progress\": {\"phase\": \"x\"}}'");
    assert_int_equal(seen->result, 0);
    assert_int_equal(json_integer_value(json_object_get(seen->answer, "path")), 1);
    assert_int_equal(seen->phases, 0);
}

static void much_output_right_before_the_end_is_not_lost(void **state)
{
    struct seen *seen = *state;
    run(seen,
        "i=0; while [ $i -lt 2000 ]; do echo '{\"progress\": {\"phase\": \"copying\"}}'; i=$((i+1)); done;"
        "echo '{\"result\": {\"a\": 1}}'");
    assert_int_equal(seen->phases, 2000);
    assert_non_null(seen->answer);
}

/* It would hold up the whole agent. */
static void output_that_a_grandchild_keeps_open_is_not_waited_for(void **state)
{
    struct seen *seen = *state;
    uint64_t begin = pi_monotonic_ms();
    run(seen, "sleep 20 2> /dev/null & echo \"{\\\"result\\\": {\\\"pid\\\": $!}}\"");
    kill((pid_t)json_integer_value(json_object_get(seen->answer, "pid")), SIGKILL);
    assert_int_equal(seen->result, 0);
    assert_true(pi_monotonic_ms() - begin < 10000);
}

static void worker_gets_a_short_environment_and_first_what_was_set_for_it(void **state)
{
    struct seen *seen = *state;
    char language[] = "LANG=ours", own[] = "PI_OWN=too";
    char *items[] = {language, own, NULL};
    setenv("LANG", "theirs", 1);
    setenv("TZ", "kept", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "left out", 1);
    start(seen, "echo \"{\\\"result\\\": {\\\"a\\\": \\\"$LANG $PI_OWN $TZ$AWS_SECRET_ACCESS_KEY\\\"}}\"",
          &(struct pi_strv){items, 2});
    assert_true(loop_run_until(&seen->loop, &seen->done));
    assert_string_equal(json_string_value(json_object_get(seen->answer, "a")), "ours too kept");
}

static void cancelled_worker_is_told_and_not_heard_of_again(void **state)
{
    struct seen *seen = *state;
    bool ended = false;
    unsigned ending = 0;
    struct worker *worker = start(
        seen, "trap 'exit 0' TERM; echo '{\"progress\": {\"phase\": \"x\"}}'; while :; do sleep 0.01; done",
        NULL);
    const bool *running = (const bool *)&seen->phases;
    assert_true(loop_run_until(&seen->loop, running));
    worker_cancel(worker, &ending);
    assert_int_equal(ending, 1);
    uint64_t end = pi_monotonic_ms() + LOOP_DEADLINE_MS;
    while (!ended && pi_monotonic_ms() < end)
        ended = uv_run(&seen->loop, UV_RUN_ONCE) == 0;
    assert_true(ended);
    assert_false(seen->done);
    assert_int_equal(ending, 0);
    worker_cancel(NULL, &ending);
    assert_int_equal(ending, 0);
}

static void program_that_cannot_be_started_is_said(void **state)
{
    static const struct worker_handler handler = {.progress = on_progress, .done = on_done};
    struct seen *seen = *state;
    struct worker *worker = NULL;
    struct pi_error err;
    json_auto_t *request = json_object();
    const struct worker_job job = {.program = "/nowhere/x", .request = request};
    assert_true(worker_start(&seen->loop, &job, &handler, seen, &worker, &err) < 0);
    assert_true(pi_starts_with(err.text, "cannot start /nowhere/x: "));
    assert_null(worker);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(progress_comes_before_the_result),
        TEST(request_is_its_standard_input_and_its_kind_its_argument),
        TEST(error_line_is_the_failure_whatever_the_exit_code),
        TEST(malformed_error_is_still_a_failure),
        TEST(crash_is_said),
        TEST(lines_that_are_no_messages_are_passed_over),
        TEST(much_output_right_before_the_end_is_not_lost),
        TEST(output_that_a_grandchild_keeps_open_is_not_waited_for),
        TEST(worker_gets_a_short_environment_and_first_what_was_set_for_it),
        TEST(cancelled_worker_is_told_and_not_heard_of_again),
        TEST(program_that_cannot_be_started_is_said),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
