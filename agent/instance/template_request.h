/* SPDX-License-Identifier: MIT */
/* From a request for an instance of a template to its record: the template's image, hardware and user, with an identity of
 * its own. */
#ifndef PIAGENT_INSTANCE_TEMPLATE_REQUEST_H
#define PIAGENT_INSTANCE_TEMPLATE_REQUEST_H

#include "agent/api/types.h"
#include "agent/base/error.h"
#include "agent/vm/record.h"

struct instance_host;

/* Takes the request's part of the spec. PI_NOT_FOUND without the template, PI_CONFLICT if it is not whole, PI_USAGE. */
int template_request_check(const struct instance_host *host, struct api_create *request,
                           struct vm_record *record, struct pi_error *err);

#endif
