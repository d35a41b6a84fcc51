/* SPDX-License-Identifier: MIT */
#include "agent/instance/creation.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/api/control_server.h"
#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/fs.h"
#include "agent/base/random.h"
#include "agent/base/text.h"
#include "agent/image/progress.h"
#include "agent/instance/adoption.h"
#include "agent/instance/clone_request.h"
#include "agent/instance/create_request.h"
#include "agent/instance/creation_check.h"
#include "agent/instance/instance.h"
#include "agent/instance/membership.h"
#include "agent/instance/qemu_sockets.h"
#include "agent/instance/start_files.h"
#include "agent/instance/template_request.h"
#include "agent/loop/log.h"
#include "agent/loop/loop.h"
#include "agent/loop/worker_process.h"
#include "imds/registry.h"

/* After a failed creation, or the end of an ephemeral instance, its followers have this long to read about it. */
#define GHOST_MS 10000

void creation_reset(struct instance *instance)
{
    worker_cancel(pi_steal(instance->creation.worker), &instance->host->ending_workers);
}

void creation_done(struct instance *instance)
{
    timer_free(instance->creation.timer);
    api_done(create, &instance->creation.request);
}

static void on_ghost_over(void *user)
{
    instance_detach(user);
}

static void answer_remover(struct instance *instance, int result, const struct pi_error *why)
{
    struct api_call *call = pi_steal(instance->creation.remover);
    if (call && result < 0)
        api_reply_error(call, why);
    else if (call)
        api_reply(call, 200, json_object());
}

/* The name is free again. */
static void keep_ghost(struct instance *instance)
{
    instance->creation.timer = timer_new(instance->host->loop, on_ghost_over, instance);
    if (instance->creation.timer)
        timer_set(instance->creation.timer, GHOST_MS);
    else
        instance_detach(instance);
}

/* Tells the followers why the creation failed. */
static void tell_failure(struct instance *instance)
{
    struct pi_error *failure = &instance->creation.failure;
    store_refuse_waiting(instance, failure);
    journal_add(instance, &(struct api_event){
                              .kind = API_EVENT_ERROR, .text = failure->text, .error_kind = failure->kind});
    keep_ghost(instance);
}

/* It was removed by request. */
static void forget_removed(struct instance *instance)
{
    struct pi_error gone;
    pi_refuse(&gone, PI_CONFLICT, "%s was removed", instance->record.spec.name);
    store_refuse_waiting(instance, &gone);
    qemu_sockets_clean(instance);
    instance_detach(instance);
}

static void on_undone(struct instance *instance, int result, const struct pi_error *why)
{
    if (result < 0)
        log_line("%s: %s", instance->record.spec.name, why->text);
    answer_remover(instance, result, why);
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_UNDONE, .success = result == 0});
}

void creation_undo(struct instance *instance, enum pi_kind kind, const char *reason)
{
    struct pi_error *failure = &instance->creation.failure;
    failure->kind = kind;
    pi_text_clean(reason ? reason : "", reason ? strlen(reason) : 0, failure->text, sizeof failure->text);
    if (reason)
        log_line("%s: not created: %s", instance->record.spec.name, failure->text);
    instance_reset(instance);
    store_discard(instance, on_undone);
}

static void step_failed(struct instance *instance, const struct pi_error *err)
{
    instance_feed(instance,
                  &(struct vm_event){.type = VM_EVENT_STEP_FAILED, .kind = err->kind, .reason = err->text});
}

static void step_done(struct instance *instance)
{
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_STEP_DONE});
}

void creation_saved(struct instance *instance, int result, const struct pi_error *why)
{
    if (result < 0)
        step_failed(instance, why);
    else
        step_done(instance);
}

bool creation_is_under_way(const struct instance *instance)
{
    return instance->record.life.state == VM_CREATED && !vm_life_is_gone(&instance->record.life);
}

bool creation_is_being_undone(const struct instance *instance)
{
    const struct vm_life *life = &instance->record.life;
    return life->creation == VM_CREATION_UNDOING || life->creation == VM_CREATION_CANCELLING;
}

void creation_give_up(struct instance *instance, const char *why)
{
    struct pi_error err;
    pi_refuse(&err, PI_AGENT, "%s", why);
    step_failed(instance, &err);
}

static int take_image(struct instance *instance, struct worker_prepared *prepared, struct pi_error *err)
{
    struct vm_spec *spec = &instance->record.spec;
    if (!prepared->image.path || !prepared->image.name || !prepared->image.format)
        return pi_refuse(err, PI_FAILED, "the worker's answer lacks the image's path or name");
    if (!spec->disk_bytes)
        spec->disk_bytes = prepared->image.virtual_size_bytes;
    spec->image = prepared->image;
    prepared->image = (struct vm_image){0};
    if (prepared->note)
        journal_note(instance, "%s", prepared->note);
    return 0;
}

/* A clone, and an instance of a template, has its source's image. */
static bool has_image(const struct instance *instance)
{
    return instance->record.spec.image.path;
}

static int take_prepared(struct instance *instance, const json_t *result, struct pi_error *err)
{
    struct worker_prepared prepared = {0};
    int r = pi_fields_read(worker_prepared_fields, result, true, &prepared, err);
    if (r < 0)
        pi_context(err, r, "the worker's answer");
    else if (!has_image(instance))
        r = take_image(instance, &prepared, err);
    pi_fields_done(worker_prepared_fields, &prepared);
    return r < 0 ? r : files_check(instance, err);
}

static void on_prepared(int r, const json_t *result, const struct pi_error *err, void *user)
{
    struct instance *instance = user;
    struct pi_error failure;
    instance->creation.worker = NULL;
    if (r < 0)
        step_failed(instance, err);
    else if (take_prepared(instance, result, &failure) < 0)
        step_failed(instance, &failure);
    else
        step_done(instance);
}

/* A worker tells of its download five times a second, and then of the next phase: so the rest has come, too. */
static void count_download(struct instance *instance, const struct image_progress *progress)
{
    struct creation *creation = &instance->creation;
    bool ended = progress->phase == IMAGE_CHECKING || progress->phase == IMAGE_DONE;
    uint64_t done_bytes = ended ? creation->expected_bytes : progress->done_bytes;
    if (progress->phase == IMAGE_DOWNLOADING)
        creation->expected_bytes = progress->total_bytes;
    else if (!ended)
        return;
    if (done_bytes > creation->fetched_bytes) {
        instance->host->downloaded_bytes += done_bytes - creation->fetched_bytes;
        creation->fetched_bytes = done_bytes;
    }
}

static void on_image_progress(const json_t *line, void *user)
{
    struct image_progress progress = {0};
    if (pi_fields_read(image_progress_fields, line, true, &progress, NULL) < 0)
        return;
    count_download(user, &progress);
    journal_progress(user, &(struct api_event){.kind = API_EVENT_IMAGE,
                                               .text = progress.name,
                                               .phase = progress.phase,
                                               .done_bytes = progress.done_bytes,
                                               .total_bytes = progress.total_bytes,
                                               .rate_bytes_per_s = progress.rate_bytes_per_s});
}

static int start_preparation(struct instance *instance, struct pi_error *err)
{
    static const struct worker_handler handler = {.progress = on_image_progress, .done = on_prepared};
    const struct api_create *request = &instance->creation.request;
    const struct vm_spec *spec = &instance->record.spec;
    const char *source = spec->of_template[0] ? spec->of_template : spec->cloned_from;
    char path[PATH_MAX];
    struct worker_prepare wanted = {.folder = instance->folder, .source = source[0] ? path : NULL};
    snprintf(path, sizeof path, "%s/%s", instance->host->folder, source);
    if (!has_image(instance)) {
        wanted.image = request->image ? request->image : (char *)CREATE_DEFAULT_IMAGE;
        wanted.arch = (char *)vm_arch_names[spec->arch];
        wanted.sha256 = request->image_sha256;
        wanted.unverified = request->image_unverified;
        wanted.allow_unsigned = request->image_allow_unsigned;
    }
    json_auto_t *text = pi_fields_write(worker_prepare_fields, &wanted);
    const struct worker_job job = {.program = instance->host->program,
                                   .kind = WORKER_PREPARE,
                                   .request = text,
                                   .environment = &request->environment};
    return text
               ? worker_start(instance->host->loop, &job, &handler, instance, &instance->creation.worker, err)
               : pi_fail(err, ENOMEM, "cannot start a worker");
}

static void keep_first(const char *option, const char *value, const struct pi_error *why, void *user)
{
    struct pi_error *first = user;
    (void)option;
    (void)value;
    if (first->kind == PI_OK)
        *first = *why;
}

/* Checks, before anything is downloaded, everything on this host that the start will need. */
static int check_host(struct instance *instance, struct pi_error *err)
{
    struct pi_error first = {0};
    creation_check_host(instance, keep_first, &first);
    return first.kind == PI_OK ? 0 : pi_refuse(err, first.kind, "%s", first.text);
}

/* If an instance's folder was taken away, its name stays in use as long as its QEMU runs. */
static int check_name(struct instance_host *host, const char *name, struct pi_error *err)
{
    char path[PATH_MAX], socket[QEMU_SOCKET_NAME_MAX + 1];
    const struct instance *other = host_find(host, name, false);
    qemu_socket_file(name, QEMU_SOCKET_QMP, socket);
    snprintf(path, sizeof path, "%s/%s", host->runtime, socket);
    if (!other && access(path, F_OK) < 0)
        return 0;
    snprintf(path, sizeof path, "%s/%s", host->folder, name);
    pid_t pid = other ? 0 : adoption_find_qemu(path, err);
    if (pid < 0)
        return pi_context(err, pid, "the name %s may be in use", name);
    if (pid)
        return pi_refuse(err, PI_CONFLICT,
                         "an instance named %s runs on without its folder: end it first with: kill %d", name,
                         (int)pid);
    if (!other)
        return 0;
    if (other->record.spec.template)
        return pi_refuse(
            err, PI_CONFLICT,
            "the name %s is in use, by a template: choose another one, or remove the template first "
            "(piagent template rm %s)",
            name, name);
    bool live = vm_state_is_live(other->record.life.state);
    return pi_refuse(
        err, PI_CONFLICT,
        "the name %s is in use, %s: choose another one, go on with that instance (piagent %s %s), or "
        "remove it first (piagent rm %s%s)",
        name, vm_state_names[other->record.life.state], live ? "console" : "start", name,
        live ? "--force " : "", name);
}

static int make_folder(struct instance_host *host, const char *name, struct pi_error *err)
{
    int r = check_name(host, name, err);
    if (r == 0 && mkdirat(host->folder_fd, name, 0700) < 0)
        r = pi_fail(err, errno, "cannot create %s/%s", host->folder, name);
    return r;
}

/* An empty one goes without a descriptor: perhaps there are none. */
static void take_back_folder(struct instance_host *host, const char *name)
{
    if (unlinkat(host->folder_fd, name, AT_REMOVEDIR) < 0)
        pi_tree_remove(host->folder_fd, name, NULL);
}

static void begin_preparation(struct instance *instance)
{
    struct pi_error err;
    if (start_preparation(instance, &err) < 0)
        step_failed(instance, &err);
    else
        milestones_add(instance, &(struct api_event){.kind = API_EVENT_STATE, .state = VM_CREATED});
}

void creation_carry_out(struct instance *instance, unsigned actions)
{
    if (actions & VM_DO_PREPARE)
        begin_preparation(instance);
    if (actions & VM_DO_TELL_FAILURE)
        tell_failure(instance);
    if (actions & VM_DO_FORGET)
        forget_removed(instance);
}

static int check_new_record(struct instance_host *host, struct api_create *request, struct vm_record *record,
                            struct pi_buf *user_data, struct pi_error *err)
{
    if (request->spec.of_template[0])
        return template_request_check(host, request, record, err);
    int r = request->clone_of ? clone_request_check(host, request, &record->spec, user_data, err)
                              : create_request_check(request, &record->spec, err);
    record->template_hardware = r == 0 && record->spec.template;
    return r;
}

int instance_create(struct instance_host *host, struct api_create *request, struct instance **ret,
                    struct pi_error *err)
{
    __attribute__((cleanup(vm_record_done))) struct vm_record record = {.schema = VM_RECORD_SCHEMA,
                                                                        .id_on_board = true};
    pi_auto_buf struct pi_buf user_data = {0};
    struct instance *instance;
    record.created_ms = pi_realtime_ms();
    int r = check_new_record(host, request, &record, &user_data, err);
    if (r == 0 && ((r = pi_random_hex(IMDS_KEY_LENGTH, record.key)) < 0 ||
                   (r = pi_random_hex(IMDS_KEY_LENGTH, record.report_key)) < 0))
        pi_fail(err, -r, "cannot create %s", request->name);
    if (r == 0)
        r = membership_resolve(host, &record.spec, err);
    if (r == 0)
        r = peers_enter(host, &record, err);
    if (r == 0)
        r = make_folder(host, request->name, err);
    if (r < 0)
        return r;
    r = instance_new(host, &record, &instance, err);
    if (r < 0) {
        take_back_folder(host, request->name);
        return r;
    }
    if ((r = create_request_user_data(request, &user_data, err)) < 0 || (r = check_host(instance, err)) < 0) {
        instance_detach(instance);
        take_back_folder(host, request->name);
        return r;
    }
    instance->creation.request = *request;
    *request = (struct api_create){0};
    store_begin(instance, &user_data);
    membership_changed(instance);
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_CREATE,
                                               .stopped = instance->creation.request.stopped,
                                               .saved = instance->record.identity_due});
    *ret = instance;
    return 0;
}

static void on_removed(struct instance *instance, int result, const struct pi_error *why)
{
    answer_remover(instance, result, why);
    if (result < 0)
        store_save(instance); /* what has changed meanwhile */
    else
        forget_removed(instance);
}

bool creation_is_spent(const struct instance *instance)
{
    const struct vm_record *record = &instance->record;
    const struct vm_life *life = &record->life;
    return record->spec.ephemeral && record->started_ms &&
           (vm_life_has_ended(life) || life->state == VM_SAVED);
}

static void on_thrown_away(struct instance *instance, int result, const struct pi_error *why)
{
    const char *name = instance->record.spec.name;
    answer_remover(instance, result, why);
    if (result < 0) {
        journal_note(instance, "it is ephemeral, and cannot be removed: %s; try again with: piagent rm %s",
                     why->text, name);
        store_save(instance);
        return;
    }
    log_line("%s: removed, as it is ephemeral", name);
    qemu_sockets_clean(instance);
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_UNDONE, .success = true});
    membership_changed(instance);
    peers_changed(instance);
    keep_ghost(instance);
}

void creation_throw_away(struct instance *instance)
{
    if (!store_is_discarding(instance))
        store_discard(instance, on_thrown_away);
}

int creation_refuse_ephemeral(const struct instance *instance, const char *done, struct pi_error *err)
{
    const char *name = instance->record.spec.name;
    return instance->record.spec.ephemeral
               ? pi_refuse(err, PI_CONFLICT,
                           "%s is ephemeral, so that nothing outlives its run: it cannot be %s", name, done)
               : 0;
}

static int check_removal(const struct instance *instance, struct pi_error *err)
{
    const char *name = instance->record.spec.name;
    pid_t pid = instance->broken ? adoption_find_qemu(instance->folder, err) : 0;
    if (pid < 0)
        return pi_context(err, pid, "%s cannot be removed", name);
    if (pid)
        return pi_refuse(err, PI_CONFLICT,
                         "%s cannot be removed while its QEMU runs: end it first with: kill %d", name,
                         (int)pid);
    int r = snapshot_refuse_busy(instance, err);
    return r < 0 ? r : clone_request_refuse_source(instance, err);
}

void instance_remove(struct instance *instance, struct api_call *call)
{
    struct pi_error err;
    bool goes = store_is_discarding(instance);
    int r = goes && instance->creation.remover
                ? pi_refuse(&err, PI_CONFLICT, "%s is being removed already", instance->record.spec.name)
                : check_removal(instance, &err);
    if (r < 0) {
        api_reply_error(call, &err);
        return;
    }
    instance->creation.remover = call;
    if (goes)
        return;
    if (creation_is_under_way(instance))
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_CANCEL});
    else
        store_discard(instance, on_removed);
}
