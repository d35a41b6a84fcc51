/* SPDX-License-Identifier: MIT */
/*
 * A link of a network: the stream to the same network of another host's agent. One agent dials: it starts ssh, whose remote
 * command, "piagent __carry NAME", connects to the socket at which the other agent waits. The two say hello, and give the
 * stream to their switches as a trunk (agent/switch/control.h). The agents keep a copy of its descriptor, to shut it down; a
 * link that ended is dialed again, later each time.
 */
#ifndef PIAGENT_LAN_LAN_LINK_H
#define PIAGENT_LAN_LAN_LINK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "agent/base/buf.h"
#include "agent/base/host_url.h"
#include "agent/lan/lan_hello.h"

struct lan;
struct timer;
struct watch;

struct lan_link {
    LIST_ENTRY(lan_link) entry;
    struct lan *lan;
    char url[PI_HOST_URL_SIZE]; /* "": the other host dials */
    char trunk[24];             /* its name in the switch */
    char id[LAN_ID_SIZE];       /* the other's, once it said hello */
    char host[LAN_HOST_SIZE];
    char reason[400]; /* why it is not connected; "" = not known */
    char words[400];  /* the last line that ssh printed */
    bool connected;   /* both have said hello and agree */
    bool given;       /* to the switch */
    int fd;           /* the stream; negative: there is none */
    int pidfd;        /* of ssh, or of the process that carries; negative: there is none */
    int words_fd;     /* ssh's standard error, or negative */
    struct watch *life, *data, *spoken;
    struct timer *timer; /* to dial, to give up, or to forget a dialer that was refused */
    struct pi_buf line;  /* of the other's hello, as far as it has come */
    char *said;          /* our hello */
    json_t *members;     /* on the other host, with MAC and trunk; NULL = not known */
    uint64_t tried_ms, delay_ms;
};

/* A link to dial soon; NULL without memory. */
struct lan_link *lan_link_dial(struct lan *lan, const char *url);

/* A link that another host dialed: takes *fd, a connection to a process of this user, if it is one. */
void lan_link_accept(struct lan *lan, int *fd);

/* Ends its connection, which the other host sees. One that this host dials is dialed again; the other kind is freed, or
 * if there is a reason (NULL = none), kept for a while so that it is seen. */
void lan_link_end(struct lan_link *link, const char *reason);

/* Frees it. Unless it is to end, the switch goes on with its connection. */
void lan_link_free(struct lan_link *link, bool end);

#endif
