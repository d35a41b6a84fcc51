/* SPDX-License-Identifier: MIT */
/* One instance without an agent: a loop, a folder, and a host of the test's own. Events go in; the record,
 * the journal and what the host hears come out. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/api/control_server.h"
#include "agent/base/proc.h"
#include "agent/instance/adoption.h"
#include "agent/instance/api_view.h"
#include "agent/instance/guest_seed.h"
#include "agent/instance/instance.h"
#include "agent/loop/loop.h"
#include "base_fixture.h"
#include "imds/registry.h"
#include "loop_fixture.h"

#define NAME "pi-1"

struct fixture {
    struct folder *folder;
    uv_loop_t loop;
    struct instance_host host;
    struct instance *instance;
    int folder_fd;    /* the instance's */
    unsigned events;  /* that the host was told */
    char last[1024];  /* of them */
    char on_disk[32]; /* the state in record.json when that came */
    unsigned states;
};

static void read_state(const struct fixture *f, char ret[32])
{
    struct vm_record record = {0};
    int r = vm_record_load(f->folder_fd, &record, NULL);
    snprintf(ret, 32, "%s", r == 0 ? vm_state_names[record.life.state] : "none");
    vm_record_done(&record);
}

static void on_event(const char *line, size_t size, void *user)
{
    struct fixture *f = user;
    f->events++;
    snprintf(f->last, sizeof f->last, "%.*s", (int)size, line);
    read_state(f, f->on_disk);
}

static void on_state(void *user)
{
    ((struct fixture *)user)->states++;
}

static struct instance *add_instance(struct fixture *f, enum vm_state state)
{
    struct vm_record record = {.schema = VM_RECORD_SCHEMA, .life.state = state, .spec.cpus = 1};
    struct instance *instance = NULL;
    struct pi_error err;
    strcpy(record.spec.name, NAME);
    strcpy(record.spec.uuid, "6ba7b810-9dad-41d1-80b4-00c04fd430c8");
    memset(record.spec.image.sha256, 'a', 64);
    record.spec.user = strdup("fedora");
    record.spec.arch = VM_X86_64;
    record.accel = VM_ACCEL_TCG;
    assert_int_equal(instance_new(&f->host, &record, &instance, &err), 0);
    return instance;
}

static int setup(void **state)
{
    static const struct instance_listener listener = {.event = on_event, .state = on_state};
    static struct fixture f;
    void *folder;
    f = (struct fixture){0};
    if (folder_setup(&folder) < 0 || uv_loop_init(&f.loop) < 0 || imds_registry_new(&f.host.registry) < 0)
        return -1;
    f.folder = folder;
    f.host.loop = &f.loop;
    f.host.folder = f.host.runtime = f.host.images = f.folder->path;
    f.host.folder_fd = f.folder->fd;
    f.host.program = "/bin/false";
    f.host.seed_port_fd = -1;
    f.host.listener = &listener;
    f.host.user = &f;
    LIST_INIT(&f.host.instances);
    boots_file_open(&f.host.boots, &f.loop, f.folder->path);
    if (mkdirat(f.folder->fd, NAME, 0700) < 0)
        return -1;
    f.folder_fd = openat(f.folder->fd, NAME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    f.instance = NULL;
    *state = &f;
    return f.folder_fd < 0;
}

static void run_until_saved(struct fixture *f)
{
    uint64_t end = pi_monotonic_ms() + LOOP_DEADLINE_MS;
    while ((f->host.writes || boots_file_is_busy(&f->host.boots)) && pi_monotonic_ms() < end)
        uv_run(&f->loop, UV_RUN_ONCE);
    assert_int_equal(f->host.writes, 0);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    void *folder = f->folder;
    struct instance *instance;
    while ((instance = LIST_FIRST(&f->host.instances)))
        instance_detach(instance);
    run_until_saved(f);
    imds_registry_free(f->host.registry);
    pi_close_p(&f->folder_fd);
    return loop_close(&f->loop) < 0 ? -1 : folder_teardown(&folder);
}

static void feed(struct instance *instance, enum vm_event_type type)
{
    instance_feed(instance, &(struct vm_event){.type = type});
}

static bool journal_has(const struct fixture *f, const char *text)
{
    pi_auto_buf struct pi_buf journal = {0};
    assert_int_equal(pi_file_read(f->folder_fd, "journal.jsonl", 1 << 20, &journal, NULL), 0);
    return journal.data && strstr(journal.data, text);
}

static bool has_file(const struct fixture *f, const char *name)
{
    return faccessat(f->folder->fd, name, F_OK, 0) == 0;
}

static void it_lists_itself_at_its_host_and_is_found_by_name(void **state)
{
    struct fixture *f = *state;
    struct instance *instance = add_instance(f, VM_STOPPED);
    assert_ptr_equal(host_find(&f->host, NAME, false), instance);
    assert_null(host_find(&f->host, "pi-2", true));
    instance_detach(instance);
    assert_null(host_find(&f->host, NAME, true));
}

static void start_is_refused_while_its_image_is_missing(void **state)
{
    struct fixture *f = *state;
    struct instance *instance = add_instance(f, VM_STOPPED);
    struct pi_error err;
    assert_true(instance_request(instance, VM_EVENT_START, &err) < 0);
    assert_int_equal(err.kind, PI_CONFLICT);
    assert_int_equal(instance->record.life.state, VM_STOPPED);
    assert_int_equal(f->events, 0);
}

static void event_is_told_when_the_record_that_it_speaks_of_is_on_disk(void **state)
{
    struct fixture *f = *state;
    struct instance *instance = add_instance(f, VM_RUNNING);
    feed(instance, VM_EVENT_STOPPED);
    assert_int_equal(instance->record.life.state, VM_PAUSED);
    assert_true(journal_has(f, "\"state\":\"paused\""));
    assert_int_equal(f->events, 0);
    assert_int_equal(journal_told_seq(instance), 0);
    run_until_saved(f);
    assert_int_equal(f->events, 1);
    assert_non_null(strstr(f->last, "\"state\":\"paused\""));
    assert_string_equal(f->on_disk, "paused");
    assert_int_equal(f->states, 1);
}

static void powerdown_without_a_monitor_waits_for_it_on_its_rung(void **state)
{
    struct fixture *f = *state;
    struct instance *instance = add_instance(f, VM_READY);
    struct pi_error err;
    assert_int_equal(instance_request(instance, VM_EVENT_POWERDOWN, &err), 0);
    run_until_saved(f);
    assert_int_equal(instance->record.life.state, VM_STOPPING);
    assert_int_equal(instance->record.life.rung, VM_RUNG_POWERDOWN);
    assert_true(timer_is_set(instance->stop.rung_timer));
    assert_true(timer_is_set(instance->stop.resend_timer));
    assert_true(journal_has(f, "powerdown waits for it"));
}

static void end_of_qemu_resets_every_part_in_one_place(void **state)
{
    struct fixture *f = *state;
    struct instance *instance = add_instance(f, VM_RUNNING);
    static const char panic[] = "[    1.000000] Kernel panic - not syncing: VFS: no root\r\n";
    instance->record.pid = 4711;
    monitor_adopt(instance);
    boot_hear_console(instance, panic, sizeof panic - 1);
    assert_int_equal(boot_landmarks(instance)->trouble, VM_TROUBLE_PANIC);
    assert_true(timer_is_set(instance->boot.trouble.timer));
    guest_showed_sign(instance);
    feed(instance, VM_EVENT_POWERDOWN);
    run_until_saved(f);
    assert_true(timer_is_set(instance->stop.rung_timer));
    feed(instance, VM_EVENT_EXITED);
    run_until_saved(f);
    assert_int_equal(instance->record.life.state, VM_LOST);
    assert_int_equal(instance->record.pid, 0);
    assert_false(timer_is_set(instance->stop.rung_timer));
    assert_false(timer_is_set(instance->stop.resend_timer));
    assert_false(timer_is_set(instance->boot.trouble.timer));
    assert_int_equal(boot_landmarks(instance)->trouble, VM_TROUBLE_NONE);
    assert_false(monitor_is_adopting(instance));
    assert_false(instance->guest.sign_seen);
    assert_true(guest_sign_realtime_ms(instance) > 0); /* status still shows when the guest was last heard */
}

/* An earlier agent started it. Its monitor is not there any more, its process is, and ends at once. */
static void qemu_that_ends_before_its_monitor_is_reached_is_not_given_up(void **state)
{
    struct fixture *f = *state;
    struct pi_identity id;
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(1);
    }
    assert_true(child > 0);
    assert_int_equal(pi_identify(child, &id, NULL), 0);
    struct instance *instance = add_instance(f, VM_STARTING);
    instance->record.pid = (uint64_t)id.pid;
    instance->record.start_ticks = id.start_ticks;
    snprintf(instance->record.boot_id, sizeof instance->record.boot_id, "%s", id.boot_id);
    snprintf(f->host.boot_id, sizeof f->host.boot_id, "%s", id.boot_id);
    store_save(instance);
    run_until_saved(f);
    instance_detach(instance);

    adoption_load(&f->host, NAME);
    instance = LIST_FIRST(&f->host.instances);
    assert_non_null(instance);
    assert_false(monitor_is_connected(instance));
    kill(child, SIGKILL);
    uint64_t end = pi_monotonic_ms() + LOOP_DEADLINE_MS;
    while (vm_state_is_live(instance->record.life.state) && pi_monotonic_ms() < end)
        uv_run(&f->loop, UV_RUN_ONCE);
    run_until_saved(f);
    assert_string_equal(instance->record.life.reason, "QEMU ended (killed by SIGKILL)");
}

/* No file can be written. */
static void feed_on_full_disk(struct fixture *f, struct instance *instance, enum vm_event_type type)
{
    struct rlimit limit, none;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    none = (struct rlimit){.rlim_max = limit.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    feed(instance, VM_EVENT_GUEST_DONE); /* it is to be saved */
    feed(instance, type);
    run_until_saved(f);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_true(instance->store.result < 0);
}

static void saved_state_counts_if_the_record_on_disk_says_so(void **state)
{
    struct fixture *f = *state;
    struct instance *instance = add_instance(f, VM_SAVING);
    store_save(instance);
    run_until_saved(f);
    feed_on_full_disk(f, instance, VM_EVENT_STATE_SAVED);
    assert_int_equal(instance->record.life.state, VM_RESTORING); /* the next agent would not know of it */
    instance_detach(instance);

    instance = add_instance(f, VM_SAVING);
    instance->record.life.committed = true;
    instance->record.life.rung = VM_RUNG_QUIT;
    store_save(instance);
    run_until_saved(f);
    feed_on_full_disk(f, instance, VM_EVENT_ADOPTED); /* by the next agent */
    assert_int_equal(instance->record.life.state, VM_SAVING);
    assert_true(instance->record.life.committed);
}

static void only_a_boot_that_became_ready_is_kept_for_later_ones(void **state)
{
    struct fixture *f = *state;
    struct instance *instance = add_instance(f, VM_RUNNING);
    static const char kernel[] = "[    0.000000] Linux version 6.11.0\r\n";
    boot_tell(instance, "started");
    boot_hear_console(instance, kernel, sizeof kernel - 1);
    journal_note(instance, "a note");
    run_until_saved(f);
    assert_true(journal_has(f, "\"landmark\":\"kernel\""));
    assert_true(milestones_has(instance, VM_MILESTONE_KERNEL));
    assert_false(has_file(f, "boots.json"));
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_GUEST_DONE, .success = true});
    run_until_saved(f);
    assert_int_equal(instance->record.life.state, VM_READY);
    assert_true(has_file(f, "boots.json"));
    assert_false(instance->record.booted); /* that is for who heard the report, not for the journal */
}

static void another_agent_recalls_how_far_the_boot_had_come(void **state)
{
    struct fixture *f = *state;
    struct instance *instance = add_instance(f, VM_RUNNING);
    static const char kernel[] = "[    0.000000] Linux version 6.11.0\r\n";
    boot_tell(instance, "started");
    uint64_t boot = milestones_event_seq(instance);
    boot_hear_console(instance, kernel, sizeof kernel - 1);
    run_until_saved(f);
    instance_detach(instance);
    instance = add_instance(f, VM_RUNNING);
    assert_int_equal(milestones_event_seq(instance), boot);
    assert_int_equal(boot_landmarks(instance)->reached, VM_LANDMARK_KERNEL);
    assert_true(milestones_has(instance, VM_MILESTONE_KERNEL));
    assert_int_equal(journal_told_seq(instance), 2);
}

static void stream_holds_an_instance_that_its_host_gave_up(void **state)
{
    struct fixture *f = *state;
    struct instance *instance = add_instance(f, VM_STOPPED);
    struct api_stream stream;
    char line[512];
    journal_note(instance, "last words");
    assert_int_equal(journal_stream(instance, 0, true, &stream, NULL), 0);
    instance_detach(instance);
    long n = stream.read(stream.source, line, sizeof line);
    assert_true(n > 0 && memmem(line, (size_t)n, "last words", strlen("last words")));
    stream.close(stream.source);
}

static void view_needs_no_agent(void **state)
{
    struct fixture *f = *state;
    struct instance *instance = add_instance(f, VM_STOPPED);
    json_auto_t *view = instance_view(instance);
    assert_string_equal(json_string_value(json_object_get(view, "name")), NAME);
    assert_string_equal(json_string_value(json_object_get(view, "state")), "stopped");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_lists_itself_at_its_host_and_is_found_by_name),
        TEST(start_is_refused_while_its_image_is_missing),
        TEST(event_is_told_when_the_record_that_it_speaks_of_is_on_disk),
        TEST(powerdown_without_a_monitor_waits_for_it_on_its_rung),
        TEST(end_of_qemu_resets_every_part_in_one_place),
        TEST(qemu_that_ends_before_its_monitor_is_reached_is_not_given_up),
        TEST(saved_state_counts_if_the_record_on_disk_says_so),
        TEST(only_a_boot_that_became_ready_is_kept_for_later_ones),
        TEST(another_agent_recalls_how_far_the_boot_had_come),
        TEST(stream_holds_an_instance_that_its_host_gave_up),
        TEST(view_needs_no_agent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
