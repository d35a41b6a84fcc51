/* SPDX-License-Identifier: MIT */
/* The options of "run" and the request that they make. */
#ifndef PIAGENT_CLI_RUN_OPTIONS_H
#define PIAGENT_CLI_RUN_OPTIONS_H

#include "agent/api/types.h"
#include "agent/cli/terminal/options.h"

struct cli_create {
    char *image, *image_sha256, *arch, *accel, *firmware, *user, *password_hash, *user_data;
    bool image_unverified, image_allow_unsigned, password_prompt, isolate, detach, json, user_data_unchecked;
    uint64_t memory_bytes, memory_max_bytes, cpu_quota_percent, disk_bytes, cpus;
    uint64_t timeout_ms; /* of the wait for it, with -d */
    struct pi_strv forwards, ssh_keys;
};
extern const struct cli_option cli_create_options[];

/*
 * Reads the files that the options name, checks everything that can be checked without an agent, and asks for
 * the password. Free *ret with api_done(create, ret), also after a failure.
 */
int cli_create_request(const struct cli_create *options, const char *name, struct api_create *ret,
                       struct pi_error *err);

#endif
