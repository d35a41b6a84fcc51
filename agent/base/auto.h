/* SPDX-License-Identifier: MIT */
/*
 * Ownership by cleanup attributes: a variable marked with one releases what it owns at the end of its scope.
 * pi_steal() and pi_steal_fd() hand it on instead.
 */
#ifndef PIAGENT_BASE_AUTO_H
#define PIAGENT_BASE_AUTO_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void pi_free_p(void *p)
{
    free(*(void **)p);
}

static inline void pi_close_p(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void pi_fclose_p(FILE **f)
{
    if (*f)
        fclose(*f);
}

static inline void pi_closedir_p(DIR **d)
{
    if (*d)
        closedir(*d);
}

#define pi_auto(release) __attribute__((cleanup(release)))
#define pi_auto_free     pi_auto(pi_free_p)
#define pi_auto_close    pi_auto(pi_close_p)
#define pi_auto_fclose   pi_auto(pi_fclose_p)
#define pi_auto_closedir pi_auto(pi_closedir_p)

#define pi_steal(p)                  \
    ({                               \
        __typeof__(p) stolen_ = (p); \
        (p) = NULL;                  \
        stolen_;                     \
    })

static inline int pi_steal_fd(int *fd)
{
    int stolen = *fd;
    *fd = -1;
    return stolen;
}

#define PI_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
