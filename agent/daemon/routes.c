/* The control API's paths (api/types.h) and what the agent does for each. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/daemon/instance.h"

#define INSTANCES "/v1/instances"

static void get_agent(struct agent *agent, struct api_call *call)
{
    struct api_agent view = {.version = (char *)PIAGENT_VERSION,
                             .pid = (uint64_t)getpid(),
                             .imds_port = agent->imds_port,
                             .started_ms = agent->started_ms,
                             .running = agent_running(agent),
                             .state_folder = agent->paths.state};
    const struct instance *instance;
    LIST_FOREACH(instance, &agent->instances, entry)
    view.instances += !instance->ghost;
    api_reply(call, 200, api_write(agent, &view));
}

static void stop_agent(struct agent *agent, struct api_call *call)
{
    agent_log("asked to stop: guests run on");
    api_reply(call, 200, json_object());
    uv_stop(&agent->loop);
}

static uint64_t query_number(struct api_call *call, const char *name, uint64_t otherwise)
{
    uint64_t value = otherwise;
    const char *text = api_call_query(call, name);
    if (text && pi_number_parse(text, 0, INT64_MAX, &value, NULL) < 0)
        value = otherwise;
    return value;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct instance *const *)a)->record.spec.name,
                  (*(struct instance *const *)b)->record.spec.name);
}

static void list_instances(struct agent *agent, struct api_call *call)
{
    json_t *(*view)(const struct instance *) =
        query_number(call, "summary", 0) ? instance_summary : instance_view;
    json_t *list = json_array();
    size_t count = 0, i = 0;
    struct instance *instance;
    LIST_FOREACH(instance, &agent->instances, entry)
    count++;
    pi_auto_free struct instance **sorted = calloc(count + 1, sizeof *sorted);
    LIST_FOREACH(instance, &agent->instances, entry)
    if (sorted && !instance->ghost)
        sorted[i++] = instance;
    if (i)
        qsort(sorted, i, sizeof *sorted, by_name);
    for (size_t k = 0; k < i; k++)
        json_array_append_new(list, view(sorted[k]));
    api_reply(call, 200, json_pack("{s:o}", "instances", list));
}

static void create_instance(struct agent *agent, struct api_call *call)
{
    struct api_create request = {0};
    struct instance *instance;
    struct pi_error err;
    json_auto_t *body = api_call_json(call, &err);
    int r = body ? pi_fields_read(api_create_fields, body, false, &request, &err) : -EINVAL;
    if (r == 0)
        r = instance_create(agent, &request, &instance, &err);
    if (r < 0)
        api_reply_error(call, &err);
    else
        api_reply(call, 202, instance_view(instance));
    api_done(create, &request);
}

static void reply_view(struct instance *instance, struct api_call *call, unsigned status)
{
    api_reply(call, status, instance_view(instance));
}

static void get_instance(struct instance *instance, struct api_call *call)
{
    reply_view(instance, call, 200);
}

static void delete_instance(struct instance *instance, struct api_call *call)
{
    struct pi_error err;
    const char *name = instance->record.spec.name;
    int r;
    if (vm_state_is_live((enum vm_state)instance->record.state))
        r = pi_refuse(&err, PI_CONFLICT, "%s is %s: piagent powerdown %s first, or piagent rm --force %s",
                      name, vm_state_names[instance->record.state], name, name);
    else
        r = instance_remove(instance, &err);
    if (r < 0)
        api_reply_error(call, &err);
    else
        api_reply(call, 200, json_object());
}

static void request(struct instance *instance, struct api_call *call, enum vm_event_type type)
{
    struct pi_error err;
    if (instance->broken) {
        pi_refuse(&err, PI_CONFLICT, "%s: %s", instance->record.spec.name, instance->record.reason);
        api_reply_error(call, &err);
    } else if (instance->worker) {
        pi_refuse(&err, PI_CONFLICT, "%s is being created: wait, or undo it with: piagent rm %s",
                  instance->record.spec.name, instance->record.spec.name);
        api_reply_error(call, &err);
    } else if (instance_request(instance, type, &err) < 0) {
        api_reply_error(call, &err);
    } else {
        reply_view(instance, call, 202);
    }
}

static void start(struct instance *instance, struct api_call *call)
{
    struct pi_error err;
    bool stands = !instance->broken && !vm_state_is_live((enum vm_state)instance->record.state);
    if (stands && instance_check_image(instance, &err) < 0)
        api_reply_error(call, &err);
    else
        request(instance, call, VM_EVENT_START);
}

/* The times of a stop are those that it began with. */
static void stop(struct instance *instance, struct api_call *call, enum vm_event_type type)
{
    struct api_stop stop = {0};
    struct pi_error err;
    json_auto_t *body = api_call_json(call, &err);
    if (!body || pi_fields_read(api_stop_fields, body, false, &stop, &err) < 0) {
        api_reply_error(call, &err);
        return;
    }
    if (instance->record.state != VM_STOPPING) {
        instance->record.powerdown_ms = stop.timeout_ms;
        instance->record.step_ms = stop.step_ms;
    }
    request(instance, call, type);
}

static void kill_(struct instance *instance, struct api_call *call)
{
    stop(instance, call, VM_EVENT_KILL);
}

static void powerdown(struct instance *instance, struct api_call *call)
{
    stop(instance, call, VM_EVENT_POWERDOWN);
}

/* A request that is answered when QEMU has answered. */
struct pending {
    struct instance *instance;
    struct api_call *call;
};

static void on_answered(int result, const json_t *data, const char *why, void *user)
{
    struct pending *pending = user;
    struct pi_error err;
    (void)data;
    if (result < 0) {
        pi_refuse(&err, result == -ETIMEDOUT ? PI_TIMEOUT : PI_FAILED, "%s: QEMU did not do it: %s",
                  pending->instance->record.spec.name, why);
        api_reply_error(pending->call, &err);
    } else {
        reply_view(pending->instance, pending->call, 200);
    }
    instance_unref(pending->instance);
    free(pending);
}

static void ask_qemu(struct instance *instance, struct api_call *call, enum qmp_command command,
                     const char *what, bool allowed)
{
    struct pi_error err;
    struct pending *pending = NULL;
    const char *name = instance->record.spec.name;
    if (!allowed || !instance_has_monitor(instance)) {
        if (!allowed)
            pi_refuse(&err, PI_CONFLICT, "%s is %s: it cannot be %s now", name,
                      vm_state_names[instance->record.state], what);
        else
            pi_refuse(&err, PI_FAILED,
                      "%s: QEMU's monitor cannot be asked now: try again, or end it with: piagent kill %s",
                      name, name);
        api_reply_error(call, &err);
        return;
    }
    if ((pending = malloc(sizeof *pending))) {
        *pending = (struct pending){.instance = instance, .call = call};
        instance_ref(instance);
        if (qmp_link_execute(instance->qmp, command, INSTANCE_QMP_MS, on_answered, pending) == 0)
            return;
        instance_unref(instance);
        free(pending);
    }
    pi_refuse(&err, PI_FAILED, "%s: QEMU takes no more requests now: try again", name);
    api_reply_error(call, &err);
}

static bool runs(const struct instance *instance)
{
    return instance->record.state == VM_RUNNING || instance->record.state == VM_READY;
}

static void reset(struct instance *instance, struct api_call *call)
{
    ask_qemu(instance, call, QMP_SYSTEM_RESET, "reset",
             runs(instance) || instance->record.state == VM_PAUSED);
}

static void pause_(struct instance *instance, struct api_call *call)
{
    ask_qemu(instance, call, QMP_STOP, "paused", runs(instance));
}

static void resume(struct instance *instance, struct api_call *call)
{
    ask_qemu(instance, call, QMP_CONT, "resumed", instance->record.state == VM_PAUSED);
}

static void stream(struct api_call *call, int r, const struct api_stream *source, const struct pi_error *err)
{
    if (r < 0)
        api_reply_error(call, err);
    else
        api_reply_stream(call, source);
}

static void get_events(struct instance *instance, struct api_call *call)
{
    struct api_stream source;
    struct pi_error err;
    stream(call,
           journal_stream(instance, query_number(call, "since", 0), query_number(call, "follow", 0), &source,
                          &err),
           &source, &err);
}

static void get_console(struct instance *instance, struct api_call *call)
{
    struct api_stream source;
    struct pi_error err;
    stream(call,
           console_stream(instance, query_number(call, "tail", UINT64_MAX), query_number(call, "follow", 0),
                          &source, &err),
           &source, &err);
}

static void post_console(struct instance *instance, struct api_call *call)
{
    const struct pi_buf *body = api_call_body(call);
    struct pi_error err;
    int r = 0;
    if (!instance->console)
        r = pi_refuse(&err, PI_CONFLICT, "%s is %s: there is no console to type into",
                      instance->record.spec.name, vm_state_names[instance->record.state]);
    else if (body->size && console_type(instance->console, body->data, body->size) < 0)
        r = pi_refuse(&err, PI_CONFLICT, "%s does not read its console: what was typed is dropped",
                      instance->record.spec.name);
    if (r < 0)
        api_reply_error(call, &err);
    else
        api_reply(call, 200, json_object());
}

static void get_qemu_command(struct instance *instance, struct api_call *call)
{
    struct pi_error err;
    pi_auto_strv struct pi_strv argv = {0};
    if (instance->broken)
        pi_refuse(&err, PI_CONFLICT, "%s: %s", instance->record.spec.name, instance->record.reason);
    if (instance->broken || instance_argv(instance, &argv, &err) < 0) {
        api_reply_error(call, &err);
        return;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < argv.count; i++)
        json_array_append_new(list, json_string(argv.items[i]));
    api_reply(call, 200, json_pack("{s:o}", "argv", list));
}

static const struct {
    const char *method, *path;
    void (*handle)(struct agent *agent, struct api_call *call);
} agent_routes[] = {
    {"GET", "/v1/agent", get_agent},
    {"POST", "/v1/agent/stop", stop_agent},
    {"GET", INSTANCES, list_instances},
    {"POST", INSTANCES, create_instance},
};

static const struct {
    const char *method, *verb;
    void (*handle)(struct instance *instance, struct api_call *call);
} instance_routes[] = {
    {"GET", "", get_instance},         {"DELETE", "", delete_instance},
    {"POST", "start", start},          {"POST", "powerdown", powerdown},
    {"POST", "kill", kill_},           {"POST", "reset", reset},
    {"POST", "pause", pause_},         {"POST", "resume", resume},
    {"GET", "events", get_events},     {"GET", "console", get_console},
    {"POST", "console", post_console}, {"GET", "qemu-command", get_qemu_command},
};

static void refuse_path(struct api_call *call)
{
    struct pi_error err;
    pi_refuse(&err, PI_NOT_FOUND, "the control API has no %.16s %.128s", api_call_method(call),
              api_call_path(call));
    api_reply_error(call, &err);
}

static void refuse_name(struct agent *agent, struct api_call *call, const char *name)
{
    struct pi_error err;
    pi_auto_strv struct pi_strv names = {0};
    char clean[PI_NAME_MAX + 1];
    const struct instance *instance;
    LIST_FOREACH(instance, &agent->instances, entry)
    if (!instance->ghost)
        pi_strv_add(&names, instance->record.spec.name);
    const char *nearest = names.items ? pi_nearest(name, (const char *const *)names.items) : NULL;
    pi_text_clean(name, strlen(name), clean, sizeof clean);
    if (nearest)
        pi_refuse(&err, PI_NOT_FOUND, "there is no machine named %s: did you mean %s?", clean, nearest);
    else
        pi_refuse(&err, PI_NOT_FOUND, "there is no machine named %s: piagent ps lists them", clean);
    api_reply_error(call, &err);
}

static void route_instance(struct agent *agent, struct api_call *call, const char *rest)
{
    char name[PI_NAME_MAX + 2];
    size_t length = strcspn(rest, "/");
    snprintf(name, sizeof name, "%.*s", (int)length, rest);
    const char *verb = rest[length] ? rest + length + 1 : "";
    for (size_t i = 0; i < PI_ARRAY_SIZE(instance_routes); i++) {
        if (strcmp(instance_routes[i].method, api_call_method(call)) != 0 ||
            strcmp(instance_routes[i].verb, verb) != 0)
            continue;
        struct instance *instance = agent_find(agent, name, !strcmp(verb, "events"));
        if (instance)
            instance_routes[i].handle(instance, call);
        else
            refuse_name(agent, call, name);
        return;
    }
    refuse_path(call);
}

void agent_route(struct api_call *call, void *user)
{
    const char *path = api_call_path(call);
    for (size_t i = 0; i < PI_ARRAY_SIZE(agent_routes); i++) {
        if (!strcmp(agent_routes[i].method, api_call_method(call)) && !strcmp(agent_routes[i].path, path)) {
            agent_routes[i].handle(user, call);
            return;
        }
    }
    if (pi_starts_with(path, INSTANCES "/"))
        route_instance(user, call, path + strlen(INSTANCES "/"));
    else
        refuse_path(call);
}
