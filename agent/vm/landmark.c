/* SPDX-License-Identifier: MIT */
#include "agent/vm/landmark.h"

#include <string.h>

#include "agent/base/auto.h"

enum { BEL = 0x07, CAN = 0x18, SUB = 0x1a, ESC = 0x1b };

const char *const vm_landmark_names[] = {"none", "firmware", "bootloader", "kernel", "init", "login", NULL};

/* The first row that fits decides what a line is. */
static const struct {
    enum vm_landmark landmark;
    bool anywhere; /* in the line; else at its beginning, behind the kernel's time stamp */
    const char *text;
} marks[] = {
    /* GRUB welcomes as systemd does. */
    {VM_LANDMARK_BOOTLOADER, false, "Welcome to GRUB"},
    {VM_LANDMARK_INIT, false, "Welcome to "},
    {VM_LANDMARK_INIT, false, "systemd[1]: "},
    {VM_LANDMARK_INIT, false, "[  OK  ] "},
    {VM_LANDMARK_KERNEL, false, "Linux version "},
    {VM_LANDMARK_KERNEL, false, "Booting Linux on physical CPU"},
    {VM_LANDMARK_KERNEL, false, "EFI stub: "},
    {VM_LANDMARK_BOOTLOADER, true, "GNU GRUB"},
    {VM_LANDMARK_BOOTLOADER, false, "GRUB "},
    {VM_LANDMARK_BOOTLOADER, false, "Booting `"},
    {VM_LANDMARK_BOOTLOADER, false, "Loading Linux "},
    {VM_LANDMARK_BOOTLOADER, false, "SYSLINUX "},
    {VM_LANDMARK_BOOTLOADER, false, "EXTLINUX "},
    {VM_LANDMARK_BOOTLOADER, true, "systemd-boot"},
    {VM_LANDMARK_BOOTLOADER, false, "Boot in "},
    {VM_LANDMARK_FIRMWARE, true, "SeaBIOS"},
    {VM_LANDMARK_FIRMWARE, true, "iPXE"},
    {VM_LANDMARK_FIRMWARE, true, "UEFI firmware"},
    {VM_LANDMARK_FIRMWARE, false, "BdsDxe: "},
    {VM_LANDMARK_FIRMWARE, false, "Booting from "},
    {VM_LANDMARK_FIRMWARE, false, "U-Boot "},
};

/* Behind "[    0.000000] " (printk_time, six digits behind the point) and blanks. */
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

static enum vm_landmark landmark_of(const char *line)
{
    bool stamped;
    const char *text = skip_stamp(line, &stamped);
    for (size_t i = 0; i < PI_ARRAY_SIZE(marks); i++)
        if (marks[i].anywhere ? strstr(text, marks[i].text) != NULL
                              : !strncmp(text, marks[i].text, strlen(marks[i].text)))
            return marks[i].landmark;
    return stamped ? VM_LANDMARK_KERNEL : VM_LANDMARK_NONE;
}

/* "HOST login: ", for which no line's end comes. */
static bool is_prompt(const struct vm_landmarks *landmarks)
{
    static const char prompt[] = " login: ";
    size_t length = sizeof prompt - 1;
    return landmarks->used > length && !memcmp(landmarks->line + landmarks->used - length, prompt, length);
}

/* A control sequence that moves or clears is the end of a line: firmware and boot loaders draw with them.
 * Those that colour are not. Whether the byte is text. */
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

void vm_landmarks_feed(struct vm_landmarks *landmarks, const char *bytes, size_t size,
                       void (*found)(enum vm_landmark landmark, const char *line, size_t length, void *user),
                       void *user)
{
    for (size_t i = 0; i < size && landmarks->reached < VM_LANDMARK_LOGIN; i++) {
        bool ends;
        enum vm_landmark landmark = VM_LANDMARK_NONE;
        if (is_text(landmarks, (unsigned char)bytes[i], &ends) && landmarks->used < VM_LANDMARK_LINE - 1) {
            landmarks->line[landmarks->used++] = bytes[i];
            if (bytes[i] == ' ' && is_prompt(landmarks))
                landmark = VM_LANDMARK_LOGIN;
        }
        if (!ends && !landmark)
            continue;
        landmarks->line[landmarks->used] = '\0';
        if (!landmark)
            landmark = landmark_of(landmarks->line);
        if (landmark > landmarks->reached) {
            landmarks->reached = landmark;
            found(landmark, landmarks->line, landmarks->used, user);
        }
        landmarks->used = 0;
    }
}
