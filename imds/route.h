/* SPDX-License-Identifier: MIT */
/* What a request asks for, by its method and path alone: a pure function. */
#ifndef IMDS_ROUTE_H
#define IMDS_ROUTE_H

#include "imds/registry.h"

enum imds_target {
    IMDS_ROUTE_NONE,     /* answered 404, whatever was wrong */
    IMDS_ROUTE_DOCUMENT, /* GET or HEAD /KEY/DOCUMENT */
    IMDS_ROUTE_EVENTS,   /* POST /KEY/events */
};

struct imds_route {
    enum imds_target target;
    enum imds_document document;   /* where target is IMDS_ROUTE_DOCUMENT */
    bool head;                     /* only the headers are wanted */
    char key[IMDS_KEY_LENGTH + 1]; /* as in the path, known or not; empty where target is IMDS_ROUTE_NONE */
};

/*
 * path has no query. It must be one of ours to the letter: cloud-init puts the document's name behind the
 * seed URL, which ends in '/', so it never asks with doubled or missing slashes.
 */
void imds_route_parse(const char *method, const char *path, struct imds_route *ret);

#endif
