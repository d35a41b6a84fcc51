/* SPDX-License-Identifier: MIT */
/* Stored images that someone else touched. */
#include "image_fixture.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/syscall.h>

#include "agent/image/fetch.h"
#include "agent/image/partial.h"
#include "agent/image/remove.h"
#include "agent/image/use.h"
#include "agent/image/verify.h"

#define SIZE ((size_t)1 << 20)

struct world {
    char dir[64], instances[96];
    struct image_instances who;
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
    snprintf(w.instances, sizeof w.instances, "%s/instances", w.dir);
    w.who.folder = w.instances;
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
    return image_check(w->image.path, w->image.sha256, err);
}

/* Of one that is loaded, as it was then. */
static int check_found(const struct world *w, struct pi_error *err)
{
    *err = (struct pi_error){0};
    return image_check_found(&w->image, err);
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
    assert_int_equal(check_found(*state, &err), 0);
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
    assert_true(check_found(w, &err) < 0);
    assert_int_equal(err.kind, PI_UNVERIFIED);
    assert_int_equal(verify(w, &err), 0);
    assert_int_equal(check(w, &err), 0);
    assert_int_equal(check_found(w, &err), 0);
}

static void another_file_in_its_place_is_noticed(void **state)
{
    struct world *w = *state;
    struct pi_error err;
    assert_int_equal(unlink(w->image.path), 0);
    qcow2_write(w->image.path, SIZE, 8);
    assert_true(check(w, &err) < 0);
    assert_int_equal(err.kind, PI_UNVERIFIED);
    assert_true(check_found(w, &err) < 0);
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
    assert_true(check_found(w, &err) < 0);
}

static void removed_image_is_gone_with_its_provenance(void **state)
{
    struct world *w = *state;
    struct pi_error err;
    struct image_list list;
    assert_int_equal(image_store_remove(&w->store, &w->image, &w->who, &err), 0);
    assert_int_equal(image_store_list(&w->store, &list, &err), 0);
    assert_int_equal(list.count, 0);
    assert_store_is_empty(w->store.dir);
}

static void truncated_image_is_called_damaged_and_can_be_removed(void **state)
{
    struct world *w = *state;
    struct pi_error err;
    pi_auto_strv struct pi_strv damaged = {0}, unread = {0};
    uint64_t bytes = 0;
    assert_int_equal(image_store_damaged(&w->store, &damaged, &unread, &err), 0);
    assert_int_equal(damaged.count, 0);
    assert_int_equal(chmod(w->image.path, 0600), 0);
    assert_int_equal(truncate(w->image.path, SIZE / 2), 0);
    assert_int_equal(image_store_damaged(&w->store, &damaged, &unread, &err), 0);
    assert_int_equal(damaged.count, 1);
    assert_string_equal(damaged.items[0], strrchr(w->image.path, '/') + 1);
    assert_int_equal(image_store_remove_damaged(&w->store, damaged.items[0], &w->who, true, &bytes, &err), 0);
    assert_in_range(bytes, 1, SIZE / 2); /* it has holes */
    assert_int_equal(access(w->image.path, F_OK), 0);
    assert_int_equal(image_store_remove_damaged(&w->store, damaged.items[0], &w->who, false, &bytes, &err),
                     0);
    assert_store_is_empty(w->store.dir);
}

static void damaged_image_that_was_fetched_again_meanwhile_is_kept(void **state)
{
    struct world *w = *state;
    struct pi_error err;
    pi_auto_strv struct pi_strv damaged = {0}, unread = {0};
    struct image_request request = {.ref = w->image.source, .arch = "x86_64", .unverified = true};
    struct image_sources sources = {0};
    pi_auto_image struct image again = {0};
    uint64_t bytes = 0;
    assert_int_equal(chmod(w->image.path, 0600), 0);
    assert_int_equal(truncate(w->image.path, SIZE / 2), 0);
    assert_int_equal(image_store_damaged(&w->store, &damaged, &unread, &err), 0);
    assert_int_equal(damaged.count, 1);
    assert_int_equal(image_fetch(&w->store, &sources, &request, NULL, NULL, &again, &err), 0);
    assert_true(image_store_remove_damaged(&w->store, damaged.items[0], &w->who, false, &bytes, &err) < 0);
    assert_int_equal(err.kind, PI_CONFLICT); /* which a prune passes over */
    assert_int_equal(check(w, &err), 0);
}

static void fetch_publishes_nothing_while_an_image_is_removed(void **state)
{
    struct world *w = *state;
    struct pi_error err;
    struct image_request request = {.ref = w->image.source, .arch = "x86_64", .unverified = true};
    struct image_sources sources = {0};
    assert_int_equal(image_store_remove(&w->store, &w->image, &w->who, &err), 0);
    int status, lock = image_use_lock(&w->store, 0, &err);
    assert_true(lock >= 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct image again = {0};
        close(lock);
        _exit(image_fetch(&w->store, &sources, &request, NULL, NULL, &again, &err) == 0 ? 0 : 1);
    }
    usleep(200000); /* what does not wait has ended by then */
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
    assert_true(access(w->image.path, F_OK) < 0);
    close(lock);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(access(w->image.path, F_OK), 0);
}

static void image_whose_provenance_is_no_json_is_called_damaged(void **state)
{
    struct world *w = *state;
    struct pi_error err;
    pi_auto_strv struct pi_strv damaged = {0}, unread = {0};
    char file[IMAGE_STORE_NAME_MAX];
    image_store_file(w->image.sha256, "json", file);
    assert_int_equal(pi_file_write(w->store.dir_fd, file, "{", 1, 0600, &err), 0);
    assert_int_equal(image_store_damaged(&w->store, &damaged, &unread, &err), 0);
    assert_int_equal(damaged.count, 1);
}

static void image_of_a_newer_piagent_is_neither_listed_nor_called_damaged(void **state)
{
    struct world *w = *state;
    struct pi_error err;
    struct image_list list;
    pi_auto_strv struct pi_strv damaged = {0}, unread = {0};
    pi_auto_buf struct pi_buf text = {0};
    char file[IMAGE_STORE_NAME_MAX];
    image_store_file(w->image.sha256, "json", file);
    assert_int_equal(pi_file_read(w->store.dir_fd, file, 65536, &text, &err), 0);
    *strchr(strstr(text.data, "\"schema\""), '1') = '2';
    assert_int_equal(pi_file_write(w->store.dir_fd, file, text.data, text.size, 0600, &err), 0);
    assert_int_equal(image_store_list(&w->store, &list, &err), 0);
    assert_int_equal(list.count, 0);
    assert_int_equal(image_store_damaged(&w->store, &damaged, &unread, &err), 0);
    assert_int_equal(damaged.count, 0);
}

static void changed_image_is_hashed_and_fetched_again_where_it_is_another(void **state)
{
    struct world *w = *state;
    struct image_sources sources = {0};
    struct pi_error err;
    char path[96];
    snprintf(path, sizeof path, "%s/mine.qcow2", w->dir);
    struct image_request request = {.ref = path, .arch = "x86_64", .unverified = true};
    assert_int_equal(unlink(w->image.path), 0);
    qcow2_write(w->image.path, SIZE, 8);
    for (int i = 0; i < 2; i++) {
        pi_auto_image struct image again = {0};
        assert_int_equal(image_fetch(&w->store, &sources, &request, NULL, NULL, &again, &err), 0);
        assert_int_equal(check(w, &err), 0);
        assert_int_equal(verify(w, &err), 0);
    }
}

/* Runs as a user whom file modes bind, unlike root. */
static void be_bound_by_modes(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    assert_int_equal(syscall(SYS_capget, &header, data), 0);
    data[0].effective &= ~(1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH);
    assert_int_equal(syscall(SYS_capset, &header, data), 0);
}

static void fetch_that_ended_short_of_its_place_blocks_no_other(void **state)
{
    struct world *w = *state;
    struct pi_error err;
    struct image_meter meter = {0};
    pi_auto_image_partial struct image_partial partial = {.fd = -1};
    char file[IMAGE_STORE_NAME_MAX];
    snprintf(file, sizeof file, "%s.partial", w->image.sha256);
    be_bound_by_modes();
    for (int i = 0; i < 2; i++) {
        int fd = openat(w->store.dir_fd, file, O_WRONLY | O_CREAT | O_CLOEXEC, 0444);
        assert_int_equal(write(fd, "whole", 5), 5);
        close(fd);
        if (i == 0)
            assert_true(image_store_prune_partials(&w->store, 0, false) > 0);
    }
    assert_int_equal(image_partial_take(&w->store, w->image.sha256, 0, &meter, &partial, &err), 0);
    assert_int_equal(write(partial.fd, "again", 5), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(untouched_image_passes_both_checks, setup, teardown),
        cmocka_unit_test_setup_teardown(new_time_is_noticed_and_settled_by_hashing, setup, teardown),
        cmocka_unit_test_setup_teardown(another_file_in_its_place_is_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(image_of_another_size_is_not_there, setup, teardown),
        cmocka_unit_test_setup_teardown(truncated_image_is_called_damaged_and_can_be_removed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(damaged_image_that_was_fetched_again_meanwhile_is_kept, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(fetch_publishes_nothing_while_an_image_is_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(image_whose_provenance_is_no_json_is_called_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(image_of_a_newer_piagent_is_neither_listed_nor_called_damaged, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(changed_image_is_hashed_and_fetched_again_where_it_is_another, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(fetch_that_ended_short_of_its_place_blocks_no_other, setup, teardown),
        cmocka_unit_test_setup_teardown(removed_image_is_gone_with_its_provenance, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
