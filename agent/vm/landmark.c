/* SPDX-License-Identifier: MIT */
#include "agent/vm/landmark.h"

#include <string.h>

#include "agent/base/auto.h"

enum { BEL = 0x07, CAN = 0x18, SUB = 0x1a, ESC = 0x1b };

const char *const vm_landmark_names[] = {"none", "firmware", "bootloader", "kernel", "init", "login", NULL};

const char *const vm_trouble_texts[] = {
    [VM_TROUBLE_NONE] = "nothing",
    [VM_TROUBLE_NO_BOOT_DEVICE] = "the firmware found nothing to boot from",
    [VM_TROUBLE_UEFI_SHELL] = "the firmware found nothing to boot from and started the UEFI shell",
    [VM_TROUBLE_BOOTLOADER] = "the boot loader found no system to load",
    [VM_TROUBLE_INT3] = "the guest's kernel died",
    [VM_TROUBLE_SHELL] = "the guest's boot failed, and a shell waits on its console",
    [VM_TROUBLE_PANIC] = "the guest's kernel panicked",
    [VM_TROUBLE_HALTED] = "the guest halted",
};

/* Where on the line the text stands. */
enum place {
    BEGINS,   /* at its beginning, after the kernel's time stamp */
    ANYWHERE, /* anywhere */
    IS,       /* it is all of the line: a prompt, so no newline follows */
    ENDS,     /* at its end: a prompt too */
};

struct mark {
    int what;
    enum place place;
    const char *text;
};

/* The first row that fits counts. */
static const struct mark steps[] = {
    {VM_LANDMARK_LOGIN, ENDS, " login: "},
    /* Before systemd's, which begins the same way. */
    {VM_LANDMARK_BOOTLOADER, BEGINS, "Welcome to GRUB"},
    {VM_LANDMARK_INIT, BEGINS, "Welcome to "},
    {VM_LANDMARK_INIT, BEGINS, "systemd[1]: "},
    {VM_LANDMARK_INIT, BEGINS, "[  OK  ] "},
    {VM_LANDMARK_KERNEL, BEGINS, "Linux version "},
    {VM_LANDMARK_KERNEL, BEGINS, "Booting Linux on physical CPU"},
    {VM_LANDMARK_KERNEL, BEGINS, "EFI stub: "},
    {VM_LANDMARK_BOOTLOADER, ANYWHERE, "GNU GRUB"},
    {VM_LANDMARK_BOOTLOADER, BEGINS, "GRUB "},
    {VM_LANDMARK_BOOTLOADER, BEGINS, "Booting `"},
    {VM_LANDMARK_BOOTLOADER, BEGINS, "Loading Linux "},
    {VM_LANDMARK_BOOTLOADER, BEGINS, "SYSLINUX "},
    {VM_LANDMARK_BOOTLOADER, BEGINS, "EXTLINUX "},
    {VM_LANDMARK_BOOTLOADER, ANYWHERE, "systemd-boot"},
    {VM_LANDMARK_BOOTLOADER, BEGINS, "Boot in "},
    {VM_LANDMARK_FIRMWARE, ANYWHERE, "SeaBIOS"},
    {VM_LANDMARK_FIRMWARE, ANYWHERE, "iPXE"},
    {VM_LANDMARK_FIRMWARE, ANYWHERE, "UEFI firmware"},
    {VM_LANDMARK_FIRMWARE, BEGINS, "BdsDxe: "},
    {VM_LANDMARK_FIRMWARE, BEGINS, "Booting from "},
    {VM_LANDMARK_FIRMWARE, BEGINS, "U-Boot "},
    {0},
};

/* The words of SeaBIOS (boot.c), EDK2 (BdsDxe, Shell), GRUB (rescue_reader.c, normal/main.c), syslinux, the
 * kernel (kernel/panic.c, arch/x86/kernel/traps.c, kernel/reboot.c), dracut (dracut-emergency),
 * initramfs-tools (scripts/functions) and systemd (systemd-sulogin-shell). */
static const struct mark troubles[] = {
    {VM_TROUBLE_PANIC, BEGINS, "Kernel panic - not syncing"},
    {VM_TROUBLE_INT3, BEGINS, "Oops: int3: "},
    {VM_TROUBLE_INT3, BEGINS, "int3: "},
    {VM_TROUBLE_HALTED, BEGINS, "reboot: System halted"},
    {VM_TROUBLE_SHELL, ANYWHERE, "Dropping to a shell!"},
    {VM_TROUBLE_SHELL, IS, "(initramfs) "},
    {VM_TROUBLE_SHELL, BEGINS, "Entering emergency mode."},
    {VM_TROUBLE_SHELL, BEGINS, "You are in emergency mode."},
    {VM_TROUBLE_SHELL, BEGINS, "You are in rescue mode."},
    {VM_TROUBLE_SHELL, BEGINS, "Cannot open access to console, the root account is locked."},
    {VM_TROUBLE_SHELL, BEGINS, "Give root password for "},
    {VM_TROUBLE_SHELL, BEGINS, "Press Enter for "},
    {VM_TROUBLE_SHELL, IS, "dracut:/# "},
    {VM_TROUBLE_SHELL, IS, ":/# "},
    {VM_TROUBLE_BOOTLOADER, IS, "grub rescue> "},
    {VM_TROUBLE_BOOTLOADER, IS, "grub> "},
    {VM_TROUBLE_BOOTLOADER, BEGINS, "error: you need to load the kernel first"},
    {VM_TROUBLE_BOOTLOADER, BEGINS, "ERROR: No configuration file found"},
    {VM_TROUBLE_BOOTLOADER, BEGINS, "No DEFAULT or UI configuration directive found!"},
    {VM_TROUBLE_BOOTLOADER, BEGINS, "Could not find kernel image: "},
    {VM_TROUBLE_UEFI_SHELL, BEGINS, "UEFI Interactive Shell "},
    {VM_TROUBLE_UEFI_SHELL, IS, "Shell> "},
    {VM_TROUBLE_NO_BOOT_DEVICE, BEGINS, "BdsDxe: No bootable option or device was found."},
    {VM_TROUBLE_NO_BOOT_DEVICE, BEGINS, "No bootable device."},
    {0},
};

/* Skips "[    0.000000] " (printk_time, six digits after the point) and blanks. */
static const char *skip_stamp(const char *line, bool *ret_stamped)
{
    const char *at = line;
    *ret_stamped = false;
    if (*at == '[') {
        at += 1 + strspn(at + 1, " ");
        size_t seconds = strspn(at, "0123456789");
        at += seconds;
        if (seconds && *at == '.' && strspn(at + 1, "0123456789") == 6 && at[7] == ']') {
            *ret_stamped = true;
            line = at + 8;
        }
    }
    return line + strspn(line, " \t");
}

static bool mark_fits(const struct mark *mark, const char *text, size_t length)
{
    size_t size = strlen(mark->text);
    switch (mark->place) {
    case BEGINS:
        return !strncmp(text, mark->text, size);
    case ANYWHERE:
        return strstr(text, mark->text) != NULL;
    case IS:
        return !strcmp(text, mark->text);
    case ENDS:
        return length > size && !strcmp(text + length - size, mark->text);
    }
    return false;
}

/* The first row that fits, or the table's last row. A line that has not ended yet can only be a prompt. */
static const struct mark *find_mark(const struct mark *marks, const char *text, bool prompt)
{
    size_t length = strlen(text);
    while (marks->text && !((!prompt || marks->place >= IS) && mark_fits(marks, text, length)))
        marks++;
    return marks;
}

/* Tells if the byte is text. Firmware and boot loaders draw with control sequences, so one that moves the
 * cursor or clears ends a line. One that sets a colour does not. */
static bool is_text(struct vm_landmarks *landmarks, unsigned char c, bool *ret_ends)
{
    *ret_ends = c == '\n' || c == '\r';
    if (c == ESC || c == CAN || c == SUB || c == '\n') {
        landmarks->escape = c == ESC ? VM_ESCAPE_BEGUN : VM_ESCAPE_NONE;
        return false;
    }
    switch (landmarks->escape) {
    case VM_ESCAPE_NONE:
        return c >= ' ' || c == '\t';
    case VM_ESCAPE_BEGUN:
        if (c == '[')
            landmarks->escape = VM_ESCAPE_CSI;
        else if (c && strchr("]PX^_", c))
            landmarks->escape = VM_ESCAPE_STRING;
        else if (c >= 0x30)
            landmarks->escape = VM_ESCAPE_NONE;
        return false;
    case VM_ESCAPE_CSI:
        if (c >= 0x40) {
            landmarks->escape = VM_ESCAPE_NONE;
            *ret_ends = strchr("ABCDEFGHJf", c) != NULL;
        }
        return false;
    case VM_ESCAPE_STRING:
        if (c == BEL)
            landmarks->escape = VM_ESCAPE_NONE;
        return false;
    }
    return false;
}

/* Keeps the first line of a trouble, which says the most. A panic replaces another trouble. */
static void note_trouble(struct vm_landmarks *landmarks, const struct mark *mark, const char *text)
{
    landmarks->int3 |= mark->what == VM_TROUBLE_INT3;
    if ((enum vm_trouble)mark->what == landmarks->trouble)
        return;
    if (mark->what == VM_TROUBLE_PANIC)
        text += strlen(mark->text) + strspn(text + strlen(mark->text), ":- ");
    landmarks->trouble = (enum vm_trouble)mark->what;
    memcpy(landmarks->words, text, strlen(text) + 1);
}

/* The words of strerror(ENOSPC) and systemd (job_get_done_status_message_format). */
static void note_hints(struct vm_landmarks *landmarks, const char *text)
{
    static const char failed[] = "[FAILED] Failed to start ";
    /* Words of the units' names and descriptions. "cloud" alone occurs in other units too. */
    static const char *const stages[] = {"cloud-init", "cloud-config", "cloud-final",
                                         "Execute cloud user/final scripts"};
    landmarks->disk_full |= strstr(text, "No space left on device") != NULL;
    for (size_t i = 0; !strncmp(text, failed, strlen(failed)) && i < PI_ARRAY_SIZE(stages); i++)
        landmarks->cloud_init_died |= strcasestr(text, stages[i]) != NULL;
}

/* Handles a line. If it has not ended yet: true if it was a prompt. */
static bool take_console_line(struct vm_landmarks *landmarks, bool ended,
                              void (*found)(enum vm_landmark landmark, const char *line, size_t length,
                                            void *user),
                              void *user)
{
    bool stamped;
    landmarks->line[landmarks->used] = '\0';
    const char *text = skip_stamp(landmarks->line, &stamped);
    const struct mark *mark = find_mark(steps, text, !ended), *trouble = find_mark(troubles, text, !ended);
    enum vm_landmark landmark = mark->text         ? (enum vm_landmark)mark->what
                                : stamped && ended ? VM_LANDMARK_KERNEL
                                                   : VM_LANDMARK_NONE;
    if (landmark > landmarks->reached || landmark == VM_LANDMARK_FIRMWARE)
        landmarks->trouble = VM_TROUBLE_NONE;
    if (trouble->text)
        note_trouble(landmarks, trouble, text);
    if (ended)
        note_hints(landmarks, text);
    if (landmark > landmarks->reached) {
        landmarks->reached = landmark;
        found(landmark, landmarks->line, landmarks->used, user);
    }
    return mark->text || trouble->text;
}

void vm_landmarks_feed(struct vm_landmarks *landmarks, const char *bytes, size_t size,
                       void (*found)(enum vm_landmark landmark, const char *line, size_t length, void *user),
                       void *user)
{
    for (size_t i = 0; i < size; i++) {
        bool ends, prompts = false;
        if (is_text(landmarks, (unsigned char)bytes[i], &ends) && landmarks->used < VM_LANDMARK_LINE - 1) {
            landmarks->line[landmarks->used++] = bytes[i];
            prompts = bytes[i] == ' ';
        }
        if ((ends || prompts) && (take_console_line(landmarks, ends, found, user) || ends))
            landmarks->used = 0;
    }
}
