/* SPDX-License-Identifier: MIT */
/*
 * Verifies clearsigned texts (RFC 9580, 7) with GnuPG through GPGME, in a private home folder that is removed
 * again. No gpg-agent stays behind, and the user's own keyring is neither read nor changed.
 *
 * A key is trusted because its primary fingerprint is pinned, wherever it came from. These places are
 * searched in this order, until the pinned key is found: /etc/pki/rpm-gpg/RPM-GPG-KEY-fedora-N-primary, the
 * same name in /usr/share/distribution-gpg-keys/fedora, *.asc and *.gpg in the folder keys/ of the
 * configuration, and the keyring at image_sources.fedora_keys_url.
 */
#ifndef PIAGENT_IMAGE_SIGNATURE_H
#define PIAGENT_IMAGE_SIGNATURE_H

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/image/meter.h"
#include "agent/image/release.h"
#include "agent/image/sources.h"

/*
 * Verifies a text that Fedora signed for a release ("44", "45 Beta"). Appends to *ret_text the text that the
 * signature covers: trust nothing else of signed_text.
 *
 * Errors: PI_UNVERIFIED, with what was expected and what was found (no signature, a bad one, another key);
 * PI_NETWORK if the key is not on this host and cannot be fetched; PI_HOST without GnuPG; PI_TIMEOUT;
 * PI_FAILED with -ECANCELED.
 */
int image_signature_check(const struct pi_buf *signed_text, const char *release,
                          const struct image_sources *sources, struct image_meter *meter,
                          struct pi_buf *ret_text, char ret_signer[IMAGE_FINGERPRINT_LENGTH + 1],
                          struct pi_error *err);

/*
 * Adds the releases ("44") whose pinned key is on this host: image_signature_check() needs no network for
 * them. Errors are GnuPG's.
 */
int image_signature_keys_here(const struct image_sources *sources, struct image_meter *meter,
                              struct pi_strv *ret, struct pi_error *err);

#endif
