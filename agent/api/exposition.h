/* SPDX-License-Identifier: MIT */
/*
 * Prometheus' text format, version 0.0.4: a family of metrics is its HELP and TYPE, then a line for each sample.
 * Pure. https://prometheus.io/docs/instrumenting/exposition_formats/
 */
#ifndef PIAGENT_API_EXPOSITION_H
#define PIAGENT_API_EXPOSITION_H

#include "agent/base/buf.h"

struct api_label {
    const char *name, *value; /* value: any UTF-8; NULL = the label is left out */
};

/* Begins a family. type is "counter" or "gauge"; help is one line. 0, -ENOMEM or -E2BIG, as the next. */
int api_metric_family(struct pi_buf *ret, const char *name, const char *type, const char *help);

/* A sample of the family that was begun last, with its name. labels ends with {0}; NULL = none. */
int api_metric_sample(struct pi_buf *ret, const char *name, const struct api_label *labels, double value);

#endif
