/* SPDX-License-Identifier: MIT */
/* The options of "run" and the request that they make. */
#ifndef PIAGENT_CLI_RUN_OPTIONS_H
#define PIAGENT_CLI_RUN_OPTIONS_H

#include "agent/api/types.h"
#include "agent/cli/commands/launch_pass.h"
#include "agent/cli/terminal/options.h"

struct cli_create {
    struct vm_spec spec; /* VM_SPEC_CHOSEN of it, but for .arch; its strings are words of argv */
    char *image, *image_sha256, *arch, *user_data, *template;
    bool image_unverified, image_allow_unsigned, password_prompt, user_data_unchecked, no_start, detach, json,
        job;
    bool refresh;           /* of a template */
    bool user_data_checked; /* set by the caller: cli_create_request() does not check it again */
    uint64_t timeout_ms;    /* of the wait for it, with -d or --job */
    uint64_t grace_ms;      /* with --job; 0 = the usual one */
    uint64_t count;         /* of a fleet; 0 = one instance, of no fleet */
    struct cli_pace pace;   /* with a count */
    struct pi_strv ssh_keys;
};
/* The last group of these: options of the command, not of the instance. */
#define CLI_RUN_COMMAND_GROUP "This command"
extern const struct cli_option cli_create_options[];
/* The options of "template create". Its --from is stored in .image. */
extern const struct cli_option cli_template_options[];

/*
 * Makes the body of the request (api_create): reads the files that the options name, checks all that needs no
 * agent, and asks for the password. Call it before connecting, so that a mistake is reported first. 0 with a
 * new reference in *ret, or -errno.
 */
int cli_create_request(const struct cli_create *options, const char *name, json_t **ret,
                       struct pi_error *err);

/* The request as a body; refuses text that is not UTF-8. 0 with a new reference in *ret, or -errno. */
int cli_request_body(const struct api_create *request, json_t **ret, struct pi_error *err);

/* Refuses forwards and addresses that so many instances, made at once, cannot share. */
int cli_check_shared(const struct vm_spec *spec, uint64_t count, struct pi_error *err);

#endif
