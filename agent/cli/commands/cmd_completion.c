/* SPDX-License-Identifier: MIT */
/* "completion" prints a shell's script. */
#include <stdio.h>
#include <string.h>

#include "agent/cli/commands/command_table.h"
#include "agent/cli/terminal/shells.h"
#include "agent/cli/terminal/words.h"

static int run_completion(const struct cli_call *call, struct pi_error *err)
{
    (void)err;
    for (const struct cli_shell *shell = cli_shells; shell->name; shell++)
        if (!strcmp(shell->name, call->operands[0]))
            fputs(shell->script, stdout);
    return PI_OK;
}

const struct cli_command cli_command_completion = {
    .name = "completion",
    .operands = "SHELL",
    .summary = "prints a script with which a shell completes piagent's command lines",
    .details =
        "SHELL is bash, zsh or fish. If piagent is installed, the shell finds its script by itself; else:\n\n"
        "bash: source <(piagent completion bash), in ~/.bashrc.\n\n"
        "zsh: source <(piagent completion zsh), in ~/.zshrc, after compinit.\n\n"
        "fish: piagent completion fish > ~/.config/fish/completions/piagent.fish.",
    .example = "piagent completion bash",
    .min_operands = 1,
    .max_operands = 1,
    .operand = CLI_WORD,
    .words = cli_words_shell,
    .site = CLI_HERE,
    .run = run_completion,
};
