/* SPDX-License-Identifier: MIT */
/*
 * Labels: what users write on instances to choose them by. A label is "KEY=VALUE", with the characters of
 * Kubernetes' labels (https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/): letters,
 * digits, '-', '_' and '.', at most 63, with a letter or digit at both ends. The value may be empty. A key has no
 * prefix ("example.com/").
 */
#ifndef PIAGENT_VM_LABEL_H
#define PIAGENT_VM_LABEL_H

#include <stdbool.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"

#define VM_LABELS_MAX 32

/* Checks the labels of an instance: each by itself, their number, and that no key is there twice. PI_USAGE. */
int vm_labels_check(const struct pi_strv *labels, struct pi_error *err);

/* Checks a term that labels are chosen by: "KEY=VALUE", or "KEY", which any value fulfils. PI_USAGE. */
int vm_label_term_check(const char *term, struct pi_error *err);

/* Tells if one of the labels fulfils the term. */
bool vm_labels_fulfil(const struct pi_strv *labels, const char *term);

#endif
