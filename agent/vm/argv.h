/* SPDX-License-Identifier: MIT */
/* Makes QEMU's command line for an instance. Pure: it depends on the spec and on struct vm_host. */
#ifndef PIAGENT_VM_ARGV_H
#define PIAGENT_VM_ARGV_H

#include "agent/vm/firmware.h"
#include "agent/vm/spec.h"

struct vm_host {
    const char *qemu;    /* absolute path of qemu-system-ARCH */
    const char *folder;  /* the instance's folder, absolute */
    enum vm_accel accel; /* VM_ACCEL_KVM or VM_ACCEL_TCG */
    int qmp_fd;          /* listening sockets, as QEMU's descriptors */
    int console_fd;
    int agent_fd; /* the guest agent's channel */
    const char *
        isolator; /* absolute path of piagent, for bridges and isolated guests; for these also of the socket that the guest
                     reaches */
    const char *imds_socket;
    int net_fd; /* the isolated guest's network, as QEMU's descriptor */
    int network_fd; /* of each network of the spec, from this descriptor on: the folder of its sockets, or a tap device */
    const struct vm_firmware_files *firmware; /* NULL = SeaBIOS */
    const char *
        machine; /* the machine type with its version, for a saved state that QEMU will load; NULL = the newest */
    bool template_hardware; /* that of templates, and of what resumes from them */
    bool
        template_ram; /* the RAM is VM_TEMPLATE_RAM_FILE, which a template writes, and others see privately: they resume from
                               the template, and their cards for networks are plugged in later (vm_card_properties) */
    int identity_fd; /* its listening socket, like qmp_fd */
    bool standalone; /* for a person's shell: the console is the terminal, and there are no sockets */
};

/*
 * The hardware of templates is the ordinary one, and behind it, so that all else keeps its place:
 *   - the port VM_IDENTITY_PORT, over which a guest is told who it is;
 *   - an empty slot for each card of a network, "slot0" ..., into which a card can be plugged while the guest runs.
 * It has no balloon: through one, a guest has pages punched out of the file that the RAM is, whoever else uses that.
 */
#define VM_IDENTITY_PORT  "org.piagent.identity.0"
#define VM_MEMORY_FILE    "memory-backend-file," /* the -object that is the RAM ... */
#define VM_MEMORY_BACKEND ",memory-backend="     /* ... and the end of -machine that says so */
#define VM_SLOT           "slot%zu"              /* of the network with this index */

/* Names of the files in the instance's folder that the argv names. */
#define VM_DISK_FILE   "disk.qcow2"
#define VM_VARS_FILE   "vars.qcow2"
#define VM_SMBIOS_FILE "smbios.bin"
#define VM_BOARD_FILE  "smbios-board.bin"
/* As large as the RAM. Never written to again once its template is saved. */
#define VM_TEMPLATE_RAM_FILE "template-ram"

/* QEMU's name of the node of the disk. */
#define VM_DISK_NODE "disk"

int vm_argv_build(const struct vm_spec *spec, const struct vm_host *host, struct pi_strv *ret,
                  struct pi_error *err);

/* The properties of the card for the network with this index, as -device takes them: "virtio-net-pci,netdev=net0,mac=..."; on
 * the hardware of templates it is in its slot. Allocated; NULL without memory, or if the network has no address. */
char *vm_card_properties(const struct vm_spec *spec, size_t index, bool template_hardware);

/* FOLDER/NAME, or FOLDER if name is "", escaped for use inside an option: QEMU reads ",," as one comma.
 * Allocated; NULL without memory. */
char *vm_path_escape(const char *folder, const char *name);

/* Tells if this spec boots with UEFI: aarch64 always, x86_64 if the user wants it. */
bool vm_spec_uses_uefi(const struct vm_spec *spec);

/* "qemu-system-x86_64" or "qemu-system-aarch64", and the packages that hold it. */
const char *vm_qemu_program(enum vm_arch arch);
struct vm_packages vm_qemu_packages(enum vm_arch arch);

/* Make the overlay in folder, after a check of the base's size and the free space; and, for UEFI, the store of variables,
 * with qemu-img. They block: for workers. */
int vm_disk_prepare(const struct vm_spec *spec, const char *folder, struct pi_error *err);
/* The same for an overlay of base, a qcow2 file: one in the same folder, by its mere name, or an absolute path. It need not be
 * there yet. */
int vm_overlay_make(const char *folder, const char *name, const char *base, uint64_t size_bytes,
                    struct pi_error *err);
/* PI_HOST if QEMU is too old for the networks of the spec. */
int vm_networks_prepare(const struct vm_spec *spec, struct pi_error *err);
int vm_vars_prepare(const struct vm_firmware_files *firmware, const char *folder, struct pi_error *err);

#endif
