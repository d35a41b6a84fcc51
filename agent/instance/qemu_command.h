/* SPDX-License-Identifier: MIT */
/* QEMU's command line for an instance on this host. */
#ifndef PIAGENT_INSTANCE_QEMU_COMMAND_H
#define PIAGENT_INSTANCE_QEMU_COMMAND_H

#include <stdbool.h>

#include "agent/base/error.h"
#include "agent/base/text.h"
#include "agent/vm/spec.h"

struct instance;

/* PI_HOST if QEMU or the firmware is not installed. standalone: vm_host.standalone. */
int qemu_command_build(const struct instance *instance, enum vm_accel accel, bool standalone,
                       struct pi_strv *ret, struct pi_error *err);
/* As a start would use it now, or as the QEMU that runs was started. */
int qemu_command_show(const struct instance *instance, bool standalone, struct pi_strv *ret,
                      struct pi_error *err);

#endif
