/* SPDX-License-Identifier: MIT */
/* Every table of the wire writes what it reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/api/types.h"
#include "agent/base/auto.h"

union any {
    struct pi_failure failure;
    struct api_agent agent;
    struct api_create create;
    struct api_instance instance;
    struct api_qemu_command qemu_command;
    struct api_stop stop;
    struct api_event event;
};

static const struct {
    const char *name;
    const struct pi_field *fields;
    size_t size;
    const char *required;
} tables[] = {
    {"failure", pi_failure_fields, sizeof(struct pi_failure), "kind message"},
    {"agent", api_agent_fields, sizeof(struct api_agent), ""},
    {"create", api_create_fields, sizeof(struct api_create), "name"},
    {"instance", api_instance_fields, sizeof(struct api_instance), "name state"},
    {"qemu-command", api_qemu_command_fields, sizeof(struct api_qemu_command), "argv"},
    {"stop", api_stop_fields, sizeof(struct api_stop), ""},
    {"event", api_event_fields, sizeof(struct api_event), "kind"},
};

static json_t *full_object(const struct pi_field *fields, enum api_event_kind kind);

/* The key, or another text that the row takes; others are the same for each key. */
static const char *text_of_row(const struct pi_field *f, size_t nth)
{
    const char *const texts[] = {f->key, "second", "127.0.0.1:80:80", "127.0.0.1:81:81"};
    for (size_t i = 0; i < PI_ARRAY_SIZE(texts); i++)
        if ((!f->check || f->check(texts[i], NULL) == 0) && nth-- == 0)
            return texts[i];
    fail_msg("no text for %s", f->key);
    return NULL;
}

/* A value of its own for each key, so that two members at one place are noticed. kind is an event's. */
static json_t *value_of(const struct pi_field *f, size_t i, enum api_event_kind kind)
{
    switch (f->type) {
    case PI_FIELD_STRING:
    case PI_FIELD_TEXT:
        return json_string(text_of_row(f, 0));
    case PI_FIELD_U64:
        return json_integer((json_int_t)i + 1);
    case PI_FIELD_BOOL:
        return json_true();
    case PI_FIELD_ENUM:
        return json_string(f->names == api_event_kind_names ? f->names[kind] : f->names[1]);
    case PI_FIELD_STRV:
        return json_pack("[s,s]", text_of_row(f, 0), text_of_row(f, 1));
    case PI_FIELD_STRUCT:
        return full_object(f->nested, kind);
    default:
        return NULL;
    }
}

/* All that may be there in an object, of events in one of that kind. */
static json_t *full_object(const struct pi_field *fields, enum api_event_kind kind)
{
    json_t *object = json_object();
    size_t i = 0;
    for (struct pi_field_walk walk = {.next = fields}; pi_fields_next(&walk); i++)
        if (!walk.field->when || walk.field->when->value == kind)
            assert_int_equal(json_object_set_new(object, walk.field->key, value_of(walk.field, i, kind)), 0);
    return object;
}

static void every_table_writes_what_it_reads(void **state)
{
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(tables) * API_EVENTS; i++) {
        const struct pi_field *fields = tables[i / API_EVENTS].fields;
        union any value;
        memset(&value, 0, sizeof value);
        json_auto_t *object = full_object(fields, i % API_EVENTS);
        assert_int_equal(pi_fields_read(fields, object, false, &value, NULL), 0);
        json_auto_t *again = pi_fields_write(fields, &value);
        assert_true(json_equal(object, again));
        pi_fields_done(fields, &value);
    }
}

/* A client that is older than its agent takes them, and passes them on. */
static void every_reply_takes_words_of_a_newer_agent(void **state)
{
    static const struct pi_field *const replies[] = {pi_failure_fields, api_instance_fields,
                                                     api_summary_fields, api_event_fields};
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(replies); i++) {
        for (struct pi_field_walk walk = {.next = replies[i]}; pi_fields_next(&walk);) {
            const struct pi_field *f = walk.field;
            union any value;
            struct pi_error err;
            memset(&value, 0, sizeof value);
            json_auto_t *object = full_object(replies[i], f->when ? f->when->value : API_EVENT_NOTE);
            if (f->type != PI_FIELD_ENUM)
                continue;
            json_object_set_new(object, f->key, json_string("unheard-of"));
            assert_true(pi_fields_read(replies[i], object, false, &value, &err) < 0);
            assert_non_null(strstr(err.text, "'unheard-of', which is not one of: "));
            assert_int_equal(pi_fields_read(replies[i], object, true, &value, NULL), 0);
            json_auto_t *again = pi_fields_write(replies[i], &value);
            assert_true(json_equal(object, again));
            pi_fields_done(replies[i], &value);
        }
    }
}

static void failure_of_an_unknown_kind_is_a_failure_all_the_same(void **state)
{
    static const char *const kinds[] = {"unheard-of", "ok"};
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(kinds); i++) {
        struct pi_error err = {0};
        json_auto_t *object = json_pack("{s:s,s:s}", "kind", kinds[i], "message", "why");
        assert_int_equal(pi_failure_read(object, &err), 0);
        assert_int_equal(err.kind, PI_FAILED);
        assert_string_equal(err.text, "why");
    }
}

/* In an answer 0 means "none", except in these. */
static void numbers_of_which_zero_is_none_are_left_out(void **state)
{
    static const struct pi_field *const replies[] = {api_instance_fields, api_summary_fields,
                                                     api_event_fields};
    static const char counted[] = "realtime_ms monotonic_ms";
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(replies); i++) {
        union any value;
        memset(&value, 0, sizeof value);
        json_auto_t *object = pi_fields_write(replies[i], &value);
        for (struct pi_field_walk walk = {.next = replies[i]}; pi_fields_next(&walk);) {
            const struct pi_field *f = walk.field;
            if (f->type == PI_FIELD_U64)
                assert_int_equal(json_object_get(object, f->key) != NULL, strstr(counted, f->key) != NULL);
            assert_true(!f->help || !strstr(f->help, "0 = "));
        }
    }
}

static void zero_of_an_older_agent_is_read(void **state)
{
    struct api_instance instance = {0};
    (void)state;
    json_auto_t *object = json_pack("{s:s,s:s,s:i}", "name", "a", "state", "stopped", "ready_ms", 0);
    assert_int_equal(api_read(instance, object, &instance, NULL), 0);
    assert_int_equal(instance.ready_ms, 0);
    api_done(instance, &instance);
}

static size_t size_of(const struct pi_field *f)
{
    return f->type == PI_FIELD_STRING ? sizeof(char *) : f->size;
}

static size_t cover(unsigned char *covered, size_t offset, size_t size)
{
    for (size_t at = offset; at < offset + size; at++)
        assert_int_equal(covered[at]++, 0);
    return size;
}

static void every_member_is_in_its_table_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(tables); i++) {
        unsigned char covered[sizeof(union any)] = {0};
        size_t bytes = 0;
        for (const struct pi_field *f = tables[i].fields; f->key; f++) {
            bytes += cover(covered, f->offset, size_of(f));
            bytes += f->other ? cover(covered, f->other, sizeof(char *)) : 0;
        }
        /* The rest is padding: less than a member's alignment for each bool or enum. */
        size_t small = 0;
        for (const struct pi_field *f = tables[i].fields; f->key; f++)
            small += f->type == PI_FIELD_BOOL || f->type == PI_FIELD_ENUM;
        assert_in_range(tables[i].size - bytes, 0, 7 * small);
    }
}

static void required_keys_are_missed_and_others_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(tables); i++) {
        for (struct pi_field_walk walk = {.next = tables[i].fields}; pi_fields_next(&walk);) {
            const struct pi_field *f = walk.field;
            union any value;
            memset(&value, 0, sizeof value);
            json_auto_t *object = full_object(tables[i].fields, API_EVENT_STATE);
            json_object_del(object, f->key);
            int r = pi_fields_read(tables[i].fields, object, false, &value, NULL);
            assert_int_equal(r < 0, strstr(tables[i].required, f->key) != NULL);
            pi_fields_done(tables[i].fields, &value);
        }
    }
}

static void stop_waits_a_day_at_most(void **state)
{
    struct api_stop stop = {0};
    (void)state;
    json_auto_t *day = json_pack("{s:I}", "timeout_ms", (json_int_t)24 * 3600 * 1000);
    json_auto_t *more = json_pack("{s:I}", "timeout_ms", (json_int_t)24 * 3600 * 1000 + 1);
    assert_int_equal(api_read(stop, day, &stop, NULL), 0);
    assert_true(api_read(stop, more, &stop, NULL) < 0);
}

static void event_kinds_have_their_words(void **state)
{
    (void)state;
    assert_string_equal(api_event_kind_names[API_EVENT_STATE], "state");
    assert_string_equal(api_event_kind_names[API_EVENT_REPORT], "report");
    assert_string_equal(api_event_kind_names[API_EVENT_ERROR], "error");
    assert_string_equal(api_event_kind_names[API_EVENT_LANDMARK], "landmark");
    assert_null(api_event_kind_names[API_EVENTS]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_writes_what_it_reads),
        cmocka_unit_test(every_reply_takes_words_of_a_newer_agent),
        cmocka_unit_test(failure_of_an_unknown_kind_is_a_failure_all_the_same),
        cmocka_unit_test(numbers_of_which_zero_is_none_are_left_out),
        cmocka_unit_test(zero_of_an_older_agent_is_read),
        cmocka_unit_test(every_member_is_in_its_table_once),
        cmocka_unit_test(required_keys_are_missed_and_others_not),
        cmocka_unit_test(stop_waits_a_day_at_most),
        cmocka_unit_test(event_kinds_have_their_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
