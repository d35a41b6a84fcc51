/* SPDX-License-Identifier: MIT */
/* Explains each option of an instance's command line, which vm_argv_build() makes. */
#ifndef PIAGENT_VM_ARGV_EXPLAIN_H
#define PIAGENT_VM_ARGV_EXPLAIN_H

#include <jansson.h>

#include "agent/base/buf.h"

/*
 * [{"group": TEXT, "why": TEXT, "words": [WORD...]}...]: the words of an argv of vm_argv_build(), all of
 * them, grouped by purpose. The words of one option stand together. An option without an explanation comes
 * last, without "why". (A test checks that there is none.) A new reference, or NULL without memory.
 */
json_t *vm_argv_explain(const struct pi_strv *argv);

#endif
