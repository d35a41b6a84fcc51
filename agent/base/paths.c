/* SPDX-License-Identifier: MIT */
#include "agent/base/paths.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"

static void name_user(uid_t uid, char *ret, size_t size)
{
    const struct passwd *user = getpwuid(uid);
    if (user)
        snprintf(ret, size, "%s", user->pw_name);
    else
        snprintf(ret, size, "user %u", (unsigned)uid);
}

/* Finds the folder, or the nearest parent that exists, and its status. False if stat(2) fails for another
 * reason: the first use of the folder will report it. */
static bool stat_nearest(const char *path, char nearest[PATH_MAX], struct stat *ret)
{
    snprintf(nearest, PATH_MAX, "%s", path);
    while (stat(nearest, ret) < 0) {
        char *slash = strrchr(nearest, '/');
        if (errno != ENOENT || slash == nearest)
            return false;
        *slash = '\0';
    }
    return true;
}

/* After "su" or "sudo -E", the environment is still another user's. What root makes in that user's folders,
 * the user can neither use nor remove. */
static int check_owner(const char *variable, const char *folder, struct pi_error *err)
{
    char owner[64], self[64], nearest[PATH_MAX];
    struct stat st;
    if (!stat_nearest(folder, nearest, &st) || st.st_uid == geteuid() || st.st_uid == 0 ||
        (geteuid() != 0 && faccessat(AT_FDCWD, nearest, W_OK | X_OK, AT_EACCESS) == 0))
        return 0;
    name_user(st.st_uid, owner, sizeof owner);
    name_user(geteuid(), self, sizeof self);
    return pi_refuse(
        err, PI_HOST,
        "%s is set to %s, which belongs to %s, and piagent runs as %s: log in as %s (sudo -i, or su "
        "with a '-'), or set %s to a folder of your own",
        variable, folder, owner, self, self, variable);
}

/* The specification says to ignore a variable that holds a relative path. */
static int xdg_path(const char *variable, const char *below_home, const char *tail, char **ret,
                    struct pi_error *err)
{
    const char *base = getenv(variable), *home = getenv("HOME");
    bool is_set = base && base[0] == '/';
    if (!is_set && (!home || home[0] != '/'))
        return pi_refuse(err, PI_HOST, "neither %s nor HOME is set to an absolute path", variable);
    int r = is_set ? check_owner(variable, base, err) : check_owner("HOME", home, err);
    if (r < 0)
        return r;
    int n = is_set ? asprintf(ret, "%s/%s", base, tail) : asprintf(ret, "%s/%s/%s", home, below_home, tail);
    if (n >= 0 && !pi_is_utf8(*ret)) {
        free(pi_steal(*ret));
        return pi_refuse(err, PI_HOST, "the path in %s or HOME is not UTF-8: set %s to one that is", variable,
                         variable);
    }
    if (n < 0) {
        *ret = NULL;
        return pi_fail(err, ENOMEM, "paths");
    }
    return 0;
}

/* A command over SSH or in a cron job may lack the variable: it must find the agent of the user's other sessions. */
static int runtime_path(char **ret, struct pi_error *err)
{
    const char *base = getenv("XDG_RUNTIME_DIR");
    char usual[64];
    bool is_set = base && base[0] == '/';
    int r = is_set ? check_owner("XDG_RUNTIME_DIR", base, err) : 0;
    if (r < 0)
        return r;
    struct stat st;
    snprintf(usual, sizeof usual, "/run/user/%u", (unsigned)geteuid());
    if (!is_set && stat(usual, &st) == 0 && st.st_uid == geteuid()) {
        base = usual;
        is_set = true;
    }
    int n =
        is_set ? asprintf(ret, "%s/piagent", base) : asprintf(ret, "/tmp/piagent-%u", (unsigned)geteuid());
    if (n < 0) {
        *ret = NULL;
        return pi_fail(err, ENOMEM, "paths");
    }
    return 0;
}

int pi_paths_find(struct pi_paths *ret, struct pi_error *err)
{
    pi_auto_paths struct pi_paths p = {0};
    int r;
    if ((r = xdg_path("XDG_DATA_HOME", ".local/share", "piagent/instances", &p.instances, err)) < 0 ||
        (r = xdg_path("XDG_DATA_HOME", ".local/share", "piagent", &p.state, err)) < 0 ||
        (r = xdg_path("XDG_DATA_HOME", ".local/share", "piagent/networks", &p.networks, err)) < 0 ||
        (r = xdg_path("XDG_CACHE_HOME", ".cache", "piagent/images", &p.images, err)) < 0 ||
        (r = xdg_path("XDG_CONFIG_HOME", ".config", "piagent", &p.config, err)) < 0 ||
        (r = runtime_path(&p.runtime, err)) < 0)
        return r;
    *ret = p;
    p = (struct pi_paths){0};
    return 0;
}

void pi_paths_done(struct pi_paths *paths)
{
    free(paths->instances);
    free(paths->state);
    free(paths->networks);
    free(paths->images);
    free(paths->runtime);
    free(paths->config);
}

int pi_socket_address(const char *folder, const char *name, struct sockaddr_un *ret, struct pi_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int n = snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", folder, name);
    if (n < 0 || (size_t)n >= sizeof address.sun_path)
        return pi_refuse(
            err, PI_HOST,
            "the socket path %s/%s is longer than the %zu bytes that a unix socket can have: set XDG_RUNTIME_DIR to a shorter folder",
            folder, name, sizeof address.sun_path - 1);
    *ret = address;
    return 0;
}

int pi_socket_connect(const char *folder, const char *name, struct pi_error *err)
{
    struct sockaddr_un address;
    int r = pi_socket_address(folder, name, &address, err);
    if (r < 0)
        return r;
    pi_auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return pi_fail(err, errno, "cannot connect to %s", address.sun_path);
    return pi_steal_fd(&fd);
}

int pi_loopback_connect(uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    pi_auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) < 0 ||
        (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS))
        return -errno;
    return pi_steal_fd(&fd);
}

static bool is_program(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0 || access(path, X_OK) < 0)
        return false;
    if (S_ISDIR(st.st_mode))
        errno = EISDIR;
    return !S_ISDIR(st.st_mode);
}

int pi_program_find(const char *name, char **ret, struct pi_error *err)
{
    char path[PATH_MAX];
    const char *list = getenv("PATH");
    if (strchr(name, '/')) {
        char *real = is_program(name) ? realpath(name, NULL) : NULL;
        if (!real)
            return pi_refuse(err, PI_HOST, "%s: %s", name, strerror(errno));
        *ret = real;
        return 0;
    }
    for (const char *s = list ? list : "/usr/bin:/bin"; *s;) {
        size_t length = strcspn(s, ":");
        int n = snprintf(path, sizeof path, "%.*s/%s", (int)length, s, name);
        if (*s == '/' && n > 0 && (size_t)n < sizeof path && is_program(path)) {
            *ret = strdup(path);
            return *ret ? 0 : pi_fail(err, ENOMEM, "%s", name);
        }
        s += length + (s[length] == ':');
    }
    return pi_refuse(err, PI_HOST, "%s is not installed (not found in PATH)", name);
}
