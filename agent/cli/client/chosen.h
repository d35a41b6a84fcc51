/* SPDX-License-Identifier: MIT */
/* The instances that a command acts on: those that it names, or those that a selection takes. The command looks up all
 * of them before it acts on the first: a wrong name leaves the others as they are. */
#ifndef PIAGENT_CLI_CHOSEN_H
#define PIAGENT_CLI_CHOSEN_H

#include "agent/cli/client/connect.h"
#include "agent/cli/terminal/options.h"

/* Chooses instances without their names: it takes an instance that fulfils all that is set. Zeroed memory takes nothing. */
struct cli_selection {
    bool all;
    char *fleet;           /* NULL = any, or none */
    struct pi_strv labels; /* terms of vm_label_term_check() */
};

/* The options of a selection: rows of a command's table. values_ has the member struct cli_selection which. */
#define CLI_PART_OPTIONS(values_)                                                         \
    {.name = "fleet",                                                                     \
     CLI_MEMBER(CLI_STRING, values_, which.fleet),                                        \
     .kind = CLI_FLEET,                                                                   \
     .argument = "FLEET",                                                                 \
     .names = true,                                                                       \
     .help = "those of this fleet, instead of NAME..."},                                  \
    {                                                                                     \
        .name = "label", CLI_MEMBER(CLI_LIST, values_, which.labels), .kind = CLI_LABEL,  \
        .argument = "KEY[=VALUE]", .names = true,                                         \
        .help = "those that have this label, or one with this key, and all others given", \
    }
#define CLI_SELECTION_OPTIONS(values_, letter_, help_) \
    {.name = "all",                                    \
     .letter = (letter_),                              \
     CLI_MEMBER(CLI_FLAG, values_, which.all),         \
     .names = true,                                    \
     .help = (help_)},                                 \
        CLI_PART_OPTIONS(values_)

/* True if the user gave a fleet or labels. */
bool cli_selection_is_part(const struct cli_selection *selection);
/* PI_USAGE if it has something that no fleet or label is called. */
int cli_selection_check(const struct cli_selection *selection, struct pi_error *err);
/* PI_NOT_FOUND for a fleet or labels that it takes no instance by. fleets: of all instances; ends with NULL. */
int cli_selection_refuse(const struct cli_selection *selection, const char *const *fleets,
                         struct pi_error *err);
/* A selection takes no templates. */
bool cli_selection_takes(const struct cli_selection *selection, const struct api_instance *instance);

/* True if an instance in this state is of that kind: CLI_MACHINE, CLI_MACHINE_LIVE or CLI_MACHINE_OVER. */
bool cli_kind_fits(enum cli_kind kind, enum vm_state state);
/* The message of a command of that kind if a selection leaves it nothing to do: "nothing runs". */
const char *cli_none_of(enum cli_kind kind);

struct cli_chosen {
    struct api_instance *items; /* as they were when they were looked up */
    size_t count;
};

/*
 * Gets the instances that the command's operands name, each once: fails with the first name that no instance has. With a
 * selection gets, in the order of their names, those that it takes and that are of that kind, which may be none; a
 * fleet or label that no instance has is PI_NOT_FOUND, as a name is. The parser refuses operands beside a selection;
 * call may be NULL with one.
 */
int cli_choose(struct cli_agent *agent, const struct cli_call *call, const struct cli_selection *selection,
               enum cli_kind kind, struct cli_chosen *ret, struct pi_error *err);

/* Also after a failure. */
void cli_chosen_done(struct cli_chosen *chosen);
#define pi_auto_chosen __attribute__((cleanup(cli_chosen_done)))

#endif
