/* SPDX-License-Identifier: MIT */
/* All links of a network (lan_link.h): those that this host dials, which its record names, and those that others dialed, at
 * the socket RUNTIME/lan/NAME/link. */
#ifndef PIAGENT_LAN_LAN_LINKS_H
#define PIAGENT_LAN_LAN_LINKS_H

#include "agent/base/buf.h"
#include "agent/lan/lan_link.h"

#define LAN_LINKS_MAX 16 /* as many trunks as a switch has */

struct lan_links {
    LIST_HEAD(, lan_link) list;
    char id[LAN_ID_SIZE];
    struct pi_strv urls; /* of the record */
    unsigned count;      /* of links so far */
    int listen_fd;       /* negative: it does not listen yet */
    struct watch *watch;
};

/* Without a link. 0 or -errno. */
int lan_links_init(struct lan *lan);
/* The switch goes on with the connections. */
void lan_links_done(struct lan *lan);

/* Listens, unless it does, and dials those of .urls that are not dialed yet; ends those that are not in .urls any more. */
void lan_links_open(struct lan *lan);
/* The network is being removed: ends all. */
void lan_links_close(struct lan *lan);

/* The members on this host, as lans.members gives them, may have changed: the other hosts are told, by a new connection. */
void lan_links_update(struct lan *lan, const json_t *members);

/* The switch has ended, and with it the connections that it had. */
void lan_links_lost_switch(struct lan *lan);

/* The members on other hosts, as the switch's plan has them: a new array; NULL without memory. */
json_t *lan_links_members(const struct lan *lan);

/* As the API shows them: a new array of {"host", "id", "connected", "dialed_here", "reason", "members"}, and "trunk", its name
 * in the switch; NULL without memory. */
json_t *lan_links_view(const struct lan *lan);

#endif
