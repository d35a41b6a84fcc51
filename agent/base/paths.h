/* SPDX-License-Identifier: MIT */
/* Where things are (XDG Base Directory Specification), and the agent's own program. */
#ifndef PIAGENT_BASE_PATHS_H
#define PIAGENT_BASE_PATHS_H

#include <stdint.h>

#include "agent/base/error.h"

struct pi_paths {
    char *instances; /* $XDG_DATA_HOME/piagent/instances */
    char *state;     /* $XDG_DATA_HOME/piagent: the agent's own files */
    char *networks;  /* $XDG_DATA_HOME/piagent/networks */
    char *images;    /* $XDG_CACHE_HOME/piagent/images */
    char *
        runtime; /* $XDG_RUNTIME_DIR/piagent; if that is unset, /run/user/UID/piagent or else /tmp/piagent-UID */
    char *config; /* $XDG_CONFIG_HOME/piagent */
};

/* Finds the paths from the environment; creates nothing. HOME is needed if an XDG variable is unset or not
 * absolute. PI_HOST if a variable names another user's folder: root should create nothing there, and
 * others cannot. */
int pi_paths_find(struct pi_paths *ret, struct pi_error *err);
void pi_paths_done(struct pi_paths *paths);
#define pi_auto_paths __attribute__((cleanup(pi_paths_done)))

/* FOLDER/NAME as the address of a unix socket. PI_HOST if it is too long for sun_path. */
struct sockaddr_un;
int pi_socket_address(const char *folder, const char *name, struct sockaddr_un *ret, struct pi_error *err);

/* A connection to FOLDER/NAME (O_CLOEXEC, non-blocking), or negative: -ENOENT, or -ECONNREFUSED if nobody
 * listens. */
int pi_socket_connect(const char *folder, const char *name, struct pi_error *err);

/* A connection to 127.0.0.1 that may still be under way (O_CLOEXEC, non-blocking), or -errno. Small packets leave at once
 * (TCP_NODELAY), as ssh has it: behind a ProxyCommand it cannot set that. */
int pi_loopback_connect(uint16_t port);

/* Finds a program. A name with a slash is a path; any other name is looked for in the absolute folders of
 * PATH. *ret is its absolute path, allocated. PI_HOST if there is none. */
int pi_program_find(const char *name, char **ret, struct pi_error *err);

#endif
