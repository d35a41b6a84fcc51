/* SPDX-License-Identifier: MIT */
/*
 * The process of a network's switch, as the agent sees it: started when the first member starts, told which members there
 * are, started again if it dies, and ended when no member runs. It outlives the agent; the next one takes it over.
 */
#ifndef PIAGENT_LAN_LAN_SWITCH_H
#define PIAGENT_LAN_LAN_SWITCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "agent/base/lines.h"

struct channel;
struct lan;
struct timer;
struct watch;

/* An answer of the switch, borrowed; NULL if it gives none. */
typedef void (*lan_answer_fn)(const json_t *answer, void *user);

struct lan_switch {
    pid_t pid;
    int pidfd;    /* negative: it does not run */
    bool ending;  /* it was killed, as was intended */
    bool adopted; /* an earlier agent has started it */
    struct watch *watch;
    struct channel *channel;
    struct pi_lines lines;
    STAILQ_HEAD(, lan_question) questions; /* the oldest first, as the answers come */
    struct timer *answer_timer;
    struct timer *retry_timer; /* set: it is to be started, or told again what it could not be told */
    uint64_t tried_ms, delay_ms;
    char *refusal; /* what it did not like about the newest plan; NULL = nothing */
};

/* 0 or -ENOMEM. */
int lan_switch_init(struct lan *lan);
/* The process goes on. */
void lan_switch_done(struct lan *lan);

/* Takes over the one that an earlier agent started, if it runs. */
void lan_switch_adopt(struct lan *lan);

/* Starts it, tells it the members, or ends it: whatever they ask for. */
void lan_switch_update(struct lan *lan);

/* Its network is being removed: ends the process, if it still runs, and removes its folder. */
void lan_switch_remove(struct lan *lan);

/* Asks for what each member sent and got, as in agent/switch/control.h. fn is always called, once. */
void lan_switch_count(struct lan *lan, lan_answer_fn fn, void *user);

#endif
