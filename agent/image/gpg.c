/* SPDX-License-Identifier: MIT */
#include "agent/image/gpg.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/fs.h"
#include "agent/base/proc.h"
#include "agent/base/text.h"
#include "agent/image/release.h"

#define HOME_PREFIX   "piagent-gpg-"
#define ABANDONED_S   60
#define STEP_MS       30000u
#define LOOK_AGAIN_NS 2000000L

static void data_free_p(gpgme_data_t *data)
{
    if (*data)
        gpgme_data_release(*data);
}

static int gpg_failed(gpgme_error_t code, struct pi_error *err)
{
    if (gpgme_err_code(code) == GPG_ERR_INV_ENGINE)
        return pi_refuse(err, PI_HOST, "GnuPG, which verifies signatures, is not installed: install gnupg");
    return pi_refuse(err, PI_FAILED, "GnuPG failed: %s", gpgme_strerror(code));
}

/* Neither verifying nor importing needs a daemon, but a host may be configured to keep keys in one. */
static void remove_home(const char *home)
{
    pi_run((const char *const[]){"gpgconf", "--homedir", home, "--kill", "all", NULL}, NULL, NULL, NULL);
    pi_tree_remove(AT_FDCWD, home, NULL);
}

/* Tells if a killed fetch left this home: nobody holds its lock, and it is too old to be one that is just
 * being made. */
static bool is_abandoned(int dir_fd, const char *name)
{
    struct stat st;
    pi_auto_close int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid() &&
           st.st_mtim.tv_sec + ABANDONED_S < time(NULL) && flock(fd, LOCK_EX | LOCK_NB) == 0;
}

static void sweep_homes(const char *folder)
{
    pi_auto_closedir DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        char home[PATH_MAX];
        if (pi_starts_with(entry->d_name, HOME_PREFIX) && is_abandoned(dirfd(dir), entry->d_name) &&
            snprintf(home, sizeof home, "%s/%s", folder, entry->d_name) < (int)sizeof home)
            remove_home(home);
    }
}

int image_gpg_open(struct image_meter *meter, struct image_gpg *ret, struct pi_error *err)
{
    pi_auto_image_gpg struct image_gpg gpg = {.meter = meter, .home_fd = -1};
    const char *folder = getenv("TMPDIR");
    folder = folder && *folder == '/' ? folder : "/tmp";
    sweep_homes(folder);
    char home[sizeof gpg.home];
    int n = snprintf(home, sizeof home, "%s/" HOME_PREFIX "XXXXXX", folder);
    if (n >= (int)sizeof home || !mkdtemp(home))
        return pi_fail(err, n >= (int)sizeof home ? ENAMETOOLONG : errno,
                       "cannot create a folder for GnuPG (TMPDIR, else /tmp)");
    memcpy(gpg.home, home, sizeof gpg.home);
    gpg.home_fd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (gpg.home_fd < 0 || flock(gpg.home_fd, LOCK_EX | LOCK_NB) < 0)
        return pi_fail(err, errno, "%s", home);
    gpgme_check_version(NULL); /* initializes the library, says its manual */
    gpgme_error_t code = gpgme_new(&gpg.ctx);
    if (!code)
        code = gpgme_ctx_set_engine_info(gpg.ctx, GPGME_PROTOCOL_OpenPGP, NULL, gpg.home);
    if (code)
        return gpg_failed(code, err);
    gpgme_set_offline(gpg.ctx, 1);
    *ret = gpg;
    gpg = (struct image_gpg){0};
    return 0;
}

void image_gpg_done(struct image_gpg *gpg)
{
    if (gpg->ctx)
        gpgme_release(gpg->ctx);
    if (!gpg->home[0])
        return;
    remove_home(gpg->home);
    pi_close_p(&gpg->home_fd);
    *gpg = (struct image_gpg){.home_fd = -1};
}

/* Waits for the operation that was started. */
static int await_gpg(struct image_gpg *gpg, gpgme_error_t started, struct pi_error *err)
{
    static const struct timespec pause = {.tv_nsec = LOOK_AGAIN_NS};
    uint64_t end_ms = pi_monotonic_ms() + STEP_MS;
    if (started)
        return gpg_failed(started, err);
    for (;;) {
        gpgme_error_t code = 0;
        if (gpgme_wait(gpg->ctx, &code, 0))
            return gpgme_err_code(code) && gpgme_err_code(code) != GPG_ERR_NO_DATA ? gpg_failed(code, err)
                                                                                   : 0;
        bool cancelled = image_meter_cancelled(gpg->meter);
        if (cancelled || pi_monotonic_ms() >= end_ms) {
            gpgme_cancel(gpg->ctx);
            return cancelled ? image_meter_give_up(gpg->meter, err)
                             : pi_refuse(err, PI_TIMEOUT, "GnuPG did not end in %u s", STEP_MS / 1000);
        }
        nanosleep(&pause, NULL);
    }
}

int image_gpg_import(struct image_gpg *gpg, const struct pi_buf *data, struct pi_error *err)
{
    pi_auto(data_free_p) gpgme_data_t keys = NULL;
    if (!data->size)
        return 0;
    gpgme_error_t code = gpgme_data_new_from_mem(&keys, data->data, data->size, 0);
    return await_gpg(gpg, code ? code : gpgme_op_import_start(gpg->ctx, keys), err);
}

bool image_gpg_has(const struct image_gpg *gpg, const char *fingerprint, char *ret_primary)
{
    gpgme_key_t key;
    if (gpgme_get_key(gpg->ctx, fingerprint, &key, 0))
        return false;
    bool whole = key->subkeys && key->subkeys->fpr && strlen(key->subkeys->fpr) == IMAGE_FINGERPRINT_LENGTH;
    if (whole && ret_primary)
        snprintf(ret_primary, IMAGE_FINGERPRINT_LENGTH + 1, "%s", key->subkeys->fpr);
    gpgme_key_unref(key);
    return whole;
}

int image_gpg_verify(struct image_gpg *gpg, const struct pi_buf *data, struct pi_buf *ret,
                     struct pi_error *err)
{
    pi_auto(data_free_p) gpgme_data_t message = NULL;
    pi_auto(data_free_p) gpgme_data_t plain = NULL;
    char chunk[4096];
    gpgme_error_t code = gpgme_data_new_from_mem(&message, data->data, data->size, 0);
    if (!code)
        code = gpgme_data_new(&plain);
    int r = await_gpg(gpg, code ? code : gpgme_op_verify_start(gpg->ctx, message, NULL, plain), err);
    if (r < 0 && err && err->kind == PI_FAILED && r != -ECANCELED)
        err->kind = PI_UNVERIFIED; /* GnuPG could not parse the text */
    if (r < 0)
        return r;
    gpgme_data_seek(plain, 0, SEEK_SET);
    for (ssize_t n; (n = gpgme_data_read(plain, chunk, sizeof chunk)) > 0;)
        if ((r = pi_buf_add(ret, chunk, (size_t)n)) < 0)
            return pi_fail(err, -r, "cannot keep the signed text");
    return 0;
}
