/* SPDX-License-Identifier: MIT */
/* An instance as the control API shows it. */
#ifndef PIAGENT_INSTANCE_API_VIEW_H
#define PIAGENT_INSTANCE_API_VIEW_H

#include <jansson.h>

struct instance;

/* All of it, or as in a list of instances. New reference or NULL. */
json_t *instance_view(const struct instance *instance);
json_t *instance_summary(const struct instance *instance);

#endif
