/* SPDX-License-Identifier: MIT */
/*
 * How the agent tells a switch what its network is to be: JSON over a stream, a request a line, an answer a line, in order.
 * A request has one or more of these keys; a key that is not known is an error.
 *
 *   {"plan": {"address": "10.77.0.1", "prefix": 24, "mac": "52:54:0a:4d:00:01", "domain": "lab.internal",
 *             "members": [{"name": "server", "mac": "52:54:0a:4d:00:02", "address": "10.77.0.2", "plugged": true}]}}
 *
 * Sets the whole network, each time. address and mac are the network's own, at which it answers ARP, ping, DHCP and DNS;
 * prefix is the subnet's, for DHCP; "server" and "server.lab.internal" are the names of its members there. Every member has a
 * name (an instance's), and a MAC and an address that no other has; at most RESOLVER_NAMES_MAX. plugged says that its instance
 * runs or is about to: only then it has a port and its sockets in the switch's folder, NAME.in, which the switch makes, and
 * NAME.qemu, which QEMU makes; at most PORTS_MAX. Without plugged (default: false) it is known by its name only. A port whose
 * member stays the same stays: it loses no frame and keeps its counters. trunk, in place of plugged, names the trunk that the
 * member is behind: it runs on another host. So to add, to remove or to start a member is to send the plan again. A plan that
 * is refused changes nothing; if a port cannot be made, the answer names it, and the rest is as planned.
 *
 *   {"trunk": "build-2"}
 *
 * Connects a trunk that the plan names, also one that was connected: the connection is a connected stream socket, passed by
 * SCM_RIGHTS with the first byte of this request. The switch at its other end is told the same network with its own members
 * plugged, and those that are plugged here behind its trunk: so both know all names, and take over a trunk only frames of
 * members that are behind it. A trunk has frames of no third host: each two hosts have one. One that breaks is closed, which its
 * other end sees, and is "connected": false until it is given again; its members are not reached meanwhile. To carry it by
 * OpenSSH: a socket pair, of which one end is the trunk here and the other both standard input and output of an ssh, whose
 * remote command passes its own standard input and output on to the other switch in the same way.
 *
 *   {"counters": true}
 *
 * Answered with {"members": [{"name": "server", ...}], "trunks": [{"name": "build-2", "connected": true, ...}]}: the numbers
 * of struct frame_counters, of each plugged member since its port was made, and of each trunk since a plan has named it.
 *
 * The answer is {} otherwise, and {"error": TEXT} if the request is refused. A request of more than CONTROL_LINE_MAX bytes
 * closes the connection. The switch serves one connection at a time: the newest.
 */
#ifndef PIAGENT_SWITCH_CONTROL_H
#define PIAGENT_SWITCH_CONTROL_H

#include <jansson.h>

#include "agent/switch/fabric.h"

#define CONTROL_LINE_MAX ((size_t)1 << 20)

/* The answer to a line, a new reference; NULL without memory. *fd is the descriptor that came with it, or negative; if the
 * fabric takes it, it is negative then. */
json_t *control_answer(struct fabric *fabric, const char *line, size_t size, int *fd);

#endif
