/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/vm/label.h"

#define LETTERS_63 "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456.-_9"

static int check(const char *const *labels, size_t count, struct pi_error *err)
{
    const struct pi_strv list = {(char **)labels, count};
    return vm_labels_check(&list, err);
}

static void labels_of_kubernetes_characters_pass(void **state)
{
    static const char *const good[] = {"rack=b2", "a=", "A.b_c-d=E.f_g-h", "1=1", LETTERS_63 "=" LETTERS_63};
    (void)state;
    assert_int_equal(check(good, PI_ARRAY_SIZE(good), NULL), 0);
    assert_int_equal(check(NULL, 0, NULL), 0);
}

static void others_are_refused_and_named(void **state)
{
    static const struct {
        const char *label, *says;
    } cases[] = {
        {"", "a label is KEY=VALUE"},        {"rack", "--label rack: a label is KEY=VALUE"},
        {"=b2", "a key and a value have 1"}, {"-a=b", "begin and end with"},
        {"a-=b", "begin and end with"},      {"a=.b", "begin and end with"},
        {"a=b.", "begin and end with"},      {"a b=c", "letters, digits"},
        {"a=b c", "letters, digits"},        {"a=b=c", "letters, digits"},
        {"example.com/a=b", "letters"},      {"a=b\n", "letters, digits"},
        {"a=\xc3\xb6", "letters, digits"},   {"a" LETTERS_63 "=", "1 to 63"},
        {"a=b" LETTERS_63, "1 to 63"},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct pi_error err = {0};
        if (check(&cases[i].label, 1, &err) == 0)
            fail_msg("'%s' was taken", cases[i].label);
        assert_int_equal(err.kind, PI_USAGE);
        if (!strstr(err.text, cases[i].says))
            fail_msg("'%s' does not say '%s'", err.text, cases[i].says);
    }
}

static void key_is_there_once_and_labels_are_not_many(void **state)
{
    const char *twice[] = {"a=1", "ab=1", "a=2"}, *many[VM_LABELS_MAX + 1];
    struct pi_error err;
    (void)state;
    assert_true(check(twice, 3, &err) < 0);
    assert_string_equal(err.text, "--label a=2: another label has the same key");
    for (size_t i = 0; i < PI_ARRAY_SIZE(many); i++)
        many[i] = "a=1";
    assert_true(check(many, PI_ARRAY_SIZE(many), &err) < 0);
    assert_string_equal(err.text, "--label was given 33 times: at most 32 are possible");
}

static void term_is_fulfilled_by_key_or_by_key_and_value(void **state)
{
    const char *list[] = {"rack=b2", "empty="};
    const struct pi_strv labels = {(char **)list, 2};
    (void)state;
    static const char *const yes[] = {"rack=b2", "rack", "empty", "empty="};
    static const char *const no[] = {"rack=", "rack=b", "rack=b22", "rac", "rackb", "empty=x", "RACK"};
    for (size_t i = 0; i < PI_ARRAY_SIZE(yes); i++) {
        assert_int_equal(vm_label_term_check(yes[i], NULL), 0);
        assert_true(vm_labels_fulfil(&labels, yes[i]));
    }
    for (size_t i = 0; i < PI_ARRAY_SIZE(no); i++)
        assert_false(vm_labels_fulfil(&labels, no[i]));
    assert_true(vm_label_term_check("a,b=1", NULL) < 0);
    assert_true(vm_label_term_check("", NULL) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels_of_kubernetes_characters_pass),
        cmocka_unit_test(others_are_refused_and_named),
        cmocka_unit_test(key_is_there_once_and_labels_are_not_many),
        cmocka_unit_test(term_is_fulfilled_by_key_or_by_key_and_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
