/* SPDX-License-Identifier: MIT */
#include "agent/cli/client/remote_key.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/text.h"

#define KEY_BEGIN "-----BEGIN OPENSSH PRIVATE KEY-----\n"
#define KEY_END   "-----END OPENSSH PRIVATE KEY-----\n"
#define COPY_MAX  (64u << 10)

int cli_key_place(const struct cli_host *host, struct api_instance *instance)
{
    char *folder;
    if (asprintf(&folder, "%s.keys/%s", host->base, instance->name) < 0)
        return -ENOMEM;
    free(instance->folder);
    instance->folder = folder;
    return 0;
}

/* A file that is the same stays as it is: commands hold locks on the key (ssh_share.h). */
static int write_copy(int dir_fd, const char *name, const char *text, size_t size, struct pi_error *err)
{
    pi_auto_buf struct pi_buf old = {0};
    if (pi_file_read(dir_fd, name, COPY_MAX, &old, NULL) == 0 && old.size == size &&
        (!size || !memcmp(old.data, text, size)))
        return 0;
    return pi_file_replace(dir_fd, name, text, size, 0600, err);
}

/* The key, then known_hosts. A shell's startup files may have printed before them. */
static int write_copies(const char *folder, const struct pi_buf *both, struct pi_error *err)
{
    const char *key = both->size ? strstr(both->data, KEY_BEGIN) : NULL,
               *end = key ? strstr(key, KEY_END) : NULL;
    if (!end)
        return pi_refuse(err, PI_AGENT, "what came is no key");
    end += strlen(KEY_END);
    pi_auto_close int dir = pi_dir_open(folder, err);
    if (dir < 0)
        return dir;
    int r = write_copy(dir, "ssh_key", key, (size_t)(end - key), err);
    return r < 0 ? r : write_copy(dir, "known_hosts", end, strlen(end), err);
}

int cli_key_fetch(const struct cli_host *host, struct api_instance *instance, struct pi_error *err)
{
    pi_auto_buf struct pi_buf command = {0}, both = {0};
    pi_auto_free char *folder = pi_shell_quote(instance->folder);
    if (!folder || pi_buf_printf(&command, "cat %s/ssh_key %s/known_hosts", folder, folder) < 0 ||
        cli_key_place(host, instance) < 0)
        return pi_fail(err, ENOMEM, "%s", instance->name);
    int r = cli_host_read(host, command.data, &both, err);
    if (r == 0)
        r = write_copies(instance->folder, &both, err);
    if (both.size)
        explicit_bzero(both.data, both.size);
    return r < 0 ? pi_context(err, r, "cannot get the SSH key of %s", instance->name) : 0;
}
