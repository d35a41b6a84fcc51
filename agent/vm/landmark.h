/* SPDX-License-Identifier: MIT */
/*
 * How far a boot has come, by what the guest prints on its console: bytes in, landmarks out; and what it got
 * stuck at. Pure. The bytes are the guest's, and hostile: of a line only its beginning is kept, and control
 * sequences are left out. Any guest can print any of these words: they are a hint, which becomes true when
 * nothing follows them.
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
};
extern const char *const vm_landmark_names[]; /* "none", "firmware", ...; ends with NULL */

/* What a boot got stuck at, if it goes no further. */
enum vm_trouble {
    VM_TROUBLE_NONE,
    VM_TROUBLE_NO_BOOT_DEVICE, /* the firmware gave up: SeaBIOS, EDK2 */
    VM_TROUBLE_UEFI_SHELL,
    VM_TROUBLE_BOOTLOADER, /* GRUB's or syslinux's: no configuration, no kernel, a prompt */
    VM_TROUBLE_INT3,       /* the kernel ran onto a breakpoint of its own and may go on: see .int3 */
    VM_TROUBLE_SHELL, /* the initrd's shell (dracut, initramfs-tools), systemd's emergency or rescue mode */
    VM_TROUBLE_PANIC, /* of the kernel, in its own form: at the beginning of a line, but for its time stamp */
    VM_TROUBLE_HALTED, /* "System halted": the kernel's, or its decompressor's */
};
extern const char *const vm_trouble_texts[]; /* for people: "the firmware found nothing to boot from", ... */

#define VM_LANDMARK_LINE 256

/* One boot's console. Zeroed memory is a boot's beginning. */
struct vm_landmarks {
    enum vm_landmark reached;
    enum vm_trouble trouble;      /* NONE again where the boot reaches another landmark */
    char words[VM_LANDMARK_LINE]; /* of the trouble: what the line says of it, not cleaned for people */
    bool int3; /* "int3" oopsed in this boot: QEMU's TCG does that to x86_64 kernels that patch themselves
                  while several processors run (a race that QEMU 8.1 mended: accel/tcg: Always lock pages
                  before translation) */
    bool disk_full;       /* a program found no space left on the guest's disk */
    bool cloud_init_died; /* systemd could not start one of cloud-init's stages */
    enum { VM_ESCAPE_NONE, VM_ESCAPE_BEGUN, VM_ESCAPE_CSI, VM_ESCAPE_STRING } escape;
    size_t used;
    char line[VM_LANDMARK_LINE]; /* the beginning of the line that is being printed */
};

/* Takes bytes, cut anywhere, and keeps .trouble. Calls found for each landmark that lies beyond all before
 * it: at most once each in a boot. line is what showed it, up to there: not cleaned for people, valid until
 * found returns. */
void vm_landmarks_feed(struct vm_landmarks *landmarks, const char *bytes, size_t size,
                       void (*found)(enum vm_landmark landmark, const char *line, size_t length, void *user),
                       void *user);

#endif
