/* SPDX-License-Identifier: MIT */
#include "agent/cli/terminal/finding_show.h"

#include <limits.h>
#include <string.h>

#include "agent/base/text.h"
#include "agent/cli/terminal/excerpt.h"

static void show_source(FILE *out, const struct pi_buf *text, const struct seed_finding *finding)
{
    char line[CLI_EXCERPT_MAX + 1];
    size_t caret = cli_excerpt(text->data, text->size, finding->line, finding->column, line);
    if (!line[0])
        return;
    fprintf(out, "%6zu | %s\n", finding->line, line);
    if (caret)
        fprintf(out, "       | %*s^\n", (int)caret - 1, "");
}

static const char *severity_word(const struct seed_finding *finding)
{
    return finding->severity == SEED_ERROR ? "error" : "warning";
}

void cli_finding_show(FILE *out, const char *file, const struct pi_buf *text,
                      const struct seed_finding *finding)
{
    char clean[PATH_MAX];
    fprintf(out, "%s:", pi_text_clean(file, strlen(file), clean, sizeof clean));
    if (finding->line)
        fprintf(out, "%zu:", finding->line);
    if (finding->column)
        fprintf(out, "%zu:", finding->column);
    fprintf(out, " %s: %s%s%s\n", severity_word(finding), finding->path, finding->path[0] ? ": " : "",
            finding->message);
    show_source(out, text, finding);
    if (finding->remedy[0])
        fprintf(out, "       = %s\n", finding->remedy);
}

json_t *cli_finding_json(const struct seed_finding *finding)
{
    return json_pack("{s:s, s:I, s:I, s:s, s:s, s:s}", "severity", severity_word(finding), "line",
                     (json_int_t)finding->line, "column", (json_int_t)finding->column, "path", finding->path,
                     "message", finding->message, "remedy", finding->remedy);
}

json_t *cli_file_name_json(const char *file)
{
    char clean[PATH_MAX];
    json_t *name = json_string(file);
    return name ? name : json_string(pi_text_clean(file, strlen(file), clean, sizeof clean));
}
