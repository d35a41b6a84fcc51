/* SPDX-License-Identifier: MIT */
#include "imds/route.h"

#include <string.h>

static bool parse_target(const char *method, const char *name, struct imds_route *route)
{
    if (strcmp(method, "POST") == 0) {
        route->target = IMDS_ROUTE_EVENTS;
        return strcmp(name, "events") == 0;
    }
    route->target = IMDS_ROUTE_DOCUMENT;
    route->head = strcmp(method, "HEAD") == 0;
    if (!route->head && strcmp(method, "GET") != 0)
        return false;
    for (int i = 0; i < IMDS_DOCUMENTS; i++) {
        route->document = (enum imds_document)i;
        if (strcmp(name, imds_document_name(route->document)) == 0)
            return true;
    }
    return false;
}

void imds_route_parse(const char *method, const char *path, struct imds_route *ret)
{
    *ret = (struct imds_route){0};
    if (path[0] != '/' || !imds_key_leads(path + 1) || path[1 + IMDS_KEY_LENGTH] != '/')
        return;
    struct imds_route route = {0};
    if (!parse_target(method, path + 1 + IMDS_KEY_LENGTH + 1, &route))
        return;
    memcpy(route.key, path + 1, IMDS_KEY_LENGTH);
    *ret = route;
}
