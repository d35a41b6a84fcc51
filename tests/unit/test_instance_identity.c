/* SPDX-License-Identifier: MIT */
/* An instance that has resumed from a template tells its guest who it is, and when it may be set up. The test is the guest, at the other
 * end of the port. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/instance/api_view.h"
#include "agent/instance/guest_seed.h"
#include "agent/instance/instance.h"
#include "agent/loop/sockets.h"
#include "agent/seed/identity.h"
#include "base_fixture.h"
#include "imds/registry.h"
#include "loop_fixture.h"

#define NAME       "pi-7"
#define UUID       "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
#define PROCESSORS 2
#define KEY        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIk21fdHe+ZRiYhEcx0080ff7GDBypuHexBBugIe9huN\n"

struct fixture {
    struct folder *folder;
    uv_loop_t loop;
    struct instance_host host;
    struct instance *instance;
    int folder_fd; /* the instance's */
    int guest_fd;
    struct pi_buf heard; /* of the guest */
};

static void on_event(const char *line, size_t size, void *user)
{
    (void)line;
    (void)size;
    (void)user;
}

static void on_state(void *user)
{
    (void)user;
}

static void put_file(const struct fixture *f, const char *name, const char *text)
{
    assert_int_equal(pi_file_write(f->folder_fd, name, text, strlen(text), 0600, NULL), 0);
}

/* Of an agent that finds the record so. */
static struct instance *add_resumed(struct fixture *f, bool due)
{
    struct vm_record record = {.schema = VM_RECORD_SCHEMA,
                               .life.state = VM_RESTORING,
                               .life.committed = true,
                               .template_hardware = true,
                               .identity_due = due,
                               .imds_port = 1,
                               .boot_ms = pi_realtime_ms(),
                               .spec.cpus = 1,
                               .spec.arch = VM_X86_64,
                               .accel = VM_ACCEL_TCG};
    struct pi_error err;
    strcpy(record.spec.name, NAME);
    strcpy(record.spec.uuid, UUID);
    strcpy(record.spec.of_template, "gold");
    strcpy(record.key, "0123456789abcdef0123456789abcdef");
    strcpy(record.report_key, "fedcba9876543210fedcba9876543210");
    memset(record.spec.image.sha256, 'a', 64);
    record.spec.user = strdup("pi");
    assert_int_equal(instance_new(&f->host, &record, &f->instance, &err), 0);
    int listen_fd = socket_listen_unix(f->folder->path, NAME ".ident", NULL);
    identity_connect(f->instance);
    f->guest_fd = accept(listen_fd, NULL, NULL);
    assert_true(f->guest_fd >= 0);
    close(listen_fd);
    return f->instance;
}

static int setup(void **state)
{
    static const struct instance_listener listener = {.event = on_event, .state = on_state};
    static struct fixture f;
    void *folder;
    f = (struct fixture){.guest_fd = -1};
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
    f.host.processors = PROCESSORS;
    LIST_INIT(&f.host.instances);
    boots_file_open(&f.host.boots, &f.loop, f.folder->path);
    if (mkdirat(f.folder->fd, NAME, 0700) < 0)
        return -1;
    f.folder_fd = openat(f.folder->fd, NAME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    put_file(&f, VM_SSH_KEY_FILE ".pub", KEY);
    put_file(&f, VM_HOST_KEY_FILE ".pub", KEY);
    put_file(&f, VM_HOST_KEY_FILE, "-----BEGIN OPENSSH PRIVATE KEY-----\n");
    *state = &f;
    return f.folder_fd < 0;
}

static bool is_idle(const struct fixture *f)
{
    return !f->host.writes && !boots_file_is_busy(&f->host.boots);
}

static void run_until_saved(struct fixture *f)
{
    uint64_t end = pi_monotonic_ms() + LOOP_DEADLINE_MS;
    while (!is_idle(f) && pi_monotonic_ms() < end)
        uv_run(&f->loop, UV_RUN_ONCE);
    assert_true(is_idle(f));
}

static void forget_heard(struct fixture *f)
{
    pi_buf_done(&f->heard);
    f->heard = (struct pi_buf){0};
}

/* The agent is gone, its records stay. */
static void leave(struct fixture *f)
{
    while (!LIST_EMPTY(&f->host.instances))
        instance_detach(LIST_FIRST(&f->host.instances));
    run_until_saved(f);
    pi_close_p(&f->guest_fd);
    forget_heard(f);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    void *folder = f->folder;
    leave(f);
    imds_registry_free(f->host.registry);
    pi_close_p(&f->folder_fd);
    return loop_close(&f->loop) < 0 ? -1 : folder_teardown(&folder);
}

/* Reads on until the guest has heard the text at the end. */
static void hear(struct fixture *f, const char *text)
{
    uint64_t end = pi_monotonic_ms() + LOOP_DEADLINE_MS;
    char chunk[65536];
    while (!f->heard.data || !pi_ends_with(f->heard.data, text)) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
        ssize_t n = recv(f->guest_fd, chunk, sizeof chunk, MSG_DONTWAIT);
        if (n > 0)
            assert_int_equal(pi_buf_add(&f->heard, chunk, (size_t)n), 0);
        assert_true(pi_monotonic_ms() < end);
    }
}

static size_t times_told(const struct fixture *f)
{
    size_t count = 0;
    for (const char *at = f->heard.data; at && (at = strstr(at, "\n{")); at++)
        count++;
    return count;
}

static void answer(struct fixture *f, const char *text)
{
    assert_int_equal(send(f->guest_fd, text, strlen(text), 0), strlen(text));
    for (int i = 0; i < 20; i++)
        uv_run(&f->loop, UV_RUN_NOWAIT);
    run_until_saved(f);
}

static void resume_guest(struct fixture *f)
{
    instance_feed(f->instance, &(struct vm_event){.type = VM_EVENT_CONTINUED});
    run_until_saved(f);
}

static bool journal_tells(const struct fixture *f, const char *text)
{
    pi_auto_buf struct pi_buf journal = {0};
    assert_int_equal(pi_file_read(f->folder_fd, "journal.jsonl", 1 << 20, &journal, NULL), 0);
    return journal.data && strstr(journal.data, text);
}

static bool record_is_due(const struct fixture *f)
{
    struct vm_record record = {0};
    assert_int_equal(vm_record_load(f->folder_fd, &record, NULL), 0);
    bool due = record.identity_due;
    vm_record_done(&record);
    return due;
}

static void guest_is_told_when_it_runs_and_hears_when_that_is_on_record(void **state)
{
    struct fixture *f = *state;
    struct instance *instance = add_resumed(f, true);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_null(f->heard.data);
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_CONTINUED});
    assert_false(timer_is_set(instance->identity.timer)); /* that it runs is not on record */
    run_until_saved(f);
    hear(f, "}\n");
    json_auto_t *me = json_loads(f->heard.data, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(me, "hostname")), NAME);
    assert_string_equal(json_string_value(json_object_get(me, "machine-id")),
                        "6ba7b8109dad41d180b400c04fd430c8");
    assert_true(record_is_due(f));
    answer(f, "did entropy\ndid clock\ndo");
    assert_true(record_is_due(f));
    answer(f, "ne\n");
    hear(f, "\n" SEED_IDENTITY_KEPT);
    assert_false(record_is_due(f));
    assert_true(journal_tells(f, "\"kind\":\"identity\""));
    assert_int_equal(instance->record.life.state, VM_RUNNING);
    answer(f, "failed afterwards\n"); /* nobody asks any more */
    assert_int_equal(instance->record.life.state, VM_RUNNING);
    assert_int_equal(times_told(f), 1);
}

static void guest_that_heard_a_part_is_told_again(void **state)
{
    struct fixture *f = *state;
    add_resumed(f, true);
    resume_guest(f);
    hear(f, "}\n");
    forget_heard(f);
    answer(f, "again\n");
    hear(f, "}\n");
    assert_int_equal(times_told(f), 1);
}

static void next_agent_tells_what_the_one_before_did_not_see_taken(void **state)
{
    struct fixture *f = *state;
    char chunk[8];
    add_resumed(f, true);
    resume_guest(f);
    hear(f, "}\n");
    leave(f);
    struct instance *instance = add_resumed(f, record_is_due(f));
    instance->record.life = (struct vm_life){.state = VM_RUNNING};
    identity_tell(instance);
    hear(f, "}\n");
    identity_tell(instance); /* it is being told */
    answer(f, "done\ndone\n");
    hear(f, "\n" SEED_IDENTITY_KEPT);
    assert_int_equal(times_told(f), 1);
    leave(f);
    instance = add_resumed(f, record_is_due(f));
    instance->record.life = (struct vm_life){.state = VM_RUNNING};
    identity_adopted(instance); /* a guest that did not hear this line waits for it */
    hear(f, SEED_IDENTITY_KEPT);
    forget_heard(f);
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_STOPPED});
    resume_guest(f); /* it is not told again */
    assert_true(recv(f->guest_fd, chunk, sizeof chunk, MSG_DONTWAIT) < 0);
}

static void fails_with(struct fixture *f, const char *why)
{
    struct instance *instance = f->instance;
    uint64_t started_ms = instance->record.started_ms;
    assert_int_equal(instance->record.life.state, VM_STOPPING); /* until its QEMU has ended */
    assert_true(record_is_due(f));
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_EXITED});
    run_until_saved(f);
    assert_int_equal(instance->record.life.state, VM_FAILED);
    assert_true(instance->record.started_ms == started_ms && instance->record.stopped_ms);
    assert_false(record_is_due(f) || instance->record.template_hardware);
    if (!strstr(instance->record.life.reason, why))
        fail_msg("%s", instance->record.life.reason);
}

static void run_until_ended(struct fixture *f)
{
    uint64_t end = pi_monotonic_ms() + LOOP_DEADLINE_MS;
    while (f->instance->record.life.state != VM_STOPPING && pi_monotonic_ms() < end)
        uv_run(&f->loop, UV_RUN_ONCE);
    run_until_saved(f);
    assert_int_equal(f->instance->record.life.state, VM_STOPPING);
}

/* A guest is hostile until it is proven otherwise: whatever it sends, it ends as an instance that failed, with a clean reason. */
static void instance_fails_whose_guest_does_not_take_its_identity(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *answer, *why;
    } cases[] = {
        {"failed FileNotFoundError: \x1b[31m/etc/hosts\n", "it says: FileNotFoundError: ?[31m/etc/hosts"},
        {"failed it\ndone\n", "it says: it"},
        {"did names\n", "it got as far as 'names'"},
        {"", "it said nothing for 2m00s"},
        {"done", "it said nothing for 2m00s"},
        {"Done\n\ndone it\n", "it said nothing for 2m00s"},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        add_resumed(f, true);
        resume_guest(f);
        hear(f, "}\n");
        answer(f, cases[i].answer);
        if (f->instance->record.life.state == VM_RUNNING) { /* its time is over */
            timer_set(f->instance->identity.timer, 1);
            run_until_ended(f);
        }
        fails_with(f, cases[i].why);
        leave(f);
    }
    add_resumed(f, true);
}

static void endless_answers_are_bounded(void **state)
{
    struct fixture *f = *state;
    add_resumed(f, true);
    resume_guest(f);
    hear(f, "}\n");
    pi_auto_buf struct pi_buf flood = {0};
    for (int i = 0; i < 5000; i++)
        assert_int_equal(pi_buf_puts(&flood, "xxxxxxxx"), 0);
    for (int i = 0; i < 70; i++)
        assert_int_equal(pi_buf_puts(&flood, "\ndid it"), 0);
    assert_int_equal(pi_buf_puts(&flood, "\n"), 0);
    answer(f, flood.data);
    fails_with(f, "it sends more than such a guest has to say");
}

/* A QEMU whose port is gone. The instance is in the middle of a change of state. */
static void instance_fails_whose_guest_cannot_be_told(void **state)
{
    struct fixture *f = *state;
    add_resumed(f, true);
    identity_reset(f->instance);
    resume_guest(f);
    run_until_ended(f);
    fails_with(f, "piagent cannot connect to its port");
}

static void guest_that_is_paused_is_waited_for(void **state)
{
    struct fixture *f = *state;
    struct instance *instance = add_resumed(f, true);
    resume_guest(f);
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_STOPPED});
    run_until_saved(f);
    timer_set(instance->identity.timer, 1);
    uv_run(&f->loop, UV_RUN_ONCE);
    assert_int_equal(instance->record.life.state, VM_PAUSED);
    assert_true(timer_is_set(instance->identity.timer));
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_CONTINUED});
    run_until_saved(f);
    hear(f, "}\n");
    answer(f, "done\n");
    hear(f, "\n" SEED_IDENTITY_KEPT);
    assert_int_equal(times_told(f), 1);
}

static void guest_that_fails_while_it_stands_still_is_ended(void **state)
{
    struct fixture *f = *state;
    struct instance *instance = add_resumed(f, true);
    resume_guest(f);
    hear(f, "}\n");
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_STOPPED});
    run_until_saved(f);
    answer(f, "failed OSError\n");
    run_until_ended(f);
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_CONTINUED});
    fails_with(f, "it says: OSError");
}

/* From then on its disk boots, and that guest sees on its board who it is. */
static void guest_that_is_reset_has_no_identity_to_take(void **state)
{
    struct fixture *f = *state;
    struct instance *instance = add_resumed(f, true);
    resume_guest(f);
    hear(f, "}\n");
    qemu_events_missed_reset(instance);
    run_until_saved(f);
    assert_false(record_is_due(f) || timer_is_set(instance->identity.timer));
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_GUEST_DONE, .success = true});
    run_until_saved(f);
    assert_int_equal(instance->record.life.state, VM_READY);
    assert_false(timer_is_set(instance->identity.timer));
}

static void ephemeral_guest_that_fails_is_removed_with_the_reason_alone(void **state)
{
    struct fixture *f = *state;
    struct instance *instance = add_resumed(f, true);
    instance->record.spec.ephemeral = true;
    resume_guest(f);
    hear(f, "}\n");
    answer(f, "failed OSError\n");
    run_until_ended(f);
    assert_non_null(strstr(instance->record.life.reason, "it says: OSError"));
    assert_null(strstr(instance->record.life.reason, "piagent start"));
}

static void boot_is_told_once_also_of_a_guest_that_was_paused_before_it_ran(void **state)
{
    struct fixture *f = *state;
    struct instance *instance = add_resumed(f, true);
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_STOPPED});
    assert_int_equal(instance->counts.boots, 0);
    resume_guest(f);
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_STOPPED});
    resume_guest(f);
    assert_int_equal(instance->counts.boots, 1);
    assert_true(journal_tells(f, "\"text\":\"resumed\""));
    leave(f);
    instance = add_resumed(f, true); /* the next agent */
    instance->record.life = (struct vm_life){.state = VM_PAUSED};
    resume_guest(f);
    assert_int_equal(instance->counts.boots, 0);
}

/* One that runs, and waits for its turn or still takes its identity. */
static struct instance *add_other(struct fixture *f, unsigned age, enum vm_accel accel, bool due)
{
    struct vm_record record = {.schema = VM_RECORD_SCHEMA,
                               .life.state = VM_RUNNING,
                               .life.committed = true,
                               .template_hardware = true,
                               .identity_due = due,
                               .set_up_due = !due,
                               .boot_ms = due ? pi_realtime_ms() : 1000 - age,
                               .accel = accel};
    struct instance *instance;
    struct pi_error err;
    record.spec.user = strdup("pi");
    snprintf(record.spec.name, sizeof record.spec.name, "n-%u", age);
    if (mkdirat(f->folder->fd, record.spec.name, 0700) < 0)
        assert_int_equal(errno, EEXIST);
    assert_int_equal(instance_new(&f->host, &record, &instance, &err), 0);
    return instance;
}

static void run_timers(struct fixture *f)
{
    for (int i = 0; i < 20; i++)
        uv_run(&f->loop, UV_RUN_NOWAIT);
    run_until_saved(f);
}

static void feed(struct fixture *f, struct instance *instance, enum vm_event_type type)
{
    instance_feed(instance, &(struct vm_event){.type = type, .success = true});
    run_timers(f);
}

/* The oldest comes first. */
static void add_waiting(struct fixture *f, unsigned count, enum vm_accel accel, struct instance **ret)
{
    for (unsigned i = 0; i < count; i++)
        ret[i] = add_other(f, count - i, accel, false);
    for (unsigned i = 0; i < count; i++)
        identity_adopted(ret[i]);
    run_timers(f);
}

static void guests_are_set_up_in_turns_the_oldest_first_and_as_many_as_there_is_room_for(void **state)
{
    struct fixture *f = *state;
    struct instance *all[4 * PROCESSORS + 2];
    for (enum vm_accel accel = VM_ACCEL_KVM; accel <= VM_ACCEL_TCG; accel++) {
        unsigned room = accel == VM_ACCEL_KVM ? 4 * PROCESSORS : PROCESSORS, count = room + 2;
        char text[128];
        add_waiting(f, count, accel, all);
        for (unsigned i = 0; i < count; i++)
            assert_int_equal(all[i]->record.set_up_due, i >= room);
        assert_true(set_up_waits_for(all[count - 1], text, sizeof text));
        assert_int_equal(atoi(strstr(text, "after ") + strlen("after ")), count - 1);
        assert_false(set_up_waits_for(all[0], text, sizeof text));
        feed(f, all[0], VM_EVENT_GUEST_DONE);
        assert_false(all[room]->record.set_up_due);
        assert_true(all[room + 1]->record.set_up_due);
        feed(f, all[1], VM_EVENT_STOPPED); /* it stands still */
        assert_false(all[room + 1]->record.set_up_due);
        leave(f);
    }
    add_resumed(f, true);
}

static void nobody_is_set_up_while_a_guest_takes_its_identity(void **state)
{
    struct fixture *f = *state;
    struct instance *waits = add_other(f, 1, VM_ACCEL_TCG, false);
    struct instance *takes = add_resumed(f, true);
    identity_adopted(waits);
    run_timers(f);
    assert_true(waits->record.set_up_due); /* it may be loading: its guest runs soon */
    resume_guest(f);
    run_timers(f);
    assert_true(waits->record.set_up_due);
    feed(f, takes, VM_EVENT_STOPPED);
    assert_false(waits->record.set_up_due);
    feed(f, waits, VM_EVENT_EXITED);
    feed(f, takes, VM_EVENT_CONTINUED);
    hear(f, "}\n");
    struct instance *second = add_other(f, 0, VM_ACCEL_TCG, true);
    answer(f, "done\n");
    assert_true(takes->record.set_up_due);
    assert_true(journal_tells(f, "\"kind\":\"queued\""));
    feed(f, second, VM_EVENT_EXITED);
    assert_false(takes->record.set_up_due);
    hear(f, SEED_IDENTITY_KEPT);
}

static unsigned count_waiting(struct instance *const *all, unsigned count)
{
    unsigned waiting = 0;
    for (unsigned i = 0; i < count; i++)
        waiting += all[i]->record.set_up_due;
    return waiting;
}

/* An identity that is taken in an hour stands for one that was taken a moment ago, on however slow a host. */
static void first_logins_get_time_if_more_wait_than_there_is_room_for(void **state)
{
    struct fixture *f = *state;
    struct instance *all[4 * PROCESSORS + 1];
    for (enum vm_accel accel = VM_ACCEL_KVM; accel <= VM_ACCEL_TCG; accel++) {
        unsigned room = accel == VM_ACCEL_KVM ? 4 * PROCESSORS : PROCESSORS, count = room + 1;
        char text[128];
        f->host.identified_ms = pi_monotonic_ms() + 3600000;
        add_waiting(f, count, accel, all);
        assert_int_equal(count_waiting(all, count), count);
        assert_true(set_up_waits_for(all[0], text, sizeof text));
        assert_non_null(strstr(text, "so that logins come first"));
        assert_true(set_up_waits_for(all[1], text, sizeof text));
        assert_non_null(strstr(text, "after 1 other instance"));
        f->host.identified_ms = 1;
        set_up_look(all[0]);
        run_timers(f);
        assert_int_equal(count_waiting(all, count), 1);
        leave(f);
        f->host.identified_ms = pi_monotonic_ms() + 3600000;
        add_waiting(f, count, accel, all);
        feed(f, all[0], VM_EVENT_EXITED); /* there is room for the others */
        assert_int_equal(count_waiting(all + 1, room), 0);
        leave(f);
    }
    add_resumed(f, true);
}

static void identities_and_logins_of_others_hold_nobody_up_for_ever(void **state)
{
    struct fixture *f = *state;
    struct instance *all[PROCESSORS + 1];
    unsigned count = PROCESSORS + 1;
    add_resumed(f, true);
    f->host.identified_ms = pi_monotonic_ms() + 3600000;
    add_waiting(f, count, VM_ACCEL_TCG, all);
    assert_int_equal(count_waiting(all, count), count);
    all[0]->set_up.since_ms = pi_monotonic_ms() - 120000;
    set_up_look(all[0]);
    run_timers(f);
    assert_int_equal(count_waiting(all, count), count - 1);
    assert_false(all[0]->record.set_up_due);
}

static void one_whose_turn_cannot_be_recorded_keeps_nobody_from_a_turn(void **state)
{
    struct fixture *f = *state;
    struct instance *all[PROCESSORS + 1];
    unsigned count = PROCESSORS + 1;
    char oldest[32];
    for (unsigned i = 0; i < count; i++)
        all[i] = add_other(f, count - i, VM_ACCEL_TCG, false);
    snprintf(oldest, sizeof oldest, "n-%u", count);
    assert_int_equal(pi_tree_remove(f->folder->fd, oldest, NULL), 0);
    identity_adopted(all[0]);
    run_timers(f);
    assert_true(all[0]->record.set_up_due);
    for (unsigned i = 1; i < count; i++)
        set_up_look(all[i]);
    run_timers(f);
    assert_int_equal(count_waiting(all, count), 1);
    add_resumed(f, true);
}

/* It may hang, or be hostile. */
static void guest_that_takes_its_identity_for_long_only_keeps_its_own_place(void **state)
{
    struct fixture *f = *state;
    struct instance *takes = add_other(f, 0, VM_ACCEL_TCG, true);
    struct instance *first = add_other(f, 2, VM_ACCEL_TCG, false),
                    *second = add_other(f, 1, VM_ACCEL_TCG, false);
    takes->record.boot_ms -= 50000;
    identity_adopted(first);
    run_timers(f);
    assert_true(first->record.set_up_due);
    takes->record.boot_ms -= 10000;
    identity_adopted(second);
    run_timers(f);
    assert_true(!first->record.set_up_due && second->record.set_up_due);
    feed(f, takes, VM_EVENT_EXITED);
    assert_false(second->record.set_up_due);
    add_resumed(f, true);
}

static void time_for_all_parts_of_an_identity_is_bounded(void **state)
{
    struct fixture *f = *state;
    struct instance *instance = add_resumed(f, true);
    resume_guest(f);
    hear(f, "}\n");
    instance->identity.since_ms -= 300000;
    answer(f, "did names\n");
    run_timers(f);
    fails_with(f, "it got as far as 'names'");
}

static bool shows_sign_now(const struct instance *instance)
{
    uint64_t before = pi_realtime_ms();
    json_auto_t *view = instance_view(instance);
    return (uint64_t)json_integer_value(json_object_get(view, "last_sign_ms")) >= before;
}

/* Nobody is to give it up: that it shows no sign is no fault of its own. Its silence counts from its turn on. */
static void guest_that_waits_for_its_turn_is_not_silent(void **state)
{
    struct fixture *f = *state;
    struct instance *takes = add_other(f, 0, VM_ACCEL_TCG, true),
                    *waits = add_other(f, 1, VM_ACCEL_TCG, false);
    identity_adopted(waits);
    run_timers(f);
    assert_true(shows_sign_now(waits) && !guest_sign_realtime_ms(waits));
    feed(f, takes, VM_EVENT_EXITED);
    assert_true(guest_sign_realtime_ms(waits) && !waits->record.set_up_due);
    waits->guest.sign_realtime_ms = 1;
    assert_false(shows_sign_now(waits));
    add_resumed(f, true);
}

static unsigned count_timers(struct instance *const *all, unsigned count)
{
    unsigned set = 0;
    for (unsigned i = 0; i < count; i++)
        set += timer_is_set(all[i]->set_up.timer);
    return set;
}

static void only_the_next_one_looks_for_its_turn(void **state)
{
    struct fixture *f = *state;
    struct instance *all[4], *takes = add_other(f, 0, VM_ACCEL_TCG, true);
    for (unsigned i = 0; i < 4; i++)
        all[i] = add_other(f, 4 - i, VM_ACCEL_TCG, false);
    for (unsigned i = 0; i < 4; i++)
        identity_adopted(all[i]);
    run_timers(f);
    assert_true(timer_is_set(all[0]->set_up.timer) && count_timers(all, 4) == 1);
    qemu_events_missed_reset(all[0]); /* its disk boots */
    run_timers(f);
    assert_true(timer_is_set(all[1]->set_up.timer) && all[1]->record.set_up_due);
    set_up_heard(all[1]); /* of an older template */
    run_timers(f);
    assert_true(timer_is_set(all[2]->set_up.timer) && all[2]->record.set_up_due);
    feed(f, takes, VM_EVENT_EXITED);
    assert_false(all[2]->record.set_up_due);
    assert_true(timer_is_set(all[3]->set_up.timer) && all[3]->record.set_up_due);
    add_resumed(f, true);
}

static void guest_that_stands_still_is_not_told_until_it_goes_on(void **state)
{
    struct fixture *f = *state;
    char chunk[8];
    struct instance *instance = add_resumed(f, true);
    resume_guest(f);
    hear(f, "}\n");
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_STOPPED});
    run_until_saved(f);
    forget_heard(f);
    answer(f, "done\n");
    assert_true(instance->record.set_up_due && recv(f->guest_fd, chunk, sizeof chunk, MSG_DONTWAIT) < 0);
    resume_guest(f);
    hear(f, SEED_IDENTITY_KEPT);
    assert_false(instance->record.set_up_due);
}

/* An agent may have recorded its turn, begun to save it and ended before it sent the line. */
static void guest_that_goes_on_after_a_save_is_told_again(void **state)
{
    struct fixture *f = *state;
    struct instance *instance = add_resumed(f, true);
    resume_guest(f);
    hear(f, "}\n");
    answer(f, "done\n");
    hear(f, SEED_IDENTITY_KEPT);
    forget_heard(f);
    instance->record.life.state = VM_RESTORING;
    instance->record.life.committed = true;
    resume_guest(f);
    hear(f, SEED_IDENTITY_KEPT);
}

static void place_is_given_back_when_its_guest_rests(void **state)
{
    struct fixture *f = *state;
    struct instance *all[PROCESSORS + 1];
    struct pi_identity id;
    unsigned count = PROCESSORS + 1;
    assert_int_equal(pi_identify(getpid(), &id, NULL), 0);
    for (unsigned i = 0; i < count; i++) {
        all[i] = add_other(f, count - i, VM_ACCEL_TCG, false);
        all[i]->record.pid = (uint64_t)id.pid;
        all[i]->record.start_ticks = id.start_ticks;
        all[i]->process.pidfd = pi_identity_open(&id);
        identity_adopted(all[i]);
    }
    run_timers(f);
    assert_true(all[0]->set_up.placed && all[count - 1]->record.set_up_due);
    uint64_t end = pi_monotonic_ms() + LOOP_DEADLINE_MS;
    while (all[0]->set_up.placed && pi_monotonic_ms() < end) {
        timer_set(all[0]->set_up.timer, 1); /* this process does little between two looks */
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    run_timers(f);
    assert_false(all[0]->set_up.placed || all[count - 1]->record.set_up_due);
    add_resumed(f, true);
}

static void guest_that_boots_anew_or_reports_waits_for_no_turn(void **state)
{
    struct fixture *f = *state;
    struct instance *instance = add_other(f, 1, VM_ACCEL_TCG, false);
    qemu_events_missed_reset(instance);
    assert_false(instance->record.set_up_due);
    instance->record.set_up_due = true;
    set_up_heard(instance); /* of an older template: it did not wait */
    assert_true(!instance->record.set_up_due && instance->set_up.placed);
    run_until_saved(f);
    add_resumed(f, true);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(guest_is_told_when_it_runs_and_hears_when_that_is_on_record),
        TEST(guest_that_heard_a_part_is_told_again),
        TEST(next_agent_tells_what_the_one_before_did_not_see_taken),
        TEST(instance_fails_whose_guest_does_not_take_its_identity),
        TEST(endless_answers_are_bounded),
        TEST(instance_fails_whose_guest_cannot_be_told),
        TEST(guest_that_is_paused_is_waited_for),
        TEST(guest_that_fails_while_it_stands_still_is_ended),
        TEST(guest_that_is_reset_has_no_identity_to_take),
        TEST(ephemeral_guest_that_fails_is_removed_with_the_reason_alone),
        TEST(boot_is_told_once_also_of_a_guest_that_was_paused_before_it_ran),
        TEST(guests_are_set_up_in_turns_the_oldest_first_and_as_many_as_there_is_room_for),
        TEST(nobody_is_set_up_while_a_guest_takes_its_identity),
        TEST(first_logins_get_time_if_more_wait_than_there_is_room_for),
        TEST(identities_and_logins_of_others_hold_nobody_up_for_ever),
        TEST(one_whose_turn_cannot_be_recorded_keeps_nobody_from_a_turn),
        TEST(guest_that_takes_its_identity_for_long_only_keeps_its_own_place),
        TEST(time_for_all_parts_of_an_identity_is_bounded),
        TEST(guest_that_waits_for_its_turn_is_not_silent),
        TEST(only_the_next_one_looks_for_its_turn),
        TEST(guest_that_stands_still_is_not_told_until_it_goes_on),
        TEST(guest_that_goes_on_after_a_save_is_told_again),
        TEST(place_is_given_back_when_its_guest_rests),
        TEST(guest_that_boots_anew_or_reports_waits_for_no_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
