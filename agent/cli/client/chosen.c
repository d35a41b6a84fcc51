/* SPDX-License-Identifier: MIT */
#include "agent/cli/client/chosen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"

static int make_room(struct cli_chosen *ret, size_t count, struct pi_error *err)
{
    ret->items = calloc(count + 1, sizeof *ret->items);
    return ret->items ? 0 : pi_fail(err, ENOMEM, "instances");
}

static bool is_there_before(char *const *operands, unsigned at)
{
    for (unsigned i = 0; i < at; i++)
        if (!strcmp(operands[i], operands[at]))
            return true;
    return false;
}

int cli_choose_named(struct cli_agent *agent, const struct cli_call *call, struct cli_chosen *ret,
                     struct pi_error *err)
{
    int r = make_room(ret, call->count, err);
    for (unsigned i = 0; r == 0 && i < call->count; i++) {
        if (is_there_before(call->operands, i))
            continue;
        r = cli_get_instance(agent, call->operands[i], &ret->items[ret->count], err);
        ret->count += r == 0;
    }
    return r;
}

int cli_choose_all(struct cli_agent *agent, bool (*fits)(enum vm_state state), struct cli_chosen *ret,
                   struct pi_error *err)
{
    json_auto_t *reply = NULL;
    const json_t *object;
    size_t i;
    int r = api_client_call(agent->client, "GET", "/v1/instances", NULL, CLI_CALL_MS, &reply, err);
    const json_t *list = json_object_get(reply, "instances");
    if (r == 0)
        r = make_room(ret, json_array_size(list), err);
    if (r < 0)
        return r;
    json_array_foreach(list, i, object) {
        struct api_instance *instance = &ret->items[ret->count];
        if ((r = api_read(instance, object, instance, err)) < 0) {
            api_done(instance, instance);
            return pi_context(err, r, "the agent's answer");
        }
        if (!fits || fits(instance->state))
            ret->count++;
        else
            api_done(instance, instance);
    }
    return 0;
}

void cli_chosen_done(struct cli_chosen *chosen)
{
    for (size_t i = 0; i < chosen->count; i++)
        api_done(instance, &chosen->items[i]);
    free(chosen->items);
    *chosen = (struct cli_chosen){0};
}
