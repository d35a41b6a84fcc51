/* SPDX-License-Identifier: MIT */
/* The base library and the wire's structs, when memory runs out. */
#include "memory_fixture.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/api/types.h"
#include "agent/base/auto.h"
#include "agent/base/buf.h"
#include "agent/base/fs.h"
#include "agent/base/lines.h"
#include "agent/base/paths.h"
#include "agent/base/text.h"

#define LONG_TEXT "a text that is longer than any first buffer of a few bytes is, so that it has to grow"

static int tell(int r, struct pi_error *err, const char *what)
{
    return r < 0 ? pi_fail(err, -r, "%s", what) : 0;
}

static int buffer_grows(struct pi_error *err)
{
    pi_auto_buf struct pi_buf buf = {0};
    int r = 0;
    for (int i = 0; i < 20 && r == 0; i++) {
        size_t before = buf.size;
        r = i % 2 ? pi_buf_puts(&buf, LONG_TEXT) : pi_buf_printf(&buf, "%s%d", LONG_TEXT, i);
        if (r < 0)
            memory_promise(buf.size == before && (!buf.data || strlen(buf.data) == before));
    }
    return tell(r, err, "buffer");
}

static int vector_grows(struct pi_error *err)
{
    pi_auto_strv struct pi_strv strv = {0};
    int r = 0;
    for (size_t i = 0; i < 10 && r == 0; i++) {
        r = i % 2 ? pi_strv_add(&strv, LONG_TEXT) : pi_strv_addf(&strv, "%s%zu", LONG_TEXT, i);
        memory_promise(strv.count == i + (r == 0) && (!strv.items || !strv.items[strv.count]));
    }
    return tell(r, err, "vector");
}

static int count_line(char *line, size_t size, void *user)
{
    (void)line, (void)size;
    ++*(int *)user;
    return 0;
}

static int lines_are_cut(struct pi_error *err)
{
    static const char text[] = LONG_TEXT LONG_TEXT LONG_TEXT LONG_TEXT "\nshort\n" LONG_TEXT LONG_TEXT;
    struct pi_lines lines = {.partial.max = 4096};
    int count = 0, r = 0;
    for (size_t at = 0; r == 0 && at < sizeof text - 1; at += 7)
        r = pi_lines_feed(&lines, text + at, sizeof text - 1 - at < 7 ? sizeof text - 1 - at : 7, count_line,
                          &count);
    pi_lines_done(&lines);
    memory_promise(r < 0 || count == 2);
    return tell(r, err, "lines");
}

static int word_is_quoted(struct pi_error *err)
{
    pi_auto_free char *plain = pi_shell_quote("plain");
    pi_auto_free char *quoted = plain ? pi_shell_quote("it's") : NULL;
    return tell(quoted ? 0 : -ENOMEM, err, "word");
}

static int paths_are_found(struct pi_error *err)
{
    struct pi_paths paths;
    memory_mark(&paths, sizeof paths);
    int r = pi_paths_find(&paths, err);
    if (r < 0)
        memory_promise(memory_untouched(&paths, sizeof paths));
    else
        pi_paths_done(&paths);
    return r;
}

static int program_is_found(struct pi_error *err)
{
    pi_auto_free char *path = NULL;
    int r = pi_program_find("sh", &path, err);
    memory_promise((r == 0) == (path != NULL));
    return r;
}

static int file_is_replaced(struct pi_error *err)
{
    char folder[] = "/tmp/pi-memory-XXXXXX";
    pi_auto_buf struct pi_buf text = {0};
    if (!mkdtemp(folder))
        return -errno;
    pi_auto_close int dir_fd = pi_dir_open(folder, err);
    int r = dir_fd < 0 ? dir_fd : pi_file_write(dir_fd, "file", LONG_TEXT, strlen(LONG_TEXT), 0600, err);
    if (r == 0)
        r = pi_file_read(dir_fd, "file", 4096, &text, err);
    int removed = pi_tree_remove(AT_FDCWD, folder, r < 0 ? NULL : err);
    memory_promise(removed == 0 || removed == -ENOMEM);
    memory.armed = false;
    pi_tree_remove(AT_FDCWD, folder, NULL);
    return r < 0 ? r : removed;
}

/* Every member of a request or reply, there and back. */
static int round_trip(const struct pi_field *table, const char *text, void *value, struct pi_error *err)
{
    json_auto_t *object = pi_json_parse(text, strlen(text), err);
    memory_promise(object != NULL);
    int r = pi_fields_read(table, object, false, value, err);
    json_auto_t *written = r == 0 ? pi_fields_write(table, value) : NULL;
    if (r == 0 && !written)
        r = pi_fail(err, ENOMEM, "write");
    pi_fields_done(table, value);
    memory_promise(r < 0 || json_object_size(written) >= json_object_size(object));
    return r;
}

static int create_is_read(struct pi_error *err)
{
    static const char text[] =
        "{\"name\": \"pi-1\", \"image\": \"fedora:44\", \"image_unverified\": true, \"arch\": \"x86_64\", "
        "\"cpus\": 2, \"forwards\": [\"8080:80\", \"8081:81\"], \"user\": \"pi\", \"password_hash\": \"$y$\", "
        "\"ssh_keys\": [\"ssh-ed25519 AAAA\"], \"user_data\": \"#cloud-config\\n\", \"environment\": [\"A=B\"]}";
    struct api_create value = {0};
    return round_trip(api_create_fields, text, &value, err);
}

static int instance_is_read(struct pi_error *err)
{
    static const char text[] =
        "{\"name\": \"pi-1\", \"state\": \"lost\", \"reason\": \"its QEMU ended\", \"arch\": \"aarch64\", \"pid\": 7, "
        "\"forwards\": [\"8080:80\"], \"failed_modules\": [\"a/b\", \"c/d\"], \"folder\": \"/data\"}";
    struct api_instance value = {0};
    return round_trip(api_instance_fields, text, &value, err);
}

static int event_is_read(struct pi_error *err)
{
    static const char text[] = "{\"kind\": \"report\", \"text\": \"cloud-init: modules-final\", \"stage\": "
                               "\"modules-final\", \"module\": \"a\", \"result\": \"FAIL\", \"guest_ms\": 5}";
    struct api_event value = {0};
    return round_trip(api_event_fields, text, &value, err);
}

static int small_replies_are_read(struct pi_error *err)
{
    struct api_agent agent = {0};
    struct pi_failure failure = {0};
    struct api_stop stop = {0};
    int r = round_trip(api_agent_fields, "{\"version\": \"1\", \"state_folder\": \"/data\"}", &agent, err);
    if (r == 0)
        r = round_trip(pi_failure_fields, "{\"kind\": \"host\", \"message\": \"no\"}", &failure, err);
    return r < 0 ? r : round_trip(api_stop_fields, "{\"timeout_ms\": 1000}", &stop, err);
}

static int events_are_written(struct pi_error *err)
{
    static char *modules[] = {(char *)"a/b", (char *)"c/d", NULL};
    const struct api_instance instance = {
        .name = modules[0], .state = VM_RUNNING, .failed_modules = {.items = modules, .count = 2}};
    json_auto_t *written = pi_fields_write(api_instance_fields, &instance);
    memory_promise(!written || json_array_size(json_object_get(written, "failed_modules")) == 2);
    return tell(written ? 0 : -ENOMEM, err, "write");
}

static void every_failing_allocation_is_survived(void **state)
{
    static const struct memory_operation operations[] = {
        MEMORY_OPERATION(buffer_grows),
        MEMORY_OPERATION(vector_grows),
        MEMORY_OPERATION(lines_are_cut),
        MEMORY_OPERATION(word_is_quoted),
        MEMORY_OPERATION(paths_are_found),
        MEMORY_OPERATION(program_is_found),
        MEMORY_OPERATION(file_is_replaced),
        MEMORY_OPERATION(create_is_read, .parses = true),
        MEMORY_OPERATION(instance_is_read, .parses = true),
        MEMORY_OPERATION(event_is_read, .parses = true),
        MEMORY_OPERATION(small_replies_are_read, .parses = true),
        MEMORY_OPERATION(events_are_written),
    };
    (void)state;
    memory_check(operations, PI_ARRAY_SIZE(operations));
}

/* A child that has no memory from an allocation on; the number of them that it survived. */
static bool parses_after(long n)
{
    static const char text[] = "{\"key\": \"" LONG_TEXT "\\n\", \"other\": [\"" LONG_TEXT "\"]}";
    pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        pi_json_protect();
        memory.until = n;
        memory.refused = false;
        memory.armed = true;
        json_t *object = pi_json_parse(text, strlen(text), NULL);
        _exit(object && json_object_size(object) == 2 ? 0 : 100);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == PI_HOST);
    return WEXITSTATUS(status) == 0;
}

static void jansson_without_memory_ends_the_process(void **state)
{
    long n = 0;
    (void)state;
    while (!parses_after(n))
        assert_in_range(++n, 1, 100);
    assert_in_range(n, 5, 100);
}

int main(void)
{
    setenv("HOME", "/home/pi", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failing_allocation_is_survived),
        cmocka_unit_test(jansson_without_memory_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
