/* SPDX-License-Identifier: MIT */
#include "agent/cli/terminal/error_report.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/failure.h"
#include "agent/base/text.h"
#include "agent/cli/terminal/colour.h"
#include "agent/cli/terminal/host_hint.h"
#include "agent/cli/terminal/table.h"

int cli_report(const struct pi_error *err)
{
    char line[sizeof err->text];
    pi_auto_buf struct pi_buf hint = {0};
    fprintf(stderr, "%spiagent:%s %s\n", cli_colour(STDERR_FILENO, CLI_BOLD_RED),
            cli_colour(STDERR_FILENO, CLI_PLAIN),
            cli_host_hint(pi_text_clean(err->text, strlen(err->text), line, sizeof line), cli_host_chosen(),
                          &hint));
    return err->kind ? (int)err->kind : PI_FAILED;
}

int cli_report_json(const struct pi_error *err)
{
    json_auto_t *error = pi_failure_write(err), *line = json_pack("{s:O?}", "error", error);
    if (!error || cli_json_line(stderr, line) < 0)
        return cli_report(err);
    return err->kind ? (int)err->kind : PI_FAILED;
}
