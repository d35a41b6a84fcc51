/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/base/fs.h"
#include "agent/base/proc.h"
#include "agent/vm/argv.h"
#include "agent/vm/overlay.h"

/* An overlay grows as the guest writes. With less free space the disk would fill up during the boot. */
#define SPACE_MIN ((uint64_t)512 << 20)

static int check_space(const char *folder, struct pi_error *err)
{
    char have[32], need[32];
    uint64_t bytes;
    int r = pi_space_free(folder, &bytes, err);
    if (r < 0 || bytes >= SPACE_MIN)
        return r;
    return pi_refuse(err, PI_HOST, "only %s are free at %s, but a guest needs %s to boot: free some space",
                     pi_size_format(bytes, have), folder, pi_size_format(SPACE_MIN, need));
}

static int join_path(const char *folder, const char *name, char ret[PATH_MAX], struct pi_error *err)
{
    if (snprintf(ret, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX)
        return pi_refuse(err, PI_HOST, "%s: the path is too long", folder);
    return 0;
}

int vm_disk_prepare(const struct vm_spec *spec, const char *folder, struct pi_error *err)
{
    char path[PATH_MAX];
    uint64_t size_bytes = spec->disk_bytes ? spec->disk_bytes : spec->image.virtual_size_bytes;
    int r = vm_spec_check(spec, err);
    if (r == 0)
        r = check_space(folder, err);
    if (r == 0)
        r = join_path(folder, VM_DISK_FILE, path, err);
    if (r < 0)
        return r;
    if (access(spec->image.path, R_OK) < 0)
        return pi_fail(err, errno, "cannot read the image %s", spec->image.path);
    r = vm_overlay_create(path, spec->image.path, spec->image.format, size_bytes, err);
    return r < 0 ? pi_context(err, r, "cannot make the disk") : 0;
}

int vm_overlay_make(const char *folder, const char *name, const char *base, uint64_t size_bytes,
                    struct pi_error *err)
{
    char path[PATH_MAX];
    int r = check_space(folder, err);
    if (r == 0)
        r = join_path(folder, name, path, err);
    if (r < 0)
        return r;
    r = vm_overlay_create(path, base, "qcow2", size_bytes, err);
    return r < 0 ? pi_context(err, r, "cannot make the disk") : 0;
}

int vm_vars_prepare(const struct vm_firmware_files *firmware, const char *folder, struct pi_error *err)
{
    char path[PATH_MAX];
    int r = join_path(folder, VM_VARS_FILE, path, err);
    if (r < 0)
        return r;
    r = pi_run((const char *const[]){"qemu-img", "convert", "-f", firmware->vars_format, "-O", "qcow2",
                                     firmware->vars, path, NULL},
               NULL, NULL, err);
    return r < 0 ? pi_context(err, r, "cannot make the store of UEFI variables") : 0;
}
