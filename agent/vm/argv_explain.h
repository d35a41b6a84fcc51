/* SPDX-License-Identifier: MIT */
/* What each option of a machine's command line is for: beside vm_argv_build(), which says what it is. */
#ifndef PIAGENT_VM_ARGV_EXPLAIN_H
#define PIAGENT_VM_ARGV_EXPLAIN_H

#include <jansson.h>

#include "agent/base/buf.h"

/*
 * [{"group": TEXT, "why": TEXT, "words": [WORD...]}...]: an argv of vm_argv_build() with its words grouped by
 * what they are for; what belongs to one option stands together, and no word is lost. An option that nothing
 * is known of comes last, without "why" (a test sees to it that there is none). A new reference, or NULL
 * without memory.
 */
json_t *vm_argv_explain(const struct pi_strv *argv);

#endif
