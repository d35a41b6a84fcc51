/* SPDX-License-Identifier: MIT */
/* The file of a fleet with all that it names, as requests: up and down read it. */
#ifndef PIAGENT_CLI_FLEET_LOAD_H
#define PIAGENT_CLI_FLEET_LOAD_H

#include <jansson.h>
#include <limits.h>

#include "agent/cli/terminal/options.h"
#include "agent/fleet/fleet_file.h"

#define CLI_FLEET_FILE "fleet.yaml" /* in the current folder, if no other is named */

struct cli_user_data; /* a file that the file names, with what is found in it */

/* Zeroed memory is a valid, empty one. */
struct cli_fleet {
    const char *path; /* borrowed */
    struct fleet fleet;
    json_t **
        requests; /* of each entry, as fleet_plan_make() takes them: with user_data_sha256, and without a fleet */
    struct seed_findings *findings; /* of the file itself; add to them */
    size_t host_faults;             /* how many of them are of the hosts, which are not PI_USAGE */
    enum pi_kind host_kind;         /* of the first of these */
    /* Private. */
    struct pi_buf text;
    struct fleet_option *options;
    struct cli_user_data *user_data;
    size_t user_data_count;
};

/* PI_USAGE if an operand of up or down looks like a file: a name has no dot and no slash. */
int cli_fleet_refuse_files(const struct cli_call *call, struct pi_error *err);

/* Reads the file alone: its name is the fleet's, and its keys are right or a fault. Faults are no failure: cli_fleet_refuse()
 * tells them. 0, or -errno if the file cannot be read at all. path NULL: CLI_FLEET_FILE;
 * "-": the standard input, and paths in it are relative to the current folder. */
int cli_fleet_read(const char *path, struct cli_fleet *ret, struct pi_error *err);

/* The same with what the file names, and checks all that needs no agent. */
int cli_fleet_load(const char *path, struct cli_fleet *ret, struct pi_error *err);

/* Prints all faults, and the warnings about user-data, on standard error, each as piagent validate does, or as a line of JSON.
 * PI_USAGE if there are faults, or what the first fault of the hosts is if there are no others. */
int cli_fleet_refuse(struct cli_fleet *fleet, bool json, struct pi_error *err);

void cli_fleet_done(struct cli_fleet *fleet);
#define pi_auto_cli_fleet __attribute__((cleanup(cli_fleet_done)))

#endif
