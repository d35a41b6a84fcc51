/* SPDX-License-Identifier: MIT */
/* Makes sure that an image fits on the disk before its first byte is written. */
#ifndef PIAGENT_IMAGE_SPACE_H
#define PIAGENT_IMAGE_SPACE_H

#include <stdint.h>

#include "agent/base/error.h"

/* Reserves the blocks of the file's first total_bytes (fallocate(2)); its size stays. If the file system
 * cannot reserve, checks the free space. PI_HOST, with how much is missing, if there is too little. */
int image_space_reserve(int fd, uint64_t total_bytes, struct pi_error *err);

/* Checks if so many more bytes fit on the file system of fd; PI_HOST, with how much is missing, if not. */
int image_space_check(int fd, uint64_t bytes, struct pi_error *err);

/* The error for a disk that became full meanwhile. */
int image_space_full(struct pi_error *err);

#endif
