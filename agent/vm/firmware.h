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

/* Parses one descriptor. If it fits (UEFI in flash with a variable store, arch and machine, no secure boot
 * with enrolled keys, no SMM, no confidential computing), fills ret and returns 1. 0 if it does not fit,
 * negative if it is not a descriptor. */
int vm_firmware_parse(const char *json, size_t size, enum vm_arch arch, struct vm_firmware_files *ret,
                      struct pi_error *err);

/* Finds the first descriptor that fits and whose files exist, in the specification's order:
 * $XDG_CONFIG_HOME/qemu/firmware (or ~/.config), /etc/qemu/firmware, /usr/share/qemu/firmware. A file in an
 * earlier folder replaces one of the same name in a later folder; an empty file hides it. PI_HOST, with the
 * package to install, if there is none. folders replaces the standard ones in tests: a list that ends with
 * NULL, or NULL. */
int vm_firmware_find(enum vm_arch arch, const char *const *folders, struct vm_firmware_files *ret,
                     struct pi_error *err);

/* The packages that hold the firmware. */
struct vm_packages vm_firmware_packages(enum vm_arch arch);

void vm_firmware_done(struct vm_firmware_files *files);

#endif
