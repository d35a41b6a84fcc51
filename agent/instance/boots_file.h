/* SPDX-License-Identifier: MIT */
/* How long boots took (vm/boot_times.h), of all instances, kept in one small file. */
#ifndef PIAGENT_INSTANCE_BOOTS_FILE_H
#define PIAGENT_INSTANCE_BOOTS_FILE_H

#include <stdbool.h>
#include <uv.h>

#include "agent/base/error.h"
#include "agent/vm/boot_times.h"

/* Zeroed memory is one without a file: nothing is kept. */
struct boots_file {
    struct vm_boots boots;
    uv_loop_t *loop;
    const char *folder; /* absolute, borrowed: pi_paths.state */
    uv_work_t request;
    bool busy; /* a thread writes .text */
    bool wanted;
    char *text;
    int result;
    struct pi_error failure;
};

/* Reads what is known of earlier boots. A damaged file is logged, and begun anew with the next boot. */
void boots_file_open(struct boots_file *file, uv_loop_t *loop, const char *folder);

/* Keeps a boot that has become ready, and writes the file by a thread: nobody waits for it. */
void boots_file_add(struct boots_file *file, const char *key, const struct vm_boot *boot);

/* Whether a thread still writes: the loop is to run until it does not. */
bool boots_file_is_busy(const struct boots_file *file);

#endif
