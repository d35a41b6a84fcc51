/* SPDX-License-Identifier: MIT */
/* For the tests of agent/image: disk images of a few clusters, folders of their own, Fedora's stand-in. */
#ifndef PIAGENT_TESTS_IMAGE_FIXTURE_H
#define PIAGENT_TESTS_IMAGE_FIXTURE_H

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"

/* An image store without images, records, partials and links: what is left is its lock. */
static inline void assert_store_is_empty(const char *dir)
{
    char lock[512];
    snprintf(lock, sizeof lock, "%s/.lock", dir);
    assert_int_equal(unlink(lock), 0);
    assert_int_equal(rmdir(dir), 0);
}

#define QCOW2_CLUSTER 65536u
#define QCOW2_VIRTUAL ((uint64_t)5 << 30)

static inline void put32(uint8_t *p, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(value >> (24 - 8 * i));
}

static inline void put64(uint8_t *p, uint64_t value)
{
    put32(p, (uint32_t)(value >> 32));
    put32(p + 4, (uint32_t)value);
}

/* A qcow2 (version 3) header at the start of size zeroed bytes; its L1 table is in the third cluster. */
static inline void qcow2_fill(uint8_t *p, size_t size)
{
    memset(p, 0, size);
    put32(p, 0x514649fb); /* "QFI" and 0xfb */
    put32(p + 4, 3);
    put32(p + 20, 16);
    put64(p + 24, QCOW2_VIRTUAL);
    put32(p + 36, 10);
    put64(p + 40, 2 * QCOW2_CLUSTER);
    put64(p + 48, QCOW2_CLUSTER);
    put32(p + 56, 1);
    put32(p + 96, 4);
    put32(p + 100, 112);
}

/* Writes a qcow2 of size bytes whose clusters from the fourth on depend on seed. */
static inline void qcow2_write(const char *path, size_t size, uint32_t seed)
{
    pi_auto_free uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    qcow2_fill(bytes, size);
    for (size_t i = (size_t)3 * QCOW2_CLUSTER; i < size; i++) {
        seed = seed * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(seed >> 24);
    }
    assert_int_equal(pi_file_write(AT_FDCWD, path, bytes, size, 0600, NULL), 0);
}

static inline char *folder_new(char path[64])
{
    snprintf(path, 64, "/tmp/piagent-image-XXXXXX");
    assert_non_null(mkdtemp(path));
    return path;
}

static inline void folder_done(const char *path)
{
    assert_int_equal(pi_tree_remove(AT_FDCWD, path, NULL), 0);
}

#endif
