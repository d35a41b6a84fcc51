/* SPDX-License-Identifier: MIT */
/* An instance's seed: its keys, what is served under them, and how its guest learns where. */
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/daemon/instance.h"
#include "agent/net/net.h"
#include "agent/seed/documents.h"
#include "agent/seed/smbios.h"
#include "agent/seed/validate.h"
#include "agent/vm/argv.h"

/* What the guest sees as the host on QEMU's user network. */
#define HOST_ADDRESS "10.0.2.2"

static int read_part(struct instance *instance, const char *name, struct pi_buf *ret, struct pi_error *err)
{
    int r = pi_file_read(instance->dir_fd, name, SEED_USER_DATA_MAX, ret, err);
    return r < 0 ? pi_context(err, r, "%s", instance->folder) : 0;
}

static void first_line(struct pi_buf *text)
{
    if (text->data)
        text->data[strcspn(text->data, "\n")] = '\0';
}

static int serve_seed(struct instance *instance, struct pi_error *err)
{
    const struct vm_spec *spec = &instance->record.spec;
    pi_auto_buf struct pi_buf login = {0}, host_private = {0}, host_public = {0}, user_data = {0};
    pi_auto_strv struct pi_strv keys = {0};
    pi_auto_documents struct seed_documents documents = {0};
    char id[64];
    int r;
    if ((r = read_part(instance, "ssh_key.pub", &login, err)) < 0 ||
        (r = read_part(instance, "ssh_host_ed25519_key", &host_private, err)) < 0 ||
        (r = read_part(instance, "ssh_host_ed25519_key.pub", &host_public, err)) < 0 ||
        (spec->has_user_data && (r = read_part(instance, "user-data", &user_data, err)) < 0))
        return r;
    instance->user_data_mark = boots_mark(user_data.data, user_data.size);
    first_line(&login);
    first_line(&host_public);
    if ((r = pi_strv_add(&keys, login.data)) < 0)
        return pi_fail(err, -r, "seed");
    for (size_t i = 0; i < spec->authorized_keys.count; i++)
        if ((r = pi_strv_add(&keys, spec->authorized_keys.items[i])) < 0)
            return pi_fail(err, -r, "seed");
    snprintf(id, sizeof id, "iid-%s", spec->uuid);

    struct seed_spec seed = {
        .instance_id = id,
        .hostname = spec->name,
        .user = spec->user,
        .password_hash = spec->password_hash,
        .authorized_keys = &keys,
        .host_key_private = host_private.data,
        .host_key_public = host_public.data,
        .user_data = spec->has_user_data ? user_data.data : NULL,
        .user_data_size = user_data.size,
    };
    if ((r = seed_render(&seed, &documents, err)) < 0)
        return r;
    struct imds_seed served = {
        .documents = {
            [IMDS_META_DATA] = {documents.meta_data.data, documents.meta_data.size},
            [IMDS_USER_DATA] = {documents.user_data.data, documents.user_data.size},
            [IMDS_VENDOR_DATA] = {documents.vendor_data.data, documents.vendor_data.size},
            [IMDS_NETWORK_CONFIG] = {documents.network_config.data, documents.network_config.size},
        }};
    r = imds_registry_put(instance->agent->registry, instance->record.key, &served, instance);
    return r < 0 ? pi_fail(err, -r, "cannot serve the seed") : 0;
}

/* Where the guest finds it: in a file, because an argv can be read by everyone on the host. */
static int write_smbios(struct instance *instance, struct pi_error *err)
{
    const struct agent *agent = instance->agent;
    char url[128], serial[SEED_SERIAL_MAX + 1];
    pi_auto_buf struct pi_buf blob = {0};
    if (instance->record.spec.isolate)
        snprintf(url, sizeof url, "http://" NET_IMDS_ADDRESS "/%s/", instance->record.key);
    else
        snprintf(url, sizeof url, "http://" HOST_ADDRESS ":%u/%s/", agent->seed_port.port,
                 instance->record.key);
    int r = seed_serial(url, serial, err);
    struct seed_system system = {.manufacturer = "piagent",
                                 .product = "piagent",
                                 .version = PIAGENT_VERSION,
                                 .serial = serial,
                                 .uuid = instance->record.spec.uuid};
    if (r == 0)
        r = seed_smbios_system(&system, &blob, err);
    return r < 0 ? r : pi_file_write(instance->dir_fd, VM_SMBIOS_FILE, blob.data, blob.size, 0600, err);
}

static int renew_key(struct instance *instance, struct pi_error *err)
{
    int r = pi_random_hex(IMDS_KEY_LENGTH, instance->record.key);
    return r < 0 ? pi_fail(err, -r, "no random bytes") : 0;
}

int instance_make_seed(struct instance *instance, struct pi_error *err)
{
    struct vm_record *record = &instance->record;
    record->imds_port = record->spec.isolate ? 0 : instance->agent->seed_port.port;
    int r = renew_key(instance, err);
    if (r == 0)
        r = write_smbios(instance, err);
    return r < 0 ? r : serve_seed(instance, err);
}

int instance_take_over_seed(struct instance *instance, struct pi_error *err)
{
    struct vm_record *record = &instance->record;
    const struct seed_port *port = &instance->agent->seed_port;
    if (!record->imds_port && !record->spec.isolate)
        record->imds_port = port->remembered;
    if (instance_lost_seed_port(instance)) {
        int r = renew_key(instance, err);
        if (r < 0)
            return r;
        journal_note(
            instance,
            "another program took port %u, where its guest looks for its seed and reports: its key is void",
            (unsigned)record->imds_port);
        instance_save(instance);
    }
    return serve_seed(instance, err);
}

bool instance_lost_seed_port(const struct instance *instance)
{
    return !instance->record.spec.isolate && vm_state_is_live((enum vm_state)instance->record.state) &&
           instance->record.imds_port != instance->agent->seed_port.port;
}
