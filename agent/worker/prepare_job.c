/* SPDX-License-Identifier: MIT */
/* The worker "prepare": gets the image, and makes the files of an instance besides its record. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/proc.h"
#include "agent/image/qcow2.h"
#include "agent/seed/ssh_key.h"
#include "agent/seed/ssh_keygen.h"
#include "agent/vm/argv.h"
#include "agent/vm/record.h"
#include "agent/worker/disk_clone.h"
#include "agent/worker/protocol.h"
#include "agent/worker/template_share.h"
#include "agent/worker/worker_main.h"

static int make_keys(int dir_fd, const char *name, struct pi_error *err)
{
    pi_auto_buf struct pi_buf login_key = {0}, host_key = {0}, line = {0};
    char comment[96];
    snprintf(comment, sizeof comment, "piagent@%s", name);
    int r = seed_ssh_keygen(dir_fd, VM_SSH_KEY_FILE, comment, &login_key, err);
    if (r == 0)
        r = seed_ssh_keygen(dir_fd, VM_HOST_KEY_FILE, name, &host_key, err);
    if (r == 0)
        r = seed_known_hosts_line(name, host_key.data, &line, err);
    return r < 0 ? r : pi_file_replace(dir_fd, VM_KNOWN_HOSTS_FILE, line.data, line.size, 0600, err);
}

static int make_disks(const struct vm_spec *spec, const char *folder, struct pi_error *err)
{
    struct vm_firmware_files firmware = {0};
    int r = vm_disk_prepare(spec, folder, err);
    if (r < 0 || !vm_spec_uses_uefi(spec))
        return r;
    r = vm_firmware_find(spec->arch, NULL, &firmware, err);
    if (r == 0)
        r = vm_vars_prepare(&firmware, folder, err);
    vm_firmware_done(&firmware);
    return r;
}

/* Next the record says that the instance is whole. That must hold after a power cut too. */
int worker_sync_all(int dir_fd, struct pi_error *err)
{
    pi_auto_closedir DIR *dir = pi_dir_entries(dir_fd, ".");
    if (!dir)
        return pi_fail(err, errno, "cannot sync a folder");
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        pi_auto_close int fd = openat(dir_fd, entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || fsync(fd) < 0)
            return pi_fail(err, errno, "cannot sync %s", entry->d_name);
    }
    return pi_dir_sync(dir_fd, err);
}

int worker_share_file(const char *source, const char *folder, const char *name, struct pi_error *err)
{
    char from[PATH_MAX], to[PATH_MAX];
    if (snprintf(from, sizeof from, "%s/%s", source, name) >= (int)sizeof from ||
        snprintf(to, sizeof to, "%s/%s", folder, name) >= (int)sizeof to)
        return pi_refuse(err, PI_HOST, "%s: the path is too long", folder);
    if (linkat(AT_FDCWD, from, AT_FDCWD, to, 0) == 0)
        return 0;
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK)
        return pi_fail(err, errno, "cannot link %s", from);
    return pi_run((const char *const[]){"cp", "--reflink=auto", "--sparse=always", "--", from, to, NULL},
                  NULL, NULL, err);
}

static int make_content(const struct vm_spec *spec, const char *source, const char *folder,
                        struct pi_error *err)
{
    if (!source)
        return make_disks(spec, folder, err);
    return spec->of_template[0] ? template_share(spec, source, folder, err)
                                : disk_clone(spec, source, folder, err);
}

static int name_image(const struct image *image, struct worker_prepared *ret, struct pi_error *err)
{
    struct vm_image *named = &ret->image;
    snprintf(named->sha256, sizeof named->sha256, "%s", image->sha256);
    named->path = strdup(image->path);
    named->name = strdup(image->name);
    named->format = strdup(image_format_names[image->format]);
    named->virtual_size_bytes = image->virtual_size_bytes;
    named->verified = image->verified;
    ret->note = image->note ? strdup(image->note) : NULL;
    return named->path && named->name && named->format && (ret->note || !image->note)
               ? 0
               : pi_fail(err, ENOMEM, "the image");
}

static int get_image(const struct worker_prepare *wanted, struct worker_prepared *ret, struct pi_error *err)
{
    pi_auto_image struct image image = {0};
    int r = wanted->image ? worker_get_image(wanted, &image, err) : 0;
    return r == 0 && wanted->image ? name_image(&image, ret, err) : r;
}

static int prepare_folder(const struct worker_prepare *wanted, struct worker_prepared *prepared,
                          struct pi_error *err)
{
    pi_auto_close int dir = open(wanted->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return pi_fail(err, errno, "%s", wanted->folder);
    struct vm_record record = {0};
    int r = vm_record_load(dir, &record, err);
    if (r == 0)
        r = vm_networks_prepare(&record.spec, err);
    if (r == 0) {
        struct vm_spec spec = record.spec; /* borrows both */
        if (wanted->image)
            spec.image = prepared->image;
        r = make_content(&spec, wanted->source, wanted->folder, err);
    }
    if (r == 0)
        r = make_keys(dir, record.spec.name, err);
    if (r == 0)
        r = worker_sync_all(dir, err);
    vm_record_done(&record);
    return r;
}

int worker_run_prepare(const json_t *request, json_t **ret_result, struct pi_error *err)
{
    struct worker_prepare wanted = {0};
    struct worker_prepared prepared = {0};
    int r = pi_fields_read(worker_prepare_fields, request, false, &wanted, err);
    if (r == 0)
        r = get_image(&wanted, &prepared, err);
    if (r == 0)
        r = prepare_folder(&wanted, &prepared, err);
    *ret_result = r == 0 ? pi_fields_write(worker_prepared_fields, &prepared) : NULL;
    pi_fields_done(worker_prepared_fields, &prepared);
    pi_fields_done(worker_prepare_fields, &wanted);
    return r;
}
