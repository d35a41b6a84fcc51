/* SPDX-License-Identifier: MIT */
/* A new instance: checked first, then its image is fetched and its folder filled by workers. All of it, or
 * nothing. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/base64.h"
#include "agent/base/clock.h"
#include "agent/base/environ.h"
#include "agent/base/fs.h"
#include "agent/image/fetch.h"
#include "agent/image/sources.h"
#include "agent/instance/instance.h"
#include "agent/instance/scope.h"
#include "agent/loop/log.h"
#include "agent/seed/documents.h"
#include "agent/seed/password.h"
#include "agent/seed/ssh_key.h"
#include "agent/seed/user_data.h"

#define DEFAULT_IMAGE      "fedora"
#define DEFAULT_USER       "fedora"
#define DEFAULT_CPUS       2
#define DEFAULT_MEMORY_MIB 1024
#define DEFAULT_DISK_BYTES ((uint64_t)10 << 30)
/* How long the followers of a creation that failed can still read why. */
#define GHOST_MS 10000

static int word(const char *option, const char *given, const char *const *names, unsigned otherwise,
                unsigned *ret, struct pi_error *err)
{
    pi_auto_buf struct pi_buf known = {0};
    if (!given) {
        *ret = otherwise;
        return 0;
    }
    for (unsigned i = 0; names[i]; i++) {
        if (!strcmp(given, names[i])) {
            *ret = i;
            return 0;
        }
        pi_buf_printf(&known, "%s%s", i ? ", " : "", names[i]);
    }
    return pi_refuse(err, PI_USAGE, "--%s '%.32s' is not known: it is one of %s", option, given,
                     known.data ? known.data : "");
}

static char *copy_or(const char *text, const char *otherwise)
{
    return text || otherwise ? strdup(text ? text : otherwise) : NULL;
}

static int make_mac(char **ret)
{
    uint8_t b[3];
    int r = pi_random_bytes(b, sizeof b);
    /* QEMU's own prefix, locally administered. */
    return r < 0 ? r : asprintf(ret, "52:54:00:%02x:%02x:%02x", b[0], b[1], b[2]) < 0 ? -ENOMEM : 0;
}

/* What the fetch of the image is told: the request's settings, then the agent's own. */
static int complete_environment(struct pi_strv *environment, struct pi_error *err)
{
    for (size_t i = 0; i < environment->count; i++)
        if (!image_sources_is_setting(environment->items[i]))
            return pi_refuse(
                err, PI_USAGE,
                "environment: '%.80s' is not NAME=VALUE of a variable that says where images come "
                "from: PIAGENT_FEDORA_..., proxies and certificates",
                environment->items[i]);
    int r = pi_environ_add(image_sources_is_setting, environment);
    return r < 0 ? pi_fail(err, -r, "environment") : 0;
}

static int fill_spec(struct api_create *request, struct vm_spec *spec, struct pi_error *err)
{
    int r;
    if ((r = pi_name_check(request->name, err)) < 0 ||
        (r = word("arch", request->arch, vm_arch_names, vm_arch_host(), &spec->arch, err)) < 0 ||
        (r = word("accel", request->accel, vm_accel_names, VM_ACCEL_AUTO, &spec->accel, err)) < 0 ||
        (r = word("firmware", request->firmware, vm_firmware_names, VM_FIRMWARE_AUTO, &spec->firmware, err)) <
            0)
        return r;
    if (spec->arch == VM_ARCHES)
        return pi_refuse(err, PI_USAGE,
                         "this host is neither x86_64 nor aarch64: say which one to emulate with --arch");
    snprintf(spec->name, sizeof spec->name, "%s", request->name);
    spec->cpus = request->cpus ? request->cpus : DEFAULT_CPUS;
    spec->memory_mib = request->memory_mib ? request->memory_mib : DEFAULT_MEMORY_MIB;
    spec->memory_max_mib = request->memory_max_mib;
    spec->cpu_quota_percent = request->cpu_quota_percent;
    spec->disk_bytes = request->disk_bytes;
    spec->user = copy_or(request->user, DEFAULT_USER);
    spec->password_hash = copy_or(request->password_hash, NULL);
    spec->forwards = request->forwards;
    request->forwards = (struct pi_strv){0};
    spec->isolate = request->isolate;
    spec->authorized_keys = request->ssh_keys;
    request->ssh_keys = (struct pi_strv){0};
    spec->has_user_data = request->user_data || request->user_data_base64;
    if (!spec->user || pi_random_uuid(spec->uuid) < 0 || make_mac(&spec->mac) < 0)
        return pi_fail(err, ENOMEM, "cannot create %s", spec->name);
    return vm_spec_check(spec, err);
}

/* The user's own file, byte for byte. Nothing where there is none. */
static int user_data_read(const struct api_create *request, struct pi_buf *ret, struct pi_error *err)
{
    const char *text = request->user_data, *encoded = request->user_data_base64;
    if (text && encoded)
        return pi_refuse(err, PI_USAGE, "user_data and user_data_base64 exclude each other");
    size_t length = encoded ? strlen(encoded) : 0, size = 0;
    pi_auto_free uint8_t *bytes = malloc(length + 1);
    if (!bytes || (text && pi_buf_puts(ret, text) < 0))
        return pi_fail(err, ENOMEM, "cannot read the user-data");
    if (pi_base64_decode(encoded, length, bytes, &size) < 0)
        return pi_refuse(err, PI_USAGE, "user_data_base64 is not base64");
    return pi_buf_add(ret, bytes, size) < 0 ? pi_fail(err, ENOMEM, "cannot read the user-data") : 0;
}

/* The command line has checked these too; whoever speaks to the socket may not have. */
static int check_seed(const struct api_create *request, const struct vm_spec *spec, struct pi_error *err)
{
    enum seed_kind kind;
    int r = seed_user_check(spec->user, err);
    if (r == 0 && spec->password_hash)
        r = seed_hash_check(spec->password_hash, err);
    for (size_t i = 0; r == 0 && i < spec->authorized_keys.count; i++)
        r = seed_ssh_key_check(spec->authorized_keys.items[i], err);
    pi_auto_buf struct pi_buf user_data = {0};
    if (r == 0)
        r = user_data_read(request, &user_data, err);
    if (r == 0 && spec->has_user_data && !request->user_data_unchecked)
        r = seed_user_data_check(user_data.data ? user_data.data : "", user_data.size, &kind, err);
    return r;
}

static int check_memory(const struct vm_spec *spec, struct pi_error *err)
{
    struct sysinfo host;
    char wanted[32], there[32];
    if (sysinfo(&host) < 0)
        return 0;
    uint64_t total = (uint64_t)host.totalram * host.mem_unit, bytes = spec->memory_mib << 20;
    if (bytes <= total)
        return 0;
    return pi_refuse(err, PI_HOST, "--memory %s is more than this host has (%s)",
                     pi_size_format(bytes, wanted), pi_size_format(total, there));
}

static void on_ghost_over(void *user)
{
    instance_detach(user);
}

static void answer_remover(struct instance *instance, int result, const struct pi_error *why)
{
    struct api_call *call = pi_steal(instance->remover);
    if (call && result < 0)
        api_reply_error(call, why);
    else if (call)
        api_reply(call, 200, json_object());
}

/* Its followers can still read why, and its name is free again. */
static void tell_failure(struct instance *instance)
{
    struct pi_error *failure = &instance->failure;
    instance_refuse_waiting(instance, failure);
    journal_add(instance, &(struct api_event){.kind = API_EVENT_ERROR,
                                              .text = failure->text,
                                              .error_kind = (char *)pi_kind_name(failure->kind)});
    instance->ghost_timer = timer_new(instance->host->loop, on_ghost_over, instance);
    if (instance->ghost_timer)
        timer_set(instance->ghost_timer, GHOST_MS);
    else
        instance_detach(instance);
}

/* It was removed by request. */
static void forget(struct instance *instance)
{
    struct pi_error gone;
    pi_refuse(&gone, PI_CONFLICT, "%s was removed", instance->record.spec.name);
    instance_refuse_waiting(instance, &gone);
    instance_clean_sockets(instance);
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
    struct pi_error *failure = &instance->failure;
    failure->kind = kind;
    pi_text_clean(reason ? reason : "", reason ? strlen(reason) : 0, failure->text, sizeof failure->text);
    if (reason)
        log_line("%s: not created: %s", instance->record.spec.name, failure->text);
    instance_let_go(instance);
    instance_discard(instance, on_undone);
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

bool instance_is_being_created(const struct instance *instance)
{
    return instance->record.life.state == VM_CREATED && !vm_life_is_gone(&instance->record.life);
}

void instance_undo_creation(struct instance *instance, const char *why)
{
    struct pi_error err;
    pi_refuse(&err, PI_AGENT, "%s", why);
    step_failed(instance, &err);
}

static void on_prepared(int r, const json_t *result, const struct pi_error *err, void *user)
{
    struct instance *instance = user;
    struct pi_error missing;
    (void)result;
    instance->worker = NULL;
    if (r < 0)
        step_failed(instance, err);
    else if (instance_check_files(instance, &missing) < 0)
        step_failed(instance, &missing);
    else
        step_done(instance);
}

/* Takes the reference to the request. */
static int start_worker(struct instance *instance, enum worker_kind kind, json_t *request,
                        const struct pi_strv *environment, const struct worker_handler *handler,
                        struct pi_error *err)
{
    const struct worker_job job = {
        .program = instance->host->program, .kind = kind, .request = request, .environment = environment};
    int r = request ? worker_start(instance->host->loop, &job, handler, instance, &instance->worker, err)
                    : pi_fail(err, ENOMEM, "cannot start a worker");
    json_decref(request);
    return r;
}

static void prepare(struct instance *instance)
{
    static const struct worker_handler handler = {.done = on_prepared, .disposable = true};
    const struct worker_prepare request = {.folder = instance->folder};
    struct pi_error err;
    if (start_worker(instance, WORKER_PREPARE, pi_fields_write(worker_prepare_fields, &request), NULL,
                     &handler, &err) < 0)
        step_failed(instance, &err);
}

static int take_image(struct instance *instance, const json_t *result, struct pi_error *err)
{
    pi_auto_image struct image image = {0};
    struct vm_image *ret = &instance->record.spec.image;
    int r = pi_fields_read(image_fields, result, true, &image, err);
    if (r < 0)
        return pi_context(err, r, "the image worker's answer");
    snprintf(ret->sha256, sizeof ret->sha256, "%s", image.sha256);
    ret->path = pi_steal(image.path);
    ret->name = pi_steal(image.name);
    ret->format = strdup(image_format_names[image.format]);
    ret->virtual_size_bytes = image.virtual_size_bytes;
    ret->verified = image.verified;
    if (!instance->record.spec.disk_bytes)
        instance->record.spec.disk_bytes =
            image.virtual_size_bytes > DEFAULT_DISK_BYTES ? image.virtual_size_bytes : DEFAULT_DISK_BYTES;
    if (!ret->path || !ret->name || !ret->format)
        return pi_refuse(err, PI_FAILED, "the image worker's answer lacks the image's path or name");
    if (image.note)
        journal_note(instance, "%s", image.note);
    return 0;
}

static void on_image(int r, const json_t *result, const struct pi_error *err, void *user)
{
    struct instance *instance = user;
    struct pi_error failure;
    instance->worker = NULL;
    if (r < 0)
        step_failed(instance, err);
    else if (take_image(instance, result, &failure) < 0)
        step_failed(instance, &failure);
    else
        step_done(instance);
}

static void on_image_progress(const json_t *line, void *user)
{
    struct image_progress progress = {0};
    if (pi_fields_read(image_progress_fields, line, true, &progress, NULL) < 0)
        return;
    journal_progress(user, &(struct api_event){.kind = API_EVENT_IMAGE,
                                               .text = progress.name,
                                               .phase = (char *)image_phase_names[progress.phase],
                                               .done_bytes = progress.done_bytes,
                                               .total_bytes = progress.total_bytes,
                                               .rate_bytes_per_s = progress.rate_bytes_per_s});
}

static int start_fetch(struct instance *instance, struct pi_error *err)
{
    static const struct worker_handler handler = {.progress = on_image_progress, .done = on_image};
    const struct api_create *request = &instance->request;
    const struct worker_fetch wanted = {.image = request->image ? request->image : (char *)DEFAULT_IMAGE,
                                        .arch = (char *)vm_arch_names[instance->record.spec.arch],
                                        .sha256 = request->image_sha256,
                                        .unverified = request->image_unverified,
                                        .allow_unsigned = request->image_allow_unsigned};
    return start_worker(instance, WORKER_FETCH, pi_fields_write(worker_fetch_fields, &wanted),
                        &request->environment, &handler, err);
}

/* Everything that can be wrong with this host for this spec, before anything is downloaded. */
static int check_host(struct instance *instance, struct pi_error *err)
{
    pi_auto_strv struct pi_strv argv = {0};
    int r = instance_check_sockets(instance, err);
    if (r == 0)
        r = check_memory(&instance->record.spec, err);
    if (r == 0)
        r = instance_check_ports(instance, err);
    if (r == 0)
        r = instance_argv(instance, false, &argv, err);
    return r < 0 ? r : scope_enter(&instance->record.spec, &argv, err);
}

/* A machine whose folder was taken away keeps its name for as long as its QEMU runs. */
static int check_name(struct instance_host *host, const char *name, struct pi_error *err)
{
    char path[PATH_MAX];
    const struct instance *other = host_find(host, name, false);
    snprintf(path, sizeof path, "%s/%s.qmp", host->runtime, name);
    if (!other && access(path, F_OK) < 0)
        return 0;
    snprintf(path, sizeof path, "%s/%s", host->folder, name);
    pid_t pid = other ? 0 : instance_find_qemu(path, err);
    if (pid < 0)
        return pi_context(err, pid, "the name %s may be in use", name);
    if (pid)
        return pi_refuse(err, PI_CONFLICT,
                         "a machine named %s runs on without its folder: end it first with: kill %d", name,
                         (int)pid);
    if (!other)
        return 0;
    bool live = vm_state_is_live(other->record.life.state);
    return pi_refuse(
        err, PI_CONFLICT,
        "the name %s is in use, %s: choose another one, go on with that machine (piagent %s %s), or "
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

static void fetch(struct instance *instance)
{
    struct pi_error err;
    if (start_fetch(instance, &err) < 0)
        step_failed(instance, &err);
    else
        journal_add(instance, &(struct api_event){.kind = API_EVENT_STATE,
                                                  .state = (char *)vm_state_names[VM_CREATED]});
}

void creation_carry_out(struct instance *instance, unsigned actions)
{
    if (actions & VM_DO_FETCH)
        fetch(instance);
    if (actions & VM_DO_PREPARE)
        prepare(instance);
    if (actions & VM_DO_TELL_FAILURE)
        tell_failure(instance);
    if (actions & VM_DO_FORGET)
        forget(instance);
}

int instance_create(struct instance_host *host, struct api_create *request, struct instance **ret,
                    struct pi_error *err)
{
    __attribute__((cleanup(vm_record_done))) struct vm_record record = {.schema = VM_RECORD_SCHEMA};
    struct instance *instance;
    record.created_ms = pi_realtime_ms();
    int r = fill_spec(request, &record.spec, err);
    if (r == 0)
        r = complete_environment(&request->environment, err);
    if (r == 0)
        r = check_seed(request, &record.spec, err);
    if (r == 0 && ((r = pi_random_hex(IMDS_KEY_LENGTH, record.key)) < 0 ||
                   (r = pi_random_hex(IMDS_KEY_LENGTH, record.report_key)) < 0))
        pi_fail(err, -r, "cannot create %s", request->name);
    if (r == 0)
        r = make_folder(host, request->name, err);
    if (r < 0)
        return r;
    r = instance_new(host, &record, &instance, err);
    if (r < 0) {
        pi_tree_remove(host->folder_fd, request->name, NULL);
        return r;
    }
    instance->request = *request;
    *request = (struct api_create){0};
    if ((r = user_data_read(&instance->request, &instance->store.user_data, err)) < 0 ||
        (r = check_host(instance, err)) < 0) {
        pi_tree_remove(host->folder_fd, instance->record.spec.name, NULL);
        instance_detach(instance);
        return r;
    }
    instance->store.fresh = true;
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_CREATE});
    *ret = instance;
    return 0;
}

static void on_removed(struct instance *instance, int result, const struct pi_error *why)
{
    answer_remover(instance, result, why);
    if (result < 0)
        instance_save(instance); /* what has changed meanwhile */
    else
        forget(instance);
}

static int check_removal(const struct instance *instance, struct pi_error *err)
{
    const char *name = instance->record.spec.name;
    pid_t pid = instance->broken ? instance_find_qemu(instance->folder, err) : 0;
    if (pid < 0)
        return pi_context(err, pid, "%s cannot be removed", name);
    if (pid)
        return pi_refuse(err, PI_CONFLICT,
                         "%s cannot be removed while its QEMU runs: end it first with: kill %d", name,
                         (int)pid);
    return 0;
}

void instance_remove(struct instance *instance, struct api_call *call)
{
    struct pi_error err;
    bool goes = instance_is_going(instance);
    int r = goes && instance->remover
                ? pi_refuse(&err, PI_CONFLICT, "%s is being removed already", instance->record.spec.name)
                : check_removal(instance, &err);
    if (r < 0) {
        api_reply_error(call, &err);
        return;
    }
    instance->remover = call;
    if (goes)
        return;
    if (instance_is_being_created(instance))
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_CANCEL});
    else
        instance_discard(instance, on_removed);
}
