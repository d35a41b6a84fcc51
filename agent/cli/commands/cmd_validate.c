/* SPDX-License-Identifier: MIT */
/* "validate" shows what is wrong with user-data files, as a compiler does. */
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/terminal/finding_show.h"
#include "agent/cli/terminal/table.h"
#include "agent/cli/terminal/user_data_findings.h"

struct validate_options {
    bool json, strict;
};

static void show_findings(const char *path, const struct pi_buf *text, enum seed_kind kind,
                          const struct seed_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++)
        cli_finding_show(stdout, path, text, &findings->items[i]);
    size_t all = findings->errors + findings->warnings;
    if (all > findings->count)
        printf("%s: %zu more are not shown\n", path, all - findings->count);
    if (all)
        printf("%s: %zu error%s, %zu warning%s\n", path, findings->errors, findings->errors == 1 ? "" : "s",
               findings->warnings, findings->warnings == 1 ? "" : "s");
    else
        printf("%s: %s%s\n", path, seed_kind_name(kind),
               kind == SEED_CLOUD_CONFIG ? ", nothing wrong" : ", which is not checked inside");
}

static json_t *to_json(const char *path, enum seed_kind kind, const struct seed_findings *findings)
{
    json_auto_t *list = json_array();
    for (size_t i = 0; i < findings->count; i++)
        if (json_array_append_new(list, cli_finding_json(&findings->items[i])) < 0)
            return NULL;
    return json_pack("{s:o, s:s, s:I, s:I, s:O}", "file", cli_file_name_json(path), "kind",
                     seed_kind_name(kind), "errors", (json_int_t)findings->errors, "warnings",
                     (json_int_t)findings->warnings, "findings", list);
}

/* 0, or PI_USAGE if the file is refused. */
static int validate(const char *path, const struct validate_options *options, json_t *files,
                    struct pi_error *err)
{
    enum seed_kind kind;
    char name[PATH_MAX];
    pi_auto_buf struct pi_buf text = {0};
    pi_auto_free struct seed_findings *findings = calloc(1, sizeof *findings);
    if (!findings)
        return pi_fail(err, ENOMEM, "validate");
    int r = seed_user_data_read(path, &text, err);
    if (r == 0)
        r = cli_user_data_findings(&text, &kind, findings, err);
    if (r < 0)
        return r;
    if (!options->json)
        show_findings(pi_text_clean(path, strlen(path), name, sizeof name), &text, kind, findings);
    else if (json_array_append_new(files, to_json(path, kind, findings)) < 0)
        return pi_fail(err, ENOMEM, "validate");
    return findings->errors || (options->strict && findings->warnings) ? PI_USAGE : PI_OK;
}

static int run_validate(const struct cli_call *call, struct pi_error *err)
{
    const struct validate_options *options = call->values;
    json_auto_t *files = json_array();
    int code = PI_OK;
    for (unsigned i = 0; i < call->count; i++) {
        int r = validate(call->operands[i], options, files, err);
        if (r < 0)
            return r;
        code = r ? r : code;
    }
    int r = options->json ? cli_json_print(files, err) : 0;
    return r < 0 ? r : code;
}

static const struct cli_option validate_table[] = {
    {.name = "strict", CLI_MEMBER(CLI_FLAG, validate_options, strict), .help = "warnings fail as errors do"},
    {.name = "json", CLI_MEMBER(CLI_FLAG, validate_options, json), .help = "print JSON"},
    {0},
};

const struct cli_command cli_command_validate = {
    .name = "validate",
    .operands = "FILE...",
    .summary = "checks cloud-init user-data before an instance gets it",
    .details =
        "Shows each place that cloud-init would refuse, pass over or misread, and what to write there;\n"
        "'-' is the standard input. It asks this host's cloud-init, too, if there is one. The exit code is 2\n"
        "if there are errors: piagent run --user-data refuses such a file, too.\n"
        "The keys 'user' (see --user), 'ssh_keys' (the host key) and a 'vendor_data' that is not enabled\n"
        "are errors: cloud-init would take them in place of what piagent needs in the guest.",
    .example = "piagent validate user-data.yaml",
    .options = validate_table,
    .values_size = sizeof(struct validate_options),
    .min_operands = 1,
    .max_operands = 64,
    .operand = CLI_FILE,
    .site = CLI_HERE,
    .run = run_validate,
};
