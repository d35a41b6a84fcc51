/* SPDX-License-Identifier: MIT */
#include "agent/instance/boots_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/fields.h"
#include "agent/base/fs.h"
#include "agent/loop/log.h"

#define BOOTS_FILE "boots.json"

void boots_file_open(struct boots_file *file, uv_loop_t *loop, const char *folder)
{
    pi_auto_buf struct pi_buf text = {0};
    *file = (struct boots_file){.loop = loop, .folder = folder};
    pi_auto_close int folder_fd = pi_dir_open(folder, NULL);
    int r = folder_fd < 0 ? folder_fd : pi_file_read(folder_fd, BOOTS_FILE, VM_BOOTS_MAX, &text, NULL);
    json_auto_t *document = r == 0 && text.data ? pi_json_parse(text.data, text.size, NULL) : NULL;
    if (!document && r != -ENOENT)
        log_line("the times of earlier boots (%s/" BOOTS_FILE ") cannot be read: they are begun anew",
                 folder);
    vm_boots_read(&file->boots, document);
}

static int write_text(const struct boots_file *file, struct pi_error *err)
{
    if (!file->text)
        return pi_fail(err, ENOMEM, BOOTS_FILE);
    pi_auto_close int fd = pi_dir_open(file->folder, err);
    return fd < 0 ? fd : pi_file_write(fd, BOOTS_FILE, file->text, strlen(file->text), 0600, err);
}

static void write_boots_in_thread(uv_work_t *request)
{
    struct boots_file *file = request->data;
    file->result = write_text(file, &file->failure);
}

static void save_boots(struct boots_file *file);

static void on_boots_saved(uv_work_t *request, int status)
{
    struct boots_file *file = request->data;
    (void)status;
    file->busy = false;
    free(pi_steal(file->text));
    if (file->result < 0)
        log_line("the times of boots are not kept: %s", file->failure.text);
    if (file->wanted)
        save_boots(file);
}

/* One write at a time, the newest times only. */
static void save_boots(struct boots_file *file)
{
    file->wanted = file->busy;
    if (file->busy)
        return;
    json_auto_t *document = vm_boots_write(&file->boots);
    file->text = document ? json_dumps(document, JSON_COMPACT) : NULL;
    file->busy = true;
    file->request.data = file;
    uv_queue_work(file->loop, &file->request, write_boots_in_thread, on_boots_saved);
}

void boots_file_add(struct boots_file *file, const char *key, const struct vm_boot *boot)
{
    vm_boots_add(&file->boots, key, boot);
    if (file->folder)
        save_boots(file);
}

bool boots_file_is_busy(const struct boots_file *file)
{
    return file->busy;
}
