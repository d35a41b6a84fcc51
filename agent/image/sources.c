/* SPDX-License-Identifier: MIT */
#include "agent/image/sources.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/environ.h"
#include "agent/base/fields.h"
#include "agent/base/fs.h"
#include "agent/base/text.h"
#include "agent/image/ref.h"

#define CONFIG_MAX  65536u
#define STALL_MAX_S 3600u

static const struct pi_field fields[] = {
    PI_FIELD(image_sources, fedora_index_url, PI_FIELD_STRING),
    PI_FIELD(image_sources, fedora_url, PI_FIELD_STRING),
    PI_FIELD(image_sources, fedora_checksum_url, PI_FIELD_STRING),
    PI_FIELD(image_sources, fedora_archive_url, PI_FIELD_STRING),
    PI_FIELD(image_sources, fedora_metalink_url, PI_FIELD_STRING),
    PI_FIELD(image_sources, fedora_keys_url, PI_FIELD_STRING),
    PI_FIELD(image_sources, fedora_signers, PI_FIELD_JSON),
    PI_FIELD(image_sources, fedora_stall_s, PI_FIELD_U64, .min = 1, .max = STALL_MAX_S),
    {0},
};

/* In the order of fields. */
static const struct {
    const char *variable, *standard;
} origins[] = {
    {"PIAGENT_FEDORA_INDEX_URL", IMAGE_INDEX_URL},       {"PIAGENT_FEDORA_URL", IMAGE_DOWNLOAD_URL},
    {"PIAGENT_FEDORA_CHECKSUM_URL", IMAGE_CHECKSUM_URL}, {"PIAGENT_FEDORA_ARCHIVE_URL", IMAGE_ARCHIVE_URL},
    {"PIAGENT_FEDORA_METALINK_URL", IMAGE_METALINK_URL}, {"PIAGENT_FEDORA_KEYS_URL", IMAGE_KEYS_URL},
};

/* The folders that the index links to. */
static const struct folder {
    const char *url;
    bool archived;
} folders[] = {
    {IMAGE_DOWNLOAD_URL, false},
    {IMAGE_CHECKSUM_URL, false},
    {"https://download.fedoraproject.org/pub/archive/fedora/linux", true},
    {IMAGE_ARCHIVE_URL, true},
};

static int read_config(const char *path, struct image_sources *ret, struct pi_error *err)
{
    pi_auto_buf struct pi_buf text = {0};
    int r = pi_file_read(AT_FDCWD, path, CONFIG_MAX, &text, err);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    json_auto_t *config = pi_json_parse(text.data ? text.data : "", text.size, err);
    r = config ? pi_fields_read(fields, config, false, ret, err) : -EINVAL;
    return r < 0 ? pi_context(err, r, "%s", path) : 0;
}

/* Adds one URL to list, without slashes at its end. */
static int add_base_url(const char *origin, const char *url, struct pi_buf *list, struct pi_error *err)
{
    size_t n = strlen(url);
    if (!image_is_url(url))
        return pi_refuse(err, PI_USAGE, "%s is not an http or https URL: '%.200s'", origin, url);
    while (url[n - 1] == '/')
        n--;
    int r = pi_buf_printf(list, "%s%.*s", list->size ? " " : "", (int)n, url);
    return r < 0 ? pi_fail(err, -r, "%s", origin) : 0;
}

static bool takes_several(const char *key)
{
    return !strcmp(key, "fedora_url");
}

static bool is_none(const char *key, const char *value)
{
    return !strcmp(key, "fedora_metalink_url") && !strcmp(value, "none");
}

/* Checks and sets the value of one member, if something sets it; else it stays as it is. */
static int settle_source_url(const char *key, const char *variable, char **value, struct pi_error *err)
{
    const char *set = getenv(variable);
    pi_auto_buf struct pi_buf list = {0};
    bool from_environment = set && *set;
    const char *chosen = from_environment ? set : *value;
    int r = 0;
    if (!chosen)
        return 0;
    pi_auto_free char *words = strdup(chosen);
    if (!words)
        return pi_fail(err, ENOMEM, "%s", key);
    const char *origin = from_environment ? variable : key, *separator = takes_several(key) ? " " : "";
    char *state, *word = strtok_r(words, separator, &state);
    if (!word)
        return add_base_url(origin, chosen, &list, err);
    for (; word && r == 0; word = strtok_r(NULL, separator, &state))
        r = is_none(key, word) ? pi_buf_puts(&list, word) : add_base_url(origin, word, &list, err);
    if (r < 0)
        return r;
    free(*value);
    *value = pi_steal(list.data);
    return 0;
}

static int add_signer(const char *origin, const char *release, const char *fingerprint,
                      struct image_sources *sources, struct pi_error *err)
{
    char upper[IMAGE_FINGERPRINT_LENGTH + 1];
    uint64_t number;
    if (pi_number_parse(release, 1, 999, &number, NULL) < 0 || !fingerprint ||
        image_fingerprint_parse(fingerprint, upper) < 0)
        return pi_refuse(err, PI_USAGE,
                         "%s: a release's number and the fingerprint (40 hexadecimal digits) of its signing "
                         "key are needed, found '%.40s' and '%.80s'",
                         origin, release, fingerprint ? fingerprint : "");
    if (json_object_set_new(sources->fedora_signers, release, json_string(upper)) < 0)
        return pi_fail(err, ENOMEM, "%s", origin);
    return 0;
}

/* "44:FINGERPRINT,43:FINGERPRINT" */
static int add_signers(const char *variable, struct image_sources *sources, struct pi_error *err)
{
    const char *set = getenv(variable);
    pi_auto_free char *text = strdup(set ? set : "");
    if (!text)
        return pi_fail(err, ENOMEM, "%s", variable);
    char *state;
    int r = 0;
    for (char *pin = strtok_r(text, ",", &state); pin && r == 0; pin = strtok_r(NULL, ",", &state)) {
        char *fingerprint = strchr(pin, ':');
        if (fingerprint)
            *fingerprint++ = '\0';
        r = add_signer(variable, pin, fingerprint, sources, err);
    }
    return r;
}

static int settle_signers(struct image_sources *sources, struct pi_error *err)
{
    json_auto_t *configured = sources->fedora_signers;
    const char *release;
    json_t *value;
    sources->fedora_signers = json_object();
    if (!sources->fedora_signers)
        return pi_fail(err, ENOMEM, "fedora_signers");
    if (configured && !json_is_object(configured))
        return pi_refuse(err, PI_USAGE, "fedora_signers is not an object of releases and fingerprints");
    json_object_foreach(configured, release, value) {
        int r = add_signer("fedora_signers", release, json_string_value(value), sources, err);
        if (r < 0)
            return r;
    }
    return add_signers("PIAGENT_FEDORA_SIGNER", sources, err);
}

static int settle_stall(struct image_sources *sources, struct pi_error *err)
{
    const char *set = getenv("PIAGENT_FEDORA_STALL_S");
    if (!set || !*set)
        return 0;
    int r = pi_number_parse(set, 1, STALL_MAX_S, &sources->fedora_stall_s, err);
    return r < 0 ? pi_context(err, r, "PIAGENT_FEDORA_STALL_S") : 0;
}

static char **sources_member(struct image_sources *sources, size_t i)
{
    return (char **)((char *)sources + fields[i].offset);
}

/* A user who names mirrors of their own does not mean Fedora's. */
static const char *default_value(size_t i, bool own_mirrors)
{
    return own_mirrors && is_none(fields[i].key, "none") ? "none" : origins[i].standard;
}

static int fill_defaults(struct image_sources *sources, struct pi_error *err)
{
    bool own_mirrors = sources->fedora_url != NULL;
    for (size_t i = 0; i < PI_ARRAY_SIZE(origins); i++)
        if (!*sources_member(sources, i) &&
            !(*sources_member(sources, i) = strdup(default_value(i, own_mirrors))))
            return pi_fail(err, ENOMEM, "%s", fields[i].key);
    return 0;
}

int image_sources_load(const char *config_dir, struct image_sources *ret, struct pi_error *err)
{
    pi_auto_image_sources struct image_sources sources = {.fedora_stall_s = IMAGE_STALL_S};
    pi_auto_free char *path = NULL;
    if (asprintf(&path, "%s/config.json", config_dir) < 0 ||
        asprintf(&sources.keys_dir, "%s/keys", config_dir) < 0)
        return pi_fail(err, ENOMEM, "%s", config_dir);
    int r = read_config(path, &sources, err);
    for (size_t i = 0; r == 0 && i < PI_ARRAY_SIZE(origins); i++)
        r = settle_source_url(fields[i].key, origins[i].variable, sources_member(&sources, i), err);
    if (r < 0 || (r = fill_defaults(&sources, err)) < 0 || (r = settle_signers(&sources, err)) < 0 ||
        (r = settle_stall(&sources, err)) < 0)
        return r;
    *ret = sources;
    sources = (struct image_sources){0};
    return 0;
}

void image_sources_done(struct image_sources *sources)
{
    pi_fields_done(fields, sources);
    free(pi_steal(sources->keys_dir));
}

bool image_sources_is_setting(const char *setting)
{
    static const char *const names[] = {"PIAGENT_FEDORA_*", "http_proxy",    "https_proxy",  "HTTPS_PROXY",
                                        "all_proxy",        "ALL_PROXY",     "no_proxy",     "NO_PROXY",
                                        "CURL_CA_BUNDLE",   "SSL_CERT_FILE", "SSL_CERT_DIR", NULL};
    return setting[strcspn(setting, "=")] == '=' && pi_environ_is_named(setting, names);
}

/* The folder of Fedora's that a link of the index lies in, or NULL. */
static const struct folder *find_folder(const char *link)
{
    for (size_t i = 0; i < PI_ARRAY_SIZE(folders); i++)
        if (pi_starts_with(link, folders[i].url) && link[strlen(folders[i].url)] == '/')
            return &folders[i];
    return NULL;
}

char *image_sources_rewrite(const char *base, const char *link)
{
    const struct folder *folder = find_folder(link);
    char *url;
    if (!folder)
        return strdup(link);
    return asprintf(&url, "%s%s", base, link + strlen(folder->url)) < 0 ? NULL : url;
}

bool image_sources_is_archived(const char *link)
{
    const struct folder *folder = find_folder(link);
    return folder && folder->archived;
}

bool image_sources_signer(const struct image_sources *sources, const char *release,
                          char ret[IMAGE_FINGERPRINT_LENGTH + 1])
{
    char number[IMAGE_RELEASE_MAX];
    snprintf(number, sizeof number, "%.*s", (int)strcspn(release, " "), release);
    const char *pin = json_string_value(json_object_get(sources->fedora_signers, number));
    if (!pin)
        pin = image_release_signer(number);
    if (pin)
        snprintf(ret, IMAGE_FINGERPRINT_LENGTH + 1, "%s", pin);
    return pin != NULL;
}
