/* SPDX-License-Identifier: MIT */
#include "agent/cli/client/ssh_share.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"

/* Below sshd's MaxSessions, 10: a command that was interrupted may run on in the guest. */
#define PLACES      8
#define CONNECTIONS 8
#define SUFFIX      17 /* ssh binds the socket under a temporary name: ".", then 16 characters */
#define OPENING_MS  4000u
#define RETRY_MS    20u

static int set_lock(int fd, short type, unsigned byte)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

/* The bytes after the places: one for each connection. */
static unsigned opening_byte(unsigned connection)
{
    return CONNECTIONS * PLACES + connection;
}

/* The connection in which a place was taken, or negative. */
static int take_place(int fd)
{
    for (unsigned place = 0; place < CONNECTIONS * PLACES; place++)
        if (set_lock(fd, F_WRLCK, place) == 0)
            return (int)(place / PLACES);
    return -EBUSY;
}

/* Waits until no other command opens the connection. */
static int lock_opening(int fd, unsigned connection)
{
    uint64_t end = pi_monotonic_ms() + OPENING_MS;
    int r;
    while ((r = set_lock(fd, F_WRLCK, opening_byte(connection))) < 0 && pi_monotonic_ms() < end)
        usleep(RETRY_MS * 1000);
    return r;
}

static void end_opening(struct cli_ssh_share *share)
{
    share->logged_in = true;
    pi_close_p(&share->watch_fd);
    share->watch_fd = -1;
    for (unsigned i = 0; i < CONNECTIONS; i++)
        set_lock(share->lock_fd, F_UNLCK, opening_byte(i));
}

static int watch(const char *folder)
{
    pi_auto_close int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    return fd < 0 || inotify_add_watch(fd, folder, IN_CREATE | IN_MOVED_TO) < 0 ? -1 : pi_steal_fd(&fd);
}

/* ssh listens before its socket has this name. The socket of an ssh that was killed stays: it is removed, so that the next one
 * is seen to appear. */
static bool is_listening(const char *folder, const char *path)
{
    pi_auto_close int fd = pi_socket_connect(folder, strrchr(path, '/') + 1, NULL);
    if (fd == -ECONNREFUSED)
        unlink(path);
    return fd != -ENOENT && fd != -ECONNREFUSED;
}

int cli_ssh_share_take(const struct pi_paths *paths, const struct api_instance *instance,
                       struct cli_ssh_share *ret)
{
    pi_auto_ssh_share struct cli_ssh_share share = CLI_SSH_ALONE;
    char key[PATH_MAX];
    int connection;
    snprintf(key, sizeof key, "%s/ssh_key", instance->folder);
    share.lock_fd = open(key, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (share.lock_fd < 0 || (connection = take_place(share.lock_fd)) < 0)
        return 0;
    if (asprintf(&share.path, "%s/%s-%" PRIu64 "-%d.ssh", paths->runtime, instance->spec.uuid,
                 instance->boot_event, connection) < 0) {
        share.path = NULL;
        return -ENOMEM;
    }
    if (strlen(share.path) + SUFFIX >= sizeof((struct sockaddr_un *)0)->sun_path ||
        lock_opening(share.lock_fd, (unsigned)connection) < 0)
        return 0;
    /* The kernel takes some 20 ms to close a watch: there is none if the connection is there. */
    bool open = is_listening(paths->runtime, share.path);
    if (!open && (share.watch_fd = watch(paths->runtime)) < 0)
        return 0;
    if (open || is_listening(paths->runtime, share.path))
        end_opening(&share);
    *ret = share;
    share = CLI_SSH_ALONE;
    return 0;
}

/* True if one of the events (inotify(7)) says that the socket appeared. It may be gone again. */
static bool has_appeared(const char *events, size_t size, const char *socket)
{
    const char *name = strrchr(socket, '/') + 1;
    const size_t header = offsetof(struct inotify_event, name);
    struct inotify_event event;
    for (size_t at = 0; at + header <= size; at += header + event.len) {
        memcpy(&event, events + at, header);
        if (event.len && !strcmp(events + at + header, name))
            return true;
    }
    return false;
}

bool cli_ssh_share_look(struct cli_ssh_share *share)
{
    char events[4096];
    ssize_t size;
    while (!share->logged_in && (size = read(share->watch_fd, events, sizeof events)) > 0)
        if (has_appeared(events, (size_t)size, share->path))
            end_opening(share);
    return share->logged_in;
}

void cli_ssh_share_done(struct cli_ssh_share *share)
{
    free(share->path);
    pi_close_p(&share->watch_fd);
    pi_close_p(&share->lock_fd);
}
