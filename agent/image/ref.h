/* SPDX-License-Identifier: MIT */
/* A reference: the user's name for an image. */
#ifndef PIAGENT_IMAGE_REF_H
#define PIAGENT_IMAGE_REF_H

#include <stdbool.h>

#include "agent/base/error.h"

#define IMAGE_RELEASE_MAX 16
#define IMAGE_URL_MAX     2048

enum image_ref_kind {
    IMAGE_REF_FEDORA, /* "fedora", "fedora:44", "fedora:45-beta" */
    IMAGE_REF_URL,    /* "https://...", "http://..." */
    IMAGE_REF_FILE,   /* a path: it holds a slash, ends in .qcow2, .raw or .img, or exists */
};

struct image_ref {
    enum image_ref_kind kind;
    char release[IMAGE_RELEASE_MAX]; /* as the index spells it: "44", "45 Beta"; "" = the newest stable one */
    const char *text;                /* the reference itself; borrowed */
};

/* Refuses anything else (PI_USAGE), and says what is allowed. */
int image_ref_parse(const char *text, struct image_ref *ret, struct pi_error *err);

/* Tells if text is an http or https URL with a host and without user or password, of printable ASCII, shorter
 * than IMAGE_URL_MAX. */
bool image_is_url(const char *text);

/* The last component of a URL (without query and fragment) or path; length in *ret_length. May be empty. */
const char *image_base_name(const char *url, int *ret_length);

#endif
