/* SPDX-License-Identifier: MIT */
/* The files that a start reads. */
#ifndef PIAGENT_INSTANCE_START_FILES_H
#define PIAGENT_INSTANCE_START_FILES_H

#include "agent/base/error.h"

struct instance;

/* They must be there: the disk and UEFI variables (PI_NOT_FOUND, PI_FAILED), and the image, which must be the
 * file that was checked (PI_NOT_FOUND, PI_UNVERIFIED). */
int files_check(const struct instance *instance, struct pi_error *err);

#endif
