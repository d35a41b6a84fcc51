#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/seed/validate.h"

static void every_kind_is_known_by_its_first_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum seed_kind kind;
    } cases[] = {
        {"#cloud-config\npackages: [htop]\n", SEED_CLOUD_CONFIG},
        {"#cloud-config \r\npackages: [htop]\r\n", SEED_CLOUD_CONFIG},
        {"#Cloud-Config\na: 1", SEED_CLOUD_CONFIG},
        {"## template: jinja\n#cloud-config\na: {{ b }}\n", SEED_JINJA},
        {"#!/bin/sh\n{ [", SEED_SCRIPT},
        {"#include\nhttp://example.org/\n", SEED_INCLUDE},
        {"#include-once http://example.org/\n", SEED_INCLUDE},
        {"#cloud-boothook\n#!/bin/sh\n", SEED_BOOTHOOK},
        {"#cloud-config-archive\n- a\n", SEED_ARCHIVE},
        {"#cloud-config-jsonp\n[]\n", SEED_JSON_PATCH},
        {"#part-handler\ndef f(): pass\n", SEED_PART_HANDLER},
        {"Content-Type: text/plain\nmime-version: 1.0\n\n#!/bin/sh\n", SEED_MIME},
        {"\x1f\x8b\x08", SEED_GZIP},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct pi_error err = {0};
        enum seed_kind kind;
        if (seed_user_data_check(cases[i].text, strlen(cases[i].text), &kind, &err) < 0)
            fail_msg("%s: %s", cases[i].text, err.text);
        assert_int_equal(kind, cases[i].kind);
    }
}

static void refusals_say_what_is_wrong_and_where(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "it is empty"},
        {"#cloud-config\n", "nothing follows the first line"},
        {"#cloud-config\n# only a comment\n", "nothing follows the first line"},
        {"#cloud-config\n---\n", "nothing follows the first line"},
        {"#cloud-configs\na: 1\n", "'#cloud-configs', and must be exactly '#cloud-config'"},
        {"#cloud-config yes\na: 1\n", "must be exactly '#cloud-config'"},
        {" #cloud-config\na: 1\n", "must be exactly '#cloud-config'"},
        {"#cloud_config\na: 1\n", "must be exactly '#cloud-config'"},
        {"cloud-config\na: 1\n", "must be exactly '#cloud-config'"},
        {"\xef\xbb\xbf#cloud-config\na: 1\n", "must be exactly '#cloud-config'"},
        {"users:\n  - default\n", "the first line is 'users:'"},
        {"#cloud-config\na: [1\nb: 2\n", "line 3, column 2: "},
        {"#cloud-config\na:\n\tb: 1\n", "line 3, column 1: indented with a tab"},
        {"#cloud-config\na: 1\nb: 2\na: 3\n", "line 4: the key 'a' is there already, in line 2"},
        {"#cloud-config\na: {b: 1, b: 2}\n", "the key 'b' is there already"},
        {"#cloud-config\n- a\n- b\n", "line 2, column 1: the top level must be a mapping"},
        {"#cloud-config\njust words\n", "line 2, column 1: the top level must be a mapping"},
        {"#cloud-config\na: 1\n---\nb: 2\n", "line 3, column 1: a second document starts"},
        {"#cloud-config\n? [a]\n: 1\n", "a key must be plain text"},
        {"#cloud-config\na: *b\n", "line 2, column 4: there is no anchor of this name"},
        {"#cloud-config\na: \xff\n", "save the file as UTF-8"},
        {"#cloud-config\nuser: bob\n", "line 2: 'user' is piagent's to set: name the user with --user"},
        {"#cloud-config\nvendor_data: {enabled: false}\n", "'vendor_data' is piagent's to set"},
        {"#cloud-config\nssh_keys: {}\n", "'ssh_keys' is piagent's to set"},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct pi_error err = {0};
        enum seed_kind kind = SEED_GZIP;
        assert_true(seed_user_data_check(cases[i].text, strlen(cases[i].text), &kind, &err) < 0);
        assert_int_equal(err.kind, PI_USAGE);
        assert_int_equal(kind, SEED_GZIP);
        if (!strstr(err.text, cases[i].message))
            fail_msg("%s: got: %s", cases[i].text, err.text);
    }
}

static void what_only_looks_wrong_passes(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "#cloud-config\na: &x {b: 1}\nc: *x\n",
        "#cloud-config\na: &x {b: 1}\nc: {<<: *x, b: 2}\n",
        "#cloud-config\na: {b: 1}\nc: {b: 1}\n",
        "#cloud-config\nx: [{a: 1}, {a: 2}]\n",
        "#cloud-config\nusers: [{name: u, user: x}]\n",
        "#cloud-config\nscript: |\n  if x; then\n  \ty\n  fi\n",
        "#cloud-config\n{\"a\": [1, {\"b\": null}]}\n",
        "#cloud-config\n{}\n",
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct pi_error err = {0};
        enum seed_kind kind;
        if (seed_user_data_check(cases[i], strlen(cases[i]), &kind, &err) < 0)
            fail_msg("%s: %s", cases[i], err.text);
    }
}

static void refuse_repeated(const char *part, size_t times, const char *message)
{
    pi_auto_buf struct pi_buf text = {0};
    assert_int_equal(pi_buf_puts(&text, "#cloud-config\na: "), 0);
    for (size_t i = 0; i < times; i++)
        assert_int_equal(pi_buf_puts(&text, part), 0);
    struct pi_error err = {0};
    enum seed_kind kind;
    assert_true(seed_user_data_check(text.data, text.size, &kind, &err) < 0);
    if (!strstr(err.text, message))
        fail_msg("got: %s", err.text);
}

static void depth_events_anchors_and_size_are_bounded(void **state)
{
    (void)state;
    refuse_repeated("[", SEED_YAML_DEPTH_MAX + 1, "levels deep");
    refuse_repeated("\n- 1", SEED_YAML_EVENTS_MAX + 1, "more than 200000 keys and values");
    refuse_repeated("\n- &x 1", 1001, "more than 1000 anchors");
    refuse_repeated("x", SEED_USER_DATA_MAX, "larger than 1048576 bytes");
}

static void a_bomb_of_aliases_is_not_expanded(void **state)
{
    (void)state;
    pi_auto_buf struct pi_buf text = {0};
    assert_int_equal(pi_buf_puts(&text, "#cloud-config\na0: &a0 [x, x]\n"), 0);
    for (int i = 1; i < 60; i++)
        assert_int_equal(pi_buf_printf(&text, "a%d: &a%d [*a%d, *a%d]\n", i, i, i - 1, i - 1), 0);
    enum seed_kind kind;
    assert_int_equal(seed_user_data_check(text.data, text.size, &kind, NULL), 0);
}

static void a_file_is_read_or_refused_by_name(void **state)
{
    (void)state;
    char path[] = "/tmp/piagent-user-data-XXXXXX";
    pi_auto_close int fd = mkstemp(path);
    assert_true(fd >= 0);
    static const char text[] = "#cloud-config\na: 1\na: 2\n";
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    pi_auto_buf struct pi_buf got = {0};
    struct pi_error err = {0};
    assert_true(seed_user_data_read(path, &got, &err) < 0);
    assert_non_null(strstr(err.text, path));
    assert_int_equal(got.size, 0);

    assert_int_equal(ftruncate(fd, 19), 0); /* without the second key */
    assert_int_equal(seed_user_data_read(path, &got, &err), 0);
    assert_memory_equal(got.data, text, got.size);
    assert_int_equal(got.size, 19);

    unlink(path);
    assert_true(seed_user_data_read(path, &got, &err) < 0);
    assert_int_equal(err.kind, PI_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_known_by_its_first_line),
        cmocka_unit_test(refusals_say_what_is_wrong_and_where),
        cmocka_unit_test(what_only_looks_wrong_passes),
        cmocka_unit_test(depth_events_anchors_and_size_are_bounded),
        cmocka_unit_test(a_bomb_of_aliases_is_not_expanded),
        cmocka_unit_test(a_file_is_read_or_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
