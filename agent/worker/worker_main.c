/* SPDX-License-Identifier: MIT */
#include "agent/worker/worker_main.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/failure.h"
#include "agent/worker/protocol.h"

typedef int job_fn(const json_t *request, json_t **ret_result, struct pi_error *err);

static job_fn *const jobs[WORKER_KINDS] = {
    [WORKER_PREPARE] = worker_run_prepare,
    [WORKER_SNAPSHOT] = worker_run_snapshot,
};

void worker_write(const char *key, json_t *value)
{
    json_auto_t *line = json_pack("{s:o}", key, value);
    if (line && json_dumpf(line, stdout, JSON_COMPACT) == 0)
        putchar('\n');
    fflush(stdout);
}

static int read_request(json_t **ret, struct pi_error *err)
{
    char text[WORKER_LINE_MAX];
    size_t size = fread(text, 1, sizeof text, stdin);
    if (ferror(stdin))
        return pi_fail(err, EIO, "cannot read the request");
    *ret = pi_json_parse(text, size, err);
    return *ret ? 0 : -EBADMSG;
}

static job_fn *find_job(int argc, char **argv)
{
    for (int kind = 0; argc == 2 && kind < WORKER_KINDS; kind++)
        if (!strcmp(argv[1], worker_kind_names[kind]))
            return jobs[kind];
    return NULL;
}

int worker_main(int argc, char **argv)
{
    json_auto_t *request = NULL;
    json_t *result = NULL;
    struct pi_error err;
    job_fn *job = find_job(argc, argv);
    int r = job ? read_request(&request, &err)
                : pi_refuse(&err, PI_USAGE, "the agent alone starts piagent worker");
    if (r == 0)
        r = job(request, &result, &err);
    if (r < 0)
        worker_write(WORKER_ERROR, pi_failure_write(&err));
    else
        worker_write(WORKER_RESULT, result ? result : json_object());
    return r < 0 ? (int)err.kind : PI_OK;
}
