/* SPDX-License-Identifier: MIT */
#include "agent/cli/terminal/excerpt.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/text.h"
#include "agent/seed/secret.h"

#define HIDDEN "..."

/* Appends the text with its blanks kept one for one, so that the caret stands right; tabs become spaces. */
static void add_clean(const char *text, size_t length, char ret[static CLI_EXCERPT_MAX + 1])
{
    size_t used = strlen(ret), most = CLI_EXCERPT_MAX + 1 - sizeof " " HIDDEN;
    for (size_t i = 0; i < length && used < most;) {
        size_t word = i;
        while (word < length && text[word] != ' ' && text[word] != '\t')
            word++;
        if (word == i) {
            ret[used++] = ' ';
            i++;
            continue;
        }
        pi_text_clean(text + i, word - i, ret + used, most + 1 - used);
        used += strlen(ret + used);
        i = word;
    }
    ret[used] = '\0';
}

/* add_clean() leaves room for it. */
static void add_hidden(char ret[static CLI_EXCERPT_MAX + 1])
{
    size_t used = strlen(ret);
    snprintf(ret + used, CLI_EXCERPT_MAX + 1 - used, "%s" HIDDEN, used ? " " : "");
}

static void blanks_cut(char *text)
{
    size_t length = strlen(text);
    while (length && text[length - 1] == ' ')
        length--;
    text[length] = '\0';
}

/* The place of the column in the line, in bytes. */
static size_t column_offset(const char *line, size_t length, size_t column)
{
    size_t at = 0;
    for (; column > 1 && at < length; column--)
        do
            at++;
        while (at < length && ((unsigned char)line[at] & 0xc0) == 0x80);
    return at;
}

/* True if the place is between brackets, beside other values. */
static bool among_others(const char *line, size_t offset)
{
    for (size_t i = 0; i < offset; i++)
        if (strchr("[{", line[i]))
            return true;
    return false;
}

/* A key and its value, or an item: up to the comma or bracket that ends it. */
static size_t value_length(const char *text, size_t length)
{
    size_t depth = 0, i = 0;
    for (char quote = 0; i < length; i++) {
        char c = text[i];
        if (quote ? c == quote : c == '"' || c == '\'')
            quote = quote ? 0 : c;
        else if (quote)
            continue;
        else if (c == '[' || c == '{')
            depth++;
        else if (!depth && (c == ',' || c == ']' || c == '}'))
            break;
        else if (c == ']' || c == '}')
            depth--;
    }
    return i;
}

size_t cli_excerpt(const char *data, size_t size, size_t line, size_t column,
                   char ret[static CLI_EXCERPT_MAX + 1])
{
    const char *at = data, *end = data + size;
    ret[0] = '\0';
    for (size_t i = 1; i < line && at < end; i++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        at = newline ? newline + 1 : end;
    }
    if (!line || at == end)
        return 0;
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    size_t length = (size_t)((newline ? newline : end) - at), shown = seed_secret_shown(data, size, line);
    size_t offset = column_offset(at, length, column), caret = column;
    if (shown < length) {
        add_clean(at, shown, ret);
        size_t used = strlen(ret);
        caret = column && offset >= shown ? used + 1 + (used > 0) : column;
        add_hidden(ret);
    } else if (column && among_others(at, offset)) {
        size_t value = value_length(at + offset, length - offset);
        add_hidden(ret);
        add_clean(" ", 1, ret);
        caret = strlen(ret) + 1;
        add_clean(at + offset, value, ret);
        if (offset + value < length)
            add_hidden(ret);
    } else
        add_clean(at, length, ret);
    blanks_cut(ret);
    return caret <= CLI_EXCERPT_MAX ? caret : 0;
}
