/* SPDX-License-Identifier: MIT */
/* The order in which the instances of a fleet stop, which is known without the fleet's file. Pure. */
#ifndef PIAGENT_FLEET_DOWN_ORDER_H
#define PIAGENT_FLEET_DOWN_ORDER_H

#include <stddef.h>

#include "agent/api/types.h"

/* ranks has room for count of them. An instance's is higher than those of all that it started after: the highest stop first,
 * and those of the same rank together. 0, or -ENOMEM. */
int fleet_down_ranks(const struct api_instance *instances, size_t count, size_t *ranks);

#endif
