/* SPDX-License-Identifier: MIT */
/*
 * Saves disk and RAM of a guest for a snapshot (snapshot.h): its disk up to now is frozen as a layer. The worker has put an
 * empty disk on it; QEMU opens that, and writes there from now on (qapi/block-core.json).
 */
#ifndef PIAGENT_INSTANCE_SNAPSHOT_SAVE_H
#define PIAGENT_INSTANCE_SNAPSHOT_SAVE_H

struct instance;

/* When QEMU has the file (state_save.h). */
void snapshot_save_begin(struct instance *instance);

#endif
