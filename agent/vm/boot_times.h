/* SPDX-License-Identifier: MIT */
/*
 * How long boots of an image took before, and what that lets one expect of the next. Pure; kept by the agent
 * as one small JSON file. A boot is compared only with those under the same key: all that changes its time.
 */
#ifndef PIAGENT_VM_BOOT_TIMES_H
#define PIAGENT_VM_BOOT_TIMES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define VM_BOOTS_KEYS 64 /* the least recently used goes */
#define VM_BOOTS_RUNS 5  /* of each key, the newest first */
#define VM_BOOTS_KEY  160
#define VM_BOOTS_MAX  ((size_t)256 << 10) /* of the file */

/* What a boot passes, in order: landmarks of the console, the seed, the beginnings of cloud-init's stages,
 * ready. */
enum vm_milestone {
    VM_MILESTONE_FIRMWARE,
    VM_MILESTONE_BOOTLOADER,
    VM_MILESTONE_KERNEL,
    VM_MILESTONE_INIT,
    VM_MILESTONE_SEED,
    VM_MILESTONE_NETWORK,
    VM_MILESTONE_CONFIG,
    VM_MILESTONE_FINAL,
    VM_MILESTONE_READY,
    VM_MILESTONES, /* also: none of them */
};

/* "kernel", "seed", "modules-final", "ready"; VM_MILESTONES where it is none. */
enum vm_milestone vm_milestone_find(const char *name);

/* One boot: when each milestone was reached, in ms after its beginning, at least 1; 0 = not (yet). */
struct vm_boot {
    bool counts;       /* its times are those of the guest: seen from the beginning, never paused */
    uint64_t began_ms; /* CLOCK_MONOTONIC */
    uint64_t reached_ms[VM_MILESTONES];
};

struct vm_boots {
    unsigned count;
    struct vm_boots_of {
        char key[VM_BOOTS_KEY];
        unsigned count;
        uint64_t runs[VM_BOOTS_RUNS][VM_MILESTONES];
    } of[VM_BOOTS_KEYS]; /* the most recently used first */
};

/* Notes that the boot has reached a milestone now. Whether that is news. */
bool vm_boot_reach(struct vm_boot *boot, enum vm_milestone milestone, uint64_t now_ms);

/* Keeps a boot that became ready and counts. */
void vm_boots_add(struct vm_boots *boots, const char *key, const struct vm_boot *boot);

/*
 * About how long it takes from that milestone (VM_MILESTONES: from the beginning) until the boot is ready:
 * what it took before, in the median, times how this boot compares so far (at most 3 times as long, at least
 * half). 0 = nothing is known.
 */
uint64_t vm_boots_left_ms(const struct vm_boots *boots, const char *key, const struct vm_boot *boot,
                          enum vm_milestone milestone);

/* What is wrong in the document is passed over. New reference or NULL without memory. */
void vm_boots_read(struct vm_boots *ret, const json_t *document);
json_t *vm_boots_write(const struct vm_boots *boots);

#endif
