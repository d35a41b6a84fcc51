/* SPDX-License-Identifier: MIT */
#include "agent/net/bridged.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/paths.h"
#include "agent/base/text.h"

#define CONFIG     "/etc/qemu/bridge.conf"
#define CONFIG_MAX ((size_t)64 << 10)

/* Where Debian and Fedora have it. */
static int find_helper(char **ret, struct pi_error *err)
{
    static const char *const places[] = {"/usr/lib/qemu/qemu-bridge-helper",
                                         "/usr/libexec/qemu-bridge-helper"};
    for (size_t i = 0; i < PI_ARRAY_SIZE(places); i++)
        if (pi_program_find(places[i], ret, NULL) == 0)
            return 0;
    return pi_refuse(err, PI_HOST,
                     "qemu-bridge-helper is not installed: install qemu-system-common (Debian) or "
                     "qemu-common (Fedora)");
}

static int check_rights(const char *helper, struct pi_error *err)
{
    struct stat st;
    if (geteuid() == 0 || stat(helper, &st) < 0 || (st.st_uid == 0 && (st.st_mode & S_ISUID)))
        return 0;
    return pi_refuse(err, PI_HOST, "%s has not root's rights: let it have them with: sudo chmod u+s %s",
                     helper, helper);
}

/* qemu-bridge-helper.c, parse_acl_file(): "allow BR", "allow all", "deny ...", "include FILE". */
static int check_config(const char *bridge, struct pi_error *err)
{
    pi_auto_buf struct pi_buf text = {0};
    int r = pi_file_read(AT_FDCWD, CONFIG, CONFIG_MAX, &text, NULL);
    if (r < 0 && r != -ENOENT)
        return 0;
    char *save = NULL;
    for (char *line = text.data ? strtok_r(text.data, "\n", &save) : NULL; line;
         line = strtok_r(NULL, "\n", &save)) {
        char word[16] = "", name[64] = "";
        if (sscanf(line, " %15s %63s", word, name) != 2)
            continue;
        if (!strcmp(word, "include") ||
            (!strcmp(word, "allow") && (!strcmp(name, "all") || !strcmp(name, bridge))))
            return 0;
    }
    return pi_refuse(err, PI_HOST,
                     CONFIG " does not allow the bridge %s: add the line \"allow %s\" to it, as root", bridge,
                     bridge);
}

int bridged_check_helper(struct pi_error *err)
{
    pi_auto_free char *helper = NULL;
    int r = find_helper(&helper, err);
    return r < 0 ? r : check_rights(helper, err);
}

int bridged_check(const char *bridge, struct pi_error *err)
{
    if (!if_nametoindex(bridge))
        return pi_refuse(
            err, PI_HOST,
            "this host has no bridge named %s: ip link shows its interfaces, and as root ip link add %s "
            "type bridge makes one",
            bridge, bridge);
    int r = bridged_check_helper(err);
    return r < 0 ? r : check_config(bridge, err);
}

/* The helper sends the descriptor over a socket, as one byte's companion. */
static int receive_tap(int fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    char byte;
    int tap;
    struct iovec data = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    const struct cmsghdr *header = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (!header || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof tap))
        return -EPIPE;
    memcpy(&tap, CMSG_DATA(header), sizeof tap);
    return tap;
}

/* The helper says why it failed on its standard error, which is this process's. */
static int open_tap(const char *helper, const char *bridge, struct pi_error *err)
{
    char bridge_word[64], fd_word[32];
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return pi_fail(err, errno, "bridge %s", bridge);
    pi_auto_close int ours = ends[0], theirs = ends[1];
    snprintf(bridge_word, sizeof bridge_word, "--br=%s", bridge);
    snprintf(fd_word, sizeof fd_word, "--fd=%d", theirs);
    pid_t pid = fork();
    if (pid == 0) {
        fcntl(theirs, F_SETFD, 0);
        execl(helper, helper, "--use-vnet", fd_word, bridge_word, (char *)NULL);
        _exit(127);
    }
    close(pi_steal_fd(&theirs));
    int tap = pid < 0 ? -errno : receive_tap(ours);
    if (pid > 0)
        waitpid(pid, NULL, 0);
    return tap < 0
               ? pi_refuse(err, PI_HOST, "%s did not plug the instance into the bridge %s", helper, bridge)
               : tap;
}

/* "10=br0" */
static int plug_in(const char *helper, const char *word, struct pi_error *err)
{
    char number[8], bridge[IFNAMSIZ];
    uint64_t fd;
    if (sscanf(word, "%7[0-9]=%15s", number, bridge) != 2 || pi_number_parse(number, 3, 1023, &fd, NULL) < 0)
        return pi_refuse(err, PI_USAGE, "the agent alone starts piagent bridged FD=BRIDGE... -- QEMU...");
    int tap = open_tap(helper, bridge, err);
    if (tap < 0)
        return tap;
    /* dup2() keeps the flag close-on-exec if both are the same. */
    if (dup2(tap, (int)fd) < 0 || fcntl((int)fd, F_SETFD, 0) < 0)
        return pi_fail(err, errno, "bridge %s", bridge);
    if (tap != (int)fd)
        close(tap);
    return 0;
}

static int run_bridged(int argc, char **argv, struct pi_error *err)
{
    pi_auto_free char *helper = NULL;
    int i = 1, r = find_helper(&helper, err);
    for (; r == 0 && i < argc && strcmp(argv[i], "--") != 0; i++)
        r = plug_in(helper, argv[i], err);
    if (r < 0)
        return r;
    if (i + 1 >= argc)
        return pi_refuse(err, PI_USAGE, "the agent alone starts piagent bridged FD=BRIDGE... -- QEMU...");
    execv(argv[i + 1], argv + i + 1);
    return pi_fail(err, errno, "cannot start %s", argv[i + 1]);
}

int bridged_main(int argc, char **argv)
{
    struct pi_error err = {0};
    run_bridged(argc, argv, &err);
    fprintf(stderr, "piagent: %s\n", err.text);
    return (int)err.kind;
}
