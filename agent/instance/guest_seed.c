/* SPDX-License-Identifier: MIT */
#include "agent/instance/guest_seed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/fs.h"
#include "agent/base/random.h"
#include "agent/instance/instance.h"
#include "agent/instance/membership.h"
#include "agent/net/net.h"
#include "agent/seed/documents.h"
#include "agent/seed/identity.h"
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

/* The files and texts that a seed is made from, and the seed_spec that points to them. */
struct seed_source {
    struct pi_buf login, host_private, host_public, user_data;
    struct pi_strv keys;
    struct seed_fleet fleet;
    struct seed_network networks[VM_NETWORKS_MAX];
    char id[ID_SIZE], peers_url[96], machine_id[PI_UUID_LENGTH + 1];
    struct seed_spec seed;
};

static void seed_source_done(struct seed_source *source)
{
    pi_buf_done(&source->login);
    pi_buf_done(&source->host_private);
    pi_buf_done(&source->host_public);
    pi_buf_done(&source->user_data);
    pi_strv_done(&source->keys);
    free((void *)source->fleet.peers);
}

static int read_files(struct instance *instance, struct seed_source *source, struct pi_error *err)
{
    const struct vm_spec *spec = &instance->record.spec;
    int r;
    if ((r = read_part(instance, VM_SSH_KEY_FILE ".pub", &source->login, err)) < 0 ||
        (r = read_part(instance, VM_HOST_KEY_FILE, &source->host_private, err)) < 0 ||
        (r = read_part(instance, VM_HOST_KEY_FILE ".pub", &source->host_public, err)) < 0 ||
        (spec->has_user_data && (r = read_part(instance, VM_USER_DATA_FILE, &source->user_data, err)) < 0))
        return r;
    first_line(&source->login);
    first_line(&source->host_public);
    r = pi_strv_add(&source->keys, source->login.data);
    for (size_t i = 0; r == 0 && i < spec->authorized_keys.count; i++)
        r = pi_strv_add(&source->keys, spec->authorized_keys.items[i]);
    return r < 0 ? pi_fail(err, -r, "seed") : 0;
}

/* Into a zeroed *source, which is to be freed also on failure. */
static int gather_seed(struct instance *instance, struct seed_source *source, struct pi_error *err)
{
    const struct vm_spec *spec = &instance->record.spec;
    char base[BASE_SIZE];
    int r = read_files(instance, source, err);
    if (r < 0)
        return r;
    if (instance->record.peers_key[0] && (r = peers_tell(instance, &source->fleet)) < 0)
        return pi_fail(err, -r, "seed");
    snprintf(source->peers_url, sizeof source->peers_url, "%s/%s/peers", imds_base(&instance->record, base),
             instance->record.peers_key);
    source->fleet.peers_url = source->peers_url;
    source->seed = (struct seed_spec){
        .networks = source->networks,
        .network_count = membership_seed(instance, source->networks),
        .instance_id = instance_id_of(spec, source->id),
        .hostname = spec->name,
        .user = spec->user,
        .password_hash = spec->password_hash,
        .machine_id =
            spec->cloned_from[0] || spec->of_template[0] ? machine_id_of(spec, source->machine_id) : NULL,
        .identity_port = spec->template ? VM_IDENTITY_PORT : NULL,
        .booted = instance->record.booted,
        .authorized_keys = &source->keys,
        .host_key_private = source->host_private.data,
        .host_key_public = source->host_public.data,
        .fleet = source->fleet.name ? &source->fleet : NULL,
        .user_data = spec->has_user_data ? source->user_data.data : NULL,
        .user_data_size = source->user_data.size,
    };
    return 0;
}

static int serve_seed(struct instance *instance, struct pi_error *err)
{
    pi_auto(seed_source_done) struct seed_source source = {0};
    pi_auto_documents struct seed_documents documents = {0};
    int r = gather_seed(instance, &source, err);
    if (r < 0)
        return r;
    milestones_set_user_data(instance, source.user_data.data, source.user_data.size);
    if ((r = seed_render(&source.seed, &documents, err)) < 0)
        return r;
    r = put_seed(instance, &documents);
    return r < 0 ? pi_fail(err, -r, "cannot serve the seed") : 0;
}

/* The addresses of seed and reports, as its board tells its guest. */
struct board_texts {
    char serial[SEED_SERIAL_MAX + 1], reports[96];
};

static int board_texts(const struct vm_record *record, struct board_texts *ret, struct pi_error *err)
{
    char base[BASE_SIZE], seed[96];
    imds_base(record, base);
    snprintf(seed, sizeof seed, "%s/%s/", base, record->key);
    snprintf(ret->reports, sizeof ret->reports, "%s/%s/events", base,
             record->report_key[0] ? record->report_key : record->key);
    return seed_serial(seed, ret->serial, err);
}

int guest_seed_identity(struct instance *instance, struct pi_buf *ret, struct pi_error *err)
{
    pi_auto(seed_source_done) struct seed_source source = {0};
    struct board_texts board;
    int r = gather_seed(instance, &source, err);
    if (r == 0)
        r = board_texts(&instance->record, &board, err);
    if (r < 0)
        return r;
    struct seed_identity identity = {.seed = &source.seed,
                                     .uuid = instance->record.spec.uuid,
                                     .serial = board.serial,
                                     .reports = board.reports,
                                     .now_ms = pi_realtime_ms()};
    r = pi_random_bytes(identity.entropy, sizeof identity.entropy);
    if (r == 0)
        r = seed_identity_line(&identity, ret);
    return r < 0 ? pi_fail(err, -r, "cannot render the identity") : 0;
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
    char id[ID_SIZE], tag[96];
    struct board_texts texts;
    pi_auto_buf struct pi_buf system = {0}, board = {0};
    snprintf(tag, sizeof tag, SEED_ASSET_TAG "%s", instance_id_of(&record->spec, id));
    int r = board_texts(record, &texts, err);
    const struct seed_system info = {.manufacturer = "piagent",
                                     .product = "piagent",
                                     .version = PIAGENT_VERSION,
                                     .serial = texts.serial,
                                     .uuid = record->spec.uuid};
    if (r == 0)
        r = seed_smbios_system(&info, &system, err);
    if (r == 0)
        r = seed_smbios_board(texts.reports, tag, &board, err);
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
