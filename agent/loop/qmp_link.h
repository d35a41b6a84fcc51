/* SPDX-License-Identifier: MIT */
/*
 * A QMP client on the loop: the socket, the bytes and the deadlines around qmp/'s sans-I/O client. There is
 * no way to ask something without a deadline. A QEMU that sends more than 4 MiB at once, or 128 KiB a second,
 * is closed with -EPROTO.
 */
#ifndef PIAGENT_LOOP_QMP_LINK_H
#define PIAGENT_LOOP_QMP_LINK_H

#include "agent/base/error.h"
#include "agent/loop/loop.h"
#include "qmp/commands.h"
#include "qmp/qmp.h"

struct qmp_link;

/* Connects to the unix socket FOLDER/NAME; the greeting has greeting_ms to come. The handler's calls come
 * from the loop only. */
int qmp_link_new(uv_loop_t *loop, const char *folder, const char *name, uint64_t greeting_ms,
                 const struct qmp_handler *handler, void *user, struct qmp_link **ret, struct pi_error *err);

/* Fails what is outstanding (-ECONNRESET), then closed() comes, then it is freed. Safe from within callbacks.
 * NULL is fine. */
void qmp_link_close(struct qmp_link *link);

/* Sends a command that has to be answered in timeout_ms. */
int qmp_link_execute(struct qmp_link *link, enum qmp_command command, uint64_t timeout_ms, qmp_reply_fn reply,
                     void *user);
/* The same with arguments, which are stolen, and with a descriptor for QEMU, or -1: it has to stay open until the
 * command has ended. */
int qmp_link_execute_with(struct qmp_link *link, enum qmp_command command, json_t *arguments, int fd,
                          uint64_t timeout_ms, qmp_reply_fn reply, void *user);

#endif
