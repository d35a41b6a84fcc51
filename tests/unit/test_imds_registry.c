/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "imds/registry.h"

#define KEY "0123456789abcdef0123456789abcdef"

static const struct imds_seed seed = {
    .documents = {[IMDS_META_DATA] = {"instance-id: i-1\n", 17}, [IMDS_USER_DATA] = {"a\0b", 3}}};

static int setup(void **state)
{
    return imds_registry_new((struct imds_registry **)state);
}

static int teardown(void **state)
{
    imds_registry_free(*state);
    return 0;
}

static void seed_is_copied_and_found_by_its_key(void **state)
{
    struct imds_registry *registry = *state;
    char text[] = "secret";
    int owner;
    const struct imds_seed mine = {.documents = {[IMDS_VENDOR_DATA] = {text, 6}}};
    assert_int_equal(imds_registry_put(registry, KEY, &mine, true, &owner), 0);
    memset(text, 'x', 6);

    const struct imds_entry *entry = imds_registry_find(registry, KEY);
    assert_non_null(entry);
    assert_ptr_equal(entry->owner, &owner);
    assert_int_equal(entry->documents[IMDS_VENDOR_DATA]->size, 6);
    assert_memory_equal(entry->documents[IMDS_VENDOR_DATA]->bytes, "secret", 6);
    assert_int_equal(entry->documents[IMDS_META_DATA]->size, 0);
}

static void put_replaces_what_was_there(void **state)
{
    struct imds_registry *registry = *state;
    int first, second;
    assert_int_equal(imds_registry_put(registry, KEY, &seed, true, &first), 0);
    const struct imds_seed other = {.documents = {[IMDS_META_DATA] = {"new", 3}}};
    assert_int_equal(imds_registry_put(registry, KEY, &other, true, &second), 0);

    const struct imds_entry *entry = imds_registry_find(registry, KEY);
    assert_ptr_equal(entry->owner, &second);
    assert_memory_equal(entry->documents[IMDS_META_DATA]->bytes, "new", 3);
    assert_int_equal(entry->documents[IMDS_USER_DATA]->size, 0);
    assert_int_equal(imds_registry_remove(registry, KEY), 0);
    assert_null(imds_registry_find(registry, KEY));
}

static void removed_key_is_unknown(void **state)
{
    struct imds_registry *registry = *state;
    assert_int_equal(imds_registry_remove(registry, KEY), -ENOENT);
    assert_int_equal(imds_registry_put(registry, KEY, &seed, true, NULL), 0);
    assert_int_equal(imds_registry_remove(registry, KEY), 0);
    assert_null(imds_registry_find(registry, KEY));
    assert_int_equal(imds_registry_remove(registry, KEY), -ENOENT);
}

static void what_is_not_a_key_is_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "0123456789abcdef",
        "0123456789abcdef0123456789abcde",
        "0123456789abcdef0123456789abcdef0",
        "0123456789ABCDEF0123456789abcdef",
        "0123456789abcdef0123456789abcdeg",
        " 123456789abcdef0123456789abcdef",
    };
    struct imds_registry *registry = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(imds_registry_put(registry, cases[i], &seed, true, NULL), -EINVAL);
        assert_int_equal(imds_registry_remove(registry, cases[i]), -EINVAL);
        assert_null(imds_registry_find(registry, cases[i]));
    }
}

static void one_digit_decides(void **state)
{
    struct imds_registry *registry = *state;
    assert_int_equal(imds_registry_put(registry, KEY, &seed, true, NULL), 0);
    for (size_t i = 0; i < IMDS_KEY_LENGTH; i++) {
        char near[] = KEY;
        near[i] = near[i] == '0' ? '1' : '0';
        assert_null(imds_registry_find(registry, near));
    }
}

static void key_of(unsigned i, char ret[IMDS_KEY_LENGTH + 1])
{
    snprintf(ret, IMDS_KEY_LENGTH + 1, "%08x%08x%08x%08x", i * 2654435761U, i, ~i, i ^ 0xdeadbeefU);
}

static void two_thousand_keys_are_told_apart(void **state)
{
    enum { COUNT = 2000 };
    struct imds_registry *registry = *state;
    char key[IMDS_KEY_LENGTH + 1];
    for (unsigned i = 0; i < COUNT; i++) {
        key_of(i, key);
        const struct imds_seed mine = {.documents = {[IMDS_USER_DATA] = {&i, sizeof(i)}}};
        assert_int_equal(imds_registry_put(registry, key, &mine, true, (void *)(uintptr_t)i), 0);
    }
    for (unsigned i = 0; i < COUNT; i += 3) {
        key_of(i, key);
        assert_int_equal(imds_registry_remove(registry, key), 0);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        key_of(i, key);
        const struct imds_entry *entry = imds_registry_find(registry, key);
        if (i % 3 == 0) {
            assert_null(entry);
            continue;
        }
        assert_int_equal((uintptr_t)entry->owner, i);
        assert_memory_equal(entry->documents[IMDS_USER_DATA]->bytes, &i, sizeof(i));
    }
}

static void document_outlives_its_entry_while_it_is_held(void **state)
{
    struct imds_registry *registry = *state;
    assert_int_equal(imds_registry_put(registry, KEY, &seed, true, NULL), 0);
    struct imds_blob *held = imds_blob_ref(imds_registry_find(registry, KEY)->documents[IMDS_USER_DATA]);
    assert_int_equal(imds_registry_remove(registry, KEY), 0);
    assert_int_equal(held->size, 3);
    assert_memory_equal(held->bytes, "a\0b", 3);
    assert_ptr_equal(imds_blob_of(held->bytes), held);
    imds_blob_unref(held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(seed_is_copied_and_found_by_its_key, setup, teardown),
        cmocka_unit_test_setup_teardown(put_replaces_what_was_there, setup, teardown),
        cmocka_unit_test_setup_teardown(removed_key_is_unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_a_key_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(one_digit_decides, setup, teardown),
        cmocka_unit_test_setup_teardown(two_thousand_keys_are_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(document_outlives_its_entry_while_it_is_held, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
