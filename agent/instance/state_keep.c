/* SPDX-License-Identifier: MIT */
#include "agent/instance/state_keep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/image/digest.h"
#include "agent/instance/instance.h"
#include "agent/vm/argv.h"

/* *ret_bytes: that it takes of the disk. */
static int sync_template_ram(int dir_fd, uint64_t *ret_bytes, struct pi_error *err)
{
    struct stat st;
    pi_auto_close int fd = openat(dir_fd, VM_TEMPLATE_RAM_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 || fsync(fd) < 0 || fstat(fd, &st) < 0)
        return pi_fail(err, errno, VM_TEMPLATE_RAM_FILE);
    *ret_bytes = (uint64_t)st.st_blocks * 512;
    return 0;
}

static int write_all(struct keeping *keeping, struct pi_error *err)
{
    struct image_meter meter = {.now = {.name = VM_SAVED_RAM_FILE}};
    pi_auto_close int fd = openat(keeping->dir_fd, VM_SAVED_RAM_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fsync(keeping->ram_fd) < 0)
        return pi_fail(err, errno, VM_SAVED_RAM_FILE);
    int r = sync_template_ram(keeping->dir_fd, &keeping->template_bytes, err);
    if (r == 0)
        r = vm_saved_look(keeping->dir_fd, keeping->saved.layer, &keeping->saved, err);
    if (r == 0)
        r = image_digest_file(fd, -1, keeping->saved.ram.bytes, &meter, keeping->saved.ram_sha256, err);
    return r < 0 ? r : vm_saved_write(keeping->dir_fd, &keeping->saved, err);
}

void keeping_write(uv_work_t *request)
{
    struct keeping *keeping = request->data;
    keeping->result = write_all(keeping, &keeping->failure);
}

struct keeping *keeping_of(uv_work_t *request)
{
    struct keeping *keeping = request->data;
    keeping->instance->host->writes--;
    return keeping;
}

bool keeping_counts(const struct keeping *keeping)
{
    return keeping->instance->record.life.state == VM_SAVING && !keeping->instance->detached;
}

void keeping_queue(struct keeping *keeping, uv_work_cb work, uv_after_work_cb done)
{
    keeping->instance->host->writes++; /* the agent ends when it has ended */
    uv_queue_work(keeping->instance->host->loop, &keeping->request, work, done);
}

void keeping_begin(struct instance *instance, const char *layer, uv_work_cb work, uv_after_work_cb done)
{
    struct saved_state *state = &instance->saved_state;
    struct keeping *keeping = calloc(1, sizeof *keeping);
    if (!keeping) {
        saved_state_failed(instance, "no memory is left");
        return;
    }
    *keeping = (struct keeping){.instance = instance,
                                .dir_fd = pi_steal_fd(&state->dir_fd),
                                .ram_fd = pi_steal_fd(&state->fd),
                                .saved = state->saved};
    snprintf(keeping->saved.layer, sizeof keeping->saved.layer, "%s", layer);
    state->saved = (struct vm_saved){0};
    state->step = NULL;
    state->keeping = true;
    keeping->request.data = keeping;
    instance_ref(instance);
    keeping_queue(keeping, work, done);
}

void keeping_end(struct keeping *keeping)
{
    struct instance *instance = keeping->instance;
    close(keeping->dir_fd);
    close(keeping->ram_fd);
    vm_saved_done(&keeping->saved);
    free(keeping);
    instance->saved_state.keeping = false;
    instance_unref(instance);
}
