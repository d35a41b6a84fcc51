/* SPDX-License-Identifier: MIT */
#include "agent/cli/terminal/user_data_findings.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/cli/terminal/colour.h"
#include "agent/seed/host_check.h"

int cli_user_data_findings(const struct pi_buf *text, enum seed_kind *ret_kind, struct seed_findings *ret,
                           struct pi_error *err)
{
    int r = seed_user_data_findings(text->data ? text->data : "", text->size, ret_kind, ret);
    if (r < 0)
        return pi_fail(err, -r, "cannot check the user-data");
    if (ret->errors || *ret_kind != SEED_CLOUD_CONFIG)
        return 0;
    bool terminal = cli_is_terminal(STDERR_FILENO);
    if (terminal)
        fputs("asking this host's cloud-init ...", stderr);
    seed_host_check(text->data, text->size, ret);
    if (terminal)
        fputs("\r\033[K", stderr);
    return 0;
}

int cli_user_data_check(const char *path, const struct pi_buf *text, bool accept, struct pi_error *err)
{
    enum seed_kind kind;
    char line[640], name[PATH_MAX];
    pi_auto_free struct seed_findings *findings = calloc(1, sizeof *findings);
    if (!findings)
        return pi_fail(err, ENOMEM, "cannot check the user-data");
    int r = cli_user_data_findings(text, &kind, findings, err);
    if (r < 0)
        return r;
    const struct seed_finding *first = NULL;
    pi_text_clean(path, strlen(path), name, sizeof name);
    for (size_t i = 0; i < findings->count; i++) {
        const struct seed_finding *finding = &findings->items[i];
        bool error = finding->severity == SEED_ERROR;
        if (error && !first)
            first = finding;
        if (!error || accept)
            fprintf(stderr, "piagent: %s: %s: %s\n", name, error ? "error" : "warning",
                    seed_finding_format(finding, line, sizeof line));
    }
    if (!first || accept)
        return 0;
    seed_finding_format(first, line, sizeof line);
    char more[40] = "";
    if (findings->errors > 1)
        snprintf(more, sizeof more, " and %zu more", findings->errors - 1);
    return pi_refuse(
        err, PI_USAGE,
        "%s: %s; nothing was made: piagent validate shows this%s in the file, --user-data-unchecked "
        "boots it all the same",
        path, line, more);
}
