/* SPDX-License-Identifier: MIT */
/* The files of an instance that resumes from a template: it shares the template's disk, as its base layer, and its saved RAM and
 * devices. Nobody writes to them any more. Each folder has links of its own, so that the template can be removed. */
#ifndef PIAGENT_WORKER_TEMPLATE_SHARE_H
#define PIAGENT_WORKER_TEMPLATE_SHARE_H

#include "agent/base/error.h"
#include "agent/vm/spec.h"

/* source is the template's folder. Where the file system has no links, the files are copied. */
int template_share(const struct vm_spec *spec, const char *source, const char *folder, struct pi_error *err);

#endif
