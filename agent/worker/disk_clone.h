/* SPDX-License-Identifier: MIT */
/*
 * The disk of a clone. What was the source's disk becomes a layer that nobody writes to any more, and source and clone each get
 * an empty overlay on it:
 *
 *   before                   after
 *   source/disk ─▶ image     source/disk ─┐
 *                                         ├─▶ base-1 ─▶ image
 *                            clone/disk ──┘
 *
 * Each folder has a link of its own to each layer (link(2)), and an overlay names its layer by the mere file name. So every
 * folder is whole by itself: an instance can be removed whoever else uses its layers, and the last one that is removed frees
 * them. If the source's disk has not changed since its last clone, the new clone stands on the same layer.
 *
 * A disk with DISK_LAYERS_MAX layers, or on a file system without such links, is copied instead, as one overlay on the image; the
 * source is then left as it is.
 */
#ifndef PIAGENT_WORKER_DISK_CLONE_H
#define PIAGENT_WORKER_DISK_CLONE_H

#include "agent/base/error.h"
#include "agent/vm/spec.h"

/* Each one costs QEMU a file, some memory and time. */
#define DISK_LAYERS_MAX 8
#define DISK_LAYER_SIZE 24

/*
 * Makes the disk of the new instance in folder of that in source, and the store of UEFI variables, if the spec has one, and
 * links the image to it (agent/image/use.h). Of several for one source, one waits for the other. PI_CONFLICT if a QEMU that
 * piagent did not start has the source's disk open. The source's disk has the same content as before, whatever fails and
 * whenever the process or the host ends.
 */
int disk_clone(const struct vm_spec *spec, const char *source, const char *folder, struct pi_error *err);

/* The same of a source whose disk is never written again: the disk itself becomes the layer, and the source is left as it is. */
int disk_share(const struct vm_spec *spec, const char *source, const char *folder, struct pi_error *err);
enum disk_source {
    DISK_AT_REST,
    DISK_LIVE, /* a QEMU has it open, which goes on writing into the layer until it is told to use the source's new disk. The
                * variables are left out. Refused (PI_CONFLICT) if nothing more can be put on the disk. */
};
/* Like disk_clone(), without the link to the image. ret_layer: the layer that both stand on; "" if the disk was copied. If the source has
 * a saved state, its description says that it fits the source's new disk, too (vm/saved.h). */
int disk_keep(const struct vm_spec *spec, enum disk_source how, const char *source, const char *folder,
              char ret_layer[DISK_LAYER_SIZE], struct pi_error *err);

#endif
