/* SPDX-License-Identifier: MIT */
#include "agent/image/signature.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/text.h"
#include "agent/image/gpg.h"
#include "agent/image/http_text.h"

#define KEYS_MAX       ((size_t)1 << 20) /* bytes of a key file */
#define KEY_FILES_MAX  64
#define SIGNATURES_MAX 16

static const char *const host_folders[] = {"/etc/pki/rpm-gpg", "/usr/share/distribution-gpg-keys/fedora"};

/* A file that is missing or cannot be read holds no key. */
static int import_file(struct image_gpg *gpg, int dir_fd, const char *path, struct pi_error *err)
{
    pi_auto_buf struct pi_buf text = {0};
    int r = pi_file_read(dir_fd, path, KEYS_MAX, &text, err);
    if (r < 0)
        return r == -ENOMEM ? r : 0;
    return image_gpg_import(gpg, &text, err);
}

/* The file of a release's key in Fedora's packages. */
static int import_packaged(struct image_gpg *gpg, const char *folder, const char *release,
                           struct pi_error *err)
{
    char path[128];
    snprintf(path, sizeof path, "%s/RPM-GPG-KEY-fedora-%.*s-primary", folder, (int)strcspn(release, " "),
             release);
    return import_file(gpg, AT_FDCWD, path, err);
}

static int import_folder(struct image_gpg *gpg, const char *folder, struct pi_error *err)
{
    pi_auto_closedir DIR *dir = opendir(folder);
    int r = 0, files = 0;
    if (!dir && errno == ENOMEM)
        return pi_fail(err, errno, "%s", folder);
    for (struct dirent *entry; r == 0 && dir && files < KEY_FILES_MAX && (entry = readdir(dir));) {
        if (!pi_ends_with(entry->d_name, ".asc") && !pi_ends_with(entry->d_name, ".gpg"))
            continue;
        files++;
        r = import_file(gpg, dirfd(dir), entry->d_name, err);
    }
    return r;
}

static int import_from_network(struct image_gpg *gpg, const char *url, struct pi_error *err)
{
    pi_auto_buf struct pi_buf keys = {0};
    int r = image_text_get(url, KEYS_MAX, gpg->meter, &keys, err);
    return r < 0 ? r : image_gpg_import(gpg, &keys, err);
}

/* Imports the pinned key, from the nearest place that has it. */
static int find_key(struct image_gpg *gpg, const char *pin, const char *release,
                    const struct image_sources *sources, struct pi_error *err)
{
    int r = 0;
    for (size_t i = 0; i < PI_ARRAY_SIZE(host_folders) && r == 0 && !image_gpg_has(gpg, pin, NULL); i++)
        r = import_packaged(gpg, host_folders[i], release, err);
    if (r == 0 && !image_gpg_has(gpg, pin, NULL))
        r = import_folder(gpg, sources->keys_dir, err);
    if (r == 0 && !image_gpg_has(gpg, pin, NULL))
        r = import_from_network(gpg, sources->fedora_keys_url, err);
    if (r < 0 && r != -ENOENT)
        return pi_context(err, r, "the key that signs Fedora %s", release);
    if (image_gpg_has(gpg, pin, NULL))
        return 0;
    return pi_refuse(
        err, PI_UNVERIFIED,
        "the key that signs Fedora %s, %s, is neither on this host nor at %s: put it into %s, or "
        "take the image unsigned with --allow-unsigned",
        release, pin, sources->fedora_keys_url, sources->keys_dir);
}

/* 0 if the pinned key made a good signature. */
static int judge_signature(const struct image_gpg *gpg, const char *pin, struct pi_error *err)
{
    const struct _gpgme_op_verify_result *result = gpgme_op_verify_result(gpg->ctx);
    const struct _gpgme_signature *signature = result ? result->signatures : NULL;
    if (!signature)
        return pi_refuse(err, PI_UNVERIFIED, "expected a signature by %s, found none", pin);
    char found[256] = "";
    for (int i = 0; signature && i < SIGNATURES_MAX; signature = signature->next, i++) {
        char primary[IMAGE_FINGERPRINT_LENGTH + 1] = "";
        bool known = signature->fpr && image_gpg_has(gpg, signature->fpr, primary);
        bool good = known && gpgme_err_code(signature->status) == GPG_ERR_NO_ERROR;
        if (good && !strcmp(primary, pin))
            return 0;
        snprintf(found, sizeof found, "%s by %s", good ? "a good one" : gpgme_strerror(signature->status),
                 known            ? primary
                 : signature->fpr ? signature->fpr
                                  : "an unknown key");
    }
    return pi_refuse(err, PI_UNVERIFIED, "expected a good signature by %s, found: %s", pin, found);
}

int image_signature_check(const struct pi_buf *signed_text, const char *release,
                          const struct image_sources *sources, struct image_meter *meter,
                          struct pi_buf *ret_text, char ret_signer[IMAGE_FINGERPRINT_LENGTH + 1],
                          struct pi_error *err)
{
    pi_auto_image_gpg struct image_gpg gpg = {.home_fd = -1};
    pi_auto_buf struct pi_buf text = {0};
    char pin[IMAGE_FINGERPRINT_LENGTH + 1];
    if (!image_sources_signer(sources, release, pin))
        return pi_refuse(err, PI_UNVERIFIED,
                         "no key is pinned for Fedora %s: name its fingerprint in config.json "
                         "(fedora_signers), or take the image unsigned with --allow-unsigned",
                         release);
    int r = image_gpg_open(meter, &gpg, err);
    if (r < 0 || (r = find_key(&gpg, pin, release, sources, err)) < 0 ||
        (r = image_gpg_verify(&gpg, signed_text, &text, err)) < 0 ||
        (r = judge_signature(&gpg, pin, err)) < 0)
        return r;
    r = pi_buf_add(ret_text, text.data ? text.data : "", text.size);
    if (r < 0)
        return pi_fail(err, -r, "cannot keep the signed text");
    memcpy(ret_signer, pin, sizeof pin);
    return 0;
}

int image_signature_keys_here(const struct image_sources *sources, struct image_meter *meter,
                              struct pi_strv *ret, struct pi_error *err)
{
    pi_auto_image_gpg struct image_gpg gpg = {.home_fd = -1};
    int r = image_gpg_open(meter, &gpg, err);
    if (r == 0)
        r = import_folder(&gpg, sources->keys_dir, err);
    for (unsigned i = 0, number; r == 0 && (number = image_release_known(i)); i++) {
        char release[16], pin[IMAGE_FINGERPRINT_LENGTH + 1];
        snprintf(release, sizeof release, "%u", number);
        for (size_t j = 0; j < PI_ARRAY_SIZE(host_folders) && r == 0; j++)
            r = import_packaged(&gpg, host_folders[j], release, err);
        if (r == 0 && image_sources_signer(sources, release, pin) && image_gpg_has(&gpg, pin, NULL) &&
            (r = pi_strv_add(ret, release)) < 0)
            pi_fail(err, -r, "keys");
    }
    return r;
}
