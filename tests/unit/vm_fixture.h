/* SPDX-License-Identifier: MIT */
/* An instance to test with, and a folder of its own for it. */
#ifndef TESTS_UNIT_VM_FIXTURE_H
#define TESTS_UNIT_VM_FIXTURE_H

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/fs.h"
#include "agent/vm/spec.h"

#define FIXTURE_UUID "8c1f0d6e-5b7a-4c9e-9b1e-2f6d3a4b5c6d"

/* A literal, in a struct that otherwise owns its strings. */
#define TEXT(literal) ((char *)(literal))

/* The strings are literals: not for vm_spec_done(). */
static inline struct vm_spec fixture_spec(enum vm_arch arch)
{
    return (struct vm_spec){
        .name = "pi-1",
        .uuid = FIXTURE_UUID,
        .arch = (int)arch,
        .cpus = 2,
        .memory_mib = 1024,
        .ssh_port = 20022,
        .mac = TEXT("52:54:00:12:34:56"),
        .image = {.path = TEXT("/base.qcow2"), .format = TEXT("qcow2"), .virtual_size_bytes = 64 << 20},
        .user = TEXT("pi"),
    };
}

/* A fresh folder under /tmp whose name needs every kind of care in an option of QEMU's. */
static inline void fixture_folder(char ret[64])
{
    snprintf(ret, 64, "/tmp/pi vm,test:XXXXXX");
    assert_non_null(mkdtemp(ret));
}

static inline void fixture_folder_done(const char *folder)
{
    assert_int_equal(pi_tree_remove(AT_FDCWD, folder, NULL), 0);
}

static inline void fixture_write(const char *folder, const char *name, const char *text)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(pi_file_write(AT_FDCWD, path, text, strlen(text), 0600, NULL), 0);
}

#endif
