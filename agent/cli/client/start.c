/* SPDX-License-Identifier: MIT */
#include "agent/cli/client/start.h"

#include <errno.h>

#include "agent/base/auto.h"

int cli_start_one(struct cli_agent *agent, struct api_instance *instance, bool cold, struct pi_error *err)
{
    json_auto_t *reply = NULL, *body = api_write(start, &(struct api_start){.cold = cold});
    if (!body)
        return pi_fail(err, ENOMEM, "start");
    int r = cli_call(agent, "POST", instance->name, "start", body, &reply, err);
    if (r < 0)
        return r;
    api_done(instance, instance);
    r = api_read(instance, reply, instance, err);
    return r < 0 ? pi_context(err, r, "the agent's answer") : 0;
}
