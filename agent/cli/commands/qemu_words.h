/* SPDX-License-Identifier: MIT */
/* For "qemu-command" and "explain": an instance's QEMU command as the agent tells it. */
#ifndef PIAGENT_CLI_QEMU_WORDS_H
#define PIAGENT_CLI_QEMU_WORDS_H

#include <jansson.h>

#include "agent/cli/terminal/options.h"

struct cli_qemu_options {
    bool json, standalone;
};
extern const struct cli_option cli_qemu_options[];

/* The agent's answer, with "argv" and "options". */
int cli_get_qemu_command(const struct cli_call *call, json_t **ret, struct pi_error *err);

/* Prints the words on one line, quoted for a shell; before(i, word) is printed in front of each. */
int cli_print_words(const json_t *words, const char *(*before)(size_t i, const char *word),
                    struct pi_error *err);

#endif
