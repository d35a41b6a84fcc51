/* SPDX-License-Identifier: MIT */
/* A webhook body. If it is accepted, it must be as the header promises. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "imds/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct imds_report *report)
{
    size_t stage = strlen(report->stage);
    bool whole = strncmp(report->name, report->stage, stage) == 0 &&
                 (report->name[stage] == '\0' ? report->module[0] == '\0'
                                              : strcmp(report->name + stage + 1, report->module) == 0);
    if (!whole || report->name[0] == '\0' || report->duration_ms < -1 ||
        (report->event == IMDS_EVENT_START) != (report->result == IMDS_RESULT_NONE))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct imds_report report;
    if (imds_report_parse((const char *)data, size, &report) == 0)
        check(&report);
    return 0;
}
