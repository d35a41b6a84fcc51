/* SPDX-License-Identifier: MIT */
/*
 * How far a boot has come, by what the guest prints on its console: bytes in, landmarks out. Pure. The bytes
 * are the guest's, and hostile: of a line only its beginning is kept, and control sequences are left out.
 */
#ifndef PIAGENT_VM_LANDMARK_H
#define PIAGENT_VM_LANDMARK_H

#include <stdbool.h>
#include <stddef.h>

enum vm_landmark {
    VM_LANDMARK_NONE,
    VM_LANDMARK_FIRMWARE, /* SeaBIOS, iPXE, EDK2, U-Boot; SeaBIOS says nothing on a serial console by default
                           */
    VM_LANDMARK_BOOTLOADER, /* GRUB, syslinux, systemd-boot */
    VM_LANDMARK_KERNEL,     /* Linux, from its EFI stub on */
    VM_LANDMARK_INIT,       /* systemd runs, in the initrd or after it */
    VM_LANDMARK_LOGIN,      /* the getty's prompt */
};
extern const char *const vm_landmark_names[]; /* "none", "firmware", ...; ends with NULL */

#define VM_LANDMARK_LINE 256

/* One boot's console. Zeroed memory is a boot's beginning. */
struct vm_landmarks {
    enum vm_landmark reached;
    enum { VM_ESCAPE_NONE, VM_ESCAPE_BEGUN, VM_ESCAPE_CSI, VM_ESCAPE_STRING } escape;
    size_t used;
    char line[VM_LANDMARK_LINE]; /* the beginning of the line that is being printed */
};

/* Takes bytes, cut anywhere. Calls found for each landmark that lies beyond all before it: at most once each
 * in a boot. line is what showed it, up to there: not cleaned for people, valid until found returns. */
void vm_landmarks_feed(struct vm_landmarks *landmarks, const char *bytes, size_t size,
                       void (*found)(enum vm_landmark landmark, const char *line, size_t length, void *user),
                       void *user);

#endif
