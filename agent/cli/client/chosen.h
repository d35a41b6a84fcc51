/* SPDX-License-Identifier: MIT */
/* The instances that a command acts on. The command looks up all of them before it acts on the first: a wrong
 * name leaves the others as they are. */
#ifndef PIAGENT_CLI_CHOSEN_H
#define PIAGENT_CLI_CHOSEN_H

#include "agent/cli/client/connect.h"
#include "agent/cli/terminal/options.h"

struct cli_chosen {
    struct api_instance *items; /* as they were when they were looked up */
    size_t count;
};

/* Gets the instances that the command's operands name, each once. Fails with the first name that no instance
 * has. */
int cli_choose_named(struct cli_agent *agent, const struct cli_call *call, struct cli_chosen *ret,
                     struct pi_error *err);

/* Gets all instances in the order of their names, or only those whose state fits. */
int cli_choose_all(struct cli_agent *agent, bool (*fits)(enum vm_state state), struct cli_chosen *ret,
                   struct pi_error *err);

/* Also after a failure. */
void cli_chosen_done(struct cli_chosen *chosen);
#define pi_auto_chosen __attribute__((cleanup(cli_chosen_done)))

#endif
