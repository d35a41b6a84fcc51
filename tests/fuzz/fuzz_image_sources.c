/* SPDX-License-Identifier: MIT */
/* config.json, and after NULs what the environment says of mirrors and signers: what passes can be used. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/image/ref.h"
#include "agent/image/sources.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require_urls(const char *list)
{
    pi_auto_free char *words = strdup(list);
    char *state;
    for (char *word = strtok_r(words, " ", &state); word; word = strtok_r(NULL, " ", &state))
        if (!image_is_url(word) && strcmp(word, "none") != 0)
            abort();
}

static void check(const struct image_sources *sources)
{
    char pin[IMAGE_FINGERPRINT_LENGTH + 1];
    const char *const urls[] = {sources->fedora_index_url,    sources->fedora_url,
                                sources->fedora_checksum_url, sources->fedora_archive_url,
                                sources->fedora_metalink_url, sources->fedora_keys_url};
    for (size_t i = 0; i < PI_ARRAY_SIZE(urls); i++)
        require_urls(urls[i]);
    if (!image_sources_signer(sources, "44", pin) || strlen(pin) != IMAGE_FINGERPRINT_LENGTH)
        abort();
    if (sources->fedora_stall_s < 1 || sources->fedora_stall_s > 3600)
        abort();
}

/* The next text of the input, which a NUL or its end ends; the caller's. */
static char *next_text(const uint8_t **data, size_t *size)
{
    char *text = strndup((const char *)*data, *size);
    size_t used = text ? strlen(text) : 0;
    used += used < *size;
    *data += used;
    *size -= used;
    return text;
}

/* A folder whose config.json is a file in memory. */
static const char *config_folder(int fd)
{
    static char folder[] = "/tmp/pi-fuzz-XXXXXX";
    static char link[64];
    char target[64];
    if (!link[0] && mkdtemp(folder))
        snprintf(link, sizeof link, "%s/config.json", folder);
    snprintf(target, sizeof target, "/proc/self/fd/%d", fd);
    unlink(link);
    return symlink(target, link) < 0 ? NULL : folder;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const variables[] = {"PIAGENT_FEDORA_URL", "PIAGENT_FEDORA_SIGNER",
                                            "PIAGENT_FEDORA_METALINK_URL"};
    pi_auto_image_sources struct image_sources sources = {0};
    pi_auto_free char *config = next_text(&data, &size);
    for (size_t i = 0; i < PI_ARRAY_SIZE(variables); i++) {
        pi_auto_free char *value = next_text(&data, &size);
        if (value)
            setenv(variables[i], value, 1);
    }
    int fd = memfd_create("config", MFD_CLOEXEC);
    const char *folder = config_folder(fd);
    if (config && folder && pi_write_all(fd, config, strlen(config)) == 0 &&
        image_sources_load(folder, &sources, NULL) == 0)
        check(&sources);
    close(fd);
    return 0;
}
