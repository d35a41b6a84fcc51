/* SPDX-License-Identifier: MIT */
#include "agent/vm/boot_times.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"

#define LONGEST_MS ((uint64_t)24 * 3600 * 1000)
#define DOUBT      0.25 /* of a boot that is as long as usual, beside the part of this one that is over */

static const char *const names[VM_MILESTONES] = {
    "firmware",     "bootloader",     "kernel",        "init",  "seed",
    "init-network", "modules-config", "modules-final", "ready",
};

enum vm_milestone vm_milestone_find(const char *name)
{
    unsigned i = 0;
    while (i < VM_MILESTONES && !(name && !strcmp(name, names[i])))
        i++;
    return (enum vm_milestone)i;
}

bool vm_boot_reach(struct vm_boot *boot, enum vm_milestone milestone, uint64_t now_ms)
{
    if (!boot->counts || milestone >= VM_MILESTONES || boot->reached_ms[milestone])
        return false;
    boot->reached_ms[milestone] = now_ms > boot->began_ms ? now_ms - boot->began_ms : 1;
    return true;
}

static const struct vm_boots_of *find_boots(const struct vm_boots *boots, const char *key)
{
    for (unsigned i = 0; i < boots->count; i++)
        if (!strcmp(boots->of[i].key, key))
            return &boots->of[i];
    return NULL;
}

void vm_boots_add(struct vm_boots *boots, const char *key, const struct vm_boot *boot)
{
    if (!boot->counts || !key[0] || strlen(key) >= VM_BOOTS_KEY || !boot->reached_ms[VM_MILESTONE_READY])
        return;
    const struct vm_boots_of *found = find_boots(boots, key);
    unsigned place = found ? (unsigned)(found - boots->of) : boots->count;
    struct vm_boots_of of = {0};
    if (found)
        of = *found;
    else if (boots->count < VM_BOOTS_KEYS)
        boots->count++;
    else
        place = VM_BOOTS_KEYS - 1;
    snprintf(of.key, sizeof of.key, "%s", key);
    of.count += of.count < VM_BOOTS_RUNS;
    memmove(of.runs[1], of.runs[0], (VM_BOOTS_RUNS - 1) * sizeof of.runs[0]);
    memcpy(of.runs[0], boot->reached_ms, sizeof of.runs[0]);
    memmove(boots->of + 1, boots->of, place * sizeof boots->of[0]);
    boots->of[0] = of;
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The median of the runs that reached the milestone. */
static uint64_t median_ms(const struct vm_boots_of *of, enum vm_milestone milestone)
{
    uint64_t sorted[VM_BOOTS_RUNS];
    unsigned n = 0;
    for (unsigned i = 0; i < of->count; i++)
        if (of->runs[i][milestone])
            sorted[n++] = of->runs[i][milestone];
    qsort(sorted, n, sizeof sorted[0], ascending);
    return n ? sorted[n / 2] : 0;
}

uint64_t vm_boots_left_ms(const struct vm_boots *boots, const char *key, const struct vm_boot *boot,
                          enum vm_milestone milestone)
{
    const struct vm_boots_of *of = boot->counts ? find_boots(boots, key) : NULL;
    uint64_t end = of ? median_ms(of, VM_MILESTONE_READY) : 0;
    if (milestone >= VM_MILESTONES)
        return end;
    uint64_t usual = end ? median_ms(of, milestone) : 0, took = boot->reached_ms[milestone];
    if (!usual || usual >= end)
        return 0;
    double doubt = (double)end * DOUBT, scale = ((double)took + doubt) / ((double)usual + doubt);
    scale = scale > 3 ? 3 : scale < 0.5 ? 0.5 : scale;
    return (uint64_t)((double)(end - usual) * scale) + 1;
}

static bool read_run(const json_t *run, struct vm_boot *ret)
{
    *ret = (struct vm_boot){.counts = true};
    if (json_array_size(run) != VM_MILESTONES)
        return false;
    for (size_t i = 0; i < VM_MILESTONES; i++) {
        json_int_t ms = json_integer_value(json_array_get(run, i));
        if (ms < 0 || (uint64_t)ms > LONGEST_MS)
            return false;
        ret->reached_ms[i] = (uint64_t)ms;
    }
    return true;
}

/* Reads the lists from the end, because vm_boots_add() puts the newest first. */
void vm_boots_read(struct vm_boots *ret, const json_t *document)
{
    const json_t *list = json_object_get(document, "boots");
    *ret = (struct vm_boots){0};
    for (size_t i = json_array_size(list); i-- > 0;) {
        const json_t *of = json_array_get(list, i), *runs = json_object_get(of, "runs");
        const char *key = json_string_value(json_object_get(of, "key"));
        for (size_t k = json_array_size(runs); key && k-- > 0;) {
            struct vm_boot boot;
            if (read_run(json_array_get(runs, k), &boot))
                vm_boots_add(ret, key, &boot);
        }
    }
}

json_t *vm_boots_write(const struct vm_boots *boots)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < boots->count; i++) {
        json_t *runs = json_array();
        for (unsigned k = 0; k < boots->of[i].count; k++) {
            json_t *run = json_array();
            for (unsigned m = 0; m < VM_MILESTONES; m++)
                json_array_append_new(run, json_integer((json_int_t)boots->of[i].runs[k][m]));
            json_array_append_new(runs, run);
        }
        json_array_append_new(list, json_pack("{s:s,s:o}", "key", boots->of[i].key, "runs", runs));
    }
    return json_pack("{s:o}", "boots", list);
}
