/* SPDX-License-Identifier: MIT */
/*
 * The description of a saved state: what must be as it was for a QEMU to load it. It is written beside the file of the
 * RAM, after it. Whether the saved state counts at all, the record says (life.h).
 *
 * The RAM's file is known by its digest, so that a damaged one is not loaded. The disk, and the file of a template's RAM, which
 * is too large to be read at each start, are known by their size and time: whoever writes to them changes that. If the disk has become a layer since (a clone or a snapshot was made of it), the
 * description names the layer, and the empty disk that stands on it.
 *
 * A state is loaded by the same version of the machine type, on the same devices, over the same disk. A newer QEMU has
 * the older versions of its machine types; but the processors "max" and "host" have no versions, and are what this QEMU
 * and, under KVM, this host make of them.
 */
#ifndef PIAGENT_VM_SAVED_H
#define PIAGENT_VM_SAVED_H

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/vm/spec.h"
#include "qmp/commands.h"

#define VM_SAVED_FILE     "saved.json"
#define VM_SAVED_RAM_FILE "saved-ram" /* QEMU's migration stream: RAM and devices */
#define VM_SAVED_SCHEMA   1

struct vm_saved_file {
    uint64_t bytes, modified_ns; /* 0, 0: there is none */
};

struct vm_saved {
    uint64_t schema;
    uint64_t qemu_major, qemu_minor, qemu_micro;
    char machine[64]; /* the machine type with its version: "pc-q35-7.2" */
    enum vm_accel accel;
    char host_cpu[160];       /* under KVM: vm_saved_host_cpu() */
    struct pi_strv hardware;  /* vm_saved_hardware() */
    struct vm_saved_file ram; /* its files, when it was saved */
    struct vm_saved_file disk, vars, template_ram;
    char ram_sha256[65];
    char layer[32];               /* "base-2.qcow2": what the disk has become since; "": it is the disk */
    struct vm_saved_file overlay; /* then the empty disk on the layer */
};

/* From the folder: -ENOENT if there is none; PI_FAILED if it is damaged, or of a newer piagent. */
int vm_saved_read(int dir_fd, struct vm_saved *ret, struct pi_error *err);
/* Durably. */
int vm_saved_write(int dir_fd, const struct vm_saved *saved, struct pi_error *err);
void vm_saved_done(struct vm_saved *saved);
/* The description of the state in `from`, written for a copy in `to`: RAM, UEFI variables and the disk there, an empty one on
 * that layer ("" = it is a copy of the disk), are there already. No error if `from` has no saved state. */
int vm_saved_copy(int from, int to, const char *layer, struct pi_error *err);

bool vm_saved_is_same_file(const struct vm_saved_file *saved, const struct vm_saved_file *now);

/* The files of the folder: what is now the RAM, the variables, and the disk, or, if layer is not "", the overlay on that
 * layer. */
int vm_saved_look(int dir_fd, const char *layer, struct vm_saved *ret, struct pi_error *err);
/* The disk is becoming a layer: writes to the description that the state fits an empty disk on the layer, too. overlay_dir_fd
 * and overlay: the file that is going to be that disk. No error if the folder has no saved state. */
int vm_saved_note_layer(int dir_fd, const char *layer, int overlay_dir_fd, const char *overlay,
                        struct pi_error *err);

/* The options of QEMU's argv that say what the guest runs on: "-cpu max", "-device virtio-blk-pci,..." The type of the
 * machine and what is only the host's (sockets, ports, paths) are left out. ret is empty before. 0 or -ENOMEM. */
int vm_saved_hardware(const struct pi_strv *argv, struct pi_strv *ret);

/* The first processor of /proc/cpuinfo: its name, and a mark of all that it can do. */
void vm_saved_host_cpu(const char *cpuinfo, char ret[160]);

/* Whether the saved state fits what is there now: accel, host_cpu, hardware and the files. PI_CONFLICT with the first
 * difference: "its disk has changed since". */
int vm_saved_fits(const struct vm_saved *saved, const struct vm_saved *now, struct pi_error *err);

/* Whether QEMU of that version may load it. PI_CONFLICT with the reason. */
int vm_saved_fits_qemu(const struct vm_saved *saved, const struct qmp_version *qemu, struct pi_error *err);

#endif
