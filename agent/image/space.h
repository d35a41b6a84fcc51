/* SPDX-License-Identifier: MIT */
/* Room for an image, before its first byte. */
#ifndef PIAGENT_IMAGE_SPACE_H
#define PIAGENT_IMAGE_SPACE_H

#include <stdint.h>

#include "agent/base/error.h"

/* Reserves the blocks of the file's first total_bytes (fallocate(2)); its size stays. If the file system
 * cannot reserve, looks if they are free. PI_HOST, with how much is missing, if they are not. */
int image_space_reserve(int fd, uint64_t total_bytes, struct pi_error *err);

/* Tells if so many bytes more fit beside fd; PI_HOST, with how much is missing, if not. */
int image_space_check(int fd, uint64_t bytes, struct pi_error *err);

/* The refusal for a disk that got full meanwhile. */
int image_space_full(struct pi_error *err);

#endif
