/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/vm/record.h"
#include "vm_fixture.h"

#define MINIMAL "\"spec\": {\"name\": \"pi-1\", \"arch\": \"x86_64\"}, \"state\": \"ready\""

struct fixture {
    char folder[64];
    int dir_fd;
};

static int setup(void **state)
{
    static struct fixture f;
    fixture_folder(f.folder);
    f.dir_fd = open(f.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = &f;
    return f.dir_fd < 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    close(f->dir_fd);
    fixture_folder_done(f->folder);
    return 0;
}

static struct vm_record full_record(void)
{
    static char *forwards[] = {TEXT("8080:80"), NULL}, *keys[] = {TEXT("ssh-ed25519 AAAA"), NULL},
                *failed[] = {TEXT("modules-final/config-scripts-user"), NULL};
    struct vm_record record = {
        .spec = fixture_spec(VM_AARCH64),
        .life.state = VM_LOST,
        .life.rung = VM_RUNG_TERM,
        .life.was_ready = true,
        .life.committed = true,
        .life.shutdown_seen = true,
        .life.cut_off = true,
        .life.begun_again = true,
        .life.guest_powered_off = true,
        .life.fell_back = true,
        .life.relaunch = true,
        .life.unfit = true,
        .power_change = true,
        .disk_full = true,
        .cloud_init_died = true,
        .life.reason = "its QEMU was killed",
        .template_hardware = true,
        .identity_due = true,
        .set_up_due = true,
        .powerdown_ms = 5000,
        .step_ms = 1000,
        .key = "0123456789abcdef0123456789abcdef",
        .accel = VM_ACCEL_TCG,
        .pid = 4711,
        .start_ticks = 1ull << 40,
        .boot_id = FIXTURE_UUID,
        .saved_bytes = 1ull << 33,
        .snapshot = "before",
        .taken_ms = 1700000000000,
        .created_ms = 1,
        .started_ms = 2,
        .ready_ms = 3,
        .stopped_ms = 4,
        .cloud_init_stage = "modules-final",
        .cloud_init_result = IMDS_RESULT_FAIL,
        .failed_modules = {failed, 1},
    };
    record.spec.memory_max_mib = 2048;
    record.spec.cpu_quota_percent = 150;
    record.spec.disk_bytes = 10ull << 30;
    record.spec.accel = VM_ACCEL_KVM;
    record.spec.firmware = VM_FIRMWARE_UEFI;
    record.spec.forwards = (struct pi_strv){forwards, 1};
    record.spec.authorized_keys = (struct pi_strv){keys, 1};
    record.spec.password_hash = TEXT("$y$x");
    record.spec.has_user_data = true;
    record.spec.isolate = true;
    record.spec.template = true;
    strcpy(record.spec.of_template, "warm");
    record.spec.image.verified = true;
    record.spec.image.name = TEXT("base");
    strcpy(record.spec.image.sha256, "aa");
    return record;
}

static void assert_same_spec(const struct vm_spec *a, const struct vm_spec *b)
{
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->uuid, b->uuid);
    assert_string_equal(a->mac, b->mac);
    assert_string_equal(a->user, b->user);
    assert_string_equal(a->password_hash, b->password_hash);
    assert_string_equal(a->forwards.items[0], b->forwards.items[0]);
    assert_string_equal(a->authorized_keys.items[0], b->authorized_keys.items[0]);
    assert_string_equal(a->image.sha256, b->image.sha256);
    assert_string_equal(a->image.path, b->image.path);
    assert_string_equal(a->image.name, b->image.name);
    assert_string_equal(a->image.format, b->image.format);
    assert_int_equal(a->image.virtual_size_bytes, b->image.virtual_size_bytes);
    assert_int_equal(a->image.verified, b->image.verified);
    assert_int_equal(a->arch, b->arch);
    assert_int_equal(a->cpus, b->cpus);
    assert_int_equal(a->memory_mib, b->memory_mib);
    assert_int_equal(a->memory_max_mib, b->memory_max_mib);
    assert_int_equal(a->cpu_quota_percent, b->cpu_quota_percent);
    assert_int_equal(a->disk_bytes, b->disk_bytes);
    assert_int_equal(a->accel, b->accel);
    assert_int_equal(a->firmware, b->firmware);
    assert_int_equal(a->ssh_port, b->ssh_port);
    assert_int_equal(a->has_user_data, b->has_user_data);
    assert_int_equal(a->template, b->template);
    assert_string_equal(a->of_template, b->of_template);
}

static void record_comes_back_as_it_was_saved(void **state)
{
    struct fixture *f = *state;
    const struct vm_record record = full_record();
    struct vm_record got = {0};
    assert_int_equal(vm_record_save(f->dir_fd, &record, NULL), 0);
    assert_int_equal(vm_record_load(f->dir_fd, &got, NULL), 0);
    assert_int_equal(got.schema, 4);
    assert_same_spec(&got.spec, &record.spec);
    const struct vm_life *life = &got.life;
    assert_int_equal(life->state, VM_LOST);
    assert_int_equal(life->rung, VM_RUNG_TERM);
    assert_true(life->was_ready && life->committed && life->shutdown_seen && life->guest_powered_off &&
                life->cut_off && life->begun_again && life->fell_back && life->relaunch && life->unfit);
    assert_true(got.power_change && got.disk_full && got.cloud_init_died);
    assert_true(got.template_hardware && got.identity_due && got.set_up_due);
    assert_string_equal(life->reason, record.life.reason);
    assert_string_equal(got.key, record.key);
    assert_int_equal(got.accel, record.accel);
    assert_int_equal(got.pid, record.pid);
    assert_int_equal(got.start_ticks, record.start_ticks);
    assert_string_equal(got.boot_id, record.boot_id);
    assert_int_equal(got.saved_bytes, record.saved_bytes);
    assert_string_equal(got.snapshot, "before");
    assert_int_equal(got.taken_ms, record.taken_ms);
    assert_int_equal(got.created_ms, 1);
    assert_int_equal(got.started_ms, 2);
    assert_int_equal(got.ready_ms, 3);
    assert_int_equal(got.stopped_ms, 4);
    assert_string_equal(got.cloud_init_stage, record.cloud_init_stage);
    assert_int_equal(got.cloud_init_result, record.cloud_init_result);
    assert_string_equal(got.failed_modules.items[0], record.failed_modules.items[0]);
    vm_record_done(&got);
}

/* The file does not change when the struct does. */
static void record_has_its_members_in_their_order(void **state)
{
    (void)state;
    static const char *const keys[] = {"schema",
                                       "spec",
                                       "state",
                                       "rung",
                                       "booted",
                                       "id_on_board",
                                       "template_hardware",
                                       "identity_due",
                                       "set_up_due",
                                       "was_ready",
                                       "committed",
                                       "shutdown_seen",
                                       "guest_powered_off",
                                       "cut_off",
                                       "fell_back",
                                       "begun_again",
                                       "relaunch",
                                       "paused",
                                       "unfit",
                                       "reason",
                                       "powerdown_ms",
                                       "step_ms",
                                       "key",
                                       "imds_port",
                                       "accel",
                                       "pid",
                                       "start_ticks",
                                       "boot_id",
                                       "saved_bytes",
                                       "snapshot",
                                       "taken_ms",
                                       "created_ms",
                                       "started_ms",
                                       "ready_ms",
                                       "stopped_ms",
                                       "boot_ms",
                                       "cloud_init_stage",
                                       "cloud_init_result",
                                       "power_change",
                                       "disk_full",
                                       "cloud_init_died",
                                       "failed_modules",
                                       "user_data_problems",
                                       "piagent"};
    const struct vm_record record = full_record();
    pi_auto_free char *text = vm_record_render(&record);
    json_auto_t *doc = pi_json_parse(text, strlen(text), NULL);
    size_t i = 0;
    const char *key;
    json_t *value;
    assert_int_equal(json_object_size(doc), PI_ARRAY_SIZE(keys));
    json_object_foreach(doc, key, value)
        assert_string_equal(key, keys[i++]);
}

static void only_a_record_that_needs_it_keeps_older_versions_out(void **state)
{
    const struct fixture *f = *state;
    for (int isolate = 0; isolate < 2; isolate++) {
        struct vm_record record = full_record(), got;
        record.spec.isolate = isolate;
        record.template_hardware = false;
        assert_int_equal(vm_record_save(f->dir_fd, &record, NULL), 0);
        assert_int_equal(vm_record_load(f->dir_fd, &got, NULL), 0);
        assert_int_equal(got.schema, 1 + isolate);
        vm_record_done(&got);
        record.life.state = VM_SAVED;
        assert_int_equal(vm_record_save(f->dir_fd, &record, NULL), 0);
        assert_int_equal(vm_record_load(f->dir_fd, &got, NULL), 0);
        assert_int_equal(got.schema, 3);
        vm_record_done(&got);
        record.template_hardware = true;
        assert_int_equal(vm_record_save(f->dir_fd, &record, NULL), 0);
        assert_int_equal(vm_record_load(f->dir_fd, &got, NULL), 0);
        assert_int_equal(got.schema, 4);
        vm_record_done(&got);
    }
}

static void record_is_for_its_owner_only(void **state)
{
    struct fixture *f = *state;
    const struct vm_record record = full_record();
    struct stat st;
    assert_int_equal(vm_record_save(f->dir_fd, &record, NULL), 0);
    assert_int_equal(fstatat(f->dir_fd, VM_RECORD_FILE, &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void missing_record_is_not_found(void **state)
{
    struct fixture *f = *state;
    struct vm_record got = {.pid = 7};
    struct pi_error err = {0};
    assert_int_equal(vm_record_load(f->dir_fd, &got, &err), -ENOENT);
    assert_int_equal(err.kind, PI_NOT_FOUND);
    assert_int_equal(got.pid, 7);
}

static void newer_schema_names_the_piagent_that_wrote_it(void **state)
{
    struct fixture *f = *state;
    struct vm_record got = {.pid = 7};
    struct pi_error err = {0};
    fixture_write(f->folder, VM_RECORD_FILE,
                  "{\"schema\": 5, \"piagent\": \"9.8.7\", \"state\": \"dreaming\", \"spec\": []}");
    assert_int_equal(vm_record_load(f->dir_fd, &got, &err), -EPROTONOSUPPORT);
    assert_non_null(strstr(err.text, "9.8.7"));
    assert_int_equal(got.pid, 7);
}

static void key_that_is_not_known_is_passed_over(void **state)
{
    struct fixture *f = *state;
    struct vm_record got = {0};
    fixture_write(
        f->folder, VM_RECORD_FILE,
        "{\"schema\": 1, \"colour\": \"red\", \"spec\": {\"name\": \"pi-1\", \"arch\": \"aarch64\", "
        "\"taste\": 1}, \"state\": \"ready\"}");
    assert_int_equal(vm_record_load(f->dir_fd, &got, NULL), 0);
    assert_int_equal(got.life.state, VM_READY);
    vm_record_done(&got);
}

static void damaged_record_says_what_is_wrong(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "not JSON"},
        {"[]", "not a JSON object"},
        {"{\"schema\": 1, " MINIMAL, "line 1"},
        {"{" MINIMAL "}", "'schema' is missing"},
        {"{\"schema\": \"1\", " MINIMAL "}", "'schema'"},
        {"{\"schema\": 1, \"state\": \"ready\"}", "'spec' is missing"},
        {"{\"schema\": 1, " MINIMAL ", \"state\": \"ready\"}", "duplicate"},
        {"{\"schema\": 1, " MINIMAL ", \"rung\": \"ladder\"}", "'rung'"},
        {"{\"schema\": 1, " MINIMAL ", \"pid\": -1}", "'pid'"},
        {"{\"schema\": 1, " MINIMAL ", \"key\": \"0123456789abcdef0123456789abcdef0\"}", "'key'"},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct vm_record got = {.pid = 7};
        struct pi_error err = {0};
        fixture_write(f->folder, VM_RECORD_FILE, cases[i].text);
        if (vm_record_load(f->dir_fd, &got, &err) != -EBADMSG || !strstr(err.text, cases[i].says))
            fail_msg("%s: '%s' does not say '%s'", cases[i].text, err.text, cases[i].says);
        assert_non_null(strstr(err.text, VM_RECORD_FILE));
        assert_int_equal(got.pid, 7);
    }
}

static void record_past_its_limit_is_damaged(void **state)
{
    struct fixture *f = *state;
    struct vm_record got;
    static char text[VM_RECORD_MAX + 2];
    memset(text, ' ', VM_RECORD_MAX + 1);
    fixture_write(f->folder, VM_RECORD_FILE, text);
    assert_int_equal(vm_record_load(f->dir_fd, &got, NULL), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(record_comes_back_as_it_was_saved, setup, teardown),
        cmocka_unit_test(record_has_its_members_in_their_order),
        cmocka_unit_test_setup_teardown(only_a_record_that_needs_it_keeps_older_versions_out, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(record_is_for_its_owner_only, setup, teardown),
        cmocka_unit_test_setup_teardown(missing_record_is_not_found, setup, teardown),
        cmocka_unit_test_setup_teardown(newer_schema_names_the_piagent_that_wrote_it, setup, teardown),
        cmocka_unit_test_setup_teardown(key_that_is_not_known_is_passed_over, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_record_says_what_is_wrong, setup, teardown),
        cmocka_unit_test_setup_teardown(record_past_its_limit_is_damaged, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
