/* SPDX-License-Identifier: MIT */
#include "agent/seed/yaml_syntax.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "agent/base/auto.h"

/* libyaml's words for a problem, each with the remedy for its most likely cause. */
static const struct {
    const char *problem, *remedy;
} remedies[] = {
    {"mapping values are not allowed", "text that holds ': ' needs quotes; or the line is indented too far"},
    {"did not find expected key",
     "compare the indentation with the lines above; a quoted text may end too early"},
    {"did not find expected '-'", "compare the indentation with the list's other lines"},
    {"could not find expected ':'", "a key needs ': ' after it; or the line is not indented far enough"},
    {"did not find expected ',' or ']'", "the '[' is not closed, or a ',' is missing"},
    {"did not find expected ',' or '}'", "the '{' is not closed, or a ',' is missing"},
    {"cannot start any token", "text that starts with '%', '@' or '`' needs quotes"},
    {"unexpected end of stream", "a quote is not closed"},
    {"unexpected document indicator", "a quote is not closed"},
    {"unknown escape character", "write it in single quotes, or the backslash twice"},
    {"block sequence entries are not allowed", "put the '- ' on a line of its own"},
    {"alphabetic or numeric character", "text that starts with '*' or '&' needs quotes"},
    {"undefined tag handle", "text that starts with '!' needs quotes"},
};

/* line counts from 0. */
static const char *nth_line(const char *data, size_t size, size_t line)
{
    const char *at = data, *end = data + size;
    for (; line > 0 && at < end; line--) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        at = newline ? newline + 1 : end;
    }
    return at;
}

/* Tells if a line is indented with a tab, as some editors do and YAML forbids. */
static bool tab_indents(const char *data, size_t size, size_t line)
{
    const char *at = nth_line(data, size, line), *end = data + size;
    while (at < end && *at == ' ')
        at++;
    return at < end && *at == '\t';
}

/* A column is a character, not a byte. */
static bool tab_at(const char *data, size_t size, const yaml_mark_t *mark)
{
    const char *at = nth_line(data, size, mark->line), *end = data + size;
    for (size_t i = 0; i < mark->column && at < end; i++)
        do
            at++;
        while (at < end && ((unsigned char)*at & 0xc0) == 0x80);
    return at < end && *at == '\t';
}

static const char *remedy_of(const char *problem)
{
    for (size_t i = 0; i < PI_ARRAY_SIZE(remedies); i++)
        if (strstr(problem, remedies[i].problem))
            return remedies[i].remedy;
    return NULL;
}

/* Counts the lines up to an offset: libyaml's reader knows only the offset of a byte. */
static size_t line_at_offset(const char *data, size_t size, size_t offset)
{
    size_t line = 1;
    for (size_t i = 0; i < offset && i < size; i++)
        line += data[i] == '\n';
    return line;
}

int seed_yaml_syntax(const yaml_parser_t *parser, const char *data, size_t size,
                     struct seed_findings *findings)
{
    const char *problem = parser->problem ? parser->problem : "not YAML";
    if (parser->error == YAML_MEMORY_ERROR)
        return -ENOMEM;
    if (parser->error == YAML_READER_ERROR) {
        seed_findings_addf(findings, SEED_ERROR, line_at_offset(data, size, parser->problem_offset), 0, NULL,
                           "save the file as UTF-8 text", "byte %zu is not text: %s",
                           parser->problem_offset + 1, problem);
        return 0;
    }
    size_t line = parser->problem_mark.line, begun = parser->context_mark.line;
    if (tab_indents(data, size, line)) {
        seed_findings_addf(findings, SEED_ERROR, line + 1, 1, NULL,
                           "indent it with spaces: YAML allows no tabs there", "indented with a tab");
        return 0;
    }
    if (tab_at(data, size, &parser->problem_mark)) {
        seed_findings_addf(findings, SEED_ERROR, line + 1, parser->problem_mark.column + 1, NULL,
                           "use spaces: YAML allows tabs only in quoted text", "not YAML: a tab");
        return 0;
    }
    char where[48] = "";
    if (parser->context && begun < line)
        snprintf(where, sizeof where, " (begun in line %zu)", begun + 1);
    seed_findings_addf(findings, SEED_ERROR, line + 1, parser->problem_mark.column + 1, NULL,
                       remedy_of(problem), "not YAML: %s%s%s%s", problem, parser->context ? " " : "",
                       parser->context ? parser->context : "", where);
    return 0;
}
