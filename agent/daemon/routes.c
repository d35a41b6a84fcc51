/* SPDX-License-Identifier: MIT */
#include "agent/daemon/routes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/api/control_server.h"
#include "agent/api/operations.h"
#include "agent/base/auto.h"
#include "agent/daemon/agent.h"
#include "agent/daemon/handlers.h"
#include "agent/instance/instance.h"

/* The nearest path, with its {name}; NULL if there is none. */
static const char *nearest_path(const char *path)
{
    static const char *const parents[] = {"/v1/instances/", "/v1/networks/", "/v1/fleets/"};
    const char *paths[API_OPERATIONS + 1] = {0};
    char shape[160];
    for (size_t i = 0; i < API_OPERATIONS; i++)
        paths[i] = api_operations[i].path;
    for (size_t i = 0; i < PI_ARRAY_SIZE(parents); i++) {
        if (!pi_starts_with(path, parents[i]))
            continue;
        const char *rest = strchr(path + strlen(parents[i]), '/');
        snprintf(shape, sizeof shape, "%s{name}%s", parents[i], rest ? rest : "");
        return pi_nearest(shape, paths);
    }
    return pi_nearest(path, paths);
}

static void refuse_path(struct api_call *call)
{
    struct pi_error err;
    const char *nearest = nearest_path(api_call_path(call));
    pi_refuse(
        &err, PI_NOT_FOUND, "the control API has no %.16s %.128s%s%s: GET /v1/openapi.json lists its paths",
        api_call_method(call), api_call_path(call), nearest ? ": did you mean " : "", nearest ? nearest : "");
    api_reply_error(call, &err);
}

static void refuse_method(struct api_call *call, const char *allow)
{
    struct pi_error err;
    pi_refuse(&err, PI_USAGE, "%.128s takes %s, not %.16s", api_call_path(call), allow,
              api_call_method(call));
    api_reply_not_allowed(call, allow, &err);
}

struct query_check {
    const struct api_query *known;
    struct pi_error *err;
};

static int check_parameter(const char *name, const char *value, void *user)
{
    const struct query_check *check = user;
    uint64_t number;
    for (const struct api_query *q = check->known; q && q->name; q++)
        if (!strcmp(q->name, name)) {
            int r = pi_number_parse(value ? value : "", 0, q->max, &number, check->err);
            return r < 0 ? pi_context(check->err, r, "the query's '%s'", name) : 0;
        }
    return pi_refuse(check->err, PI_USAGE, "the query's '%.64s' is not known here", name);
}

static int check_query(const struct api_operation *operation, struct api_call *call, struct pi_error *err)
{
    struct query_check check = {operation->queries, err};
    return api_call_each_query(call, check_parameter, &check);
}

/* what, and the command that lists all of them. */
static void refuse_name(struct api_call *call, const char *what, const char *command, const char *name,
                        const struct pi_strv *names)
{
    struct pi_error err;
    char clean[PI_NAME_MAX + 1];
    char otherwise[64], suggestion[PI_SUGGESTION_SIZE];
    snprintf(otherwise, sizeof otherwise, "%s lists them", command);
    pi_text_clean(name, strlen(name), clean, sizeof clean);
    pi_refuse(&err, PI_NOT_FOUND, "there is no %s named %s: %s", what, clean,
              names->items ? pi_suggest(name, (const char *const *)names->items, otherwise, suggestion)
                           : otherwise);
    api_reply_error(call, &err);
}

/* A template can do almost nothing that a request asks for: none is suggested. */
static void refuse_instance(const struct agent *agent, struct api_call *call, const char *name)
{
    pi_auto_strv struct pi_strv names = {0};
    const struct instance *instance;
    LIST_FOREACH(instance, &agent->host.instances, entry)
        if (!vm_life_is_gone(&instance->record.life) && !instance->record.spec.template)
            pi_strv_add(&names, instance->record.spec.name);
    refuse_name(call, "instance", "piagent ps -a", name, &names);
}

static void refuse_network(const struct agent *agent, struct api_call *call, const char *name)
{
    pi_auto_strv struct pi_strv names = {0};
    const struct lan *lan;
    LIST_FOREACH(lan, &agent->host.lans.list, entry)
        if (!lan->hidden)
            pi_strv_add(&names, lan->name);
    refuse_name(call, "network", "piagent network ls", name, &names);
}

static void run_on_network(struct agent *agent, struct api_call *call, enum api_operation_id id,
                           const char *name)
{
    struct lan *lan = lans_find(&agent->host.lans, name);
    if (lan)
        agent_handlers[id].network(agent, lan, call);
    else
        refuse_network(agent, call, name);
}

/* Of a failed creation only the events tell. An ephemeral instance that has ended can also be looked at: whoever followed it
 * wants to know how it ended. */
static bool is_told_of(const struct instance *instance, enum api_operation_id id)
{
    const struct vm_life *life = &instance->record.life;
    bool reads = id == API_GET_INSTANCE || id == API_GET_CONSOLE;
    return !vm_life_is_gone(life) || id == API_GET_EVENTS || (reads && life->state != VM_CREATED);
}

static void run_on_instance(struct agent *agent, struct api_call *call, enum api_operation_id id,
                            const char *name)
{
    struct instance *instance = host_find(&agent->host, name, true);
    if (!instance || !is_told_of(instance, id))
        refuse_instance(agent, call, name);
    else if (!agent_handlers[id].asks_qemu || !monitor_await(instance, call, agent_handlers[id].instance))
        agent_handlers[id].instance(instance, call);
}

/* Refuses members in the body of an operation that takes none. The other operations read theirs. */
static int check_body(const struct api_operation *operation, const struct api_call *call,
                      struct pi_error *err)
{
    if (!operation->request || operation->request->fields[0].key)
        return 0;
    json_auto_t *body = api_call_json(call, err);
    return body ? pi_fields_read(operation->request->fields, body, false, NULL, err) : -EINVAL;
}

static void run_operation(struct agent *agent, struct api_call *call, enum api_operation_id id,
                          const char *name)
{
    struct pi_error err;
    const struct api_operation *operation = &api_operations[id];
    if (check_query(operation, call, &err) < 0 || check_body(operation, call, &err) < 0) {
        api_reply_error(call, &err);
        return;
    }
    if (agent_handlers[id].agent)
        agent_handlers[id].agent(agent, call);
    else if (agent_handlers[id].network)
        run_on_network(agent, call, id, name);
    else if (agent_handlers[id].fleet)
        agent_handlers[id].fleet(agent, name, call);
    else
        run_on_instance(agent, call, id, name);
}

/* HEAD is answered like GET; the server leaves the body out. */
static bool method_fits(const char *method, const char *asked)
{
    return !strcmp(method, asked) || (!strcmp(asked, "HEAD") && !strcmp(method, "GET"));
}

void agent_route(struct api_call *call, void *user)
{
    char name[PI_NAME_MAX + 2], allow[64] = "";
    for (int id = 0; id < API_OPERATIONS; id++) {
        const struct api_operation *operation = &api_operations[id];
        if (!api_path_match(operation->path, api_call_path(call), name, sizeof name))
            continue;
        if (method_fits(operation->method, api_call_method(call))) {
            run_operation(user, call, (enum api_operation_id)id, name);
            return;
        }
        size_t used = strlen(allow);
        snprintf(allow + used, sizeof allow - used, "%s%s", used ? ", " : "", operation->method);
    }
    if (allow[0])
        refuse_method(call, allow);
    else
        refuse_path(call);
}
