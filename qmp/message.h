/* SPDX-License-Identifier: MIT */
/* Internal to qmp/: parses one line from QEMU. Pure. The spec is QEMU's docs/interop/qmp-spec.rst. */
#ifndef QMP_MESSAGE_H
#define QMP_MESSAGE_H

#include "qmp/qmp.h"

enum qmp_message_kind {
    QMP_MESSAGE_NONE, /* an empty line */
    QMP_MESSAGE_GREETING,
    QMP_MESSAGE_EVENT,
    QMP_MESSAGE_REPLY,
};

struct qmp_message {
    enum qmp_message_kind kind;
    json_t *root;           /* owned; all else points into it */
    struct qmp_event event; /* of an event */
    const json_t *id;       /* of a reply: NULL if it has none */
    const json_t *data;     /* of a reply: "return", or NULL if it is an error */
    char why[QMP_WHY_MAX];  /* of a reply that is an error: "CLASS: DESC" */
};

/* Parses a line, with or without its newline. On failure, -EPROTO or -ENOMEM, ret->why says why, and *ret
 * owns nothing. */
int qmp_message_parse(const char *line, size_t size, struct qmp_message *ret);

void qmp_message_done(struct qmp_message *message);

#endif
