/* SPDX-License-Identifier: MIT */
#include "agent/instance/create_request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "agent/base/auto.h"
#include "agent/base/base64.h"
#include "agent/base/environ.h"
#include "agent/base/random.h"
#include "agent/base/text.h"
#include "agent/image/digest.h"
#include "agent/image/sources.h"
#include "agent/seed/documents.h"
#include "agent/seed/password.h"
#include "agent/seed/ssh_key.h"
#include "agent/seed/user_data.h"

static int make_mac(char **ret)
{
    uint8_t b[3];
    int r = pi_random_bytes(b, sizeof b);
    /* QEMU's own prefix, locally administered. */
    return r < 0 ? r : asprintf(ret, "52:54:00:%02x:%02x:%02x", b[0], b[1], b[2]) < 0 ? -ENOMEM : 0;
}

int create_identity(struct vm_spec *spec, struct pi_error *err)
{
    if (pi_random_uuid(spec->uuid) < 0 || make_mac(&spec->mac) < 0)
        return pi_fail(err, ENOMEM, "cannot create %s", spec->name);
    return 0;
}

/* The environment of the fetch: the settings in the request first, then the agent's own. */
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
    int r = pi_name_check(request->name, err);
    if (r < 0)
        return r;
    if (request->spec.arch == VM_ARCHES)
        return pi_refuse(err, PI_USAGE,
                         "this host is neither x86_64 nor aarch64: say which one to emulate with --arch");
    *spec = request->spec;
    request->spec = (struct vm_spec){0};
    snprintf(spec->name, sizeof spec->name, "%s", request->name);
    spec->authorized_keys = request->ssh_keys;
    request->ssh_keys = (struct pi_strv){0};
    spec->has_user_data = request->user_data || request->user_data_base64;
    if (vm_spec_complete(spec) < 0)
        return pi_fail(err, ENOMEM, "cannot create %s", spec->name);
    r = create_identity(spec, err);
    return r < 0 ? r : vm_spec_check(spec, err);
}

/* Reads the user's own file, byte for byte; nothing if there is none. */
int create_request_user_data(const struct api_create *request, struct pi_buf *ret, struct pi_error *err)
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

/* The command line checks these too, but other programs may speak to the socket. */
int create_request_check_seed(const struct api_create *request, struct vm_spec *spec, struct pi_error *err)
{
    enum seed_kind kind;
    int r = seed_user_check(spec->user, err);
    if (r == 0 && spec->password_hash)
        r = seed_hash_check(spec->password_hash, err);
    for (size_t i = 0; r == 0 && i < spec->authorized_keys.count; i++)
        r = seed_ssh_key_check(spec->authorized_keys.items[i], err);
    pi_auto_buf struct pi_buf user_data = {0};
    if (r == 0)
        r = create_request_user_data(request, &user_data, err);
    if (r == 0 && spec->has_user_data &&
        image_digest_bytes(user_data.data, user_data.size, spec->user_data_sha256) < 0)
        r = pi_fail(err, ENOMEM, "user-data");
    if (r == 0 && spec->has_user_data && !request->user_data_unchecked)
        r = seed_user_data_check(user_data.data ? user_data.data : "", user_data.size, &kind, err);
    return r;
}

int create_request_check_memory(const struct vm_spec *spec, struct pi_error *err)
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

int create_request_check(struct api_create *request, struct vm_spec *spec, struct pi_error *err)
{
    int r = fill_spec(request, spec, err);
    if (r == 0)
        r = complete_environment(&request->environment, err);
    return r < 0 ? r : create_request_check_seed(request, spec, err);
}
