/* SPDX-License-Identifier: MIT */
/* The shells whose command lines piagent completes, and the scripts that they read. */
#ifndef PIAGENT_CLI_SHELLS_H
#define PIAGENT_CLI_SHELLS_H

struct cli_shell {
    const char *name, *script;
    const char *folder, *file; /* below the prefix of an installation, so that the shell finds it by itself */
};

/* Ends with {0}. */
extern const struct cli_shell cli_shells[];

#endif
