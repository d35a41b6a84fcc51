/* SPDX-License-Identifier: MIT */
#include "agent/seed/host_check.h"

#include <ctype.h>
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
#include "agent/seed/host_words.h"

/* cloud-init prints the text again. It marks lines with problems by "\t\t# E1,D2", and explains the marks at
 * the end: "# E1: 5 is not of type 'array'". (E: an error, D: deprecated.) */
#define MARK "\t\t# "

static bool said_already(const struct seed_findings *findings, size_t line)
{
    for (size_t i = 0; i < findings->count; i++)
        if (findings->items[i].line == line)
            return true;
    return false;
}

/* The line, from 1, that has the mark ("E1"), or 0. */
static size_t marked_line(const char *output, const char *end, const char *mark, size_t length)
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

/* Reads a note, after its mark's colon, into ret, without the path of the file. True if PyYAML rejects the
 * text: its message goes on in the lines below, between indented excerpts of the text. */
static bool note_read(const char *note, bool error, char *ret, size_t size)
{
    static const char no_yaml[] = " is not valid yaml. ";
    const char *words = note, *end = note + strcspn(note, "\n");
    if (pi_starts_with(note, " File /"))
        words += strlen(" File ") + strcspn(note + strlen(" File "), " \n");
    if (strncasecmp(words, no_yaml, sizeof no_yaml - 1) != 0) {
        note += *note == ' ';
        if (error)
            seed_host_problem(note, (size_t)(end - note), ret, size);
        else
            snprintf(ret, size, "%.*s", (int)(end - note), note);
        return false;
    }
    size_t used = (size_t)snprintf(ret, size, "the file%.*s", (int)(end - words), words);
    while (used < size && *end && !strchr("\n#", end[1])) {
        const char *line = end + 1;
        end = line + strcspn(line, "\n");
        if (*line != ' ')
            used += (size_t)snprintf(ret + used, size - used, " %.*s", (int)(end - line), line);
    }
    seed_host_quotes_remove(ret);
    return true;
}

/* Adds a finding for each note. False if there are none. */
static bool take_host_notes(const char *output, struct seed_findings *findings)
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
        bool broken = note_read(at + mark + 1, at[2] == 'E', words, sizeof words);
        size_t line = marked_line(output, notes, at + 2, mark - 2);
        if (line && (broken || !said_already(&before, line)))
            seed_findings_addf(findings, broken ? SEED_ERROR : SEED_WARNING, line, 0, NULL, NULL,
                               "this host's cloud-init says: %s", words);
    }
    return notes != NULL;
}

/* Turns "users.0.name" into "users[0].name". */
static void path_read(const char *path, size_t length, char *ret, size_t size)
{
    size_t used = 0;
    ret[0] = '\0';
    for (const char *at = path, *end = path + length; at < end && used < size;) {
        int step = (int)strcspn(at, ".:");
        if (step && (int)strspn(at, "0123456789") == step)
            used += (size_t)snprintf(ret + used, size - used, "[%.*s]", step, at);
        else
            used += (size_t)snprintf(ret + used, size - used, "%s%.*s", used ? "." : "", step, at);
        at += step + 1;
    }
}

/* The length of the path that a problem starts with, or 0. */
static size_t path_length(const char *problem)
{
    size_t length = 0;
    while (isalnum((unsigned char)problem[length]) || (problem[length] && strchr("_.-", problem[length])))
        length++;
    return pi_starts_with(problem + length, ": ") ? length : 0;
}

static bool said_of(const struct seed_findings *findings, const char *path)
{
    for (size_t i = 0; i < findings->count; i++)
        if (strcmp(findings->items[i].path, path) == 0)
            return true;
    return false;
}

/* "Cloud config schema errors: users.0: ... is not valid, runcmd: ...": a problem has a path, but no line. */
static void take_host_line(const char *output, struct seed_findings *findings)
{
    static const char mark[] = "schema errors: ";
    const struct seed_findings before = *findings;
    const char *at = strstr(output, mark);
    at = at ? at + sizeof mark - 1 : "";
    for (size_t length; (length = path_length(at)) > 0;) {
        char path[96], words[256];
        const char *text = at + length + 2, *end = text;
        while (*end && *end != '\n' && !(pi_starts_with(end, ", ") && path_length(end + 2)))
            end++;
        path_read(at, length, path, sizeof path);
        seed_host_problem(text, (size_t)(end - text), words, sizeof words);
        if (!said_of(&before, path))
            seed_findings_addf(findings, SEED_WARNING, 0, 0, path, NULL, "this host's cloud-init says: %s",
                               words);
        at = pi_starts_with(end, ", ") ? end + 2 : "";
    }
}

bool seed_host_check(const char *data, size_t size, struct seed_findings *findings)
{
    pi_auto_free char *program = NULL;
    pi_auto_buf struct pi_buf notes = {0}, line = {0};
    char path[64];
    struct pi_error ignored;
    int code;
    if (findings->errors || pi_program_find("cloud-init", &program, &ignored) < 0)
        return false;
    pi_auto_close int fd = memfd_create("user-data", MFD_CLOEXEC);
    if (fd < 0 || pi_write_all(fd, data, size) < 0)
        return false;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), fd);
    const char *const plain[] = {program, "schema", "--config-file", path, NULL};
    const char *const annotated[] = {program, "schema", "--annotate", "--config-file", path, NULL};
    if (pi_run_within(annotated, SEED_HOST_CHECK_MS, &notes, &code, &ignored) < 0 || !notes.data)
        return false;
    /* cloud-init 22.4 crashes if a problem is not in a list's first item. */
    if (!take_host_notes(notes.data, findings) && code != 0 &&
        pi_run_within(plain, SEED_HOST_CHECK_MS, &line, &code, &ignored) == 0 && line.data)
        take_host_line(line.data, findings);
    seed_findings_sort(findings);
    return true;
}
