/* SPDX-License-Identifier: MIT */
#include "agent/cli/client/ssh_options.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/proc.h"
#include "agent/base/text.h"
#include "agent/cli/client/connect.h"

#define SETTINGS_FILE "ssh_settings" /* in the instance's folder */
#define SETTINGS_MAX  ((size_t)128 << 10)

/* Adds text with an escape before each of the characters in specials. In quotes, ssh_config(5) reads \" and
 * \\; it reads %% as a percent sign. */
static int add_escaped(struct pi_buf *ret, const char *text, const char *specials)
{
    int r = 0;
    for (; r == 0 && *text; text++) {
        if (strchr(specials, *text))
            r = pi_buf_add(ret, *text == '%' ? "%" : "\\", 1);
        if (r == 0)
            r = pi_buf_add(ret, text, 1);
    }
    return r;
}

/* The user manager or the editor that starts ssh may have another PATH: ssh gets this program's full path. */
static int add_proxy(const char *url, const char *host, struct pi_strv *ret)
{
    char program[PATH_MAX];
    cli_own_program(program);
    pi_auto_free char *word = pi_shell_quote(program);
    pi_auto_buf struct pi_buf text = {0};
    if (!word || add_escaped(&text, word, "%") < 0)
        return -ENOMEM;
    return pi_strv_addf(ret, "ProxyCommand %s --host '%s' ssh --stdio -- '%s'", text.data, url ? url : "",
                        host);
}

static int add_path(const char *key, const char *path, const char *tail, struct pi_strv *ret)
{
    pi_auto_buf struct pi_buf text = {0};
    if (add_escaped(&text, path, "%\"\\") < 0)
        return -ENOMEM;
    return pi_strv_addf(ret, "%s \"%s%s\"", key, text.data, tail);
}

static int add_identity(const struct cli_ssh *how, struct pi_strv *ret)
{
    const char *folder = how->instance->folder;
    char key[PI_NAME_MAX + 32], known[PI_NAME_MAX + 32];
    pi_auto_free char *parent = strndup(folder, (size_t)(strrchr(folder, '/') - folder));
    snprintf(key, sizeof key, "/%s/ssh_key", how->host);
    snprintf(known, sizeof known, "/%s/known_hosts", how->host);
    int r = parent ? add_path("IdentityFile", parent, key, ret) : -ENOMEM;
    if (r == 0)
        r = add_path("UserKnownHostsFile", parent, known, ret);
    /* known_hosts names the instance, not its address and port. HostKeyAlias cannot be "%n"; without an
     * alias, ssh looks for the host as it is called, if the port is 22. */
    if (r == 0)
        r = *how->host == '%' ? pi_strv_add(ret, "Port 22") : pi_strv_addf(ret, "HostKeyAlias %s", how->host);
    return r;
}

/* A connection that is shared closes when no command has used it for a minute. */
static int add_control(const char *path, struct pi_strv *ret)
{
    int r = pi_strv_add(ret, path ? "ControlMaster auto" : "ControlMaster no");
    if (r == 0)
        r = path ? add_path("ControlPath", path, "", ret) : pi_strv_add(ret, "ControlPath none");
    return r == 0 && path ? pi_strv_add(ret, "ControlPersist 60") : r;
}

int cli_ssh_options(const struct cli_ssh *how, struct pi_strv *ret)
{
    static const char *const fixed[] = {
        "ProxyUseFdpass no",
        "CanonicalizeHostname no",
        "IdentitiesOnly yes",
        "PubkeyAuthentication yes",
        "PreferredAuthentications publickey",
        "HostKeyAlgorithms ssh-ed25519",
        "GlobalKnownHostsFile /dev/null",
        "KnownHostsCommand none",
        "RevokedHostKeys none",
        "StrictHostKeyChecking yes",
        "NoHostAuthenticationForLocalhost no",
        "VerifyHostKeyDNS no",
        "UpdateHostKeys no",
    };
    int r = add_proxy(how->url, how->host, ret);
    if (r == 0)
        r = add_identity(how, ret);
    if (r == 0)
        r = add_control(how->control_path, ret);
    for (size_t i = 0; r == 0 && i < PI_ARRAY_SIZE(fixed); i++)
        r = pi_strv_add(ret, fixed[i]);
    return r;
}

static bool is_kept(const char *key)
{
    static const char *const kept[] = {
        "identityfile", "certificatefile", "identityagent", "pkcs11provider",
        "sendenv",      "setenv",          "escapechar",    "enableescapecommandline"};
    for (size_t i = 0; i < PI_ARRAY_SIZE(kept); i++)
        if (!strcmp(key, kept[i]))
            return true;
    return false;
}

/* ssh shows an escape character as vis(3) encodes it, "\^]", and takes "^]". NULL if it does not take it. */
static const char *escape_char(const char *shown)
{
    const char *value = *shown == '\\' ? shown + 1 : shown;
    return strlen(value) <= 2 || !strcmp(value, "none") ? value : NULL;
}

/* Adds a line of "ssh -G", "key value", if it is an identity or a setting of the terminal. "ssh -G" has a
 * line for each variable of SetEnv, but ssh reads only the first SetEnv: the variables are gathered in
 * set_env. */
static int keep_line(char *line, struct pi_buf *set_env, struct pi_strv *ret)
{
    pi_auto_buf struct pi_buf text = {0};
    const char *key = strsep(&line, " "), *value = line;
    if (!value || !is_kept(key))
        return 0;
    if (!strcmp(key, "escapechar") && !(value = escape_char(value)))
        return 0;
    if (add_escaped(&text, value, "\"\\") < 0)
        return -ENOMEM;
    const char *escaped = text.data ? text.data : "";
    return !strcmp(key, "setenv") ? pi_buf_printf(set_env, " \"%s\"", escaped)
                                  : pi_strv_addf(ret, "-o%s \"%s\"", key, escaped);
}

/* ssh runs the commands of "Match exec" with $SHELL: that is piagent here, which fails and runs none of them. */
static int run_without_shell(const char *const *argv, struct pi_buf *ret, struct pi_error *err)
{
    char program[PATH_MAX];
    const char *shell = getenv("SHELL");
    pi_auto_free char *before = shell ? strdup(shell) : NULL;
    cli_own_program(program);
    if ((shell && !before) || setenv("SHELL", program, 1) < 0)
        return pi_fail(err, ENOMEM, "ssh -G");
    int r = pi_run(argv, ret, NULL, err);
    if (before ? setenv("SHELL", before, 1) < 0 : unsetenv("SHELL") < 0)
        return pi_fail(err, ENOMEM, "ssh -G");
    return r;
}

/* Asks ssh what the user's configuration says about the instance. */
static int ask_ssh(const struct cli_ssh *how, const struct pi_strv *ours, struct pi_buf *ret,
                   struct pi_error *err)
{
    pi_auto_strv struct pi_strv argv = {0};
    int r = pi_strv_add(&argv, how->ssh);
    if (r == 0)
        r = pi_strv_add(&argv, "-G");
    for (size_t i = 0; r == 0 && i < ours->count; i++)
        r = pi_strv_addf(&argv, "-o%s", ours->items[i]);
    if (r == 0)
        r = pi_strv_add(&argv, "--");
    if (r == 0)
        r = pi_strv_addf(&argv, "%s@%s", how->instance->spec.user, how->instance->name);
    return r < 0 ? pi_fail(err, -r, "ssh -G") : run_without_shell((const char *const *)argv.items, ret, err);
}

static bool is_kept_under(const char *control_path, const struct pi_buf *kept)
{
    return kept->data && pi_starts_with(kept->data, control_path) && kept->data[strlen(control_path)] == '\n';
}

/* The answer is kept for the commands that share the connection, under the path of its socket. A command that opens a
 * connection asks ssh again. */
static int find_answer(const struct cli_ssh *how, const struct pi_strv *ours, struct pi_buf *ret,
                       struct pi_error *err)
{
    char path[PATH_MAX];
    pi_auto_buf struct pi_buf kept = {0};
    if (!how->control_path)
        return ask_ssh(how, ours, ret, err);
    snprintf(path, sizeof path, "%s/" SETTINGS_FILE, how->instance->folder);
    if (how->connected && pi_file_read(AT_FDCWD, path, SETTINGS_MAX, ret, NULL) == 0 &&
        is_kept_under(how->control_path, ret))
        return 0;
    pi_buf_consume(ret, ret->size);
    int r = ask_ssh(how, ours, ret, err);
    if (r == 0 && pi_buf_printf(&kept, "%s\n%s", how->control_path, ret->data ? ret->data : "") == 0)
        (void)pi_file_replace(AT_FDCWD, path, kept.data, kept.size, 0600, NULL);
    return r;
}

/* Adds the settings that are kept from the user's configuration. ssh is asked with our options: it names the
 * default identities, which may not exist, only when no option names one. */
static int add_kept(const struct cli_ssh *how, const struct pi_strv *ours, struct pi_strv *ret)
{
    pi_auto_buf struct pi_buf answer = {0}, set_env = {0};
    struct pi_error why = {0};
    char *rest;
    int r = find_answer(how, ours, &answer, &why);
    if (r < 0) {
        fprintf(stderr, "piagent: your SSH configuration is passed over: %s\n", why.text);
        return 0;
    }
    for (char *line = strtok_r(answer.data, "\r\n", &rest); r == 0 && line;
         line = strtok_r(NULL, "\r\n", &rest))
        r = keep_line(line, &set_env, ret);
    return r == 0 && set_env.data ? pi_strv_addf(ret, "-osetenv%s", set_env.data) : r;
}

int cli_ssh_words(const struct cli_ssh *how, struct pi_strv *ret)
{
    pi_auto_strv struct pi_strv ours = {0};
    int r = cli_ssh_options(how, &ours);
    if (r == 0)
        r = pi_strv_add(ret, "-Fnone");
    for (size_t i = 0; r == 0 && i < ours.count; i++)
        r = pi_strv_addf(ret, "-o%s", ours.items[i]);
    for (size_t i = 0; r == 0 && how->given && i < how->given->count; i++)
        r = pi_strv_addf(ret, "-o%s", how->given->items[i]);
    return r < 0 ? r : add_kept(how, &ours, ret);
}
