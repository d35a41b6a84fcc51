/* SPDX-License-Identifier: MIT */
/*
 * The link to QEMU's monitor (QMP): the handshake that proves whose QEMU it is, its loss, and the way back.
 * The events that come over it: qemu_events.h.
 */
#ifndef PIAGENT_INSTANCE_MONITOR_H
#define PIAGENT_INSTANCE_MONITOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "agent/base/error.h"
#include "agent/instance/disk_room.h"
#include "agent/instance/qemu_events.h"
#include "qmp/commands.h"
#include "qmp/qmp.h"

#define MONITOR_ANSWER_MS 20000

struct api_call;
struct instance;
struct qmp_link;
struct timer;

struct monitor {
    struct qmp_link *link;               /* NULL: not connected */
    struct timer *timer;                 /* connects again */
    bool adopting;                       /* QEMU, which ran before, is asked whether it is this instance's */
    bool unwatched;                      /* since the boot: a reset may have been missed */
    STAILQ_HEAD(, waiting_call) waiting; /* requests that wait until that is decided */
    char why[128];                       /* what is wrong with the monitor; "" = it answers */
    unsigned conts;                      /* how often QEMU was silent to a cont */
    bool loss_told;                      /* the journal says that the monitor is lost */
    uint64_t since_ms, delay_ms; /* CLOCK_MONOTONIC of the last connection; the wait before the next one */
    struct qemu_events events;
    struct disk_room room;
};

/* 0 or -ENOMEM. */
int monitor_init(struct instance *instance);
void monitor_reset(struct instance *instance);
void monitor_done(struct instance *instance);

/* Connects to the QMP of a QEMU that was started, if it is not connected. When QEMU has proven to be this
 * instance's, VM_EVENT_LAUNCHED comes. */
int monitor_connect(struct instance *instance, struct pi_error *err);
/* From now on the QEMU is one that ran before: when it has proven itself, VM_EVENT_ADOPTED comes instead. */
void monitor_adopt(struct instance *instance);
bool monitor_is_adopting(const struct instance *instance);

/* The monitor is gone, or not to be believed: it is closed. A QEMU that starts is ended for that. Any other
 * keeps its guest, and is connected to again, later each time. why is told; a reason of -ECONNRESET may be
 * the end of QEMU itself. */
void monitor_lose(struct instance *instance, int reason, const char *why);
/* Why the monitor does not work, or "". */
const char *monitor_trouble(const struct instance *instance);

bool monitor_is_connected(const struct instance *instance);
/* Whether QEMU can be asked now, and has proven to be this instance's. */
bool monitor_is_usable(const struct instance *instance);
/* If QEMU is being asked whether it is this instance's, the call is kept, and handed to fn when that is
 * decided, one way or the other. */
bool monitor_await(struct instance *instance, struct api_call *call,
                   void (*fn)(struct instance *instance, struct api_call *call));

/* Sends a command of the state function. A refusal is told, and silence once. False if QEMU cannot be
 * asked. */
bool monitor_command(struct instance *instance, enum qmp_command command);
/* Sends a command whose answer goes to reply; 0 or negative: QEMU cannot be asked. reply may be NULL. */
int monitor_execute(struct instance *instance, enum qmp_command command, qmp_reply_fn reply, void *user);
/* The same with arguments, which are stolen, and a descriptor for QEMU, or -1 (qmp_link_execute_with()). */
int monitor_execute_with(struct instance *instance, enum qmp_command command, json_t *arguments, int fd,
                         qmp_reply_fn reply, void *user);
void monitor_ask_cont(struct instance *instance);

/* A boot begins that the monitor's events tell of. */
void monitor_watch_boot(struct instance *instance);
/* Whether a reset may have been missed since the boot began. */
bool monitor_may_have_missed_reset(const struct instance *instance);

#endif
