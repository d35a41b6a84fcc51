/* Stored images that someone else touched. */
#include "image_fixture.h"

#include <errno.h>

#include "agent/image/care.h"
#include "agent/image/fetch.h"

#define SIZE ((size_t)1 << 20)

struct world {
    char dir[64];
    struct image_store store;
    struct image image;
};

static int setup(void **state)
{
    static struct world w;
    char path[96];
    struct image_sources sources = {0};
    struct pi_error err;
    w = (struct world){.store.dir_fd = -1};
    folder_new(w.dir);
    snprintf(path, sizeof path, "%s/mine.qcow2", w.dir);
    qcow2_write(path, SIZE, 7);
    struct image_request request = {.ref = path, .arch = "x86_64", .unverified = true};
    char store[96];
    snprintf(store, sizeof store, "%s/store", w.dir);
    assert_int_equal(image_store_open(store, &w.store, &err), 0);
    assert_int_equal(image_fetch(&w.store, &sources, &request, NULL, NULL, &w.image, &err), 0);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    image_done(&w->image);
    image_store_done(&w->store);
    folder_done(w->dir);
    return 0;
}

static int check(const struct world *w, struct pi_error *err)
{
    *err = (struct pi_error){0};
    return image_store_check(&w->store, w->image.sha256, err);
}

static int verify(struct world *w, struct pi_error *err)
{
    struct image_meter meter = {0};
    *err = (struct pi_error){0};
    return image_store_verify(&w->store, &w->image, &meter, err);
}

static void untouched_image_passes_both_checks(void **state)
{
    struct pi_error err;
    assert_int_equal(check(*state, &err), 0);
    assert_int_equal(verify(*state, &err), 0);
}

static void new_time_is_noticed_and_settled_by_hashing(void **state)
{
    static const struct timespec other[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
    struct world *w = *state;
    struct pi_error err;
    assert_int_equal(utimensat(AT_FDCWD, w->image.path, other, 0), 0);
    assert_true(check(w, &err) < 0);
    assert_int_equal(err.kind, PI_UNVERIFIED);
    assert_non_null(strstr(err.text, "piagent image verify"));
    assert_int_equal(verify(w, &err), 0);
    assert_int_equal(check(w, &err), 0);
}

static void another_file_in_its_place_is_noticed(void **state)
{
    struct world *w = *state;
    struct pi_error err;
    assert_int_equal(unlink(w->image.path), 0);
    qcow2_write(w->image.path, SIZE, 8);
    assert_true(check(w, &err) < 0);
    assert_int_equal(err.kind, PI_UNVERIFIED);
    assert_true(verify(w, &err) < 0);
    assert_int_equal(err.kind, PI_UNVERIFIED);
    assert_non_null(strstr(err.text, w->image.sha256));
}

static void image_of_another_size_is_not_there(void **state)
{
    struct world *w = *state;
    struct pi_error err;
    assert_int_equal(chmod(w->image.path, 0600), 0);
    assert_int_equal(truncate(w->image.path, 5), 0);
    assert_int_equal(check(w, &err), -ENOENT);
}

static void removed_image_is_gone_with_its_provenance(void **state)
{
    struct world *w = *state;
    struct pi_error err;
    struct image_list list;
    assert_int_equal(image_store_remove(&w->store, &w->image, &err), 0);
    assert_int_equal(image_store_list(&w->store, &list, &err), 0);
    assert_int_equal(list.count, 0);
    assert_int_equal(rmdir(w->store.dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(untouched_image_passes_both_checks, setup, teardown),
        cmocka_unit_test_setup_teardown(new_time_is_noticed_and_settled_by_hashing, setup, teardown),
        cmocka_unit_test_setup_teardown(another_file_in_its_place_is_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(image_of_another_size_is_not_there, setup, teardown),
        cmocka_unit_test_setup_teardown(removed_image_is_gone_with_its_provenance, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
