/* SPDX-License-Identifier: MIT */
/* The agent's handlers of the operations on networks. Each answers its call, some later. */
#ifndef PIAGENT_DAEMON_NETWORKS_H
#define PIAGENT_DAEMON_NETWORKS_H

struct agent;
struct api_call;
struct lan;

void networks_list(struct agent *agent, struct api_call *call);
void networks_create(struct agent *agent, struct api_call *call);
void networks_get(struct agent *agent, struct lan *lan, struct api_call *call);
void networks_delete(struct agent *agent, struct lan *lan, struct api_call *call);
void networks_link(struct agent *agent, struct lan *lan, struct api_call *call);
void networks_unlink(struct agent *agent, struct lan *lan, struct api_call *call);

#endif
