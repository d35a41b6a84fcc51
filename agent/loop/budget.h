/* SPDX-License-Identifier: MIT */
/* So much at once, and so much a second: what a guest or its QEMU may cause in the agent. */
#ifndef PIAGENT_LOOP_BUDGET_H
#define PIAGENT_LOOP_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed memory is a full one. */
struct budget {
    uint64_t left, refilled_ms;
};

/* Takes the price out of the budget. If less is left, takes nothing and returns false. now_ms is
 * CLOCK_MONOTONIC. */
static inline bool budget_spend(struct budget *budget, unsigned price, unsigned burst, unsigned per_second,
                                uint64_t now_ms)
{
    uint64_t earned = (now_ms - budget->refilled_ms) * per_second / 1000;
    if (earned) {
        budget->left = budget->left + earned > burst ? burst : budget->left + earned;
        budget->refilled_ms = now_ms;
    }
    if (budget->left < price)
        return false;
    budget->left -= price;
    return true;
}

#endif
