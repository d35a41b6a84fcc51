/* SPDX-License-Identifier: MIT */
/*
 * Tells by a guest's console how far its boot has come, and where it got stuck: bytes in, landmarks out.
 * Pure. The guest may print anything: this keeps only the beginning of a line, and drops control sequences. A
 * landmark or trouble is only a hint, because any program in the guest can print these words. A trouble
 * counts if nothing follows it.
 */
#ifndef PIAGENT_VM_LANDMARK_H
#define PIAGENT_VM_LANDMARK_H

#include <stdbool.h>
#include <stddef.h>

enum vm_landmark {
    VM_LANDMARK_NONE,
    VM_LANDMARK_FIRMWARE,   /* SeaBIOS (with graphics=off), iPXE, EDK2, U-Boot */
    VM_LANDMARK_BOOTLOADER, /* GRUB, syslinux, systemd-boot */
    VM_LANDMARK_KERNEL,     /* Linux, from its EFI stub on */
    VM_LANDMARK_INIT,       /* systemd runs, in the initrd or after it */
    VM_LANDMARK_LOGIN,      /* the getty's prompt */
    VM_LANDMARKS
};
extern const char *const vm_landmark_names[]; /* "none", "firmware", ...; ends with NULL */

/* Why a boot got stuck, if it goes no further. */
enum vm_trouble {
    VM_TROUBLE_NONE,
    VM_TROUBLE_NO_BOOT_DEVICE, /* the firmware gave up: SeaBIOS, EDK2 */
    VM_TROUBLE_UEFI_SHELL,
    VM_TROUBLE_BOOTLOADER, /* GRUB or syslinux: no configuration, no kernel, a prompt */
    VM_TROUBLE_INT3,       /* the kernel hit a breakpoint of its own, and may go on: see .int3 */
    VM_TROUBLE_SHELL,  /* the initrd's shell (dracut, initramfs-tools), systemd's emergency or rescue mode */
    VM_TROUBLE_PANIC,  /* the kernel's message, at the beginning of a line, perhaps after a time stamp */
    VM_TROUBLE_HALTED, /* "System halted", by the kernel or its decompressor */
};
extern const char *const vm_trouble_texts[]; /* for people: "the firmware found nothing to boot from", ... */

#define VM_LANDMARK_LINE 256

/* The console of one boot. Zeroed memory is the beginning of a boot. */
struct vm_landmarks {
    enum vm_landmark reached;
    enum vm_trouble trouble;      /* NONE again when the boot reaches another landmark */
    char words[VM_LANDMARK_LINE]; /* the line of the trouble, not cleaned for people */
    bool int3; /* "int3" oopsed in this boot: QEMU's TCG does that to x86_64 kernels that patch themselves
                  while several processors run (a race that QEMU 8.1 mended: accel/tcg: Always lock pages
                  before translation) */
    bool disk_full;       /* a program printed that the guest's disk is full */
    bool cloud_init_died; /* systemd could not start one of cloud-init's stages */
    enum { VM_ESCAPE_NONE, VM_ESCAPE_BEGUN, VM_ESCAPE_CSI, VM_ESCAPE_STRING } escape;
    size_t used;
    char line[VM_LANDMARK_LINE]; /* the beginning of the line that is being printed */
};

/* Takes bytes, cut anywhere, and updates .trouble. Calls found() for each landmark that lies beyond all
 * earlier ones, so at most once each in a boot. line is the line that shows it, so far: not cleaned for
 * people, and valid until found() returns. */
void vm_landmarks_feed(struct vm_landmarks *landmarks, const char *bytes, size_t size,
                       void (*found)(enum vm_landmark landmark, const char *line, size_t length, void *user),
                       void *user);

#endif
