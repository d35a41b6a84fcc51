/* SPDX-License-Identifier: MIT */
/* Tells by method and path what a request asks for. Pure. */
#ifndef IMDS_ROUTE_H
#define IMDS_ROUTE_H

#include "imds/registry.h"

enum imds_target {
    IMDS_ROUTE_NONE,     /* answered with 404, whatever was wrong */
    IMDS_ROUTE_DOCUMENT, /* GET or HEAD /KEY/DOCUMENT */
    IMDS_ROUTE_EVENTS,   /* POST /KEY/events */
};

struct imds_route {
    enum imds_target target;
    enum imds_document document;   /* if target is IMDS_ROUTE_DOCUMENT */
    bool head;                     /* the client wants only the headers */
    char key[IMDS_KEY_LENGTH + 1]; /* as in the path, known or not; "" if target is IMDS_ROUTE_NONE */
};

/*
 * path has no query. It must match to the letter: cloud-init appends the document's name to the seed's URL,
 * which ends in '/', so it never asks with a doubled or missing slash.
 */
void imds_route_parse(const char *method, const char *path, struct imds_route *ret);

#endif
