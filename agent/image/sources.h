/*
 * Where Fedora's files come from: three URLs, each Fedora's own unless the environment or config.json in the
 * configuration folder says otherwise, so that a mirror (or a test) can stand in.
 */
#ifndef PIAGENT_IMAGE_SOURCES_H
#define PIAGENT_IMAGE_SOURCES_H

#include "agent/base/error.h"

#define IMAGE_INDEX_URL    "https://fedoraproject.org/releases.json"
#define IMAGE_DOWNLOAD_URL "https://download.fedoraproject.org/pub/fedora/linux"
/* download.fedoraproject.org redirects to mirrors; a checksum must not come from the same one as the image.
 */
#define IMAGE_CHECKSUM_URL "https://dl.fedoraproject.org/pub/fedora/linux"

struct image_sources {
    char *fedora_index_url;    /* PIAGENT_FEDORA_INDEX_URL: the index, a whole URL */
    char *fedora_url;          /* PIAGENT_FEDORA_URL: the folder above releases/, for images */
    char *fedora_checksum_url; /* PIAGENT_FEDORA_CHECKSUM_URL: the same, for CHECKSUM files */
};

/*
 * The environment beats config_dir/config.json (an object with the members' names as its keys; an unknown key
 * or a value that is no http or https URL is refused, PI_USAGE), which beats the defaults. No file is no
 * error.
 */
int image_sources_load(const char *config_dir, struct image_sources *ret, struct pi_error *err);
void image_sources_done(struct image_sources *sources);
#define pi_auto_image_sources __attribute__((cleanup(image_sources_done)))

/* A link of the index with IMAGE_DOWNLOAD_URL at its start replaced by base; other links as they are.
 * Allocated; NULL without memory. */
char *image_sources_rewrite(const char *base, const char *link);

#endif
