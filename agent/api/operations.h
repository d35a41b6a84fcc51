/* SPDX-License-Identifier: MIT */
/*
 * The operations of the control API, in one table. The agent dispatches requests by it, and its OpenAPI document
 * (openapi.h) is made from it, so that the two cannot differ. Requests are HTTP over a unix socket
 * (control_server.h). A failure is struct api_error, and its kind decides the HTTP status.
 */
#ifndef PIAGENT_API_OPERATIONS_H
#define PIAGENT_API_OPERATIONS_H

#include "agent/api/types.h"

/* A JSON object on the wire. */
struct api_schema {
    const char *name;
    const struct pi_field *fields;     /* NULL: any object */
    const char *list;                  /* the key of a list beside the fields, or NULL ... */
    const struct api_schema *items[2]; /* ... and the objects that it may hold */
};

/* A query parameter: a whole number. */
struct api_query {
    const char *name;
    uint64_t max;
    const char *help;
};

enum api_operation_id {
    API_GET_OPENAPI,
    API_GET_AGENT,
    API_GET_METRICS,
    API_STOP_AGENT,
    API_GET_ALL_EVENTS,
    API_LIST_INSTANCES,
    API_CREATE_INSTANCE,
    API_CHECK_INSTANCE,
    API_GET_INSTANCE,
    API_DELETE_INSTANCE,
    API_START,
    API_POWERDOWN,
    API_KILL,
    API_RESET,
    API_PAUSE,
    API_RESUME,
    API_SUSPEND,
    API_LIST_SNAPSHOTS,
    API_CREATE_SNAPSHOT,
    API_RESTORE_SNAPSHOT,
    API_REMOVE_SNAPSHOT,
    API_RESEED,
    API_UPDATE,
    API_GET_EVENTS,
    API_GET_CONSOLE,
    API_TYPE,
    API_GET_QEMU_COMMAND,
    API_LIST_NETWORKS,
    API_CREATE_NETWORK,
    API_GET_NETWORK,
    API_DELETE_NETWORK,
    API_LINK_NETWORK,
    API_UNLINK_NETWORK,
    API_TELL_FLEET,
    API_OPERATIONS
};

struct api_operation {
    const char *method, *path; /* "{name}" stands for the name of an instance, a network or a fleet */
    const char *id, *summary;
    const struct api_query *queries;  /* ends with {0}; NULL = none */
    const struct api_schema *request; /* NULL: no body is read */
    const char *request_type;         /* of a body that is not JSON, or NULL */
    unsigned status;                  /* of its success */
    const struct api_schema *reply;   /* for a stream of JSON lines, of each line; NULL for bytes */
    const char *reply_type;           /* of a reply that is not one JSON object, or NULL */
};

extern const struct api_operation api_operations[API_OPERATIONS];

#define API_TYPE_LINES "application/jsonl"
#define API_TYPE_BYTES "application/octet-stream"
/* https://prometheus.io/docs/instrumenting/exposition_formats/ */
#define API_TYPE_METRICS "text/plain; version=0.0.4"

/* The schemas that operations refer to, and the error; ends with NULL. */
extern const struct api_schema *const api_schemas[];

/* True if path fits the template. name, of the given size, gets the part that stands for {name}, or "". */
bool api_path_match(const char *path_template, const char *path, char *name, size_t size);

#endif
