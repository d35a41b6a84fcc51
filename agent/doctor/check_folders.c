/* SPDX-License-Identifier: MIT */
/* Checks piagent's folders, the folder of its sockets, and its configuration. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/doctor/check.h"
#include "agent/image/sources.h"

/* The nearest parent that exists: piagent would create the folder below it. */
static void parent_of(const char *path, char ret[PATH_MAX])
{
    snprintf(ret, PATH_MAX, "%s", path);
    do {
        char *slash = strrchr(ret, '/');
        slash[slash == ret] = '\0';
    } while (strlen(ret) > 1 && access(ret, F_OK) < 0 && errno == ENOENT);
}

/* Good if the folder is ours and writable, or if piagent can create it. */
static void check_usable(const char *path, struct doctor_finding *ret)
{
    struct pi_error err;
    char parent[PATH_MAX];
    parent_of(path, parent);
    pi_auto_close int fd = pi_dir_find(path, &err);
    if (fd < 0 && fd != -ENOENT) {
        doctor_say(ret, DOCTOR_FAIL, "%s", err.text);
    } else if (access(fd < 0 ? parent : path, W_OK | X_OK) < 0) {
        doctor_say(ret, DOCTOR_FAIL, "%s %s: you may not write to %s: %s", path,
                   fd < 0 ? "cannot be created" : "cannot be used", fd < 0 ? parent : path, strerror(errno));
    } else {
        doctor_say(ret, DOCTOR_OK, "%s%s", path, fd < 0 ? " (piagent creates it when it needs it)" : "");
        return;
    }
    doctor_mend(
        ret,
        "look at it with ls -ld %s; make it yours with mode 700, or set the XDG variables to folders of yours",
        fd < 0 ? parent : path);
}

void doctor_check_folder(const struct doctor_host *host, int arg, struct doctor_finding *ret)
{
    if (host->paths)
        check_usable(arg == DOCTOR_IMAGES   ? host->paths->images
                     : arg == DOCTOR_CONFIG ? host->paths->config
                                            : host->paths->instances,
                     ret);
    else if (arg == DOCTOR_INSTANCES) {
        doctor_say(ret, DOCTOR_FAIL, "%s", host->paths_error);
        doctor_mend(ret, "set HOME and the XDG variables to folders of yours");
    }
}

/* An instance's console has the longest name of all sockets. */
void doctor_check_runtime(const struct doctor_host *host, int arg, struct doctor_finding *ret)
{
    char name[PI_NAME_MAX + sizeof ".console"];
    struct sockaddr_un address;
    struct pi_error err;
    (void)arg;
    if (!host->paths)
        return;
    snprintf(name, sizeof name, "%0*d.console", PI_NAME_MAX, 0);
    if (pi_socket_address(host->paths->runtime, "agent.sock", &address, &err) < 0) {
        doctor_say(ret, DOCTOR_FAIL, "%s is too long for the path of a socket", host->paths->runtime);
        doctor_mend(ret, "set XDG_RUNTIME_DIR to a shorter folder");
        return;
    }
    check_usable(host->paths->runtime, ret);
    if (ret->verdict == DOCTOR_OK && pi_socket_address(host->paths->runtime, name, &address, NULL) < 0) {
        size_t rest = sizeof address.sun_path - strlen(host->paths->runtime) - sizeof "/.console";
        doctor_say(ret, DOCTOR_WARN,
                   "%s: names of instances can have only %zu characters there, instead of %d",
                   host->paths->runtime, rest, PI_NAME_MAX);
        doctor_mend(ret, "set XDG_RUNTIME_DIR to a shorter folder");
        ret->works = true;
    }
}

void doctor_check_config(const struct doctor_host *host, int arg, struct doctor_finding *ret)
{
    pi_auto_image_sources struct image_sources sources = {0};
    struct pi_error err;
    char path[PATH_MAX];
    (void)arg;
    if (!host->paths)
        return;
    snprintf(path, sizeof path, "%s/config.json", host->paths->config);
    if (image_sources_load(host->paths->config, &sources, &err) < 0) {
        doctor_say(ret, DOCTOR_FAIL, "%s: no image can be fetched", err.text);
        doctor_mend(ret, "correct %s or the PIAGENT_FEDORA_ variables: see piagent help environment", path);
    } else {
        doctor_say(ret, DOCTOR_OK, "%s%s", path,
                   access(path, F_OK) < 0 ? " does not exist, and need not" : "");
    }
}
