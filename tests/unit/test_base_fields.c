/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/base/fields.h"

enum colour { RED, GREEN, BLUE };
static const char *const colour_names[] = {"red", "green", "blue", NULL};
enum shape { NO_SHAPE, DISC, BOX, SHAPES };
static const char *const shape_names[] = {"none", "disc", "box", NULL};

struct inner {
    char *word;
    uint64_t n;
};

static const struct pi_field inner_fields[] = {
    PI_FIELD(inner, word, PI_FIELD_STRING),
    PI_FIELD(inner, n, PI_FIELD_U64, .required = true),
    {0},
};

struct sample {
    char *string;
    char text[5];
    uint64_t number, bounded;
    bool flag;
    enum colour colour;
    struct pi_strv list;
    struct inner inner;
    json_t *any;
};

static const struct pi_field fields[] = {
    PI_FIELD(sample, string, PI_FIELD_STRING),
    PI_FIELD(sample, text, PI_FIELD_TEXT),
    PI_FIELD(sample, number, PI_FIELD_U64),
    PI_FIELD(sample, bounded, PI_FIELD_U64, .min = 2, .max = 5),
    PI_FIELD(sample, flag, PI_FIELD_BOOL),
    PI_ENUM(sample, colour, colour),
    PI_FIELD(sample, list, PI_FIELD_STRV, .max = 3),
    PI_FIELD(sample, inner, PI_FIELD_STRUCT, .nested = inner_fields),
    PI_FIELD(sample, any, PI_FIELD_JSON),
    {0},
};

static const char full[] = "{\"string\":\"caf\xc3\xa9\",\"text\":\"four\",\"number\":9223372036854775807,"
                           "\"bounded\":5,\"flag\":true,\"colour\":\"blue\",\"list\":[\"a\",\"\"],"
                           "\"inner\":{\"word\":\"w\",\"n\":1},\"any\":[1,{\"x\":null}]}";

static int read_text(const char *text, bool lenient, struct sample *ret, struct pi_error *err)
{
    json_auto_t *object = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_non_null(object);
    return pi_fields_read(fields, object, lenient, ret, err);
}

static void every_type_is_read(void **state)
{
    struct sample s = {0};
    (void)state;
    assert_int_equal(read_text(full, false, &s, NULL), 0);
    assert_string_equal(s.string, "caf\xc3\xa9");
    assert_string_equal(s.text, "four");
    assert_int_equal(s.number, INT64_MAX);
    assert_int_equal(s.bounded, 5);
    assert_true(s.flag);
    assert_int_equal(s.colour, BLUE);
    assert_int_equal(s.list.count, 2);
    assert_string_equal(s.list.items[0], "a");
    assert_null(s.list.items[2]);
    assert_string_equal(s.inner.word, "w");
    assert_int_equal(s.inner.n, 1);
    assert_int_equal(json_array_size(s.any), 2);
    pi_fields_done(fields, &s);
}

static void what_was_read_is_written_the_same(void **state)
{
    struct sample s = {0};
    (void)state;
    assert_int_equal(read_text(full, false, &s, NULL), 0);
    json_auto_t *object = pi_fields_write(fields, &s);
    pi_auto_free char *text = json_dumps(object, JSON_COMPACT);
    assert_string_equal(text, full);
    pi_fields_done(fields, &s);
}

static void empty_struct_is_written_without_what_is_absent(void **state)
{
    const struct sample s = {0};
    (void)state;
    json_auto_t *object = pi_fields_write(fields, &s);
    pi_auto_free char *text = json_dumps(object, JSON_COMPACT);
    assert_string_equal(text, "{\"number\":0,\"bounded\":0,\"flag\":false,\"colour\":\"red\",\"list\":[],"
                              "\"inner\":{\"n\":0}}");
}

static void struct_of_zeros_is_left_out_if_they_are_none(void **state)
{
    static const struct pi_field table[] = {
        PI_FIELD(sample, inner, PI_FIELD_STRUCT, .nested = inner_fields, .zero_is_none = true), {0}};
    struct sample s = {0};
    (void)state;
    json_auto_t *without = pi_fields_write(table, &s);
    assert_int_equal(json_object_size(without), 0);
    s.inner.n = 1;
    json_auto_t *with = pi_fields_write(table, &s);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(with, "inner"), "n")), 1);
}

static void absent_and_null_leave_the_defaults(void **state)
{
    static const char *const texts[] = {"{}", "{\"string\":null,\"text\":null,\"number\":null,\"flag\":null,"
                                              "\"colour\":null,\"list\":null,\"inner\":null,\"any\":null}"};
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(texts); i++) {
        struct sample s = {
            .string = strdup("kept"), .text = "def", .number = 7, .flag = true, .colour = GREEN};
        assert_int_equal(read_text(texts[i], false, &s, NULL), 0);
        assert_string_equal(s.string, "kept");
        assert_string_equal(s.text, "def");
        assert_int_equal(s.number, 7);
        assert_true(s.flag);
        assert_int_equal(s.colour, GREEN);
        assert_null(s.any);
        pi_fields_done(fields, &s);
    }
}

static void reading_again_replaces_and_leaks_nothing(void **state)
{
    struct sample s = {0};
    (void)state;
    assert_int_equal(read_text(full, false, &s, NULL), 0);
    assert_int_equal(
        read_text("{\"string\":\"new\",\"list\":[],\"inner\":{\"word\":\"x\",\"n\":2},\"any\":3}", false, &s,
                  NULL),
        0);
    assert_string_equal(s.string, "new");
    assert_int_equal(s.list.count, 0);
    assert_string_equal(s.inner.word, "x");
    assert_int_equal(json_integer_value(s.any), 3);
    pi_fields_done(fields, &s);
}

static void wrong_value_is_refused_by_its_key(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"[]", "not a JSON object"},
        {"\"x\"", "not a JSON object"},
        {"{\"string\":1}", "'string' is not a string"},
        {"{\"string\":\"a\\u0000b\"}", "'string' is not a string"},
        {"{\"text\":\"five!\"}", "'text' has 5 bytes, and may have 4"},
        {"{\"text\":\"a\\u0000b\"}", "'text' is not a string"},
        {"{\"text\":\"a\\u0000bcdef\"}", "'text' is not a string"},
        {"{\"text\":[]}", "'text' is not a string"},
        {"{\"number\":-1}", "'number' is not a whole number from 0 to 9223372036854775807"},
        {"{\"number\":1.0}", "'number' is not a whole number from 0 to 9223372036854775807"},
        {"{\"number\":\"1\"}", "'number' is not a whole number from 0 to 9223372036854775807"},
        {"{\"number\":true}", "'number' is not a whole number from 0 to 9223372036854775807"},
        {"{\"bounded\":1}", "'bounded' is not a whole number from 2 to 5"},
        {"{\"bounded\":6}", "'bounded' is not a whole number from 2 to 5"},
        {"{\"flag\":1}", "'flag' is not true or false"},
        {"{\"flag\":\"true\"}", "'flag' is not true or false"},
        {"{\"colour\":\"pink\"}", "'colour' is 'pink', which is not one of: red, green, blue"},
        {"{\"colour\":\"\"}", "'colour' is '', which is not one of: red, green, blue"},
        {"{\"colour\":\"red\\u0000\"}", "'colour' is not a string"},
        {"{\"colour\":0}", "'colour' is not a string"},
        {"{\"list\":\"a\"}", "'list' is not a list of strings"},
        {"{\"list\":[\"a\",1]}", "'list' is not a list of strings"},
        {"{\"list\":[\"a\",\"\\u0000\"]}", "'list' is not a list of strings"},
        {"{\"list\":[\"1\",\"2\",\"3\",\"4\"]}", "'list' has 4 items, and may have 3"},
        {"{\"inner\":[]}", "'inner' is not an object"},
        {"{\"inner\":{}}", "'n' is missing"},
        {"{\"inner\":{\"n\":null}}", "'n' is missing"},
        {"{\"inner\":{\"n\":-1}}", "'n' is not a whole number from 0 to 9223372036854775807"},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        for (int lenient = 0; lenient <= 1; lenient++) {
            struct sample s = {0};
            struct pi_error err;
            assert_true(read_text(cases[i].text, lenient, &s, &err) < 0);
            assert_int_equal(err.kind, PI_USAGE);
            assert_string_equal(err.text, cases[i].why);
            pi_fields_done(fields, &s);
        }
    }
}

struct toy {
    enum colour colour;
    PI_OPEN_ENUM(shape, shape);
};

static const struct pi_field toy_fields[] = {
    PI_ENUM(toy, colour, colour, .when = &(const struct pi_field_when){offsetof(struct toy, shape), DISC}),
    PI_OTHER(toy, shape, shape, .zero_is_none = true),
    {0},
};

static int read_toy(const char *text, bool lenient, struct toy *ret, struct pi_error *err)
{
    json_auto_t *object = json_loads(text, 0, NULL);
    return pi_fields_read(toy_fields, object, lenient, ret, err);
}

static void assert_toy_is(const struct toy *toy, const char *text)
{
    json_auto_t *object = pi_fields_write(toy_fields, toy);
    pi_auto_free char *written = json_dumps(object, JSON_COMPACT);
    assert_string_equal(written, text);
}

static void word_of_a_later_version_is_kept_and_written_again(void **state)
{
    struct toy toy = {0};
    (void)state;
    assert_int_equal(read_toy("{\"shape\":\"star\"}", true, &toy, NULL), 0);
    assert_int_equal(toy.shape, SHAPES);
    assert_string_equal(PI_WORD(&toy, shape, shape), "star");
    assert_toy_is(&toy, "{\"shape\":\"star\"}");
    assert_int_equal(read_toy("{\"shape\":\"box\"}", true, &toy, NULL), 0);
    assert_int_equal(toy.shape, BOX);
    assert_null(toy.shape_other);
    assert_string_equal(PI_WORD(&toy, shape, shape), "box");
    assert_int_equal(read_toy("{\"shape\":\"moon\"}", true, &toy, NULL), 0);
    pi_fields_done(toy_fields, &toy);
    assert_null(toy.shape_other);
}

static void unknown_word_is_refused_in_a_request_and_where_no_row_takes_it(void **state)
{
    struct toy toy = {0};
    struct pi_error err;
    (void)state;
    assert_true(read_toy("{\"shape\":\"star\"}", false, &toy, &err) < 0);
    assert_string_equal(err.text, "'shape' is 'star', which is not one of: disc, box");
    assert_true(read_toy("{\"colour\":\"star\"}", true, &toy, &err) < 0);
    assert_string_equal(err.text, "'colour' is 'star', which is not one of: red, green, blue");
    assert_true(read_toy("{\"shape\":\"none\"}", false, &toy, &err) < 0); /* no value has no word */
    assert_int_equal(toy.shape, NO_SHAPE);
}

static void enum_is_left_out_if_it_is_none_or_does_not_belong(void **state)
{
    (void)state;
    assert_toy_is(&(struct toy){.colour = BLUE}, "{}");
    assert_toy_is(&(struct toy){.colour = BLUE, .shape = BOX}, "{\"shape\":\"box\"}");
    assert_toy_is(&(struct toy){.shape = DISC}, "{\"colour\":\"red\",\"shape\":\"disc\"}");
}

enum box_part { BOX_ASKED = 1, BOX_SHOWN = 2 };

struct box {
    char *label;
    uint64_t width, height;
    struct pi_strv contents;
};

static const struct pi_field box_fields[] = {
    PI_FIELD(box, label, PI_FIELD_STRING, .parts = BOX_ASKED),
    PI_FIELD(box, width, PI_FIELD_U64, .parts = BOX_ASKED | BOX_SHOWN),
    PI_FIELD(box, height, PI_FIELD_U64, .parts = BOX_SHOWN),
    PI_FIELD(box, contents, PI_FIELD_STRV),
    {0},
};

struct shelf {
    bool first;
    struct box box;
    uint64_t last;
};

static const struct pi_field whole_shelf[] = {
    PI_FIELD(shelf, first, PI_FIELD_BOOL),
    PI_FIELD(shelf, box, PI_FIELD_INLINE, .nested = box_fields),
    PI_FIELD(shelf, last, PI_FIELD_U64),
    {0},
};
static const struct pi_field asked_shelf[] = {
    PI_FIELD(shelf, box, PI_FIELD_INLINE, .nested = box_fields, .parts = BOX_ASKED),
    PI_FIELD(shelf, last, PI_FIELD_U64),
    {0},
};
static const struct pi_field shown_shelf[] = {
    PI_FIELD(shelf, box, PI_FIELD_INLINE, .nested = box_fields, .parts = BOX_SHOWN, .zero_is_none = true),
    {0},
};

static void assert_shelf_is(const struct pi_field *table, const struct shelf *shelf, const char *text)
{
    json_auto_t *object = pi_fields_write(table, shelf);
    pi_auto_free char *written = json_dumps(object, JSON_COMPACT);
    assert_string_equal(written, text);
}

static void keys_of_an_inline_struct_are_the_objects_own(void **state)
{
    static const char text[] =
        "{\"first\":true,\"label\":\"x\",\"width\":3,\"height\":0,\"contents\":[\"y\"],\"last\":4}";
    struct shelf shelf = {0};
    (void)state;
    json_auto_t *object = json_loads(text, 0, NULL);
    assert_int_equal(pi_fields_read(whole_shelf, object, false, &shelf, NULL), 0);
    assert_string_equal(shelf.box.label, "x");
    assert_int_equal(shelf.box.width, 3);
    assert_int_equal(shelf.last, 4);
    assert_shelf_is(whole_shelf, &shelf, text);
    pi_fields_done(whole_shelf, &shelf);
    assert_null(shelf.box.label);
    assert_null(shelf.box.contents.items);
}

static void inline_row_takes_only_the_rows_of_its_parts(void **state)
{
    const struct shelf full_shelf = {.box = {.label = (char *)"x", .width = 3, .height = 5}, .last = 4};
    struct shelf shelf = {0};
    struct pi_error err;
    (void)state;
    assert_shelf_is(asked_shelf, &full_shelf, "{\"label\":\"x\",\"width\":3,\"last\":4}");
    assert_shelf_is(shown_shelf, &full_shelf, "{\"width\":3,\"height\":5}");
    assert_shelf_is(shown_shelf, &shelf, "{}");
    assert_shelf_is(asked_shelf, &shelf, "{\"width\":0,\"last\":0}");
    json_auto_t *object = json_loads("{\"width\":1,\"height\":2}", 0, NULL);
    assert_true(pi_fields_read(asked_shelf, object, false, &shelf, &err) < 0);
    assert_string_equal(err.text, "'height' is not known here");
    assert_int_equal(shelf.box.height, 0);
}

static void bounds_belong_to_the_range(void **state)
{
    struct sample s = {0};
    (void)state;
    assert_int_equal(
        read_text("{\"bounded\":2,\"list\":[\"1\",\"2\",\"3\"],\"text\":\"1234\"}", false, &s, NULL), 0);
    assert_int_equal(s.bounded, 2);
    assert_int_equal(s.list.count, 3);
    pi_fields_done(fields, &s);
}

static void unknown_key_is_refused_or_passed_over(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"{\"flag\":true,\"other\":1}", "'other' is not known here"},
        {"{\"inner\":{\"n\":1,\"deep\":1},\"flag\":true}", "'deep' is not known here"},
        {"{\"flag\":true,\"Flag\":true}", "'Flag' is not known here"},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct sample strict = {0}, lenient = {0};
        struct pi_error err;
        assert_true(read_text(cases[i].text, false, &strict, &err) < 0);
        assert_string_equal(err.text, cases[i].why);
        assert_int_equal(read_text(cases[i].text, true, &lenient, NULL), 0);
        assert_true(lenient.flag);
        pi_fields_done(fields, &strict);
        pi_fields_done(fields, &lenient);
    }
}

static void done_empties_the_struct(void **state)
{
    struct sample s = {0};
    (void)state;
    assert_int_equal(read_text(full, false, &s, NULL), 0);
    pi_fields_done(fields, &s);
    assert_null(s.string);
    assert_null(s.list.items);
    assert_null(s.inner.word);
    assert_null(s.any);
    pi_fields_done(fields, &s);
}

static void json_from_outside_is_one_object(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "not JSON: line 1: "},
        {"{", "not JSON: line 1: "},
        {"{\n\"a\": }", "not JSON: line 2: "},
        {"[1]", "not a JSON object"},
        {"{} {}", "not JSON: line 1: end of file expected"},
        {"{\"a\":1,\"a\":2}", "not JSON: line 1: duplicate object key"},
        {"{\"a\":\"\\u0000\"}", "not JSON: line 1: \\u0000 is not allowed"},
        {"{\"a\":\"\xff\"}", "not JSON: line 1: unable to decode byte 0xff"},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct pi_error err;
        assert_null(pi_json_parse(cases[i].text, strlen(cases[i].text), &err));
        assert_int_equal(err.kind, PI_USAGE);
        assert_non_null(strstr(err.text, cases[i].why));
    }
    json_auto_t *object = pi_json_parse("{\"a\":1}garbage", 7, NULL);
    assert_int_equal(json_integer_value(json_object_get(object, "a")), 1);
}

static long allocations_left = -1;

static void *counted_malloc(size_t size)
{
    if (allocations_left == 0)
        return NULL;
    allocations_left -= allocations_left > 0;
    return malloc(size);
}

static void every_allocation_that_fails_is_noticed(void **state)
{
    struct sample s = {0};
    long n = 0;
    (void)state;
    assert_int_equal(read_text(full, false, &s, NULL), 0);
    json_set_alloc_funcs(counted_malloc, free);
    for (bool written = false; !written; n++) {
        allocations_left = n;
        json_t *object = pi_fields_write(fields, &s);
        written = object != NULL;
        if (written)
            assert_int_equal(json_object_size(object), 9);
        json_decref(object);
    }
    assert_true(n > 20);
    allocations_left = -1;
    json_set_alloc_funcs(malloc, free);
    pi_fields_done(fields, &s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_read),
        cmocka_unit_test(what_was_read_is_written_the_same),
        cmocka_unit_test(empty_struct_is_written_without_what_is_absent),
        cmocka_unit_test(struct_of_zeros_is_left_out_if_they_are_none),
        cmocka_unit_test(absent_and_null_leave_the_defaults),
        cmocka_unit_test(reading_again_replaces_and_leaks_nothing),
        cmocka_unit_test(wrong_value_is_refused_by_its_key),
        cmocka_unit_test(word_of_a_later_version_is_kept_and_written_again),
        cmocka_unit_test(unknown_word_is_refused_in_a_request_and_where_no_row_takes_it),
        cmocka_unit_test(enum_is_left_out_if_it_is_none_or_does_not_belong),
        cmocka_unit_test(keys_of_an_inline_struct_are_the_objects_own),
        cmocka_unit_test(inline_row_takes_only_the_rows_of_its_parts),
        cmocka_unit_test(bounds_belong_to_the_range),
        cmocka_unit_test(unknown_key_is_refused_or_passed_over),
        cmocka_unit_test(done_empties_the_struct),
        cmocka_unit_test(json_from_outside_is_one_object),
        cmocka_unit_test(every_allocation_that_fails_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
