/* SPDX-License-Identifier: MIT */
#include "agent/daemon/fleets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/daemon/agent.h"
#include "agent/instance/peers.h"

/* A call that is answered when the file is written. */
struct telling {
    struct agent *agent;
    struct api_call *call;
    char secret[FLEETS_SECRET_DIGITS + 1];
};

static void telling_free(struct telling *telling)
{
    explicit_bzero(telling, sizeof *telling);
    free(telling);
}

/* If the agent ends meanwhile, its server has answered. */
static void on_told(int result, const struct pi_error *err, void *user)
{
    struct telling *telling = user;
    if (telling->agent->api && result < 0)
        api_reply_error(telling->call, err);
    else if (telling->agent->api)
        api_reply(telling->call, 200, json_pack("{s:s}", "join_secret", telling->secret));
    telling_free(telling);
}

/* Takes the fleet's own secret if the request has none. */
static int tell_elsewhere(struct agent *agent, const char *name, const struct api_fleet_elsewhere *request,
                          struct telling *telling, struct pi_error *err)
{
    const char *own = peers_secret(&agent->host, name);
    if (!own)
        return pi_refuse(err, PI_NOT_FOUND, "no instance is of a fleet named %.64s", name);
    const char *secret = request->join_secret ? request->join_secret : own;
    snprintf(telling->secret, sizeof telling->secret, "%s", secret);
    return fleets_file_tell(&agent->host.fleets, name, request->peers, secret, on_told, telling, err);
}

void fleets_tell(struct agent *agent, const char *name, struct api_call *call)
{
    struct api_fleet_elsewhere request = {0};
    struct pi_error err;
    struct telling *telling = malloc(sizeof *telling);
    json_auto_t *body = api_call_json(call, &err);
    int r = !body     ? -EINVAL
            : telling ? pi_fields_read(api_fleet_elsewhere_fields, body, false, &request, &err)
                      : pi_fail(&err, ENOMEM, "the fleet %.64s", name);
    if (r == 0) {
        *telling = (struct telling){.agent = agent, .call = call};
        r = tell_elsewhere(agent, name, &request, telling, &err);
    }
    if (r < 0) {
        free(telling);
        api_reply_error(call, &err);
    }
    pi_fields_done(api_fleet_elsewhere_fields, &request);
}
