/* SPDX-License-Identifier: MIT */
#include "agent/seed/host_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/buf.h"
#include "agent/base/fs.h"
#include "agent/base/paths.h"
#include "agent/base/proc.h"
#include "agent/base/text.h"

/* Its output is the text itself with "\t\t# E1,D2" behind lines that something is wrong with, and then what:
 * "# E1: 5 is not of type 'array'". (E: an error, D: deprecated.) */
#define MARK "\t\t# "

static bool said_already(const struct seed_findings *findings, size_t line)
{
    for (size_t i = 0; i < findings->count; i++)
        if (findings->items[i].line == line)
            return true;
    return false;
}

/* The line, from 1, that has the mark ("E1"), or 0. */
static size_t line_of(const char *output, const char *end, const char *mark, size_t length)
{
    size_t line = 1;
    for (const char *at = output; at < end; line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        newline = newline ? newline : end;
        const char *marks = memmem(at, (size_t)(newline - at), MARK, sizeof MARK - 1);
        for (marks = marks ? marks + sizeof MARK - 1 : newline; marks < newline;
             marks += strcspn(marks, ",\n") + 1)
            if ((size_t)(newline - marks) >= length && !strncmp(marks, mark, length) &&
                strchr(",\n", marks[length]))
                return line;
        at = newline + 1;
    }
    return 0;
}

/* What a note says, from behind its mark's colon on, without the path that the file had for cloud-init.
 * Whether it is PyYAML that refuses the text: its words go on in the lines below, with excerpts
 * of the text, indented, between them. */
static bool note_read(const char *note, char *ret, size_t size)
{
    static const char no_yaml[] = " is not valid yaml. ";
    const char *words = note, *end = note + strcspn(note, "\n");
    if (pi_starts_with(note, " File /"))
        words += strlen(" File ") + strcspn(note + strlen(" File "), " \n");
    bool broken = strncasecmp(words, no_yaml, sizeof no_yaml - 1) == 0;
    size_t used =
        (size_t)snprintf(ret, size, "%s%.*s", words == note ? "" : " the file", (int)(end - words), words);
    while (broken && used < size && *end && !strchr("\n#", end[1])) {
        const char *line = end + 1;
        end = line + strcspn(line, "\n");
        if (*line != ' ')
            used += (size_t)snprintf(ret + used, size - used, " %.*s", (int)(end - line), line);
    }
    return broken;
}

static void take(const char *output, struct seed_findings *findings)
{
    const struct seed_findings before = *findings;
    const char *notes = strstr(output, "\n# Errors: ---");
    if (!notes)
        notes = strstr(output, "\n# Deprecations: ---");
    for (const char *at = notes; at && (at = strchr(at, '\n')) && *++at;) {
        size_t mark = strcspn(at, ":\n");
        if (!pi_starts_with(at, "# ") || !strchr("ED", at[2]) || at[mark] != ':' || mark > 8)
            continue;
        char words[256];
        bool broken = note_read(at + mark + 1, words, sizeof words);
        size_t line = line_of(output, notes, at + 2, mark - 2);
        if (line && (broken || !said_already(&before, line)))
            seed_findings_addf(findings, broken ? SEED_ERROR : SEED_WARNING, line, 0, NULL, NULL,
                               "this host's cloud-init says:%s", words);
    }
}

bool seed_host_check(const char *data, size_t size, struct seed_findings *findings)
{
    pi_auto_free char *program = NULL, *timeout = NULL;
    pi_auto_buf struct pi_buf output = {0};
    char limit[16], path[64];
    struct pi_error ignored;
    int code;
    if (findings->errors || pi_program_find("cloud-init", &program, &ignored) < 0 ||
        pi_program_find("timeout", &timeout, &ignored) < 0)
        return false;
    pi_auto_close int fd = memfd_create("user-data", MFD_CLOEXEC);
    if (fd < 0 || pi_write_all(fd, data, size) < 0)
        return false;
    snprintf(limit, sizeof limit, "%d", SEED_HOST_CHECK_S);
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), fd);
    const char *const argv[] = {timeout,      "--kill-after=1", limit, program, "schema",
                                "--annotate", "--config-file",  path,  NULL};
    if (pi_run(argv, &output, &code, &ignored) < 0 || !output.data)
        return false;
    take(output.data, findings);
    seed_findings_sort(findings);
    return true;
}
