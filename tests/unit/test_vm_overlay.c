/* SPDX-License-Identifier: MIT */
/* Overlays against those of the real qemu-img. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/paths.h"
#include "agent/base/proc.h"
#include "agent/vm/overlay.h"
#include "skip.h"
#include "vm_fixture.h"

static int setup(void **state)
{
    static char folder[64];
    pi_auto_free char *qemu_img = NULL;
    if (pi_program_find("qemu-img", &qemu_img, NULL) < 0)
        skip_because("qemu-img is not installed");
    fixture_folder(folder);
    *state = folder;
    return 0;
}

static int teardown(void **state)
{
    fixture_folder_done(*state);
    return 0;
}

/* What a shell in the folder prints, which has to succeed. */
static char *shell(const char *folder, const char *format, ...)
{
    pi_auto_free char *script = NULL, *words = NULL;
    struct pi_buf output = {0};
    struct pi_error err = {0};
    va_list args;
    va_start(args, format);
    assert_true(vasprintf(&script, format, args) > 0);
    va_end(args);
    assert_true(asprintf(&words, "cd '%s' && %s", folder, script) > 0);
    if (pi_run((const char *const[]){"sh", "-c", words, NULL}, &output, NULL, &err) < 0)
        fail_msg("%s: %s", script, err.text);
    return output.data ? output.data : strdup("");
}

/* Without the file's own name and size. */
static json_t *look(const char *folder, const char *name)
{
    struct pi_error err = {0};
    pi_auto_free char *text = shell(folder, "qemu-img info -U --output=json %s", name);
    json_t *info = pi_json_parse(text, strlen(text), &err);
    assert_non_null(info);
    json_object_del(info, "filename");
    json_object_del(info, "actual-size");
    json_object_del(info, "children"); /* newer than QEMU 8: the file below */
    return info;
}

/* The last one needs the largest L1 table that QEMU takes. */
static void an_overlay_is_like_one_of_qemu_img_and_takes_writes(void **state)
{
    static const uint64_t sizes[] = {512,         1000,        (1 << 20) + 512, 512 << 20, (512 << 20) + 512,
                                     10ull << 30, 16ull << 40, 2ull << 50};
    static const char *const formats[] = {"raw", "qcow2"};
    const char *folder = *state;
    char path[128];
    snprintf(path, sizeof path, "%s/ours", folder);
    for (size_t i = 0; i < PI_ARRAY_SIZE(sizes); i++) {
        const char *format = formats[i % 2];
        unsigned long long size = sizes[i], last = (size - 1) / 512 * 512;
        struct pi_error err = {0};
        free(shell(
            folder,
            "qemu-img create -q -f %s base 512 && qemu-img create -q -u -f qcow2 -F %s -b base theirs %llu",
            format, format, size));
        assert_int_equal(vm_overlay_create(path, "base", format, size, &err), 0);
        json_auto_t *ours = look(folder, "ours"), *theirs = look(folder, "theirs");
        if (!json_equal(ours, theirs))
            fail_msg("%s, %llu: %s", format, size, json_dumps(ours, 0));
        free(shell(folder,
                   "qemu-img check -q ours && qemu-io -f qcow2 -c 'write -P 7 %llu 512' ours && "
                   "qemu-img check -q ours && qemu-io -f qcow2 -c 'read -P 7 %llu 512' ours",
                   last, last));
    }
}

static void what_qemu_would_not_take_is_refused(void **state)
{
    const char *folder = *state;
    char path[128], longest[VM_OVERLAY_BASE_MAX + 2];
    struct pi_error err = {0};
    snprintf(path, sizeof path, "%s/ours", folder);
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    assert_true(vm_overlay_create(path, longest, "raw", 512, &err) < 0);
    assert_int_equal(err.kind, PI_HOST);
    assert_true(vm_overlay_create(path, "base", "raw", (2ull << 50) + 1, &err) < 0);
    assert_int_equal(err.kind, PI_USAGE);
    assert_true(vm_overlay_create("/nonexistent/ours", "base", "raw", 512, &err) < 0);
    assert_non_null(strstr(err.text, "/nonexistent/ours"));
    longest[sizeof longest - 2] = '\0';
    assert_int_equal(vm_overlay_create(path, longest, "raw", 512, &err), 0);
    pi_auto_free char *text = shell(folder, "qemu-img info -U --output=json ours");
    assert_non_null(strstr(text, longest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_overlay_is_like_one_of_qemu_img_and_takes_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(what_qemu_would_not_take_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
