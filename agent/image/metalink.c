/* SPDX-License-Identifier: MIT */
#include "agent/image/metalink.h"

#include <errno.h>
#include <expat.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/image/checksum.h"
#include "agent/image/ref.h"

#define SEPARATOR  '|' /* between a name's namespace and itself */
#define NAMESPACE  "http://www.metalinker.org/|"
#define URLS_MAX   64
#define DEPTH_MAX  16
#define PREFERENCE 100 /* the highest */

enum element {
    OUTSIDE, /* the file that is looked for */
    FILE_,   /* that file */
    SIZE,
    VERIFICATION,
    HASH,
    RESOURCES,
    URL,
    SKIPPED, /* with everything in it: other files, and older versions of this one (mm0:alternates) */
};

/* The parent of each element that counts. */
static const struct {
    const char *name;
    enum element parent, element;
} elements[] = {
    {"file", OUTSIDE, FILE_},     {"size", FILE_, SIZE},           {"verification", FILE_, VERIFICATION},
    {"hash", VERIFICATION, HASH}, {"resources", FILE_, RESOURCES}, {"url", RESOURCES, URL},
};

struct mirror {
    char *url;
    unsigned preference;
};

struct reader {
    XML_Parser parser;
    const char *file;
    struct image_metalink found;
    struct mirror mirrors[URLS_MAX];
    size_t count;
    unsigned depth, preference;
    enum element path[DEPTH_MAX + 1]; /* from outside of all elements to the innermost, which is at depth */
    char text[IMAGE_URL_MAX];
    size_t length;
    bool failed, no_memory;
};

static const char *xml_attribute(const XML_Char **attributes, const char *name)
{
    for (; attributes[0]; attributes += 2)
        if (!strcmp(attributes[0], name))
            return attributes[1];
    return "";
}

static void stop_parsing(struct reader *r)
{
    r->failed = true;
    XML_StopParser(r->parser, XML_FALSE);
}

static enum element element_at(const struct reader *r, const char *name, const XML_Char **attributes)
{
    enum element parent = r->path[r->depth];
    const char *local = pi_starts_with(name, NAMESPACE) ? name + strlen(NAMESPACE) : name;
    for (size_t i = 0; i < PI_ARRAY_SIZE(elements); i++) {
        if (elements[i].parent != parent || strcmp(elements[i].name, local) != 0)
            continue;
        bool other =
            (elements[i].element == FILE_ && strcmp(xml_attribute(attributes, "name"), r->file) != 0) ||
            (elements[i].element == HASH && strcmp(xml_attribute(attributes, "type"), "sha256") != 0);
        return other ? SKIPPED : elements[i].element;
    }
    return parent == OUTSIDE ? OUTSIDE : SKIPPED;
}

static unsigned preference_of(const XML_Char **attributes)
{
    uint64_t number;
    return pi_number_parse(xml_attribute(attributes, "preference"), 0, PREFERENCE, &number, NULL) < 0
               ? 0
               : (unsigned)number;
}

static void on_metalink_start(void *user, const XML_Char *name, const XML_Char **attributes)
{
    struct reader *r = user;
    uint64_t connections;
    if (r->depth == DEPTH_MAX) {
        stop_parsing(r);
        return;
    }
    enum element element = element_at(r, name, attributes);
    r->path[++r->depth] = element;
    r->length = 0;
    r->preference = preference_of(attributes);
    if (element == RESOURCES &&
        pi_number_parse(xml_attribute(attributes, "maxconnections"), 1, 64, &connections, NULL) == 0)
        r->found.connections = connections;
}

static void on_metalink_text(void *user, const XML_Char *text, int length)
{
    struct reader *r = user;
    enum element element = r->path[r->depth];
    if (element != SIZE && element != HASH && element != URL)
        return;
    if ((size_t)length >= sizeof r->text - r->length) {
        stop_parsing(r);
        return;
    }
    memcpy(r->text + r->length, text, (size_t)length);
    r->length += (size_t)length;
}

static bool take_url(struct reader *r)
{
    if (!image_is_url(r->text) || r->count == URLS_MAX)
        return true; /* the list also has ftp and rsync URLs */
    struct mirror *mirror = &r->mirrors[r->count];
    *mirror = (struct mirror){.url = strdup(r->text), .preference = r->preference};
    r->no_memory = !mirror->url;
    r->count += !r->no_memory;
    return !r->no_memory;
}

static bool take_mirror_text(struct reader *r)
{
    switch (r->path[r->depth]) {
    case SIZE:
        return pi_number_parse(r->text, 1, INT64_MAX, &r->found.size_bytes, NULL) == 0;
    case HASH:
        return image_sha256_parse(r->text, r->found.sha256, NULL) == 0;
    case URL:
        return take_url(r);
    default:
        return true;
    }
}

static void on_end(void *user, const XML_Char *name)
{
    struct reader *r = user;
    (void)name;
    r->text[r->length] = '\0';
    if (!take_mirror_text(r))
        stop_parsing(r);
    r->depth--;
    r->length = 0;
}

static void on_doctype(void *user, const XML_Char *name, const XML_Char *system, const XML_Char *public_id,
                       int internal)
{
    (void)name, (void)system, (void)public_id, (void)internal;
    stop_parsing(user);
}

static int preferred_first(const void *a, const void *b)
{
    const struct mirror *x = a, *y = b;
    if (x->preference != y->preference)
        return x->preference < y->preference ? 1 : -1;
    bool x_secure = pi_starts_with(x->url, "https://"), y_secure = pi_starts_with(y->url, "https://");
    return x_secure != y_secure ? (x_secure ? -1 : 1) : strcmp(x->url, y->url);
}

/* A mirror that is in the list as https and http is one mirror. */
static bool same_place(const char *a, const char *b)
{
    return !strcmp(strstr(a, "://"), strstr(b, "://"));
}

static int choose_mirrors(struct reader *r)
{
    qsort(r->mirrors, r->count, sizeof r->mirrors[0], preferred_first);
    for (size_t i = 0; i < r->count && r->found.urls.count < IMAGE_METALINK_MIRRORS; i++) {
        bool known = false;
        for (size_t k = 0; k < r->found.urls.count; k++)
            known |= same_place(r->found.urls.items[k], r->mirrors[i].url);
        if (!known && pi_strv_add(&r->found.urls, r->mirrors[i].url) < 0)
            return -ENOMEM;
    }
    return 0;
}

static bool parse_xml(struct reader *r, const char *text, size_t size)
{
    XML_SetUserData(r->parser, r);
    XML_SetElementHandler(r->parser, on_metalink_start, on_end);
    XML_SetCharacterDataHandler(r->parser, on_metalink_text);
    XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
    return size <= IMAGE_METALINK_MAX && XML_Parse(r->parser, text, (int)size, 1) == XML_STATUS_OK &&
           !r->failed;
}

int image_metalink_parse(const char *text, size_t size, const char *file, struct image_metalink *ret,
                         struct pi_error *err)
{
    pi_auto_free struct reader *r = calloc(1, sizeof *r);
    if (!r || !(r->parser = XML_ParserCreateNS(NULL, SEPARATOR)))
        return pi_fail(err, ENOMEM, "cannot read the list of mirrors");
    r->file = file;
    bool whole = parse_xml(r, text, size);
    r->no_memory |= XML_GetErrorCode(r->parser) == XML_ERROR_NO_MEMORY;
    XML_ParserFree(r->parser);
    int result = whole ? choose_mirrors(r) : r->no_memory ? -ENOMEM : 0;
    for (size_t i = 0; i < r->count; i++)
        free(r->mirrors[i].url);
    if (result < 0)
        pi_fail(err, -result, "cannot read the list of mirrors");
    else if (!whole)
        result = pi_refuse(err, PI_NETWORK, "the list of mirrors is not a Metalink file: try again later");
    else if (!r->found.urls.count)
        result = pi_refuse(err, PI_NETWORK, "the list of mirrors has no mirror for %s", file);
    if (result < 0)
        image_metalink_done(&r->found);
    else
        *ret = r->found;
    return result;
}

void image_metalink_done(struct image_metalink *metalink)
{
    pi_strv_done(&metalink->urls);
}
