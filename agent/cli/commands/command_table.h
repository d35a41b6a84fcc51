/* SPDX-License-Identifier: MIT */
/* The commands: one table entry each, defined beside its handler. */
#ifndef PIAGENT_CLI_COMMAND_TABLE_H
#define PIAGENT_CLI_COMMAND_TABLE_H

#include "agent/cli/terminal/options.h"

/* All of them, hidden ones too; ends with NULL. */
extern const struct cli_command *const cli_commands[];

/* Runs a whole command line. The exit code: one of enum pi_kind (ssh's own for "piagent ssh"). */
int cli_main(int argc, char **argv);

extern const struct cli_command cli_command_run, cli_command_clone, cli_command_start, cli_command_wait;
extern const struct cli_command cli_command_up, cli_command_down;
extern const struct cli_command cli_command_ps, cli_command_status;
extern const struct cli_command cli_command_console, cli_command_ssh, cli_command_logs;
extern const struct cli_command cli_command_cp, cli_command_ssh_config, cli_command_inventory;
extern const struct cli_command cli_command_powerdown, cli_command_restart;
extern const struct cli_command cli_command_kill, cli_command_reset;
extern const struct cli_command cli_command_pause, cli_command_suspend, cli_command_resume,
    cli_command_reseed, cli_command_rm;
extern const struct cli_command cli_command_image_fetch, cli_command_image_ls;
extern const struct cli_command cli_command_image_verify, cli_command_image_rm, cli_command_image_prune;
extern const struct cli_command cli_command_template_create, cli_command_template_ls, cli_command_template_rm;
extern const struct cli_command cli_command_network_create, cli_command_network_ls;
extern const struct cli_command cli_command_snapshot_create, cli_command_snapshot_ls,
    cli_command_snapshot_restore, cli_command_snapshot_rm;
extern const struct cli_command cli_command_network_status, cli_command_network_rm;
extern const struct cli_command cli_command_network_link, cli_command_network_unlink, cli_command__carry;
extern const struct cli_command cli_command_validate;
extern const struct cli_command cli_command_hash_password, cli_command_qemu_command, cli_command_explain;
extern const struct cli_command cli_command_completion, cli_command__complete, cli_command__pages;
extern const struct cli_command cli_command_timeline;
extern const struct cli_command cli_command_metrics;
extern const struct cli_command cli_command_agent, cli_command_agent_start, cli_command_agent_status;
extern const struct cli_command cli_command_agent_stop;
extern const struct cli_command cli_command_doctor;
extern const struct cli_command cli_command_agent_openapi;
extern const struct cli_command cli_command_events, cli_command_help;

#endif
