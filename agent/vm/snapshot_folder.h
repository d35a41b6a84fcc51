/* SPDX-License-Identifier: MIT */
/*
 * The folders of an instance's snapshots, in its own folder:
 *
 *   snapshots/TAG/      a snapshot: a link to each layer of its disk and an empty disk on them, the UEFI variables, the
 *                       record as it was, and, of a guest that ran, its RAM: saved-ram, saved.json (vm/saved.h)
 *   snapshots/TAG.new/  one that is being made
 *   restore/            a restore that is decided: its files take the places of the instance's own
 *   restore.new/        one that is being made
 *
 * So a snapshot is whole by itself: it can be removed whatever was made before and after it, and a layer is gone when the last
 * folder that has a link to it is removed. A rename of a folder decides a snapshot or a restore.
 */
#ifndef PIAGENT_VM_SNAPSHOT_FOLDER_H
#define PIAGENT_VM_SNAPSHOT_FOLDER_H

#include <stdbool.h>

#include "agent/base/error.h"

#define VM_SNAPSHOTS_FOLDER "snapshots"
#define VM_RESTORE_FOLDER   "restore"
#define VM_NEW              ".new" /* no name ends so */
#define VM_SNAPSHOTS_MAX    64
#define VM_LAYER_FILE       "base-%u.qcow2" /* of the disk, from 1 on */
#define VM_LAYERS_MAX       32              /* while a QEMU runs, nothing can be copied */

/* Gives the folder NAME.new, whose files are durable, the name NAME. in_fd is the folder that has it. */
int vm_snapshot_decide(int in_fd, const char *name, struct pi_error *err);
/* Whether the folder has a restore that is decided and not finished. */
bool vm_restore_is_decided(int dir_fd);

/* Finishes a restore that is decided, if there is one, durably. dir_fd is the instance's folder; its record may be another one
 * afterwards. */
int vm_restore_finish(int dir_fd, struct pi_error *err);

/* Removes snapshots and restores that were not decided. None may be under way. */
void vm_snapshots_sweep(int dir_fd);

#endif
