/* SPDX-License-Identifier: MIT */
/* From a request to the spec of a new instance: defaults, and every check that needs no disk. */
#ifndef PIAGENT_INSTANCE_CREATE_REQUEST_H
#define PIAGENT_INSTANCE_CREATE_REQUEST_H

#include "agent/api/types.h"
#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/vm/spec.h"

#define CREATE_DEFAULT_IMAGE "fedora"

/* Takes the spec out of the request, and completes it. Adds the agent's own settings to the environment for the
 * fetch of the image. PI_USAGE or PI_HOST. */
int create_request_check(struct api_create *request, struct vm_spec *spec, struct pi_error *err);
/* Gives it what no two instances may share, and what of that is chosen at once: the UUID, which the instance-id and a clone's
 * machine-id are made of, and the MAC address. Its keys, ports and addresses come later. */
int create_identity(struct vm_spec *spec, struct pi_error *err);
/* Takes a number that was chosen; 0 = it was not. */
static inline void create_take_number(uint64_t wanted, uint64_t *ret)
{
    *ret = wanted ? wanted : *ret;
}

/* The user's own user-data, byte for byte; nothing if there is none. */
int create_request_user_data(const struct api_create *request, struct pi_buf *ret, struct pi_error *err);
/* Checks what goes into the seed: the user, the password's hash, the keys, the user-data. PI_USAGE. */
int create_request_check_seed(const struct api_create *request, struct vm_spec *spec, struct pi_error *err);
/* PI_HOST if the host has less memory than the guest is to get. */
int create_request_check_memory(const struct vm_spec *spec, struct pi_error *err);

#endif
