/* SPDX-License-Identifier: MIT */
/* Tells the users of an image by disks, links and records, whichever are left. */
#include "image_fixture.h"

#include <errno.h>
#include <unistd.h>

#include "agent/image/fetch.h"
#include "agent/image/remove.h"
#include "agent/image/use.h"

#define OTHER "sha256-abababababababababababababababababababababababababababababababab.qcow2"

struct world {
    char dir[64], instances[96],
        elsewhere[128]; /* elsewhere: an instance's folder below another data folder */
    struct image_store store;
    struct image image;
    struct image_instances who;
};

static int setup(void **state)
{
    static struct world w;
    char path[96], store[96];
    struct image_sources sources = {0};
    struct pi_error err;
    w = (struct world){.store.dir_fd = -1};
    folder_new(w.dir);
    snprintf(path, sizeof path, "%s/mine.qcow2", w.dir);
    snprintf(store, sizeof store, "%s/images", w.dir);
    snprintf(w.instances, sizeof w.instances, "%s/instances", w.dir);
    snprintf(w.elsewhere, sizeof w.elsewhere, "%s/other/instances/db", w.dir);
    qcow2_write(path, (size_t)4 * QCOW2_CLUSTER, 7);
    struct image_request request = {.ref = path, .arch = "x86_64", .unverified = true};
    assert_int_equal(image_store_open(store, &w.store, &err), 0);
    assert_int_equal(image_fetch(&w.store, &sources, &request, NULL, NULL, &w.image, &err), 0);
    w.who = (struct image_instances){.folder = w.instances, .images = json_object()};
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    json_decref((json_t *)w->who.images);
    image_done(&w->image);
    image_store_done(&w->store);
    folder_done(w->dir);
    return 0;
}

static void put(const char *folder, const char *file, const void *data, size_t size)
{
    char path[512];
    assert_int_equal(pi_dir_make(folder, NULL), 0);
    snprintf(path, sizeof path, "%s/%s", folder, file);
    assert_int_equal(pi_file_write(AT_FDCWD, path, data, size, 0600, NULL), 0);
}

/* A qcow2 that stands on backing; "" = alone. */
static void put_overlay(const char *folder, const char *file, const char *backing)
{
    uint8_t header[4096];
    qcow2_fill(header, sizeof header);
    put64(header + 8, *backing ? 512 : 0);
    put32(header + 16, (uint32_t)strlen(backing));
    memcpy(header + 512, backing, strlen(backing));
    put(folder, file, header, sizeof header);
}

enum disk {
    GONE, /* with the instance's folder */
    NONE, /* no disk in it */
    ON_IMAGE,
    ON_OVERLAY, /* that stands on the image */
    ON_OTHER,
    ALONE,
    GARBAGE,
};

static void put_disk(const struct world *w, const char *folder, enum disk disk)
{
    char other[512];
    snprintf(other, sizeof other, "%s/" OTHER, w->store.dir);
    if (disk == ON_OVERLAY)
        put_overlay(folder, "below.qcow2", w->image.path);
    if (disk == GARBAGE)
        put(folder, IMAGE_USE_DISK, "garbage", 7);
    else if (disk == NONE)
        assert_int_equal(pi_dir_make(folder, NULL), 0);
    else if (disk != GONE)
        put_overlay(folder, IMAGE_USE_DISK,
                    disk == ON_IMAGE     ? w->image.path
                    : disk == ON_OVERLAY ? "below.qcow2"
                    : disk == ON_OTHER   ? other
                                         : "");
}

/* The agent says that the instance in that folder was made from the image. */
static void put_record(const struct world *w, const char *folder)
{
    assert_int_equal(json_object_set_new((json_t *)w->who.images, folder, json_string(w->image.sha256)), 0);
}

static void any_witness_keeps_an_image(void **state)
{
    static const struct {
        enum disk disk;
        bool link, record;
        enum pi_kind kind; /* of the refusal to remove it; PI_OK = it goes */
    } cases[] = {
        {ON_IMAGE, .kind = PI_CONFLICT},
        {ON_OVERLAY, .kind = PI_CONFLICT},
        {NONE, .record = true, .kind = PI_CONFLICT},
        {GARBAGE, .record = true, .kind = PI_CONFLICT},
        {NONE, .link = true, .kind = PI_CONFLICT}, /* being made */
        {GARBAGE, .link = true, .kind = PI_CONFLICT},
        {GARBAGE, .kind = PI_FAILED},
        {NONE, .kind = PI_OK},
        {ON_OTHER, .kind = PI_OK},
        {ON_OTHER, .link = true, .kind = PI_OK},
        {ALONE, .link = true, .kind = PI_OK},
        {GONE, .link = true, .kind = PI_OK},
        {GONE, .record = true, .kind = PI_CONFLICT}, /* its QEMU runs on without its folder */
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct world *w;
        struct pi_error err = {0};
        char folder[128];
        setup(state);
        w = *state;
        assert_int_equal(pi_dir_make(w->instances, &err), 0);
        snprintf(folder, sizeof folder, "%s/web", w->instances);
        put_disk(w, folder, cases[i].disk);
        if (cases[i].record)
            put_record(w, folder);
        if (cases[i].link)
            assert_int_equal(image_use_add(w->image.path, w->image.sha256, folder, &err), 0);
        (void)image_store_remove(&w->store, &w->image, &w->who, &err);
        if (err.kind != cases[i].kind || (err.kind != PI_OK && !strstr(err.text, "web")))
            fail_msg("case %zu: %s: %s", i, pi_kind_names[err.kind], err.text);
        assert_int_equal(access(w->image.path, F_OK) == 0, cases[i].kind != PI_OK);
        if (cases[i].kind == PI_OK)
            assert_store_is_empty(w->store.dir); /* nor is a link left */
        teardown(state);
    }
}

static void instances_of_another_data_folder_are_known_by_their_links(void **state)
{
    static const struct {
        enum disk disk;
        bool unmounted, used;
    } cases[] = {
        {ON_IMAGE, .used = true},  {GARBAGE, .used = true}, {NONE, .used = true},
        {ON_OTHER, .used = false}, {GONE, .used = false},   {GONE, .unmounted = true, .used = true},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct world *w;
        struct pi_error err = {0};
        char all[128];
        setup(state);
        w = *state;
        snprintf(all, sizeof all, "%s/other%s", w->dir, cases[i].unmounted ? "" : "/instances");
        assert_int_equal(pi_dir_make(all, NULL), 0);
        put_disk(w, w->elsewhere, cases[i].disk);
        assert_int_equal(image_use_add(w->image.path, w->image.sha256, w->elsewhere, &err), 0);
        json_auto_t *use = NULL;
        assert_int_equal(image_use_find(&w->store, &w->who, &use, &err), 0);
        const char *name = json_string_value(json_array_get(json_object_get(use, w->image.sha256), 0));
        if (cases[i].used ? !name || strcmp(name, w->elsewhere) != 0 : !!name)
            fail_msg("case %zu: %s", i, name);
        assert_int_equal(image_store_remove(&w->store, &w->image, &w->who, &err) == 0, !cases[i].used);
        teardown(state);
    }
}

static void instance_is_named_once_and_dropped_with_its_link(void **state)
{
    struct world *w = *state;
    struct pi_error err;
    char folder[128];
    pi_auto_buf struct pi_buf names = {0};
    snprintf(folder, sizeof folder, "%s/web", w->instances);
    put_disk(w, folder, ON_IMAGE);
    put_record(w, folder);
    for (int i = 0; i < 2; i++)
        assert_int_equal(image_use_add(w->image.path, w->image.sha256, folder, &err), 0);
    json_auto_t *use = NULL, *after = NULL;
    assert_int_equal(image_use_find(&w->store, &w->who, &use, &err), 0);
    assert_int_equal(image_use_names(use, w->image.sha256, &names), 0);
    assert_string_equal(names.data, "web");
    assert_int_equal(pi_tree_remove(AT_FDCWD, folder, NULL), 0);
    image_use_drop(w->image.path, w->image.sha256, folder);
    json_object_clear((json_t *)w->who.images);
    assert_int_equal(image_use_find(&w->store, &w->who, &after, &err), 0);
    assert_int_equal(json_object_size(after), 0);
}

/* The link is there already, as an earlier instance of that name may have left it. */
static void who_comes_during_a_removal_waits_and_is_told(void **state)
{
    struct world *w = *state;
    struct pi_error err;
    assert_int_equal(image_use_add(w->image.path, w->image.sha256, w->elsewhere, &err), 0);
    int status, lock = image_use_lock(&w->store, 0, &err);
    assert_true(lock >= 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(lock);
        _exit(image_use_add(w->image.path, w->image.sha256, w->elsewhere, &err) == -ENOENT ? 0 : 1);
    }
    usleep(100000); /* a process that does not wait has ended by then */
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
    assert_int_equal(unlink(w->image.path), 0);
    close(lock);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void who_is_locked_out_for_too_long_is_told(void **state)
{
    struct world *w = *state;
    struct pi_error err;
    pi_auto_close int lock = image_use_lock(&w->store, 0, &err);
    assert_true(lock >= 0);
    assert_true(image_use_lock(&w->store, 50, &err) < 0);
    assert_int_equal(err.kind, PI_CONFLICT);
    assert_non_null(strstr(err.text, "is locked by another program"));
}

static void backing_file_is_read_only_from_a_whole_header(void **state)
{
    (void)state;
    uint8_t h[4096];
    char name[IMAGE_BACKING_MAX + 1];
    qcow2_fill(h, sizeof h);
    assert_int_equal(image_backing_file(h, sizeof h, name), 0);
    assert_string_equal(name, "");
    put64(h + 8, 512);
    put32(h + 16, 6);
    memcpy(h + 512, "/a/b.c", 6);
    assert_int_equal(image_backing_file(h, sizeof h, name), 0);
    assert_string_equal(name, "/a/b.c");
    for (size_t size = 0; size < 518; size++)
        assert_int_equal(image_backing_file(h, size, name), -EBADMSG);
    put32(h + 16, 7); /* its last character is a NUL */
    assert_int_equal(image_backing_file(h, sizeof h, name), -EBADMSG);
    put32(h + 16, IMAGE_BACKING_MAX + 1);
    memset(h + 512, 'x', sizeof h - 512);
    assert_int_equal(image_backing_file(h, sizeof h, name), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_witness_keeps_an_image),
        cmocka_unit_test(instances_of_another_data_folder_are_known_by_their_links),
        cmocka_unit_test_setup_teardown(instance_is_named_once_and_dropped_with_its_link, setup, teardown),
        cmocka_unit_test_setup_teardown(who_comes_during_a_removal_waits_and_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(who_is_locked_out_for_too_long_is_told, setup, teardown),
        cmocka_unit_test(backing_file_is_read_only_from_a_whole_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
