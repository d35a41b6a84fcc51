/* SPDX-License-Identifier: MIT */
/* Lines that fit a terminal. Pure functions, except that the locale decides how to write an ellipsis. */
#ifndef PIAGENT_CLI_BAR_H
#define PIAGENT_CLI_BAR_H

#include "agent/base/buf.h"
#include "agent/image/progress.h"

/* The columns that text takes, up to its end or the end of its first line. NULL takes none. */
unsigned cli_columns(const char *text);

/* Appends text. If it is longer than width columns, cuts it, with an ellipsis ('>' in a locale without
 * UTF-8). A character counts as one column. */
int cli_fit(const char *text, unsigned width, struct pi_buf *ret);

/*
 * An image's progress on one line of at most width columns:
 *     Fedora-Cloud-Base-44.qcow2  [#######---------]  45%  213 MiB of 480 MiB  12.3 MiB/s  22.0s left
 * Where it is narrow the bar goes first, then the end of the name, then that of the line.
 */
int cli_render_image(const struct image_progress *progress, unsigned width, struct pi_buf *ret);

/* The same as a step, if no line can be redrawn: "downloading NAME, 480 MiB". */
int cli_image_step(const struct image_progress *progress, struct pi_buf *ret);

#endif
