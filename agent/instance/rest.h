/* SPDX-License-Identifier: MIT */
/* Whether a guest works, by its QEMU's use of the processor. */
#ifndef PIAGENT_INSTANCE_REST_H
#define PIAGENT_INSTANCE_REST_H

#include <stdbool.h>

struct instance;

#define REST_LOOK_MS 2000u

/* Zeroed memory: no look yet. */
struct rest {
    double cpu_s; /* that its QEMU had used at the last look */
    unsigned looks;
};

/* Whether its QEMU has taken less than that share of a processor since the look before, REST_LOOK_MS ago. Of one that never does, this
 * is true after two minutes, too. */
bool rest_look(const struct instance *instance, double share, struct rest *rest);

#endif
