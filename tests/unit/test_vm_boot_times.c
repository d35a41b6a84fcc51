/* SPDX-License-Identifier: MIT */
/* Estimates of a boot's time from earlier boots. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/vm/boot_times.h"

/* A boot that began at 1000 and was so fast. */
static struct vm_boot boot(uint64_t kernel_ms, uint64_t seed_ms, uint64_t ready_ms)
{
    struct vm_boot boot = {.counts = true, .began_ms = 1000};
    if (kernel_ms)
        assert_true(vm_boot_reach(&boot, VM_MILESTONE_KERNEL, 1000 + kernel_ms));
    if (seed_ms)
        assert_true(vm_boot_reach(&boot, VM_MILESTONE_SEED, 1000 + seed_ms));
    if (ready_ms)
        assert_true(vm_boot_reach(&boot, VM_MILESTONE_READY, 1000 + ready_ms));
    return boot;
}

static void add(struct vm_boots *boots, const char *key, uint64_t kernel_ms, uint64_t seed_ms,
                uint64_t ready_ms)
{
    struct vm_boot one = boot(kernel_ms, seed_ms, ready_ms);
    vm_boots_add(boots, key, &one);
}

static uint64_t left(const struct vm_boots *boots, const char *key, const struct vm_boot *now,
                     enum vm_milestone milestone)
{
    return vm_boots_left_ms(boots, key, now, milestone);
}

static void nothing_is_said_where_nothing_is_known(void **state)
{
    struct vm_boots boots = {0};
    struct vm_boot now = boot(2000, 0, 0), unknown = {0};
    (void)state;
    assert_int_equal(left(&boots, "a", &now, VM_MILESTONES), 0);
    add(&boots, "a", 2000, 0, 30000);
    assert_int_equal(left(&boots, "b", &now, VM_MILESTONES), 0);
    assert_int_equal(left(&boots, "a", &now, VM_MILESTONE_SEED), 0);
    assert_int_equal(left(&boots, "a", &unknown, VM_MILESTONES), 0);
    assert_int_equal(left(&boots, "a", &now, VM_MILESTONES), 30000);
    add(&boots, "", 1, 2, 3); /* an image that is not known by its content */
    assert_int_equal(boots.count, 1);
}

static void what_is_left_follows_the_median_and_this_boots_own_pace(void **state)
{
    struct vm_boots boots = {0};
    (void)state;
    add(&boots, "a", 2000, 20000, 40000);
    add(&boots, "a", 2000, 20000, 400000); /* one that hung for a while */
    add(&boots, "a", 2000, 20000, 40000);
    struct vm_boot usual = boot(2000, 20000, 0), slow = boot(4000, 0, 0), hung = boot(90000, 0, 0),
                   fast = boot(100, 0, 0), late = boot(2000, 40000, 0), early = boot(2000, 4000, 0);
    assert_int_equal(left(&boots, "a", &usual, VM_MILESTONE_KERNEL), 38001);
    assert_int_equal(left(&boots, "a", &usual, VM_MILESTONE_SEED), 20001);
    assert_int_equal(left(&boots, "a", &hung, VM_MILESTONE_KERNEL), 3 * 38000 + 1);
    assert_in_range(left(&boots, "a", &slow, VM_MILESTONE_KERNEL), 40000,
                    48000); /* so early that says little */
    assert_in_range(left(&boots, "a", &fast, VM_MILESTONE_KERNEL), 30000, 37000);
    assert_in_range(left(&boots, "a", &late, VM_MILESTONE_SEED), 32000, 40000);
    assert_in_range(left(&boots, "a", &early, VM_MILESTONE_SEED), 10000, 12000);
}

static void a_milestone_is_reached_once(void **state)
{
    struct vm_boot now = boot(2000, 0, 0), unseen = {.began_ms = 1000};
    (void)state;
    assert_false(vm_boot_reach(&now, VM_MILESTONE_KERNEL, 9000));
    assert_int_equal(now.reached_ms[VM_MILESTONE_KERNEL], 2000);
    assert_true(vm_boot_reach(&now, VM_MILESTONE_INIT, 1000));
    assert_int_equal(now.reached_ms[VM_MILESTONE_INIT], 1);
    assert_false(vm_boot_reach(&unseen, VM_MILESTONE_KERNEL, 9000));
    assert_int_equal(vm_milestone_find("modules-final"), VM_MILESTONE_FINAL);
    assert_int_equal(vm_milestone_find("login"), VM_MILESTONES);
    assert_int_equal(vm_milestone_find(NULL), VM_MILESTONES);
}

static void only_the_last_are_kept(void **state)
{
    struct vm_boots boots = {0};
    struct vm_boot now = boot(1, 0, 0);
    char key[VM_BOOTS_KEY];
    (void)state;
    for (uint64_t i = 0; i < 3 * VM_BOOTS_RUNS; i++)
        add(&boots, "often", 1, 0, 1000 + i);
    assert_int_equal(boots.of[0].count, VM_BOOTS_RUNS);
    assert_int_equal(boots.of[0].runs[0][VM_MILESTONE_READY], 1000 + 3 * VM_BOOTS_RUNS - 1);
    for (unsigned i = 0; i < VM_BOOTS_KEYS - 1; i++) {
        snprintf(key, sizeof key, "key %u", i);
        add(&boots, key, 1, 0, 500);
    }
    add(&boots, "often", 1, 0, 1000); /* used again: another one goes first */
    add(&boots, "one more", 1, 0, 700);
    assert_int_equal(boots.count, VM_BOOTS_KEYS);
    assert_int_equal(left(&boots, "one more", &now, VM_MILESTONES), 700);
    assert_true(left(&boots, "often", &now, VM_MILESTONES) > 0);
    assert_int_equal(left(&boots, "key 0", &now, VM_MILESTONES), 0);
    assert_int_equal(left(&boots, "key 1", &now, VM_MILESTONES), 500);
}

static void they_are_read_as_they_were_written(void **state)
{
    struct vm_boots boots = {0}, read;
    (void)state;
    add(&boots, "a", 2000, 20000, 40000);
    add(&boots, "b", 1000, 0, 30000);
    add(&boots, "a", 2100, 21000, 41000);
    json_auto_t *document = vm_boots_write(&boots);
    vm_boots_read(&read, document);
    assert_memory_equal(&read, &boots, sizeof read);
}

static void what_is_damaged_is_passed_over(void **state)
{
    static const char *const texts[] = {
        "{}",
        "{\"boots\": 7}",
        "{\"boots\": [7, {\"key\": 7}, {\"key\": \"a\"}, {\"key\": \"a\", \"runs\": [[1]]}]}",
        "{\"boots\": [{\"key\": \"a\", \"runs\": [[1,1,1,1,1,1,1,1,-1], [1,1,1,1,1,1,1,1,\"x\"]]}]}",
        "{\"boots\": [{\"key\": \"a\", \"runs\": [[1,1,1,1,1,1,1,1,99999999999999]]}]}",
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(texts); i++) {
        struct vm_boots read;
        json_auto_t *document = json_loads(texts[i], 0, NULL);
        assert_non_null(document);
        vm_boots_read(&read, document);
        assert_int_equal(read.count, 0);
    }
    struct vm_boots read;
    vm_boots_read(&read, NULL);
    assert_int_equal(read.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_said_where_nothing_is_known),
        cmocka_unit_test(what_is_left_follows_the_median_and_this_boots_own_pace),
        cmocka_unit_test(a_milestone_is_reached_once),
        cmocka_unit_test(only_the_last_are_kept),
        cmocka_unit_test(they_are_read_as_they_were_written),
        cmocka_unit_test(what_is_damaged_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
