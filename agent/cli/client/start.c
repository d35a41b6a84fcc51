/* SPDX-License-Identifier: MIT */
#include "agent/cli/client/start.h"

#include <stdio.h>

#include "agent/base/auto.h"
#include "agent/cli/terminal/error_report.h"

int cli_start_one(struct cli_agent *agent, struct api_instance *instance, struct pi_error *err)
{
    json_auto_t *reply = NULL;
    int r = cli_call(agent, "POST", instance->name, "start", NULL, &reply, err);
    if (r < 0)
        return r;
    api_done(instance, instance);
    r = api_read(instance, reply, instance, err);
    return r < 0 ? pi_context(err, r, "the agent's answer") : 0;
}

int cli_start_all(struct cli_agent *agent, struct cli_chosen *chosen, const struct cli_wait *how,
                  struct pi_error *err)
{
    unsigned started = 0;
    int code = PI_OK, r;
    for (size_t i = 0; i < chosen->count; i++) {
        struct api_instance *instance = &chosen->items[i], other;
        if (!instance->name)
            continue;
        r = cli_start_one(agent, instance, err);
        if (r < 0 && chosen->count == 1)
            return r;
        r = r >= 0 ? PI_OK : how->json ? cli_report_json(err) : cli_report(err);
        code = code ? code : r;
        if (r != PI_OK)
            continue;
        if (instance->already && !how->json)
            fprintf(stderr, "%s is %s already\n", instance->name, api_state_word(instance));
        other = chosen->items[started];
        chosen->items[started++] = *instance;
        *instance = other;
    }
    r = started ? cli_wait(how, agent, chosen->items, started, err) : PI_OK;
    return r < 0 || !code ? r : code;
}
