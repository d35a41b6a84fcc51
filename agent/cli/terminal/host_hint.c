/* SPDX-License-Identifier: MIT */
#include "agent/cli/terminal/host_hint.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"

#define PROGRAM "piagent "

/* The first words of commands. A sentence may go on otherwise: "piagent waits". */
const char *const cli_host_hints[] = {
    "run",      "clone",     "start",        "wait",    "ps",      "status",   "console",
    "ssh",      "cp",        "ssh-config",   "logs",    "events",  "kill",     "restart",
    "reset",    "resume",    "reseed",       "pause",   "suspend", "rm",       "image",
    "timeline", "agent",     "metrics",      "network", "up",      "down",     "inventory",
    "template", "powerdown", "qemu-command", "explain", "doctor",  "snapshot", NULL};

const char *cli_host_chosen(void)
{
    const char *url = getenv(CLI_HOST_VARIABLE);
    return url && *url ? url : NULL;
}

static bool is_hint(const char *word)
{
    size_t length = strcspn(word, " ,;:)'\n\r");
    for (const char *const *name = cli_host_hints; *name; name++)
        if (strlen(*name) == length && !strncmp(*name, word, length))
            return true;
    return false;
}

const char *cli_host_hint(const char *text, const char *url, struct pi_buf *buf)
{
    const char *from = text;
    for (const char *at = text; url && (at = strstr(at, PROGRAM));) {
        bool begins = at == text || !isalnum((unsigned char)at[-1]);
        at += strlen(PROGRAM);
        if (!begins || !is_hint(at))
            continue;
        if (pi_buf_add(buf, from, (size_t)(at - from)) < 0 || pi_buf_printf(buf, "--host %s ", url) < 0)
            return text;
        from = at;
    }
    return from == text || pi_buf_puts(buf, from) < 0 ? text : buf->data;
}

void cli_host_hint_error(struct pi_error *err, const char *url)
{
    pi_auto_buf struct pi_buf buf = {.max = sizeof err->text - 1};
    const char *text = cli_host_hint(err->text, url, &buf);
    if (text != err->text)
        snprintf(err->text, sizeof err->text, "%s", text);
}

void cli_note(const char *format, ...)
{
    pi_auto_buf struct pi_buf hint = {0};
    pi_auto_free char *line = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&line, format, args) < 0)
        line = NULL;
    va_end(args);
    if (line)
        fprintf(stderr, "%s\n", cli_host_hint(line, cli_host_chosen(), &hint));
}
