/* SPDX-License-Identifier: MIT */
/* QEMU's command line for an instance: a pure function of its spec and of what the host offers. */
#ifndef PIAGENT_VM_ARGV_H
#define PIAGENT_VM_ARGV_H

#include "agent/vm/firmware.h"
#include "agent/vm/spec.h"

struct vm_host {
    const char *qemu;    /* absolute path of qemu-system-ARCH */
    const char *folder;  /* the instance's folder, absolute */
    enum vm_accel accel; /* VM_ACCEL_KVM or VM_ACCEL_TCG */
    int qmp_fd;          /* listening sockets as QEMU will see them */
    int console_fd;
    int agent_fd;         /* the guest agent's channel */
    const char *isolator; /* absolute path of piagent, and of the socket that an isolated guest reaches */
    const char *imds_socket;
    int net_fd;                               /* the isolated guest's network as QEMU will see it */
    const struct vm_firmware_files *firmware; /* NULL = SeaBIOS */
    bool standalone; /* for a person's shell: the console on its terminal, and no socket of the agent's */
};

/* Names of the files in the instance's folder that the argv speaks of. */
#define VM_DISK_FILE   "disk.qcow2"
#define VM_VARS_FILE   "vars.qcow2"
#define VM_SMBIOS_FILE "smbios.bin"
#define VM_BOARD_FILE  "smbios-board.bin"

int vm_argv_build(const struct vm_spec *spec, const struct vm_host *host, struct pi_strv *ret,
                  struct pi_error *err);

/* FOLDER/NAME, or FOLDER where the name is "", as it stands inside an option: QEMU reads ",," as a comma that
 * does not end it. Allocated; NULL without memory. */
char *vm_path_escape(const char *folder, const char *name);

/* Whether this spec boots through UEFI: aarch64 always, x86_64 when asked for. */
bool vm_spec_uses_uefi(const struct vm_spec *spec);

/* "qemu-system-x86_64" or "qemu-system-aarch64", and what holds it. */
const char *vm_qemu_program(enum vm_arch arch);
struct vm_packages vm_qemu_packages(enum vm_arch arch);

/* Blocking, for workers: makes the overlay (qemu-img, checked against the base's own size and the disk's free
 * space) and, for UEFI, the variable store as qcow2 in folder. */
int vm_disk_prepare(const struct vm_spec *spec, const char *folder, struct pi_error *err);
int vm_vars_prepare(const struct vm_firmware_files *firmware, const char *folder, struct pi_error *err);

#endif
