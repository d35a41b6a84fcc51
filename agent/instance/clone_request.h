/* SPDX-License-Identifier: MIT */
/* From a request for a clone to the spec of a new instance: the source's, with an identity of its own. */
#ifndef PIAGENT_INSTANCE_CLONE_REQUEST_H
#define PIAGENT_INSTANCE_CLONE_REQUEST_H

#include "agent/api/types.h"
#include "agent/base/buf.h"
#include "agent/base/error.h"

struct instance;
struct instance_host;

/* Takes the request's part of the spec. Adds the source's user-data to *user_data. PI_NOT_FOUND without the source, PI_CONFLICT
 * if it cannot be cloned now, PI_USAGE. */
int clone_request_check(const struct instance_host *host, struct api_create *request, struct vm_spec *spec,
                        struct pi_buf *user_data, struct pi_error *err);

/* All of a spec that two instances may share, with an identity and the name of the new one. */
int clone_request_copy_spec(const struct vm_spec *source, const char *name, struct vm_spec *ret,
                            struct pi_error *err);

/* Refuses (PI_CONFLICT) to start or remove an instance as long as a clone, or an instance of this template, is being made of it. */
int clone_request_refuse_source(const struct instance *instance, struct pi_error *err);

#endif
