/* SPDX-License-Identifier: MIT */
#include "agent/worker/template_share.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/vm/argv.h"
#include "agent/vm/saved.h"
#include "agent/worker/disk_clone.h"
#include "agent/worker/worker_main.h"

/* The template's QEMU had another -uuid, which the guest is told, and which is no hardware. */
static int rename_hardware(struct pi_strv *hardware, const char *uuid)
{
    for (size_t i = 0; i < hardware->count; i++) {
        char *word = hardware->items[i];
        if (!pi_starts_with(word, "-uuid "))
            continue;
        if (asprintf(&hardware->items[i], "-uuid %s", uuid) < 0) {
            hardware->items[i] = word;
            return -ENOMEM;
        }
        free(word);
    }
    return 0;
}

/* The template's QEMU, and those of all its instances, only read it since it was saved. */
static int check_ram(const struct vm_saved *saved, int source_fd, struct pi_error *err)
{
    struct vm_saved now = {0};
    int r = vm_saved_look(source_fd, "", &now, err);
    if (r < 0 || vm_saved_is_same_file(&saved->template_ram, &now.template_ram))
        return r;
    return pi_refuse(err, PI_CONFLICT,
                     "the file of its template's RAM has changed since the template was saved: make the "
                     "template again");
}

/* The same state, over the files of this folder. */
static int describe_state(const struct vm_spec *spec, int source_fd, int folder_fd, struct pi_error *err)
{
    struct vm_saved saved = {0};
    int r = vm_saved_read(source_fd, &saved, err);
    if (r == 0)
        r = check_ram(&saved, source_fd, err);
    if (r == 0 && rename_hardware(&saved.hardware, spec->uuid) < 0)
        r = pi_fail(err, ENOMEM, VM_SAVED_FILE);
    if (r == 0)
        r = vm_saved_look(folder_fd, "", &saved, err);
    if (r == 0)
        r = vm_saved_write(folder_fd, &saved, err);
    vm_saved_done(&saved);
    return r;
}

int template_share(const struct vm_spec *spec, const char *source, const char *folder, struct pi_error *err)
{
    pi_auto_close int source_fd = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    pi_auto_close int folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (source_fd < 0 || folder_fd < 0)
        return pi_fail(err, errno, "cannot open %s", source_fd < 0 ? source : folder);
    int r = disk_share(spec, source, folder, err);
    if (r == 0)
        r = worker_share_file(source, folder, VM_TEMPLATE_RAM_FILE, err);
    if (r == 0)
        r = worker_share_file(source, folder, VM_SAVED_RAM_FILE, err);
    return r < 0 ? r : describe_state(spec, source_fd, folder_fd, err);
}
