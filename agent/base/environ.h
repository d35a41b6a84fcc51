/* SPDX-License-Identifier: MIT */
/* Chooses by name the part of this process's environment that a child gets, so that no secret of the user's
 * shell gets into a process that lives as long as an instance. */
#ifndef PIAGENT_BASE_ENVIRON_H
#define PIAGENT_BASE_ENVIRON_H

#include <stdbool.h>

#include "agent/base/buf.h"

/* True for a setting ("NAME=VALUE") that every child gets: PATH, HOME, folders, language, time zone, and each
 * name in the variable PIAGENT_PASS_ENVIRONMENT, which holds names with spaces or commas between them. */
bool pi_environ_is_common(const char *setting);

/* Adds each of this process's settings that passes() accepts, unless ret already has one of that name. 0 or
 * -ENOMEM. */
int pi_environ_add(bool (*passes)(const char *setting), struct pi_strv *ret);

/* True if the setting's name is one of the names, which end with NULL. A name that ends with '*' stands for
 * all that begin with it. */
bool pi_environ_is_named(const char *setting, const char *const *names);

#endif
