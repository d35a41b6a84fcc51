/* SPDX-License-Identifier: MIT */
#include "agent/instance/template_request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/text.h"
#include "agent/instance/clone_request.h"
#include "agent/instance/create_request.h"
#include "agent/instance/instance.h"
#include "agent/instance/start_files.h"

static int check_chosen(const struct api_create *request, struct pi_error *err)
{
    const struct vm_spec *spec = &request->spec;
    if (request->image || request->image_sha256 || request->clone_of || spec->template || spec->cpus ||
        spec->memory_mib || spec->disk_bytes || spec->accel || spec->firmware || spec->isolate || spec->user)
        return pi_refuse(
            err, PI_USAGE,
            "an instance of a template has its image, disk, memory, processors, firmware and user: "
            "leave them out, or choose them when the template is made");
    return pi_name_check(request->name, err);
}

static int refuse_absent(const struct instance_host *host, const char *name, struct pi_error *err)
{
    pi_auto_strv struct pi_strv names = {0};
    const struct instance *one;
    char clean[PI_NAME_MAX + 1], suggestion[PI_SUGGESTION_SIZE];
    const char *remedy = "piagent template ls lists them";
    LIST_FOREACH(one, &host->instances, entry)
        if (one->record.spec.template && !vm_life_is_gone(&one->record.life))
            pi_strv_add(&names, one->record.spec.name);
    if (names.items)
        remedy = pi_suggest(name, (const char *const *)names.items, remedy, suggestion);
    return pi_refuse(err, PI_NOT_FOUND, "there is no template named %s: %s",
                     pi_text_clean(name, strlen(name), clean, sizeof clean), remedy);
}

static int refuse_unmade(const char *name, enum vm_state state, struct pi_error *err)
{
    bool live = vm_state_is_live(state) || state == VM_CREATED;
    return pi_refuse(err, PI_CONFLICT, "the template %s is not made yet: it is %s: %s: piagent %s %s", name,
                     vm_state_names[state], live ? "wait for it with" : "remove it, and make it again",
                     live ? "wait" : "template rm", name);
}

static int find_template(const struct instance_host *host, const char *name, const struct instance **ret,
                         struct pi_error *err)
{
    const struct instance *source = host_find(host, name, false);
    if (!source || !source->record.spec.template)
        return refuse_absent(host, name, err);
    if (source->broken)
        return pi_refuse(err, PI_CONFLICT, "%s: %s", name, source->record.life.reason);
    if (store_is_discarding(source))
        return pi_refuse(err, PI_CONFLICT, "the template %s is being removed", name);
    if (source->record.life.state != VM_SAVED)
        return refuse_unmade(name, source->record.life.state, err);
    *ret = source;
    return files_check(source, err);
}

static void take_list(struct pi_strv *from, struct pi_strv *ret)
{
    pi_strv_done(ret);
    *ret = *from;
    *from = (struct pi_strv){0};
}

/* The first card keeps the template's address, which is that of its guest's first interface. It is alone on its network. */
static int take_chosen(struct api_create *request, const struct vm_spec *source, struct vm_spec *ret,
                       struct pi_error *err)
{
    struct vm_spec *chosen = &request->spec;
    free(ret->mac);
    ret->mac = strdup(source->mac);
    ret->template = false;
    ret->ephemeral = chosen->ephemeral;
    ret->cloned_from[0] = '\0';
    snprintf(ret->of_template, sizeof ret->of_template, "%s", source->name);
    ret->has_user_data = request->user_data || request->user_data_base64;
    ret->user_data_sha256[0] = '\0';
    create_take_number(chosen->memory_max_mib, &ret->memory_max_mib);
    create_take_number(chosen->cpu_quota_percent, &ret->cpu_quota_percent);
    take_list(&chosen->forwards, &ret->forwards);
    take_list(&chosen->networks, &ret->networks);
    if (chosen->labels.count)
        take_list(&chosen->labels, &ret->labels);
    if (request->ssh_keys.count)
        take_list(&request->ssh_keys, &ret->authorized_keys);
    ret->fleet = chosen->fleet;
    chosen->fleet = (struct vm_fleet){0};
    if (chosen->password_hash) {
        free(ret->password_hash);
        ret->password_hash = chosen->password_hash;
        chosen->password_hash = NULL;
    }
    return ret->mac ? vm_spec_check(ret, err) : pi_fail(err, ENOMEM, "cannot create %s", ret->name);
}

int template_request_check(const struct instance_host *host, struct api_create *request,
                           struct vm_record *record, struct pi_error *err)
{
    const struct instance *source = NULL;
    int r = check_chosen(request, err);
    if (r == 0)
        r = find_template(host, request->spec.of_template, &source, err);
    if (r == 0)
        r = clone_request_copy_spec(&source->record.spec, request->name, &record->spec, err);
    if (r == 0)
        r = take_chosen(request, &source->record.spec, &record->spec, err);
    if (r == 0)
        r = create_request_check_seed(request, &record->spec, err);
    if (r < 0)
        return r;
    record->accel = source->record.accel;
    record->saved_bytes = source->record.saved_bytes;
    record->template_hardware = record->identity_due = true;
    return 0;
}
