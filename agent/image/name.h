/* SPDX-License-Identifier: MIT */
/* The file names of Fedora Cloud's generic images, in every form that Fedora used since release 38. */
#ifndef PIAGENT_IMAGE_NAME_H
#define PIAGENT_IMAGE_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/image/ref.h"

struct image_name {
    char release[IMAGE_RELEASE_MAX]; /* "44", "45 Beta" (an underscore in the name) */
    char compose[16];                /* "1.7" */
    char arch[16];                   /* "x86_64", "aarch64" */
};

/*
 * Fedora-Cloud-Base-39-1.5.x86_64.qcow2 (38, 39), Fedora-Cloud-Base-Generic.x86_64-40-1.14.qcow2 (40),
 * Fedora-Cloud-Base-Generic-44-1.7.x86_64.qcow2 (41 on). False for everything else, such as the UEFI-UKI,
 * AmazonEC2, Azure, GCE and Vagrant files beside them.
 */
bool image_name_parse(const char *file, struct image_name *ret);

/* The file name of a stable release's generic image for an architecture: image_name_parse() backwards. */
void image_name_file(const struct image_name *name, char *buf, size_t size);

/* The CHECKSUM file beside an image has had two names: form 0, Fedora-Cloud-44-1.7-x86_64-CHECKSUM, and form
 * 1, Fedora-Cloud-images-45_Beta-1.3-x86_64-CHECKSUM. */
#define IMAGE_CHECKSUM_FORMS 2
void image_name_checksum_file(const struct image_name *name, int form, char *buf, size_t size);

/* The architectures that piagent boots. */
bool image_arch_known(const char *arch);

#endif
