/* SPDX-License-Identifier: MIT */
#include "agent/cli/terminal/foreign.h"

#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"

const struct cli_foreign cli_foreign_commands[] = {
    {NULL, "stop", "powerdown", NULL},
    {NULL, "shutdown", "powerdown", NULL},
    {NULL, "poweroff", "powerdown", NULL},
    {NULL, "halt", "powerdown", NULL},
    {NULL, "reboot", "restart", NULL},
    {NULL, "unpause", "resume", NULL},
    {NULL, "managedsave", "suspend", NULL},
    {NULL, "savestate", "suspend", NULL},
    {NULL, "list", "ps", NULL},
    {NULL, "ls", "ps", NULL},
    {NULL, "shell", "ssh", NULL},
    {NULL, "copy", "cp", NULL},
    {NULL, "delete", "rm", NULL},
    {NULL, "remove", "rm", NULL},
    {NULL, "images", "image ls", NULL},
    {NULL, "image list", "image ls", NULL},
    {NULL, "image pull", "image fetch", NULL},
    {NULL, "image delete", "image rm", NULL},
    {NULL, "image remove", "image rm", NULL},
    {NULL, "snapshot list", "snapshot ls", NULL},
    {NULL, "snapshot revert", "snapshot restore", NULL},
    {NULL, "snapshot delete", "snapshot rm", NULL},
    {NULL, "networks", "network ls", NULL},
    {NULL, "network list", "network ls", NULL},
    {NULL, "network add", "network create", NULL},
    {NULL, "network new", "network create", NULL},
    {NULL, "network inspect", "network status", NULL},
    {NULL, "network delete", "network rm", NULL},
    {NULL, "network remove", "network rm", NULL},
#define ANSWER(word, text)     \
    {                          \
        NULL, word, NULL, text \
    }
    ANSWER("exec", "use piagent ssh NAME -- COMMAND"),
    ANSWER("login", "use piagent ssh NAME, or piagent console NAME"),
    ANSWER("connect", "use piagent ssh NAME, or piagent console NAME"),
    ANSWER("attach", "use piagent console NAME"),
    ANSWER("info", "use piagent status NAME"),
    ANSWER("inspect", "use piagent status NAME"),
    ANSWER("stat", "use piagent status NAME"),
    ANSWER("show", "use piagent status NAME"),
    ANSWER("dominfo", "use piagent status NAME"),
    ANSWER("port", "use piagent status NAME"),
    ANSWER("top", "use piagent ps"),
    ANSWER("stats", "use piagent ps"),
    ANSWER("dumpxml", "use piagent explain NAME"),
    ANSWER("create", "piagent run NAME makes an instance and boots it"),
    ANSWER("launch", "piagent run NAME makes an instance and boots it"),
    ANSWER("install", "piagent run NAME makes an instance and boots it"),
    ANSWER("reload", "use piagent restart NAME"),
    ANSWER(
        "destroy",
        "piagent kill NAME ends an instance and keeps its disk, piagent rm --force NAME removes all of it"),
    ANSWER(
        "terminate",
        "piagent kill NAME ends an instance and keeps its disk, piagent rm --force NAME removes all of it"),
    ANSWER("undefine", "use piagent rm NAME"),
    ANSWER("purge", "use piagent rm NAME"),
    ANSWER("prune", "use piagent image prune, or piagent rm --all"),
    ANSWER("pull", "use piagent image fetch IMAGE"),
    ANSWER("fetch", "use piagent image fetch IMAGE"),
    ANSWER("rmi", "use piagent image rm IMAGE"),
    ANSWER("transfer", "use piagent cp SOURCE TARGET"),
    ANSWER("scp", "use piagent cp SOURCE TARGET"),
    ANSWER("mount", "piagent shares no folders: piagent cp SOURCE TARGET copies files"),
    ANSWER("version", "use piagent --version"),
    ANSWER("-v", "use piagent --version"),
    {0},
};

const struct cli_foreign cli_foreign_options[] = {
    {"run", "--image-sha256", "sha256", NULL},
    {"run", "--image-unverified", "unverified", NULL},
    {"template create", "--image", "from", NULL},
    {"image fetch", "--image-sha256", "sha256", NULL},
    {"image fetch", "--image-unverified", "unverified", NULL},
    {"run", "--publish", "forward", NULL},
    {"run", "--ram", "memory", NULL},
    {"run", "--vcpus", "cpus", NULL},
    {"run", "--cloud-init", "user-data", NULL},
    {"run", "--name", NULL, "the name stands by itself: piagent run NAME"},
    {"run", "--hostname", NULL, "the instance's name is its host name: piagent run NAME"},
    {"run", "--rm", NULL, "an instance stays until it is removed with piagent rm NAME"},
    {"run", "-i -t --interactive --tty", NULL,
     "in a terminal the guest's console is attached anyway: leave it out"},
    {"run", "--password", NULL,
     "everyone on the host could read it: --password-prompt asks for it, --password-hash takes its hash"},
    {"run", "-v --volume --mount", NULL, "piagent shares no folders: piagent cp SOURCE TARGET copies files"},
    {"run", "-e --env", NULL, "write it into your own user-data: --user-data FILE"},
    {"run", "--net", "network", NULL},
    {"run", "--platform", NULL, "use --arch aarch64 or --arch x86_64"},
    {"start", "-a -i --attach --interactive", NULL,
     "in a terminal the guest's console is attached anyway: leave it out"},
    {"powerdown", "-t --time", "timeout", NULL},
    {"powerdown", "-f --force", NULL, "use piagent kill NAME"},
    {"restart", "-t --time", "timeout", NULL},
    {"restart", "-d --detach", NULL, "it returns when the guest is ready anyway: leave it out"},
    {"ssh", "-p --port", NULL, "the port is found by itself: leave it out"},
    {"ssh", "-l --user", NULL, "it logs in as the user that piagent run --user made: leave it out"},
    {"ssh", "-v --verbose", NULL, "use -o LogLevel=DEBUG"},
    {"kill", "-s --signal", NULL,
     "it ends QEMU, as pulling the plug does, and knows no signals: leave it out"},
    {"rm", "-p --purge -v --volumes", NULL, "all files of an instance are removed anyway: leave it out"},
    {"ps", "-f --filter --format", NULL, "use piagent ps NAME..., or piagent ps --json"},
    {"logs", "--lines", "tail", NULL},
    {"logs", "-t --timestamps --since --until", NULL, "piagent events NAME tells what happened when"},
    {0},
};

/* How many words the name has, if the line begins with them; else 0. */
static size_t match(const char *name, const char *const *words, size_t count)
{
    const char *space = strchr(name, ' ');
    size_t first = space ? (size_t)(space - name) : strlen(name);
    if (!count || strlen(words[0]) != first || strncmp(words[0], name, first) != 0)
        return 0;
    if (!space)
        return 1;
    return count > 1 && !strcmp(words[1], space + 1) ? 2 : 0;
}

static bool is_other_name(const struct cli_foreign *row, const struct cli_command *command)
{
    return row->ours && !strcmp(row->ours, command->name);
}

size_t cli_names_command(const struct cli_command *command, const char *const *words, size_t count)
{
    size_t n = match(command->name, words, count);
    for (const struct cli_foreign *row = cli_foreign_commands; n == 0 && row->words; row++)
        if (is_other_name(row, command))
            n = match(row->words, words, count);
    return n;
}

const struct cli_foreign *cli_foreign_command(const char *const *words, size_t count)
{
    for (const struct cli_foreign *row = cli_foreign_commands; row->words; row++)
        if (match(row->words, words, count))
            return row;
    return NULL;
}

static bool has_word(const char *words, const char *word)
{
    size_t length = strlen(word), n;
    for (; *words; words += n + (words[n] == ' ')) {
        n = strcspn(words, " ");
        if (n == length && !strncmp(words, word, n))
            return true;
    }
    return false;
}

const struct cli_foreign *cli_foreign_option(const struct cli_command *command, const char *word)
{
    for (const struct cli_foreign *row = cli_foreign_options; row->words; row++)
        if (!strcmp(row->command, command->name) && has_word(row->words, word))
            return row;
    return NULL;
}

const char *cli_foreign_value(const char *text, const char *const *words)
{
    static const char *const names[][2] = {{"arm64", "aarch64"}, {"amd64", "x86_64"}};
    for (size_t i = 0; i < PI_ARRAY_SIZE(names); i++)
        for (const char *const *word = words; !strcmp(text, names[i][0]) && *word; word++)
            if (!strcmp(*word, names[i][1]))
                return *word;
    return NULL;
}

int cli_other_names(const struct cli_command *command, struct pi_buf *ret)
{
    int r = 0;
    for (const struct cli_foreign *row = cli_foreign_commands; r == 0 && row->words; row++)
        if (is_other_name(row, command))
            r = pi_buf_printf(ret, "%s%s", ret->size ? ", " : "", row->words);
    return r;
}
