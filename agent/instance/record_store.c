/* SPDX-License-Identifier: MIT */
#include "agent/instance/record_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/api/control_server.h"
#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/image/use.h"
#include "agent/instance/api_view.h"
#include "agent/instance/instance.h"
#include "agent/loop/loop.h"

#define RETRY_MS 5000

struct answer {
    struct api_call *call;
    unsigned status;
    bool already;
    STAILQ_ENTRY(answer) entry;
};

/* These run in the thread. They read only what the loop does not change meanwhile. */

static int write_user_data(const struct instance *instance, struct pi_error *err)
{
    const struct pi_buf *bytes = &instance->store.user_data;
    return instance->record.spec.has_user_data
               ? pi_file_write(instance->dir_fd, VM_USER_DATA_FILE, bytes->data, bytes->size, 0600, err)
               : 0;
}

static int write_files(const struct instance *instance, struct pi_error *err)
{
    const struct record_store *store = &instance->store;
    if (!store->text)
        return pi_fail(err, ENOMEM, "cannot write " VM_RECORD_FILE);
    int r = store->fresh ? write_user_data(instance, err) : 0;
    if (r == 0)
        r = pi_file_write(instance->dir_fd, VM_RECORD_FILE, store->text, strlen(store->text), 0600, err);
    return r == 0 && store->fresh ? pi_dir_sync(instance->host->folder_fd, err) : r;
}

/* By an earlier write, maybe an earlier agent's; or only the folder's sync failed, after the rename. */
static bool is_saved_on_record(const struct instance *instance)
{
    struct vm_record record = {0};
    bool saved = vm_record_load(instance->dir_fd, &record, NULL) == 0 && vm_life_is_saved_whole(&record.life);
    vm_record_done(&record);
    return saved;
}

static void write_record_in_thread(uv_work_t *request)
{
    struct instance *instance = request->data;
    instance->store.result = write_files(instance, &instance->store.failure);
    instance->store.saved_on_record = instance->store.result < 0 && is_saved_on_record(instance);
}

static void discard_folder_in_thread(uv_work_t *request)
{
    struct instance *instance = request->data;
    const struct vm_spec *spec = &instance->record.spec;
    instance->store.result = pi_tree_discard(instance->host->folder_fd, spec->name, &instance->store.failure);
    if (instance->store.result < 0)
        return;
    if (spec->image.path)
        image_use_drop(spec->image.path, spec->image.sha256, instance->folder);
    else
        image_use_drop_any(instance->host->images, instance->folder);
}

/* On the loop. */

static void reply_with_view(const struct instance *instance, const struct answer *answer)
{
    json_t *view = instance_view(instance);
    if (answer->already)
        json_object_set_new(view, "already", json_true());
    api_reply(answer->call, answer->status, view);
}

static void answer_all(struct instance *instance, const struct pi_error *err)
{
    struct answer *answer;
    while ((answer = STAILQ_FIRST(&instance->store.answers))) {
        STAILQ_REMOVE_HEAD(&instance->store.answers, entry);
        if (instance->detached)
            ; /* the agent ends, and its server answers */
        else if (err)
            api_reply_error(answer->call, err);
        else
            reply_with_view(instance, answer);
        free(answer);
    }
}

/* Everything is written, or could not be written: goes on with what waited for that. */
static void settle_store(struct instance *instance)
{
    struct record_store *store = &instance->store;
    store_then_fn then = pi_steal(store->then);
    journal_tell(instance);
    if (then)
        then(instance, store->result, &store->failure);
    unsigned due = store->due, ends = instance->record.spec.template ? VM_DO_KILL : VM_DO_QUIT;
    store->due = 0;
    if (store->result < 0 && !store->saved_on_record && (due & ends) &&
        vm_life_is_saved_whole(&instance->record.life))
        /* The next agent would not know of the saved state: QEMU keeps its guest. */
        instance_feed_because(instance, &(struct vm_event){.type = VM_EVENT_STATE_FAILED},
                              "its state could not be saved: %s", store->failure.text);
    else
        instance_carry_out(instance, due);
    if (!store_is_saving(instance))
        answer_all(instance, NULL);
}

static void on_thread_done(uv_work_t *request, int status);

static void start_store_thread(struct instance *instance)
{
    struct record_store *store = &instance->store;
    bool discards = store->removal == STORE_TO_GO;
    store->busy = true;
    store->wanted = false;
    if (discards)
        store->removal = STORE_GOING;
    else
        store->text = vm_record_render(&instance->record);
    store->request.data = instance;
    instance_ref(instance);
    instance->host->writes++;
    uv_queue_work(instance->host->loop, &store->request,
                  discards ? discard_folder_in_thread : write_record_in_thread, on_thread_done);
}

static void store_go_on(struct instance *instance)
{
    if (instance->store.busy)
        return;
    if (instance->store.wanted)
        start_store_thread(instance);
    else if (!instance->detached)
        settle_store(instance);
}

/* If there is a next step, that step deals with a failure. */
static void note_outcome(struct instance *instance)
{
    const struct record_store *store = &instance->store;
    bool was_unsaved = instance->store.unsaved;
    if (instance->detached || store->then)
        return;
    instance->store.unsaved = store->result < 0;
    if (instance->store.unsaved)
        store_save_later(instance);
    if (instance->store.unsaved && !was_unsaved)
        journal_note(instance, "its state cannot be saved: %s; it goes on, and piagent tries again",
                     store->failure.text);
    else if (was_unsaved && !instance->store.unsaved)
        journal_note(instance, "its state is saved again");
}

static void on_thread_done(uv_work_t *request, int status)
{
    struct instance *instance = request->data;
    struct record_store *store = &instance->store;
    (void)status;
    instance->host->writes--;
    store->busy = false;
    free(pi_steal(store->text));
    if (store->removal == STORE_GOING)
        store->removal = store->result < 0 ? STORE_KEPT : STORE_GONE;
    else
        note_outcome(instance);
    store->fresh = store->fresh && store->result < 0;
    store_go_on(instance);
    instance_unref(instance);
}

void store_init(struct instance *instance)
{
    STAILQ_INIT(&instance->store.answers);
}

void store_stop(struct instance *instance)
{
    timer_free(pi_steal(instance->store.timer));
}

void store_done(struct instance *instance)
{
    store_stop(instance);
    pi_buf_done(&instance->store.user_data);
}

void store_begin(struct instance *instance, struct pi_buf *user_data)
{
    instance->store.user_data = *user_data;
    *user_data = (struct pi_buf){0};
    instance->store.fresh = true;
}

bool store_has_due(const struct instance *instance, unsigned actions)
{
    return instance->store.due & actions;
}

void store_expect_save(struct instance *instance)
{
    if (!store_is_discarding(instance))
        instance->store.wanted = true;
}

bool store_is_saving(const struct instance *instance)
{
    return instance->store.busy || instance->store.wanted;
}

void store_save(struct instance *instance)
{
    store_expect_save(instance);
    store_go_on(instance);
}

void store_save_then(struct instance *instance, store_then_fn then)
{
    instance->store.then = then;
    store_save(instance);
}

void store_when_saved(struct instance *instance, unsigned actions)
{
    instance->store.due |= actions;
    store_go_on(instance);
}

void store_forget_plans(struct instance *instance)
{
    instance->store.due = 0;
    instance->store.then = NULL;
}

void store_answer(struct instance *instance, struct api_call *call, unsigned status, bool already)
{
    struct answer *answer = malloc(sizeof *answer);
    if (!answer) {
        struct pi_error err;
        pi_fail(&err, ENOMEM, "%s", instance->record.spec.name);
        api_reply_error(call, &err);
        return;
    }
    *answer = (struct answer){.call = call, .status = status, .already = already};
    STAILQ_INSERT_TAIL(&instance->store.answers, answer, entry);
    store_go_on(instance);
}

void store_refuse_waiting(struct instance *instance, const struct pi_error *err)
{
    answer_all(instance, err);
}

void store_discard(struct instance *instance, store_then_fn then)
{
    store_forget_plans(instance);
    instance->store.then = then;
    instance->store.removal = STORE_TO_GO;
    instance->store.wanted = true;
    store_go_on(instance);
}

bool store_is_discarding(const struct instance *instance)
{
    return instance->store.removal != STORE_KEPT;
}

static void on_save(void *user)
{
    struct instance *instance = user;
    if (!journal_flush(instance))
        store_save_later(instance);
    if (instance->store.unsaved)
        store_save(instance);
}

void store_save_later(struct instance *instance)
{
    if (!instance->store.timer)
        instance->store.timer = timer_new(instance->host->loop, on_save, instance);
    if (instance->store.timer)
        timer_set(instance->store.timer, RETRY_MS);
}
