/* SPDX-License-Identifier: MIT */
/* A folder of its own for a test. */
#ifndef TESTS_UNIT_BASE_FIXTURE_H
#define TESTS_UNIT_BASE_FIXTURE_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/fs.h"

struct folder {
    char path[32];
    int fd;
};

static inline int folder_setup(void **state)
{
    static struct folder folder;
    strcpy(folder.path, "/tmp/pi-unit-XXXXXX");
    if (!mkdtemp(folder.path))
        return -1;
    folder.fd = open(folder.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = &folder;
    return folder.fd < 0;
}

static inline int folder_teardown(void **state)
{
    struct folder *folder = *state;
    close(folder->fd);
    return pi_tree_remove(AT_FDCWD, folder->path, NULL);
}

/* FOLDER/NAME, valid until the next call but one. */
static inline const char *folder_path(const struct folder *folder, const char *name)
{
    static char paths[2][256];
    static int turn;
    turn = !turn;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder->path, name);
    return paths[turn];
}

#endif
