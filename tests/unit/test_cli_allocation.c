/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/cli/client/allocation.h"

static const char *const variables[] = {
    "SLURM_JOB_ID",      "SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE", "SLURM_MEM_PER_NODE",
    "SLURM_MEM_PER_CPU", "SLURM_STEP_ID",       "SLURM_PROCID",       "SLURM_STEP_TASKS_PER_NODE"};

/* The values of the variables, in their order; NULL = unset. */
static void set_job(const char *const values[PI_ARRAY_SIZE(variables)])
{
    for (size_t i = 0; i < PI_ARRAY_SIZE(variables); i++)
        assert_int_equal(values[i] ? setenv(variables[i], values[i], 1) : unsetenv(variables[i]), 0);
}

static void a_task_gets_its_part_of_what_slurm_has_allocated(void **state)
{
    static const struct {
        const char *values[PI_ARRAY_SIZE(variables)];
        uint64_t cpus, memory_mib;
    } cases[] = {
        {{NULL, "3", "4", "2000"}, 0, 0}, /* no job */
        {{"7"}, 0, 0},
        {{"7", "3", "4", "2000"}, 3, 2000},
        {{"7", NULL, "4", "2000"}, 4, 2000},
        {{"7", NULL, "2", NULL, "500"}, 2, 1000},
        {{"7", "3", "6", NULL, "500"}, 3, 1500},
        {{"7", NULL, "4", "0"}, 4, 0}, /* --mem=0: all of the node, which Slurm does not tell */
        {{"7", "x", "-1", "1.5", ""}, 0, 0},
        /* a step: tasks of one node share it */
        {{"7", NULL, "4", "2000", NULL, "0", "1", "2"}, 2, 1000},
        {{"7", NULL, "4", "2000", NULL, "0", "1", "1,2(x3)"}, 2, 1000},
        {{"7", "1", "4", NULL, "700", "0", "1", "4(x2)"}, 1, 700},
        {{"7", NULL, "4", "2000", NULL, "0", "1", ""}, 4, 2000},
        {{"7", NULL, "4", "2000", NULL, "0", "1", ",("}, 4, 2000},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct cli_allocation found;
        set_job(cases[i].values);
        cli_allocation_read(&found);
        if (found.cpus != cases[i].cpus || found.memory_mib != cases[i].memory_mib)
            fail_msg("case %zu: %d CPUs, %d MiB", i, (int)found.cpus, (int)found.memory_mib);
    }
}

static void qemu_and_the_agent_fit_into_the_memory(void **state)
{
    struct vm_spec spec = {0};
    (void)state;
    assert_int_equal(cli_allocation_apply(&(struct cli_allocation){3, 2000}, &spec, NULL), 0);
    assert_int_equal(spec.cpus, 3);
    assert_int_equal(spec.memory_mib, 1680);
    spec = (struct vm_spec){0};
    assert_int_equal(cli_allocation_apply(&(struct cli_allocation){0, 0}, &spec, NULL), 0);
    assert_int_equal(spec.cpus + spec.memory_mib, 0);
    assert_int_equal(cli_allocation_apply(&(struct cli_allocation){1000, UINT32_MAX}, &spec, NULL), 0);
    assert_int_equal(spec.cpus, VM_CPUS_MAX);
    assert_int_equal(spec.memory_mib, VM_MEMORY_MIB_MAX);
}

static void what_is_given_wins(void **state)
{
    struct vm_spec spec = {.cpus = 1, .memory_mib = 300};
    (void)state;
    assert_int_equal(cli_allocation_apply(&(struct cli_allocation){3, 100}, &spec, NULL), 0);
    assert_int_equal(spec.cpus, 1);
    assert_int_equal(spec.memory_mib, 300);
}

static void too_little_memory_is_refused_with_what_to_ask_for(void **state)
{
    struct vm_spec spec = {0};
    struct pi_error err;
    (void)state;
    assert_int_equal(cli_allocation_apply(&(struct cli_allocation){1, 576}, &spec, &err), 0);
    assert_int_equal(spec.memory_mib, VM_MEMORY_MIB_MIN);
    spec.memory_mib = 0;
    assert_true(cli_allocation_apply(&(struct cli_allocation){1, 575}, &spec, &err) < 0);
    assert_int_equal(err.kind, PI_USAGE);
    assert_non_null(strstr(err.text, "--mem=576M"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_gets_its_part_of_what_slurm_has_allocated),
        cmocka_unit_test(qemu_and_the_agent_fit_into_the_memory),
        cmocka_unit_test(what_is_given_wins),
        cmocka_unit_test(too_little_memory_is_refused_with_what_to_ask_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
