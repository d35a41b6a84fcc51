/* SPDX-License-Identifier: MIT */
/* Finds UEFI firmware through the descriptors that distributions ship (QEMU's docs/interop/firmware.json). */
#ifndef PIAGENT_VM_FIRMWARE_H
#define PIAGENT_VM_FIRMWARE_H

#include "agent/vm/spec.h"

struct vm_firmware_files {
    char *code;        /* the executable, mapped read-only by every instance */
    char *code_format; /* "raw" or "qcow2" */
    char *vars;        /* the template of the variable store, copied for each instance */
    char *vars_format;
};

/* Parses one descriptor and, where it fits (UEFI in flash with a variable store, arch and machine, no secure
 * boot with enrolled keys, no SMM, no confidential computing), fills ret: 1 fits, 0 does not, negative where
 * it is not a descriptor. */
int vm_firmware_parse(const char *json, size_t size, enum vm_arch arch, struct vm_firmware_files *ret,
                      struct pi_error *err);

/* The first that fits in the specification's order: $XDG_CONFIG_HOME/qemu/firmware (or ~/.config),
 * /etc/qemu/firmware, /usr/share/qemu/firmware; a file in an earlier folder masks its namesake, an empty one
 * hides it. Files it names must exist. PI_HOST names the package to install. folders: NULL-terminated list
 * instead of the standard ones (tests), or NULL. */
int vm_firmware_find(enum vm_arch arch, const char *const *folders, struct vm_firmware_files *ret,
                     struct pi_error *err);

/* What holds it. */
struct vm_packages vm_firmware_packages(enum vm_arch arch);

void vm_firmware_done(struct vm_firmware_files *files);

#endif
