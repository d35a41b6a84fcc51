/* SPDX-License-Identifier: MIT */
/* A boot as its events tell it, before its spans are made. Private to this folder. */
#ifndef PIAGENT_BOOT_RAW_H
#define PIAGENT_BOOT_RAW_H

#include "agent/boot/boot_list.h"

#define BOOT_NEVER UINT64_MAX

/* The marks that a boot passes, in this order. */
enum boot_mark {
    BOOT_MARK_STARTING,
    BOOT_MARK_POWER,
    BOOT_MARK_IDENTITY, /* a guest that resumed knows who it is */
    BOOT_MARK_QUEUED,   /* it waits for its turn to be set up */
    BOOT_MARK_FIRMWARE,
    BOOT_MARK_BOOTLOADER,
    BOOT_MARK_KERNEL,
    BOOT_MARK_INIT,
    BOOT_MARK_LOGIN,
    BOOT_MARK_READY,
    BOOT_MARK_PANIC,
    BOOT_MARK_STUCK,
    BOOT_MARK_SILENT,
    BOOT_MARK_ENDED, /* no QEMU any more, or another boot began */
    BOOT_MARKS
};

struct boot_report {
    uint64_t seen_ms, guest_ms, duration_ms; /* duration_ms 0 = not said */
    uint64_t at_ms;                          /* guest_ms on the boot's clock */
    size_t order;                            /* of arrival */
    bool finish, is_step;
    enum boot_result result;
    char name[BOOT_NAME_MAX];
    char text[256];
};

struct boot_raw {
    struct boot boot;
    bool created;         /* it begins with the making of its instance */
    bool resumed;         /* its guest goes on from a template: there is no firmware and no kernel's start */
    bool announced;       /* its "boot" event came */
    uint64_t clock_ms, t; /* the last event: monotonic, and on the boot's clock */
    uint64_t marks[BOOT_MARKS];  /* when it passed each; BOOT_NEVER = it did not */
    struct boot_span *documents; /* of the seed; grows */
    size_t document_count;
    struct boot_report *reports;
    size_t report_count;
};

/* Makes raw->boot from the rest. live: this is the newest boot of an instance that lives, and the time is raw->t. 0 or
 * -ENOMEM. */
int boot_raw_finish(struct boot_raw *raw, bool live);

/* Makes room for one more item of size bytes in an array of count items. It grows in powers of two. NULL without
 * memory. */
void *boot_grow(void *items, size_t count, size_t size);

#endif
