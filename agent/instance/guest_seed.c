/* SPDX-License-Identifier: MIT */
#include "agent/instance/guest_seed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/random.h"
#include "agent/instance/instance.h"
#include "agent/instance/membership.h"
#include "agent/net/net.h"
#include "agent/seed/documents.h"
#include "agent/seed/smbios.h"
#include "agent/seed/user_data.h"
#include "agent/vm/argv.h"
#include "imds/registry.h"

/* The host's address on QEMU's user network, as the guest sees it. */
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

static int put_seed(struct instance *instance, const struct seed_documents *documents)
{
    struct imds_registry *registry = instance->host->registry;
    const struct vm_record *record = &instance->record;
    bool own = record->report_key[0];
    const struct imds_seed seed = {
        .documents = {
            [IMDS_META_DATA] = {documents->meta_data.data, documents->meta_data.size},
            [IMDS_USER_DATA] = {documents->user_data.data, documents->user_data.size},
            [IMDS_VENDOR_DATA] = {documents->vendor_data.data, documents->vendor_data.size},
            [IMDS_NETWORK_CONFIG] = {documents->network_config.data, documents->network_config.size},
        }};
    int r = imds_registry_put(registry, record->key, &seed, !own, instance);
    if (r == 0 && own)
        r = imds_registry_put(registry, record->report_key, NULL, true, instance);
    return r < 0 ? r : peers_serve(instance);
}

#define BASE_SIZE 32

/* The address of the IMDS as the guest sees it, without a '/' at its end. */
static const char *imds_base(const struct vm_record *record, char ret[BASE_SIZE])
{
    if (record->spec.isolate)
        snprintf(ret, BASE_SIZE, "http://" NET_IMDS_ADDRESS);
    else
        snprintf(ret, BASE_SIZE, "http://" HOST_ADDRESS ":%u", (unsigned)record->imds_port);
    return ret;
}

static void free_peers(struct seed_fleet *fleet)
{
    free((void *)fleet->peers);
}

#define ID_SIZE 64

static const char *instance_id_of(const struct vm_spec *spec, char ret[ID_SIZE])
{
    snprintf(ret, ID_SIZE, "iid-%s", spec->uuid);
    return ret;
}

/* The machine-id that systemd gives a new virtual machine: its UUID. */
static const char *machine_id_of(const struct vm_spec *spec, char ret[PI_UUID_LENGTH + 1])
{
    char *out = ret;
    for (const char *s = spec->uuid; *s; s++)
        if (*s != '-')
            *out++ = *s;
    *out = '\0';
    return ret;
}

static int serve_seed(struct instance *instance, struct pi_error *err)
{
    const struct vm_spec *spec = &instance->record.spec;
    pi_auto_buf struct pi_buf login = {0}, host_private = {0}, host_public = {0}, user_data = {0};
    pi_auto_strv struct pi_strv keys = {0};
    pi_auto_documents struct seed_documents documents = {0};
    pi_auto(free_peers) struct seed_fleet fleet = {0};
    char id[ID_SIZE], base[BASE_SIZE], peers_url[96], machine_id[PI_UUID_LENGTH + 1];
    int r;
    if ((r = read_part(instance, VM_SSH_KEY_FILE ".pub", &login, err)) < 0 ||
        (r = read_part(instance, VM_HOST_KEY_FILE, &host_private, err)) < 0 ||
        (r = read_part(instance, VM_HOST_KEY_FILE ".pub", &host_public, err)) < 0 ||
        (spec->has_user_data && (r = read_part(instance, VM_USER_DATA_FILE, &user_data, err)) < 0))
        return r;
    milestones_set_user_data(instance, user_data.data, user_data.size);
    first_line(&login);
    first_line(&host_public);
    if ((r = pi_strv_add(&keys, login.data)) < 0)
        return pi_fail(err, -r, "seed");
    for (size_t i = 0; i < spec->authorized_keys.count; i++)
        if ((r = pi_strv_add(&keys, spec->authorized_keys.items[i])) < 0)
            return pi_fail(err, -r, "seed");
    instance_id_of(spec, id);

    struct seed_network networks[VM_NETWORKS_MAX];
    if (instance->record.peers_key[0] && (r = peers_tell(instance, &fleet)) < 0)
        return pi_fail(err, -r, "seed");
    snprintf(peers_url, sizeof peers_url, "%s/%s/peers", imds_base(&instance->record, base),
             instance->record.peers_key);
    fleet.peers_url = peers_url;

    struct seed_spec seed = {
        .networks = networks,
        .network_count = membership_seed(instance, networks),
        .instance_id = id,
        .hostname = spec->name,
        .user = spec->user,
        .password_hash = spec->password_hash,
        .machine_id = spec->cloned_from[0] ? machine_id_of(spec, machine_id) : NULL,
        .booted = instance->record.booted,
        .authorized_keys = &keys,
        .host_key_private = host_private.data,
        .host_key_public = host_public.data,
        .fleet = fleet.name ? &fleet : NULL,
        .user_data = spec->has_user_data ? user_data.data : NULL,
        .user_data_size = user_data.size,
    };
    if ((r = seed_render(&seed, &documents, err)) < 0)
        return r;
    r = put_seed(instance, &documents);
    return r < 0 ? pi_fail(err, -r, "cannot serve the seed") : 0;
}

static int write_structure(const struct instance *instance, const char *file, const struct pi_buf *structure,
                           struct pi_error *err)
{
    return pi_file_replace(instance->dir_fd, file, structure->data, structure->size, 0600, err);
}

/* Writes the addresses of seed and reports for QEMU. They go into files because everyone on the host can read
 * an argv. Each start writes them anew. */
static int write_smbios(struct instance *instance, struct pi_error *err)
{
    const struct vm_record *record = &instance->record;
    char base[BASE_SIZE], seed[96], reports[96], serial[SEED_SERIAL_MAX + 1], id[ID_SIZE], tag[96];
    pi_auto_buf struct pi_buf system = {0}, board = {0};
    imds_base(record, base);
    snprintf(seed, sizeof seed, "%s/%s/", base, record->key);
    snprintf(reports, sizeof reports, "%s/%s/events", base,
             record->report_key[0] ? record->report_key : record->key);
    snprintf(tag, sizeof tag, SEED_ASSET_TAG "%s", instance_id_of(&record->spec, id));
    int r = seed_serial(seed, serial, err);
    const struct seed_system info = {.manufacturer = "piagent",
                                     .product = "piagent",
                                     .version = PIAGENT_VERSION,
                                     .serial = serial,
                                     .uuid = record->spec.uuid};
    if (r == 0)
        r = seed_smbios_system(&info, &system, err);
    if (r == 0)
        r = seed_smbios_board(reports, tag, &board, err);
    if (r == 0)
        r = write_structure(instance, VM_SMBIOS_FILE, &system, err);
    return r < 0 ? r : write_structure(instance, VM_BOARD_FILE, &board, err);
}

static int renew_keys(struct instance *instance, struct pi_error *err)
{
    struct vm_record *record = &instance->record;
    int r = pi_random_hex(IMDS_KEY_LENGTH, record->key);
    if (r == 0 && record->report_key[0])
        r = pi_random_hex(IMDS_KEY_LENGTH, record->report_key);
    return r < 0 ? pi_fail(err, -r, "no random bytes") : 0;
}

int guest_seed_make(struct instance *instance, struct pi_error *err)
{
    struct vm_record *record = &instance->record;
    record->imds_port = record->spec.isolate ? 0 : instance->host->seed_port;
    int r = renew_keys(instance, err);
    if (r == 0)
        r = write_smbios(instance, err);
    return r < 0 ? r : serve_seed(instance, err);
}

int guest_seed_renew(struct instance *instance)
{
    return serve_seed(instance, NULL);
}

int guest_seed_take_over(struct instance *instance, struct pi_error *err)
{
    struct vm_record *record = &instance->record;
    if (!record->imds_port && !record->spec.isolate)
        record->imds_port = instance->host->remembered_seed_port;
    if (guest_seed_lost_port(instance)) {
        int r = renew_keys(instance, err);
        if (r < 0)
            return r;
        journal_note(
            instance,
            "another program took port %u, where the guest looks for its seed. piagent made new keys, so the guest "
            "cannot report until its next start",
            (unsigned)record->imds_port);
        store_save(instance);
    }
    return serve_seed(instance, err);
}

bool guest_seed_lost_port(const struct instance *instance)
{
    return !instance->record.spec.isolate && vm_state_is_live(instance->record.life.state) &&
           instance->record.imds_port != instance->host->seed_port;
}

void guest_seed_withdraw(struct instance *instance)
{
    imds_registry_remove(instance->host->registry, instance->record.key);
    imds_registry_remove(instance->host->registry, instance->record.report_key);
    imds_registry_remove(instance->host->registry, instance->record.peers_key);
}

int guest_seed_set_booted(struct instance *instance, bool booted, struct pi_error *err)
{
    bool before = instance->record.booted;
    instance->record.booted = booted;
    int r = vm_state_is_live(instance->record.life.state) ? serve_seed(instance, err) : 0;
    if (r < 0 && !booted) {
        instance->record.booted = before; /* the old seed is still served */
        return r;
    }
    if (r < 0)
        guest_seed_withdraw(instance);
    store_save(instance);
    return r;
}
