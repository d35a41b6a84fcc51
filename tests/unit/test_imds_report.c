/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "imds/report.h"

static int parse(const char *body, struct imds_report *ret)
{
    return imds_report_parse(body, strlen(body), ret);
}

static void start_of_22_4_is_understood(void **state)
{
    (void)state;
    struct imds_report report;
    assert_int_equal(
        parse("{\"name\": \"init-network/config-ssh\", \"description\": \"running config-ssh with "
              "frequency once-per-instance\", \"event_type\": \"start\", \"origin\": \"cloudinit\", "
              "\"timestamp\": 1700000000.3450186}",
              &report),
        0);
    assert_int_equal(report.event, IMDS_EVENT_START);
    assert_int_equal(report.result, IMDS_RESULT_NONE);
    assert_string_equal(report.name, "init-network/config-ssh");
    assert_string_equal(report.stage, "init-network");
    assert_string_equal(report.module, "config-ssh");
    assert_string_equal(report.description, "running config-ssh with frequency once-per-instance");
    assert_string_equal(report.origin, "cloudinit");
    assert_true(report.timestamp_ms == 1700000000345U);
    assert_int_equal(report.duration_ms, -1);
}

static void finish_of_26_2_carries_its_duration(void **state)
{
    (void)state;
    struct imds_report report;
    assert_int_equal(
        parse("{\"name\": \"modules-final\", \"description\": \"running modules for final\", "
              "\"event_type\": \"finish\", \"origin\": \"cloudinit\", \"timestamp\": 1700000004.6755884, "
              "\"result\": \"SUCCESS\", \"duration\": 1.2466}",
              &report),
        0);
    assert_int_equal(report.event, IMDS_EVENT_FINISH);
    assert_int_equal(report.result, IMDS_RESULT_SUCCESS);
    assert_string_equal(report.stage, "modules-final");
    assert_string_equal(report.module, "");
    assert_true(report.timestamp_ms == 1700000004676U);
    assert_int_equal(report.duration_ms, 1247);
}

static void results_are_told_apart(void **state)
{
    static const struct {
        const char *word;
        enum imds_result result;
    } cases[] = {{"SUCCESS", IMDS_RESULT_SUCCESS}, {"WARN", IMDS_RESULT_WARN}, {"FAIL", IMDS_RESULT_FAIL}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char body[200];
        struct imds_report report;
        snprintf(body, sizeof(body),
                 "{\"name\":\"modules-final/config-scripts-user\",\"event_type\":\"finish\",\"timestamp\":7,"
                 "\"result\":\"%s\"}",
                 cases[i].word);
        assert_int_equal(parse(body, &report), 0);
        assert_int_equal(report.result, cases[i].result);
        assert_true(report.timestamp_ms == 7000);
        assert_string_equal(report.description, "");
        assert_string_equal(report.origin, "");
    }
}

static void only_the_finish_of_the_last_stage_ends_the_boot(void **state)
{
    static const struct {
        const char *name, *event, *result;
        bool ends;
    } cases[] = {
        {"modules-final", "finish", "SUCCESS", true},
        {"modules-final", "finish", "FAIL", true},
        {"modules-final", "start", "SUCCESS", false},
        {"modules-final/config-scripts-user", "finish", "FAIL", false},
        {"modules-final/", "finish", "SUCCESS", false},
        {"modules-config", "finish", "SUCCESS", false},
        {"modules-finally", "finish", "SUCCESS", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char body[200];
        struct imds_report report;
        snprintf(body, sizeof(body),
                 "{\"name\":\"%s\",\"event_type\":\"%s\",\"timestamp\":1,\"result\":\"%s\"}", cases[i].name,
                 cases[i].event, cases[i].result);
        assert_int_equal(parse(body, &report), 0);
        assert_int_equal(imds_report_ends_boot(&report), cases[i].ends);
    }
}

#define GOOD_NAME  "\"name\":\"a/b\""
#define GOOD_START "\"event_type\":\"start\",\"timestamp\":1"
#define GOOD       GOOD_NAME "," GOOD_START

static void unknown_content_is_passed_over(void **state)
{
    static const char *const cases[] = {
        "{" GOOD ",\"files\":[{\"path\":\"/var/log/x\",\"encoding\":\"base64\",\"content\":\"AAAA\"}]}",
        "{" GOOD ",\"result\":7}",
        "{" GOOD ",\"new\":null}",
        " \n{" GOOD "}\n ",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct imds_report report;
        assert_int_equal(parse(cases[i], &report), 0);
        assert_string_equal(report.name, "a/b");
    }
}

static void hostile_bodies_are_refused_and_change_nothing(void **state)
{
    static const char *const cases[] = {
        "",
        "null",
        "[]",
        "\"name\"",
        "{",
        "{}",
        "{" GOOD,
        "{" GOOD "} {}",
        "{" GOOD_NAME "}",
        "{" GOOD_START "}",
        "{" GOOD "," GOOD_NAME "}",
        "{\"name\":7," GOOD_START "}",
        "{\"name\":null," GOOD_START "}",
        "{\"name\":\"\"," GOOD_START "}",
        "{\"name\":\"a b\"," GOOD_START "}",
        "{\"name\":\"a\\u0000b\"," GOOD_START "}",
        "{\"name\":\"a\\u001b[2J\"," GOOD_START "}",
        "{\"name\":\"\xc3\xa9\"," GOOD_START "}",
        "{\"name\":\"\xff\"," GOOD_START "}",
        "{" GOOD_NAME ",\"timestamp\":1}",
        "{" GOOD_NAME ",\"timestamp\":1,\"event_type\":\"begin\"}",
        "{" GOOD_NAME ",\"timestamp\":1,\"event_type\":[]}",
        "{" GOOD_NAME ",\"timestamp\":1,\"event_type\":\"finish\"}",
        "{" GOOD_NAME ",\"timestamp\":1,\"event_type\":\"finish\",\"result\":\"GOOD\"}",
        "{" GOOD_NAME ",\"timestamp\":1,\"event_type\":\"finish\",\"result\":1}",
        "{" GOOD_NAME ",\"event_type\":\"start\"}",
        "{" GOOD_NAME ",\"event_type\":\"start\",\"timestamp\":\"1\"}",
        "{" GOOD_NAME ",\"event_type\":\"start\",\"timestamp\":true}",
        "{" GOOD_NAME ",\"event_type\":\"start\",\"timestamp\":-1}",
        "{" GOOD_NAME ",\"event_type\":\"start\",\"timestamp\":1e300}",
        "{" GOOD_NAME ",\"event_type\":\"start\",\"timestamp\":1e999}",
        "{" GOOD_NAME ",\"event_type\":\"start\",\"timestamp\":NaN}",
        "{" GOOD_NAME ",\"event_type\":\"start\",\"timestamp\":9223372036854775807}",
        "{" GOOD ",\"duration\":-0.5}",
        "{" GOOD ",\"duration\":\"1\"}",
        "{" GOOD ",\"description\":1}",
        "{" GOOD ",\"origin\":{}}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct imds_report report, before;
        memset(&report, 0x5a, sizeof(report));
        before = report;
        assert_int_equal(parse(cases[i], &report), -EBADMSG);
        assert_memory_equal(&report, &before, sizeof(report));
    }
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    char *body = malloc(IMDS_REPORT_MAX);
    memset(body, '[', IMDS_REPORT_MAX);
    struct imds_report report;
    assert_int_equal(imds_report_parse(body, IMDS_REPORT_MAX, &report), -EBADMSG);
    free(body);
}

static void body_may_be_as_long_as_the_limit_and_no_longer(void **state)
{
    (void)state;
    char *body = malloc(IMDS_REPORT_MAX + 1);
    memset(body, ' ', IMDS_REPORT_MAX + 1);
    static const char report_text[] = "{" GOOD "}";
    memcpy(body, report_text, sizeof(report_text) - 1);
    struct imds_report report;
    assert_int_equal(imds_report_parse(body, IMDS_REPORT_MAX, &report), 0);
    assert_int_equal(imds_report_parse(body, IMDS_REPORT_MAX + 1, &report), -E2BIG);
    free(body);
}

static int parse_with_name_parts(size_t stage, size_t module, struct imds_report *ret)
{
    char body[600];
    snprintf(body, sizeof(body), "{\"name\":\"%0*d/%0*d\"," GOOD_START "}", (int)stage, 0, (int)module, 0);
    return parse(body, ret);
}

static void names_fit_or_are_refused(void **state)
{
    (void)state;
    struct imds_report report;
    assert_int_equal(parse_with_name_parts(63, 63, &report), 0);
    assert_int_equal(strlen(report.name), 127);
    assert_int_equal(parse_with_name_parts(63, 64, &report), -EBADMSG);
    assert_int_equal(parse_with_name_parts(64, 1, &report), -EBADMSG);
    assert_int_equal(parse_with_name_parts(1, 95, &report), 0);
    assert_int_equal(parse_with_name_parts(1, 96, &report), -EBADMSG);
}

static void long_description_is_cut_between_characters(void **state)
{
    static const struct {
        const char *before;
        size_t length;
    } cases[] = {{"", 255}, {"x", 253}, {"xx", 254}};
    (void)state;
    char euros[300 * 3 + 1];
    for (size_t i = 0; i < sizeof(euros); i++)
        euros[i] = "\xe2\x82\xac"[i % 3];
    euros[sizeof(euros) - 1] = '\0';
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char body[1200];
        struct imds_report report;
        snprintf(body, sizeof(body), "{" GOOD ",\"description\":\"%s%s\"}", cases[i].before, euros);
        assert_int_equal(parse(body, &report), 0);
        assert_int_equal(strlen(report.description), cases[i].length);
        assert_string_equal(report.description + cases[i].length - 3, "\xe2\x82\xac");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_of_22_4_is_understood),
        cmocka_unit_test(finish_of_26_2_carries_its_duration),
        cmocka_unit_test(results_are_told_apart),
        cmocka_unit_test(only_the_finish_of_the_last_stage_ends_the_boot),
        cmocka_unit_test(unknown_content_is_passed_over),
        cmocka_unit_test(hostile_bodies_are_refused_and_change_nothing),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(body_may_be_as_long_as_the_limit_and_no_longer),
        cmocka_unit_test(names_fit_or_are_refused),
        cmocka_unit_test(long_description_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
