/* SPDX-License-Identifier: MIT */
#include "agent/instance/clone_request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/instance/create_request.h"
#include "agent/instance/instance.h"
#include "agent/instance/start_files.h"
#include "agent/seed/user_data.h"
#include "agent/vm/subnet.h"

static int check_members(const struct api_create *request, struct pi_error *err)
{
    const struct vm_spec *spec = &request->spec;
    if (request->image || request->image_sha256 || request->ssh_keys.count || request->user_data ||
        request->user_data_base64 || spec->disk_bytes || spec->accel || spec->firmware || spec->isolate ||
        spec->labels.count || spec->fleet.name[0] || spec->user || spec->password_hash)
        return pi_refuse(err, PI_USAGE,
                         "clone_of: of a clone only its cpus, memory, limits, forwards and networks can be "
                         "chosen; all else is its source's");
    return pi_name_check(request->name, err);
}

static int refuse_live(const struct instance *source, bool template, struct pi_error *err)
{
    const char *name = source->record.spec.name;
    return pi_refuse(err, PI_CONFLICT,
                     "%s is %s, and only an instance that is stopped can be %s: piagent powerdown %s first",
                     name, vm_state_names[source->record.life.state],
                     template ? "made a template of" : "cloned", name);
}

/* template: the clone is to be one. */
static int check_can_be_cloned(const struct instance *source, bool template, struct pi_error *err)
{
    const char *name = source->record.spec.name;
    enum vm_state state = source->record.life.state;
    int r;
    if (source->broken)
        return pi_refuse(err, PI_CONFLICT, "%s: %s", name, source->record.life.reason);
    if (store_is_discarding(source))
        return pi_refuse(err, PI_CONFLICT, "%s is being removed", name);
    if ((r = creation_refuse_ephemeral(source, "cloned", err)) < 0)
        return r;
    if (creation_is_under_way(source))
        return pi_refuse(err, PI_CONFLICT, "%s is being created: wait for it, then clone it", name);
    if (source->record.spec.template)
        return pi_refuse(err, PI_CONFLICT,
                         "%s is a template: piagent run --template %s NAME makes an instance of it", name,
                         name);
    if (state == VM_SAVED && source->record.identity_due)
        return pi_refuse(
            err, PI_CONFLICT,
            "%s has not taken its identity from its template yet: piagent start %s first, or make another "
            "instance of the template",
            name, name);
    if ((r = snapshot_refuse_busy(source, err)) < 0)
        return r;
    if (vm_state_is_live(state))
        return refuse_live(source, template, err);
    if (source->record.booted && !source->record.id_on_board)
        return pi_refuse(
            err, PI_CONFLICT,
            "%s was made by an older piagent, and its clone would take itself for %s: make a new "
            "instance with piagent run, and clone that",
            name, name);
    return files_check(source, err);
}

int clone_request_copy_spec(const struct vm_spec *source, const char *name, struct vm_spec *ret,
                            struct pi_error *err)
{
    static const char *const own[] = {"uuid",  "mac",      "ssh_port",    "forwards", "networks",
                                      "fleet", "template", "of_template", NULL};
    json_auto_t *json = pi_fields_write(vm_spec_fields, source);
    for (const char *const *key = own; json && *key; key++)
        json_object_del(json, *key);
    if (!json)
        return pi_fail(err, ENOMEM, "cannot create %s", name);
    int r = pi_fields_read(vm_spec_fields, json, true, ret, err);
    if (r < 0)
        return r;
    snprintf(ret->cloned_from, sizeof ret->cloned_from, "%s", source->name);
    snprintf(ret->name, sizeof ret->name, "%s", name);
    return create_identity(ret, err);
}

/* The same networks, without the addresses. */
static int copy_networks(const struct pi_strv *from, struct pi_strv *ret, struct pi_error *err)
{
    for (size_t i = 0; i < from->count; i++) {
        struct vm_network_use use;
        int r = vm_network_use_parse(from->items[i], &use, err);
        if (r < 0)
            return r;
        if (pi_strv_add(ret, use.bridge ? from->items[i] : use.name) < 0)
            return pi_fail(err, ENOMEM, "networks");
    }
    return 0;
}

static int take_choices(struct vm_spec *chosen, const struct vm_spec *source, struct vm_spec *ret,
                        struct pi_error *err)
{
    create_take_number(chosen->cpus, &ret->cpus);
    create_take_number(chosen->memory_mib, &ret->memory_mib);
    create_take_number(chosen->memory_max_mib, &ret->memory_max_mib);
    create_take_number(chosen->cpu_quota_percent, &ret->cpu_quota_percent);
    ret->ephemeral = chosen->ephemeral;
    ret->forwards = chosen->forwards;
    chosen->forwards = (struct pi_strv){0};
    ret->networks = chosen->networks;
    chosen->networks = (struct pi_strv){0};
    ret->template = chosen->template;
    bool same_networks = !ret->template && !ret->networks.count;
    int r = same_networks ? copy_networks(&source->networks, &ret->networks, err) : 0;
    return r < 0 ? r : vm_spec_check(ret, err);
}

int clone_request_check(const struct instance_host *host, struct api_create *request, struct vm_spec *spec,
                        struct pi_buf *user_data, struct pi_error *err)
{
    const struct instance *source = host_find(host, request->clone_of, false);
    char clean[PI_NAME_MAX + 1];
    int r = check_members(request, err);
    if (r < 0)
        return r;
    if (!source)
        return pi_refuse(err, PI_NOT_FOUND, "there is no instance named %s: piagent ps -a lists them",
                         pi_text_clean(request->clone_of, strlen(request->clone_of), clean, sizeof clean));
    const struct vm_spec *from = &source->record.spec;
    if ((r = check_can_be_cloned(source, request->spec.template, err)) < 0 ||
        (r = clone_request_copy_spec(from, request->name, spec, err)) < 0 ||
        (r = take_choices(&request->spec, from, spec, err)) < 0)
        return r;
    return from->has_user_data
               ? pi_file_read(source->dir_fd, VM_USER_DATA_FILE, SEED_USER_DATA_MAX, user_data, err)
               : 0;
}

int clone_request_refuse_source(const struct instance *instance, struct pi_error *err)
{
    const char *name = instance->record.spec.name;
    const struct instance *clone;
    LIST_FOREACH(clone, &instance->host->instances, entry)
        if (creation_is_under_way(clone) &&
            (!strcmp(clone->record.spec.cloned_from, name) || !strcmp(clone->record.spec.of_template, name)))
            return pi_refuse(
                err, PI_CONFLICT,
                "%s is being cloned: try again when %s is made, or undo that with: piagent rm %s", name,
                clone->record.spec.name, clone->record.spec.name);
    return 0;
}
