/* SPDX-License-Identifier: MIT */
#include "agent/instance/creation_check.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/base/auto.h"
#include "agent/image/fetch.h"
#include "agent/instance/accel.h"
#include "agent/instance/create_request.h"
#include "agent/instance/instance.h"
#include "agent/instance/membership.h"
#include "agent/instance/ports.h"
#include "agent/instance/qemu_command.h"
#include "agent/instance/qemu_sockets.h"
#include "agent/instance/template_request.h"

struct fault_sink {
    creation_fault_fn *fault;
    void *user;
};

static void judge(const struct fault_sink *sink, int r, const char *option, const char *value,
                  const struct pi_error *why)
{
    if (r < 0)
        sink->fault(option, value, why, sink->user);
}

static void check_each(const struct instance *instance, const char *option, const struct pi_strv *values,
                       int (*check)(const struct instance *, const char *, struct pi_error *),
                       const struct fault_sink *sink)
{
    struct pi_error err;
    for (size_t i = 0; i < values->count; i++)
        judge(sink, check(instance, values->items[i], &err), option, values->items[i], &err);
}

/* If the accelerator cannot be used, the rest is checked with emulation. */
static void check_qemu(const struct instance *instance, const struct fault_sink *sink)
{
    pi_auto_strv struct pi_strv argv = {0};
    enum vm_accel accel = VM_ACCEL_TCG;
    struct pi_error err;
    judge(sink, accel_choose(instance->host, &instance->record.spec, &accel, &err), "accel", NULL, &err);
    int r = qemu_command_build(instance, accel, false, &argv, &err);
    judge(sink, r, "arch", NULL, &err);
    if (r == 0)
        judge(sink, process_enter_scope(instance, &argv, &err), NULL, NULL, &err);
}

void creation_check_host(struct instance *instance, creation_fault_fn *fault, void *user)
{
    const struct fault_sink sink = {fault, user};
    const struct vm_spec *spec = &instance->record.spec;
    struct pi_error err;
    judge(&sink, qemu_sockets_check(instance, &err), NULL, NULL, &err);
    judge(&sink, create_request_check_memory(spec, &err), "memory", NULL, &err);
    judge(&sink, ports_choose(instance, &err), NULL, NULL, &err);
    check_each(instance, "forward", &spec->forwards, ports_check_forward, &sink);
    check_each(instance, "network", &spec->networks, membership_check_use, &sink);
    check_qemu(instance, &sink);
}

/* A default disk is as large as the image. */
static void check_expected_image(const struct api_create *request, struct vm_spec *spec,
                                 const struct fault_sink *sink)
{
    const struct image_request wanted = {.ref = request->image ? request->image : CREATE_DEFAULT_IMAGE,
                                         .arch = vm_arch_names[spec->arch],
                                         .sha256 = request->image_sha256,
                                         .unverified = request->image_unverified,
                                         .allow_unsigned = request->image_allow_unsigned};
    pi_auto_image struct image image = {0};
    struct pi_error err;
    judge(sink, image_expect_for_user(&wanted, &image, &err), "image", NULL, &err);
    spec->image.virtual_size_bytes = image.virtual_size_bytes;
    judge(sink, vm_spec_check(spec, &err), "disk", NULL, &err);
}

static void collect_fault(const char *option, const char *value, const struct pi_error *why, void *user)
{
    json_t **list = user;
    const struct api_fault fault = {
        .option = (char *)option, .value = (char *)value, .kind = why->kind, .message = (char *)why->text};
    if (*list && json_array_append_new(*list, api_write(fault, &fault)) < 0) {
        json_decref(*list);
        *list = NULL;
    }
}

/* The networks as the instance would be in them. */
static void give_addresses(const struct instance_host *host, struct vm_spec *spec,
                           const struct fault_sink *sink)
{
    struct pi_error err;
    int r = membership_resolve(host, spec, &err);
    judge(sink, r, "network", NULL, &err);
    if (r < 0)
        pi_strv_done(&spec->networks);
}

json_t *creation_check(struct instance_host *host, struct api_create *request)
{
    struct instance probe = {.host = host, .dir_fd = -1, .record = {.schema = VM_RECORD_SCHEMA}};
    struct pi_error err;
    json_t *faults = json_array();
    const struct fault_sink sink = {collect_fault, &faults};
    bool boots = !request->spec.of_template[0];
    int r = boots ? create_request_check(request, &probe.record.spec, &err)
                  : template_request_check(host, request, &probe.record, &err);
    judge(&sink, r, NULL, NULL, &err);
    if (r == 0 && asprintf(&probe.folder, "%s/%s", host->folder, request->name) >= 0) {
        give_addresses(host, &probe.record.spec, &sink);
        creation_check_host(&probe, collect_fault, &faults);
        if (boots)
            check_expected_image(request, &probe.record.spec, &sink);
    }
    free(probe.folder);
    vm_record_done(&probe.record);
    return faults;
}
