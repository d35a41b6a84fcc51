/* SPDX-License-Identifier: MIT */
#include "agent/seed/findings.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/text.h"

static struct seed_finding *free_finding(struct seed_findings *findings, enum seed_severity severity)
{
    if (findings->count < SEED_FINDINGS_MAX)
        return &findings->items[findings->count++];
    for (size_t i = SEED_FINDINGS_MAX; severity == SEED_ERROR && i-- > 0;)
        if (findings->items[i].severity == SEED_WARNING)
            return &findings->items[i];
    return NULL;
}

struct seed_finding *seed_findings_add(struct seed_findings *findings, enum seed_severity severity,
                                       size_t line, size_t column)
{
    if (severity == SEED_ERROR)
        findings->errors++;
    else
        findings->warnings++;
    struct seed_finding *finding = free_finding(findings, severity);
    if (finding)
        *finding = (struct seed_finding){.severity = severity, .line = line, .column = column};
    return finding;
}

static bool is_found(const struct seed_findings *findings, const struct seed_finding *finding)
{
    for (size_t i = 0; i < findings->count; i++) {
        const struct seed_finding *one = &findings->items[i];
        if (one->severity == finding->severity && one->line == finding->line &&
            one->column == finding->column && !strcmp(one->path, finding->path) &&
            !strcmp(one->message, finding->message))
            return true;
    }
    return false;
}

void seed_findings_addf(struct seed_findings *findings, enum seed_severity severity, size_t line,
                        size_t column, const char *path, const char *remedy, const char *format, ...)
{
    struct seed_finding finding = {.severity = severity, .line = line, .column = column};
    char message[2 * sizeof finding.message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    pi_text_clean(message, strlen(message), finding.message, sizeof finding.message);
    if (path)
        pi_text_clean(path, strlen(path), finding.path, sizeof finding.path);
    if (remedy)
        pi_text_clean(remedy, strlen(remedy), finding.remedy, sizeof finding.remedy);
    struct seed_finding *added =
        is_found(findings, &finding) ? NULL : seed_findings_add(findings, severity, line, column);
    if (added)
        *added = finding;
}

static int by_line_and_column(const void *a, const void *b)
{
    const struct seed_finding *x = a, *y = b;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    return (x->column > y->column) - (x->column < y->column);
}

void seed_findings_sort(struct seed_findings *findings)
{
    qsort(findings->items, findings->count, sizeof findings->items[0], by_line_and_column);
}

char *seed_finding_format(const struct seed_finding *finding, char *ret, size_t size)
{
    char at[64] = "";
    if (finding->line && finding->column)
        snprintf(at, sizeof at, "line %zu, column %zu: ", finding->line, finding->column);
    else if (finding->line)
        snprintf(at, sizeof at, "line %zu: ", finding->line);
    snprintf(ret, size, "%s%s%s%s%s%s", at, finding->path, finding->path[0] ? ": " : "", finding->message,
             finding->remedy[0] ? ": " : "", finding->remedy);
    return ret;
}
