/* SPDX-License-Identifier: MIT */
#include "agent/daemon/networks.h"

#include <errno.h>
#include <stdlib.h>

#include "agent/base/auto.h"
#include "agent/daemon/agent.h"
#include "agent/instance/membership.h"

/* A call that is answered later. */
struct waiting {
    struct agent *agent;
    struct lan *lan;
    struct api_call *call;
};

/* NULL, and the call is answered, without memory. */
static struct waiting *wait_with(struct agent *agent, struct lan *lan, struct api_call *call)
{
    struct waiting *waiting = malloc(sizeof *waiting);
    struct pi_error err;
    if (waiting) {
        *waiting = (struct waiting){agent, lan, call};
    } else {
        pi_fail(&err, ENOMEM, "networks");
        api_reply_error(call, &err);
    }
    return waiting;
}

void networks_list(struct agent *agent, struct api_call *call)
{
    json_t *list = json_array();
    const struct lan *lan;
    LIST_FOREACH(lan, &agent->host.lans.list, entry)
        if (!lan->hidden)
            json_array_append_new(list, membership_view(&agent->host, lan, NULL));
    api_reply(call, 200, json_pack("{s:o}", "networks", list));
}

/* If the agent ends meanwhile, its server has answered. */
static void on_written(struct lan *lan, int result, const struct pi_error *err, void *user)
{
    pi_auto_free struct waiting *waiting = user;
    if (!waiting->agent->api)
        return;
    if (result < 0)
        api_reply_error(waiting->call, err);
    else
        api_reply(waiting->call, 200, membership_view(&waiting->agent->host, lan, NULL));
}

static void on_removed_network(struct lan *lan, int result, const struct pi_error *err, void *user)
{
    pi_auto_free struct waiting *waiting = user;
    (void)lan;
    if (!waiting->agent->api)
        return;
    if (result < 0)
        api_reply_error(waiting->call, err);
    else
        api_reply(waiting->call, 200, json_object());
}

void networks_create(struct agent *agent, struct api_call *call)
{
    struct api_network request = {0};
    struct pi_error err;
    json_auto_t *body = api_call_json(call, &err);
    struct waiting *waiting = wait_with(agent, NULL, call);
    if (!waiting)
        return;
    int r = body ? pi_fields_read(api_new_network_fields, body, false, &request, &err) : -EINVAL;
    if (r == 0)
        r = lan_create(&agent->host.lans, request.name, request.subnet, on_written, waiting, &err);
    if (r < 0) {
        free(waiting);
        api_reply_error(call, &err);
    }
    pi_fields_done(api_new_network_fields, &request);
}

static void on_counted(const json_t *counters, void *user)
{
    pi_auto_free struct waiting *waiting = user;
    if (waiting->agent->api)
        api_reply(waiting->call, 200, membership_view(&waiting->agent->host, waiting->lan, counters));
}

void networks_get(struct agent *agent, struct lan *lan, struct api_call *call)
{
    struct waiting *waiting = wait_with(agent, lan, call);
    if (waiting)
        lan_switch_count(lan, on_counted, waiting);
}

void networks_delete(struct agent *agent, struct lan *lan, struct api_call *call)
{
    struct pi_error err;
    if (membership_refuse_any(&agent->host, lan, &err) < 0) {
        api_reply_error(call, &err);
        return;
    }
    struct waiting *waiting = wait_with(agent, lan, call);
    if (waiting)
        lan_remove(lan, on_removed_network, waiting);
}

static void change_links(struct agent *agent, struct lan *lan, struct api_call *call, bool link)
{
    struct api_network_link request = {0};
    struct pi_error err;
    json_auto_t *body = api_call_json(call, &err);
    struct waiting *waiting = wait_with(agent, lan, call);
    if (!waiting)
        return;
    int r = body ? pi_fields_read(api_network_link_fields, body, false, &request, &err) : -EINVAL;
    if (r == 0)
        r = lan_change_links(lan, request.host, link, on_written, waiting, &err);
    if (r < 0) {
        free(waiting);
        api_reply_error(call, &err);
    }
    pi_fields_done(api_network_link_fields, &request);
}

void networks_link(struct agent *agent, struct lan *lan, struct api_call *call)
{
    change_links(agent, lan, call, true);
}

void networks_unlink(struct agent *agent, struct lan *lan, struct api_call *call)
{
    change_links(agent, lan, call, false);
}
