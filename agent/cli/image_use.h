/* SPDX-License-Identifier: MIT */
/* Which machines use which image. */
#ifndef PIAGENT_CLI_IMAGE_USE_H
#define PIAGENT_CLI_IMAGE_USE_H

#include <jansson.h>

#include "agent/base/error.h"
#include "agent/base/paths.h"

/*
 * {SHA256: [NAME...]}, from the machines' records on disk, so that it holds whether an agent runs or not. A
 * record that cannot be read is refused: what it uses can't be known. A new reference, or NULL.
 */
json_t *cli_image_use(const struct pi_paths *paths, struct pi_error *err);

#endif
