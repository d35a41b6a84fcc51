/* SPDX-License-Identifier: MIT */
/* Runs GnuPG in a private home folder, through GPGME. Each step has a deadline, and nothing stays behind. */
#ifndef PIAGENT_IMAGE_GPG_H
#define PIAGENT_IMAGE_GPG_H

#include <gpgme.h>
#include <stdbool.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/image/meter.h"

struct image_gpg {
    gpgme_ctx_t ctx;
    char home[256]; /* below $TMPDIR, else /tmp; "" = none */
    int home_fd;    /* holds a flock on home while it is in use */
    struct image_meter *meter;
};

int image_gpg_open(struct image_meter *meter, struct image_gpg *ret, struct pi_error *err);
void image_gpg_done(struct image_gpg *gpg);
#define pi_auto_image_gpg __attribute__((cleanup(image_gpg_done)))

/* Adds the keys in data, armored or not. Data without a key is not an error. */
int image_gpg_import(struct image_gpg *gpg, const struct pi_buf *data, struct pi_error *err);

/* Tells if the key with that fingerprint (its own or a subkey's) is there; ret_primary, 41 bytes or NULL,
 * takes the primary fingerprint. */
bool image_gpg_has(const struct image_gpg *gpg, const char *fingerprint, char *ret_primary);

/* Verifies a clearsigned text. Afterwards gpgme_op_verify_result(gpg->ctx) has the signatures: check these
 * first, because the covered text is appended to *ret even if they are bad. */
int image_gpg_verify(struct image_gpg *gpg, const struct pi_buf *data, struct pi_buf *ret,
                     struct pi_error *err);

#endif
