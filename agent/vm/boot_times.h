/* SPDX-License-Identifier: MIT */
/*
 * Records how long the boots of an image took, and estimates how long the next one will take. Pure. The agent
 * keeps this in one small JSON file. A boot's key names everything that changes its duration. Only boots with
 * the same key are compared.
 */
#ifndef PIAGENT_VM_BOOT_TIMES_H
#define PIAGENT_VM_BOOT_TIMES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define VM_BOOTS_KEYS 64 /* a new one replaces the least recently used */
#define VM_BOOTS_RUNS 5  /* of each key, the newest first */
#define VM_BOOTS_KEY  160
#define VM_BOOTS_MAX  ((size_t)256 << 10) /* of the file */

/* The milestones of a boot, in order: landmarks of the console, the seed, the starts of cloud-init's stages,
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
    VM_MILESTONES, /* their number; also: none */
};

/* "kernel", "seed", "modules-final", "ready"; VM_MILESTONES for any other name. */
enum vm_milestone vm_milestone_find(const char *name);

/* One boot: when each milestone was reached, in ms after its beginning, at least 1; 0 = not (yet). */
struct vm_boot {
    bool counts;       /* its times are valid: the agent saw it from the beginning, and it was never paused */
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

/* Records that the boot reaches a milestone now. False if it had before. */
bool vm_boot_reach(struct vm_boot *boot, enum vm_milestone milestone, uint64_t now_ms);

/* Adds a boot, if it became ready and counts. */
void vm_boots_add(struct vm_boots *boots, const char *key, const struct vm_boot *boot);

/*
 * Estimates how long it takes from that milestone (VM_MILESTONES: from the beginning) until the boot is
 * ready: the median of earlier boots, scaled by how this boot compares so far (by at most 3, at least 0.5). The less
 * of the boot is over, the less that says about the rest, and the less it counts. 0 = unknown.
 */
uint64_t vm_boots_left_ms(const struct vm_boots *boots, const char *key, const struct vm_boot *boot,
                          enum vm_milestone milestone);

/* Ignores invalid parts of the document. */
void vm_boots_read(struct vm_boots *ret, const json_t *document);

/* A new reference, or NULL without memory. */
json_t *vm_boots_write(const struct vm_boots *boots);

#endif
