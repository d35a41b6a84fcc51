/* SPDX-License-Identifier: MIT */
/* The output of QEMU: qemu.log in the instance's folder. */
#ifndef PIAGENT_INSTANCE_QEMU_LOG_H
#define PIAGENT_INSTANCE_QEMU_LOG_H

#include <stddef.h>

struct instance;

/* Opens it, empty, for a QEMU that starts. The descriptor, or -errno. */
int qemu_log_open(const struct instance *instance);
/* Keeps only the end, if it has become larger than 1 MiB. */
void qemu_log_trim(const struct instance *instance);
/* The last line, cleaned; "" if there is none. */
void qemu_log_last_line(const struct instance *instance, char *text, size_t size);

#endif
