/* SPDX-License-Identifier: MIT */
/* What of this process's environment a child is given: by name, so that no secret of the user's shell gets
 * into a process that lives as long as a machine. */
#ifndef PIAGENT_BASE_ENVIRON_H
#define PIAGENT_BASE_ENVIRON_H

#include <stdbool.h>

#include "agent/base/buf.h"

/* Whether every child gets the setting ("NAME=VALUE"): where programs and folders are, language and time
 * zone, and each name in the variable PIAGENT_PASS_ENVIRONMENT, which holds names with spaces or commas
 * between them. */
bool pi_environ_is_common(const char *setting);

/* Adds each setting that passes() takes, and that ret has none of the same name of. 0 or -ENOMEM. */
int pi_environ_add(bool (*passes)(const char *setting), struct pi_strv *ret);

/* Whether setting begins with one of the names, which end with NULL: a whole name, or with a '*' at its end
 * the beginning of one. */
bool pi_environ_is_named(const char *setting, const char *const *names);

#endif
