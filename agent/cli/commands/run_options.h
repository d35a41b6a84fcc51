/* SPDX-License-Identifier: MIT */
/* The options of "run" and the request that they make. */
#ifndef PIAGENT_CLI_RUN_OPTIONS_H
#define PIAGENT_CLI_RUN_OPTIONS_H

#include "agent/api/types.h"
#include "agent/cli/terminal/options.h"

struct cli_create {
    struct vm_spec spec; /* VM_SPEC_CHOSEN of it, but for .arch; its strings are words of argv */
    char *image, *image_sha256, *arch, *user_data;
    bool image_unverified, image_allow_unsigned, password_prompt, detach, json, user_data_unchecked;
    uint64_t timeout_ms; /* of the wait for it, with -d */
    struct pi_strv ssh_keys;
};
extern const struct cli_option cli_create_options[];

/*
 * The body of the request (api_create). Reads the files that the options name, checks what can be checked here, and
 * asks for the password. What is wrong is told before an agent is asked. New reference, or NULL with err filled.
 */
json_t *cli_create_request(const struct cli_create *options, const char *name, struct pi_error *err);

#endif
