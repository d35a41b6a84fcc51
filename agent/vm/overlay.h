/* SPDX-License-Identifier: MIT */
/* A new overlay: a qcow2 without any data, on top of another disk (QEMU's docs/interop/qcow2.txt). qemu-img writes the
 * same with "create -u", but takes some 10 ms to start. */
#ifndef PIAGENT_VM_OVERLAY_H
#define PIAGENT_VM_OVERLAY_H

#include <stdint.h>

#include "agent/base/error.h"

#define VM_OVERLAY_BASE_MAX 1023 /* bytes, as QEMU has it */

/* Creates or replaces the file at path, which the caller syncs. base, absolute or beside path, is not opened. format is
 * the driver's name ("qcow2", "raw"). size_bytes is rounded up to whole sectors. PI_HOST if base is too long, PI_USAGE if
 * QEMU takes no disk of that size. */
int vm_overlay_create(const char *path, const char *base, const char *format, uint64_t size_bytes,
                      struct pi_error *err);

#endif
