/* SPDX-License-Identifier: MIT */
/* Room for an image, before its first byte. */
#ifndef PIAGENT_IMAGE_SPACE_H
#define PIAGENT_IMAGE_SPACE_H

#include <stdint.h>

#include "agent/base/error.h"

/* Reserves the blocks of the file's first total_bytes (fallocate(2)), its size unchanged; where the file
 * system can't, looks whether they are free. PI_HOST with what is missing where they are not. */
int image_space_reserve(int fd, uint64_t total_bytes, struct pi_error *err);

/* Whether bytes more fit beside fd; PI_HOST with what is missing where not. */
int image_space_check(int fd, uint64_t bytes, struct pi_error *err);

/* The refusal for a disk that got full meanwhile. */
int image_space_full(struct pi_error *err);

#endif
