/* SPDX-License-Identifier: MIT */
#include "agent/instance/start_files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/image/use.h"
#include "agent/image/verify.h"
#include "agent/instance/instance.h"
#include "agent/instance/membership.h"
#include "agent/vm/argv.h"

/* The overlay is useless without the image below it. The image must still be the file that was verified. */
static int check_image(const struct instance *instance, struct pi_error *err)
{
    const struct vm_spec *spec = &instance->record.spec;
    if (!spec->image.path)
        return pi_refuse(err, PI_CONFLICT, "%s has no image yet: it is being created", spec->name);
    int r = image_check(spec->image.path, spec->image.sha256, err);
    if (r == -ENOENT)
        return pi_refuse(err, PI_NOT_FOUND,
                         "its image %s (SHA-256 %.12s) is not in the store any more: fetch it again with "
                         "piagent image fetch, then start the instance",
                         spec->image.name, spec->image.sha256);
    if (r == 0)
        image_use_renew(spec->image.path, spec->image.sha256, instance->folder);
    return r;
}

/* Without this check QEMU would fail with words of its own, after the start. */
static int check_file(const struct instance *instance, const char *what, const char *file,
                      struct pi_error *err)
{
    const char *name = instance->record.spec.name;
    pi_auto_close int fd = openat(instance->dir_fd, file, O_RDWR | O_CLOEXEC);
    if (fd >= 0)
        return 0;
    if (errno == ENOENT)
        return pi_refuse(
            err, PI_NOT_FOUND,
            "its %s %s/%s is gone: put a copy of it back, or remove the instance with: piagent rm %s", what,
            instance->folder, file, name);
    return pi_refuse(err, PI_FAILED,
                     "its %s %s/%s cannot be opened (%s): let yourself read and write it, put a copy in its "
                     "place, or remove the instance with: piagent rm %s",
                     what, instance->folder, file, strerror(errno), name);
}

int files_check(const struct instance *instance, struct pi_error *err)
{
    int r = check_image(instance, err);
    if (r == 0)
        r = check_file(instance, "disk", VM_DISK_FILE, err);
    if (r == 0)
        r = membership_check_start(instance, err);
    if (r == 0 && vm_spec_uses_uefi(&instance->record.spec))
        r = check_file(instance, "store of UEFI variables", VM_VARS_FILE, err);
    return r;
}
