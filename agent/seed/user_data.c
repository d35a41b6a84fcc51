/* SPDX-License-Identifier: MIT */
#include "agent/seed/user_data.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/seed/yaml_check.h"

int seed_user_data_findings(const char *data, size_t size, enum seed_kind *ret_kind,
                            struct seed_findings *findings)
{
    enum seed_kind kind = SEED_CLOUD_CONFIG;
    if (size == 0 || size > SEED_USER_DATA_MAX) {
        *ret_kind = kind;
        seed_findings_addf(findings, SEED_ERROR, 0, 0, NULL, NULL,
                           size ? "it is larger than %zu bytes" : "it is empty", SEED_USER_DATA_MAX);
        return 0;
    }
    bool config = seed_kind_check(data, size, &kind, findings);
    int r = config ? seed_yaml_check(data, size, findings) : 0;
    if (r < 0)
        return r;
    seed_findings_sort(findings);
    *ret_kind = kind;
    return 0;
}

int seed_user_data_check(const char *data, size_t size, enum seed_kind *ret, struct pi_error *err)
{
    enum seed_kind kind;
    char text[sizeof err->text / 2], more[64] = "";
    pi_auto_free struct seed_findings *findings = calloc(1, sizeof *findings);
    int r = findings ? seed_user_data_findings(data, size, &kind, findings) : -ENOMEM;
    if (r < 0)
        return pi_fail(err, -r, "cannot check the user-data");
    if (!findings->errors) {
        *ret = kind;
        return 0;
    }
    const struct seed_finding *first = findings->items;
    while (first->severity != SEED_ERROR)
        first++;
    if (findings->errors > 1)
        snprintf(more, sizeof more, " (and %zu more)", findings->errors - 1);
    return pi_refuse(err, PI_USAGE, "%s%s", seed_finding_format(first, text, sizeof text), more);
}

static int read_input(struct pi_buf *ret, struct pi_error *err)
{
    char bytes[4096];
    ssize_t n;
    while ((n = read(STDIN_FILENO, bytes, sizeof bytes)) > 0 && ret->size <= SEED_USER_DATA_MAX)
        if (pi_buf_add(ret, bytes, (size_t)n) < 0)
            return pi_fail(err, ENOMEM, "cannot read the standard input");
    return n < 0 ? pi_fail(err, errno, "cannot read the standard input") : 0;
}

int seed_user_data_read(const char *path, struct pi_buf *ret, struct pi_error *err)
{
    pi_auto_buf struct pi_buf text = {0};
    int r = !strcmp(path, "-") ? read_input(&text, err)
                               : pi_file_read(AT_FDCWD, path, SEED_USER_DATA_MAX, &text, err);
    if (r == -ENOENT)
        return pi_refuse(err, PI_NOT_FOUND, "there is no file %s", path);
    if (r < 0)
        return pi_context(err, r, "cannot use the user-data");
    r = pi_buf_add(ret, text.data ? text.data : "", text.size);
    return r < 0 ? pi_fail(err, -r, "cannot use the user-data %s", path) : 0;
}
