/* SPDX-License-Identifier: MIT */
#include "agent/seed/mime.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/seed/kind.h"

/* cloud-init looks for MIME-Version in so many bytes. */
#define LOOK 4096

/* The types that cloud-init handles (handlers/__init__.py, INCLUSION_TYPES_MAP; user_data.py,
 * DECOMP_TYPES). */
static const char *const types[] = {
    "text/cloud-config",
    "text/cloud-config-archive",
    "text/cloud-config-jsonp",
    "text/cloud-boothook",
    "text/part-handler",
    "text/jinja2",
    "text/x-include-url",
    "text/x-include-once-url",
    "text/x-shellscript",
    "text/x-shellscript-per-boot",
    "text/x-shellscript-per-instance",
    "text/x-shellscript-per-once",
    "application/gzip",
    "application/gzip-compressed",
    "application/gzipped",
    "application/x-compress",
    "application/x-compressed",
    "application/x-gunzip",
    "application/x-gzip",
    "application/x-gzip-compressed",
};

/* A message or a part of one. */
struct part {
    const char *body, *end;
    char type[64];      /* in lower case; "text/plain" if none is given, as in the email package */
    char boundary[256]; /* "" = none */
    bool encoded;       /* in base64 or quoted-printable */
    size_t headers;     /* how many there are */
};

bool seed_is_mime(const char *data, size_t size)
{
    static const char header[] = "mime-version:";
    size_t look = size < LOOK ? size : LOOK;
    for (size_t i = 0; i + sizeof header - 1 <= look; i++)
        if (strncasecmp(data + i, header, sizeof header - 1) == 0)
            return true;
    return false;
}

static const char *line_end(const char *at, const char *end)
{
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    return newline ? newline : end;
}

/* A header is a name without blanks and a colon (email.feedparser). */
static size_t name_length(const char *line, const char *end)
{
    size_t length = 0;
    while (line + length < end && line[length] > ' ' && line[length] < 127 && line[length] != ':')
        length++;
    return line + length < end && line[length] == ':' ? length : 0;
}

/* Reads a header's value and the lines that continue it as one line. Returns the start of the next header. */
static const char *value_read(const char *at, const char *end, char *ret, size_t size)
{
    const char *stop = line_end(at, end);
    while (stop + 1 < end && (stop[1] == ' ' || stop[1] == '\t'))
        stop = line_end(stop + 1, end);
    pi_text_clean(at, (size_t)(stop - at), ret, size);
    return stop < end ? stop + 1 : end;
}

/* "multipart/mixed; boundary=\"//\"" */
static void type_read(const char *value, struct part *part)
{
    size_t length = strcspn(value, "; \t");
    const char *at = strcasestr(value, "boundary=");
    const char *slash = memchr(value, '/', length);
    if (slash && length < sizeof part->type && !memchr(slash + 1, '/', length - (size_t)(slash + 1 - value)))
        for (size_t i = 0; i <= length; i++)
            part->type[i] =
                i < length ? (char)(value[i] >= 'A' && value[i] <= 'Z' ? value[i] + 32 : value[i]) : '\0';
    if (!at)
        return;
    at += strlen("boundary=");
    bool quoted = *at == '"';
    snprintf(part->boundary, sizeof part->boundary, "%.*s", (int)strcspn(at + quoted, quoted ? "\"" : "; \t"),
             at + quoted);
}

static struct part part_read(const char *data, const char *end)
{
    struct part part = {.type = "text/plain", .end = end};
    const char *at = data;
    char value[1024];
    for (size_t name; at < end && (name = name_length(at, line_end(at, end))) > 0;) {
        const char *header = at;
        at = value_read(at + name + 1, end, value, sizeof value);
        const char *text = value + strspn(value, " ");
        part.headers++;
        if (name == strlen("content-type") && !strncasecmp(header, "content-type", name))
            type_read(text, &part);
        if (name == strlen("content-transfer-encoding") &&
            !strncasecmp(header, "content-transfer-encoding", name))
            part.encoded = !strcasecmp(text, "base64") || !strcasecmp(text, "quoted-printable");
    }
    const char *newline = line_end(at, end);
    bool empty = at < end && (newline == at || (newline == at + 1 && *at == '\r'));
    part.body = empty && newline < end ? newline + 1 : at;
    return part;
}

static bool part_type_known(const struct part *part)
{
    enum seed_kind kind;
    if (pi_starts_with(part->type, "multipart/"))
        return true;
    for (size_t i = 0; i < PI_ARRAY_SIZE(types); i++)
        if (strcmp(part->type, types[i]) == 0)
            return true;
    bool plain = !strcmp(part->type, "text/plain") || !strcmp(part->type, "text/x-not-multipart");
    return plain &&
           (part->encoded || seed_marker_find(part->body, (size_t)(part->end - part->body), &kind, NULL));
}

/* The next line, from at on, that is the boundary; NULL = none. Sets *last if it ends the message. */
static const char *boundary_find(const char *at, const char *end, const char *boundary, bool *last)
{
    size_t length = strlen(boundary);
    for (const char *stop; at < end; at = stop < end ? stop + 1 : end) {
        stop = line_end(at, end);
        size_t left = (size_t)(stop - at);
        if (left < length + 2 || strncmp(at, "--", 2) != 0 || strncmp(at + 2, boundary, length) != 0)
            continue;
        const char *rest = at + 2 + length;
        *last = stop - rest >= 2 && !strncmp(rest, "--", 2);
        rest += *last ? 2 : 0;
        while (rest < stop && strchr(" \t\r", *rest))
            rest++;
        if (rest == stop)
            return at;
    }
    return NULL;
}

/* Counts the parts that cloud-init handles. A part handler may handle any type. */
static size_t parts_count(const char *data, const struct part *message, struct seed_findings *findings)
{
    bool last = false, handler = false;
    size_t known = 0, line = 1;
    const char *counted = data; /* the lines up to here */
    const char *at = boundary_find(message->body, message->end, message->boundary, &last);
    while (at && !last) {
        const char *start = line_end(at, message->end);
        start += start < message->end;
        at = boundary_find(start, message->end, message->boundary, &last);
        struct part part = part_read(start, at ? at : message->end);
        handler = handler || !strcmp(part.type, "text/part-handler");
        if (handler || part_type_known(&part))
            known++;
        else {
            for (; counted < start; counted++)
                line += *counted == '\n';
            seed_findings_addf(findings, SEED_WARNING, line, 1, NULL,
                               "give it a type like text/cloud-config or text/x-shellscript",
                               "cloud-init ignores this part because of its type, %s", part.type);
        }
    }
    return known;
}

static void mime_error_add(struct seed_findings *findings, size_t line, const char *remedy, const char *what)
{
    seed_findings_addf(findings, SEED_ERROR, line, 1, NULL, remedy,
                       "%s, so cloud-init ignores the whole file", what);
}

void seed_mime_check(const char *data, size_t size, struct seed_findings *findings)
{
    struct part message = part_read(data, data + size);
    bool last;
    if (!message.headers) {
        mime_error_add(findings, 1, "remove what stands above the headers, or the words 'MIME-Version:'",
                       "line 1 is not a MIME header");
        return;
    }
    if (!pi_starts_with(message.type, "multipart/")) {
        if (!part_type_known(&message))
            mime_error_add(findings, 1, "give it a Content-Type like text/cloud-config",
                           "cloud-init does not handle its MIME type");
        return;
    }
    if (!message.boundary[0])
        mime_error_add(findings, 1,
                       "write it on the line of the Content-Type: multipart/mixed; boundary=\"...\"",
                       "the MIME headers name no boundary");
    else if (!boundary_find(message.body, message.end, message.boundary, &last))
        mime_error_add(findings, 1, "start each part with a line of '--' and the boundary",
                       "the boundary that the MIME headers name does not occur");
    else if (!parts_count(data, &message, findings))
        mime_error_add(findings, 1, "give the parts types like text/cloud-config",
                       "no part has a type that cloud-init handles");
}
