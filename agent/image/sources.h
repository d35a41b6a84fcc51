/* SPDX-License-Identifier: MIT */
/*
 * The servers of Fedora's files, and the keys that must have signed them. The environment or config.json in
 * the configuration folder can name other ones, for a mirror or a test.
 */
#ifndef PIAGENT_IMAGE_SOURCES_H
#define PIAGENT_IMAGE_SOURCES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/image/release.h"

#define IMAGE_INDEX_URL    "https://fedoraproject.org/releases.json"
#define IMAGE_DOWNLOAD_URL "https://download.fedoraproject.org/pub/fedora/linux"
/* Not download.fedoraproject.org, which redirects to mirrors: a checksum must not come from the image's
 * mirror. */
#define IMAGE_CHECKSUM_URL "https://dl.fedoraproject.org/pub/fedora/linux"
#define IMAGE_ARCHIVE_URL  "https://dl.fedoraproject.org/pub/archive/fedora/linux"
#define IMAGE_METALINK_URL "https://mirrors.fedoraproject.org/metalink"
#define IMAGE_STALL_S      30u
#define IMAGE_KEYS_URL     "https://fedoraproject.org/fedora.gpg"

struct image_sources {
    char *fedora_index_url; /* PIAGENT_FEDORA_INDEX_URL: the index, a whole URL */
    char *fedora_url;       /* PIAGENT_FEDORA_URL: the folder above releases/, for images; several, tried in
                               this order, with spaces between them */
    char *fedora_checksum_url; /* PIAGENT_FEDORA_CHECKSUM_URL: the same, for CHECKSUM files; one */
    char *fedora_archive_url;  /* PIAGENT_FEDORA_ARCHIVE_URL: the same for releases that ended, for both */
    char *fedora_metalink_url; /* PIAGENT_FEDORA_METALINK_URL: answers ?path=pub/fedora/linux/... with a list
                                  of mirrors; "none" = don't ask, the default if fedora_url is set */
    char *fedora_keys_url;     /* PIAGENT_FEDORA_KEYS_URL: a keyring with the keys that sign releases */
    uint64_t fedora_stall_s;   /* PIAGENT_FEDORA_STALL_S: a transfer below 1 KiB a second
                                  for that long ends; default 30 */
    json_t *fedora_signers;    /* PIAGENT_FEDORA_SIGNER=44:FINGERPRINT,...: for a rebuild or a private mirror
                                  that signs with a key of its own, {"44": "FINGERPRINT"} */
    char *keys_dir;            /* config_dir/keys */
};

/*
 * The environment beats config_dir/config.json, which beats the defaults. The file is an object with the
 * members' names as its keys (without keys_dir). Refuses (PI_USAGE) an unknown key, and a value that is not
 * an http or https URL. The file may be missing.
 */
int image_sources_load(const char *config_dir, struct image_sources *ret, struct pi_error *err);
void image_sources_done(struct image_sources *sources);
#define pi_auto_image_sources __attribute__((cleanup(image_sources_done)))

/* Tells if a setting of the environment ("NAME=VALUE") matters for fetching images: the variables above,
 * proxies and certificates. */
bool image_sources_is_setting(const char *setting);

/* In a link of the index to Fedora's own servers (IMAGE_DOWNLOAD_URL, or the archive), replaces the part
 * before /releases/ by base. Copies other links. Allocated; NULL without memory. */
char *image_sources_rewrite(const char *base, const char *link);

/* Tells if a link of the index leads to Fedora's archive of releases that ended. */
bool image_sources_is_archived(const char *link);

/* The primary fingerprint (upper case) of the key that must have signed a release ("44", "45 Beta"): the
 * user's, else the one that is pinned here. False if there is none. */
bool image_sources_signer(const struct image_sources *sources, const char *release,
                          char ret[IMAGE_FINGERPRINT_LENGTH + 1]);

#endif
