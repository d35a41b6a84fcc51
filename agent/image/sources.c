#include "agent/image/sources.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/fields.h"
#include "agent/base/fs.h"
#include "agent/base/text.h"
#include "agent/image/ref.h"

#define CONFIG_MAX 65536u

static const struct pi_field fields[] = {
    PI_FIELD(image_sources, fedora_index_url, PI_FIELD_STRING),
    PI_FIELD(image_sources, fedora_url, PI_FIELD_STRING),
    PI_FIELD(image_sources, fedora_checksum_url, PI_FIELD_STRING),
    {0},
};

/* In the order of fields. */
static const struct {
    const char *variable, *standard;
} origins[] = {
    {"PIAGENT_FEDORA_INDEX_URL", IMAGE_INDEX_URL},
    {"PIAGENT_FEDORA_URL", IMAGE_DOWNLOAD_URL},
    {"PIAGENT_FEDORA_CHECKSUM_URL", IMAGE_CHECKSUM_URL},
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

/* The value of one member, checked, without slashes at its end. */
static int settle(const char *key, const char *variable, const char *standard, char **value,
                  struct pi_error *err)
{
    const char *set = getenv(variable);
    const char *chosen = set && *set ? set : *value ? *value : standard;
    if (!image_is_url(chosen))
        return pi_refuse(err, PI_USAGE, "%s is not an http or https URL: '%.200s'",
                         chosen == set ? variable : key, chosen);
    char *copy = strdup(chosen);
    if (!copy)
        return pi_fail(err, ENOMEM, "%s", key);
    for (size_t n = strlen(copy); copy[n - 1] == '/'; n--)
        copy[n - 1] = '\0';
    free(*value);
    *value = copy;
    return 0;
}

int image_sources_load(const char *config_dir, struct image_sources *ret, struct pi_error *err)
{
    pi_auto_image_sources struct image_sources sources = {0};
    pi_auto_free char *path = NULL;
    if (asprintf(&path, "%s/config.json", config_dir) < 0)
        return pi_fail(err, ENOMEM, "%s", config_dir);
    int r = read_config(path, &sources, err);
    for (size_t i = 0; r == 0 && i < PI_ARRAY_SIZE(origins); i++)
        r = settle(fields[i].key, origins[i].variable, origins[i].standard,
                   (char **)((char *)&sources + fields[i].offset), err);
    if (r < 0)
        return r;
    *ret = sources;
    sources = (struct image_sources){0};
    return 0;
}

void image_sources_done(struct image_sources *sources)
{
    pi_fields_done(fields, sources);
}

char *image_sources_rewrite(const char *base, const char *link)
{
    size_t n = strlen(IMAGE_DOWNLOAD_URL);
    char *url;
    if (!pi_starts_with(link, IMAGE_DOWNLOAD_URL "/"))
        return strdup(link);
    return asprintf(&url, "%s%s", base, link + n) < 0 ? NULL : url;
}
