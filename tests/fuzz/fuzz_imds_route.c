/* SPDX-License-Identifier: MIT */
/* A request's method and path, parted by the first space. A route must lead back to its path. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "imds/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct imds_route *route, const char *path)
{
    char expected[128];
    const char *name = route->target == IMDS_ROUTE_EVENTS ? "events" : imds_document_name(route->document);
    snprintf(expected, sizeof(expected), "/%s/%s", route->key, name);
    if (strcmp(path, expected) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *method = strndup((const char *)data, size);
    if (!method)
        return 0;
    char *space = strchr(method, ' ');
    char *path = strdup(space ? space + 1 : "");
    if (space)
        *space = '\0';
    struct imds_route route;
    if (path) {
        imds_route_parse(method, path, &route);
        if (route.target != IMDS_ROUTE_NONE)
            check(&route, path);
    }
    free(path);
    free(method);
    return 0;
}
