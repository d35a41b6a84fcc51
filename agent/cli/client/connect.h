/* SPDX-License-Identifier: MIT */
/* A client of the agent. If no agent answers, one is started. */
#ifndef PIAGENT_CLI_CONNECT_H
#define PIAGENT_CLI_CONNECT_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "agent/api/client.h"
#include "agent/api/types.h"
#include "agent/base/error.h"
#include "agent/base/paths.h"
#include "agent/cli/client/remote_host.h"

#define CLI_SNAPSHOT_MS 3600000u
#define CLI_CALL_MS     30000u /* the agent's loop never blocks; a loaded host may still be slow */

/* Zeroed memory is a valid, unconnected one. Several, of several hosts, may be connected at once. */
struct cli_agent {
    struct pi_paths paths; /* of this host */
    struct cli_host host;  /* whose agent it is */
    struct api_client *client;
    /* An agent that this command starts ends with it, and so do its QEMUs. They are deaf to the signals of a scheduler
     * that asks all processes of a job to end: the command alone decides how that is done. */
    bool bound;
};

/*
 * Starting an agent: a lock in the runtime folder decides races; the new agent says "ok" (or why not, as an
 * api_error) on the descriptor that --ready-fd names; its output goes to STATE/agent.log. Failures are
 * PI_AGENT, or what the agent said.
 */
int cli_connect(struct cli_agent *ret, struct pi_error *err);

/* The same for the agent of the host that the URL names (remote_host.h); NULL = of this host. cli_connect() takes the
 * host of --host or PIAGENT_HOST. */
int cli_connect_to(const char *url, struct cli_agent *ret, struct pi_error *err);

/* The same without starting an agent: PI_AGENT if none listens, -ETIMEDOUT if one listens and does not
 * answer. */
int cli_connect_running(struct cli_agent *ret, struct pi_error *err);

/* A client that has not asked for an answer yet. */
int cli_connect_prepare(struct cli_agent *ret, struct pi_error *err);

/* The process that holds the agent's lock, even if it does not answer; 0 if none does. */
pid_t cli_agent_process(const struct pi_paths *paths);

/* True if the last agent was told to stop (API_LOCK_STOPPED), and no other has started since. */
bool cli_agent_was_stopped(const struct pi_paths *paths);

/* Refuses (PI_AGENT) to go on without the socket of an agent that lives, which somebody took away. */
int cli_refuse_lost(const struct pi_paths *paths, pid_t pid, struct pi_error *err);

/* Starts an agent again if the one that agent is connected to has died; connects again to another host. PI_AGENT if
 * somebody has stopped the agent of another host. */
int cli_reconnect(struct cli_agent *agent, struct pi_error *err);

/* After a request failed with err: connects anew to an agent that had died or could not be reached, and tells if the request
 * may be sent again. An agent that somebody has stopped is left alone. */
bool cli_may_ask_again(struct cli_agent *agent, struct pi_error *err);

void cli_agent_done(struct cli_agent *agent);
#define pi_auto_agent __attribute__((cleanup(cli_agent_done)))

/* Asks the agent about itself and its host. Free *ret with api_done(agent, ret). */
int cli_get_agent(struct cli_agent *agent, struct api_agent *ret, struct pi_error *err);

/* One request about an instance: METHOD /v1/instances/NAME[/what]. body and ret may be NULL; body is
 * borrowed. Refuses text that cannot be a name. */
int cli_call(struct cli_agent *agent, const char *method, const char *name, const char *what,
             const json_t *body, json_t **ret, struct pi_error *err);

/* The same about its snapshots: METHOD /v1/instances/NAME/snapshots[/what]. The agent may have to copy a disk first. */
int cli_call_snapshots(struct cli_agent *agent, const char *method, const char *name, const char *what,
                       const json_t *body, json_t **ret, struct pi_error *err);

/* The same about the networks (name NULL), or one: METHOD /v1/networks[/NAME]. */
int cli_call_networks(struct cli_agent *agent, const char *method, const char *name, const json_t *body,
                      json_t **ret, struct pi_error *err);

/* GETs an answer that is long or has no end: data gets its bytes as they come. A negative return of data ends
 * the request; it is then the result, and the message is "cannot write the output". */
int cli_stream(struct cli_agent *agent, const char *path,
               int (*data)(const char *bytes, size_t size, void *user), void *user, struct pi_error *err);

/* The instance as the agent has it. Free it with api_done(instance, ret). PI_NOT_FOUND also for one that was ephemeral and has
 * ended. */
int cli_get_instance(struct cli_agent *agent, const char *name, struct api_instance *ret,
                     struct pi_error *err);
int cli_refuse_removed(const struct api_instance *instance, struct pi_error *err);

/* For whoever follows an instance: also how an ephemeral one has ended, but PI_NOT_FOUND if another instance has its name now.
 * uuid is that of the one that is meant; "" = any. */
int cli_get_same_instance(struct cli_agent *agent, const char *name, const char *uuid,
                          struct api_instance *ret, struct pi_error *err);

/* Asks for a new instance by a body of POST /v1/instances; *ret is it, with no event known yet. Free it with
 * api_done(instance, ret). */
int cli_create_instance(struct cli_agent *agent, const json_t *body, struct api_instance *ret,
                        struct pi_error *err);

/* This program by its path, so that a list of processes shows its name; by the kernel's link if the file was
 * replaced since (an upgrade). */
void cli_own_program(char ret[PATH_MAX]);

static inline void cli_instance_done(struct api_instance *instance)
{
    api_done(instance, instance);
}
#define pi_auto_instance __attribute__((cleanup(cli_instance_done)))

#endif
