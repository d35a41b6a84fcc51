/* SPDX-License-Identifier: MIT */
/* The errors and warnings about a user-data file: a bounded list, in the order of the file. */
#ifndef PIAGENT_SEED_FINDINGS_H
#define PIAGENT_SEED_FINDINGS_H

#include <stddef.h>

/* Findings past this number are counted, but not kept. */
#define SEED_FINDINGS_MAX 50

enum seed_severity {
    SEED_WARNING, /* an unknown or deprecated key, a value that is likely not meant */
    SEED_ERROR,   /* cloud-init would ignore the file or fail, or piagent cannot work with it */
};

struct seed_finding {
    enum seed_severity severity;
    size_t line, column; /* from 1; 0 = about the whole file */
    char path[96];       /* "users[0].lock_passwd"; "" if there is none */
    char message[256];   /* one clean line */
    char remedy[160];    /* what to do; "" if the message says it */
};

struct seed_findings {
    struct seed_finding items[SEED_FINDINGS_MAX];
    size_t count;            /* of items */
    size_t errors, warnings; /* all that were found */
};

/* A new finding at that place, for the caller to fill in, or NULL past the limit. Past the limit an error
 * replaces the last warning, so that warnings cannot hide an error. */
struct seed_finding *seed_findings_add(struct seed_findings *findings, enum seed_severity severity,
                                       size_t line, size_t column);

/* The same, filled in, unless it is there already, word for word. Cleans the message. path and remedy may be NULL. */
void seed_findings_addf(struct seed_findings *findings, enum seed_severity severity, size_t line,
                        size_t column, const char *path, const char *remedy, const char *format, ...)
    __attribute__((format(printf, 7, 8)));

/* Puts them in the order of the file. */
void seed_findings_sort(struct seed_findings *findings);

/* "line 3, column 1: runcmmd: an unknown key: did you mean runcmd?" into ret, which is returned. */
char *seed_finding_format(const struct seed_finding *finding, char *ret, size_t size);

#endif
