/* SPDX-License-Identifier: MIT */
/*
 * What a client does not take from an agent, which may be another host's. The client applies this to each answer
 * before a command sees it: a name that is a path, or a user that is an option of ssh, goes no further.
 */
#ifndef PIAGENT_API_REPLY_CHECK_H
#define PIAGENT_API_REPLY_CHECK_H

#include <jansson.h>

#include "agent/base/error.h"

/*
 * Checks the answer to a request by the tables of types.h, and that it has the name that was asked for: that in the
 * path or in the request's body (NULL = none). Makes its texts safe to show (pi_text_clean). PI_AGENT, -EINVAL.
 */
int api_answer_check(const char *method, const char *path, const json_t *request, json_t *answer,
                     struct pi_error *err);

/* Makes the texts in value safe to show, in place. 0 or -ENOMEM. */
int api_answer_clean(json_t *value);

#endif
