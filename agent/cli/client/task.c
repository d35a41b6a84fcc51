/* SPDX-License-Identifier: MIT */
#include "agent/cli/client/task.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/failure.h"
#include "agent/cli/client/instance_follow.h"
#include "agent/cli/client/outcome.h"
#include "agent/cli/terminal/error_report.h"
#include "agent/cli/terminal/host_hint.h"
#include "agent/cli/terminal/table.h"

void cli_task_done(struct cli_task *task)
{
    cli_chosen_done(&task->chosen);
    json_decref(task->results);
    cli_agent_done(&task->agent);
}

static int make_results(struct cli_task *task, bool json, struct pi_error *err)
{
    if (json && !(task->results = json_array()))
        return pi_fail(err, ENOMEM, "results");
    for (size_t i = 0; json && i < task->chosen.count; i++)
        json_array_append_new(task->results, json_pack("{s:s}", "name", task->chosen.items[i].name));
    return 0;
}

int cli_task_begin(struct cli_task *task, const struct cli_call *call, const struct cli_selection *selection,
                   enum cli_kind kind, bool json, struct pi_error *err)
{
    int r = cli_connect(&task->agent, err);
    if (r == 0)
        r = cli_choose(&task->agent, call, selection, kind, &task->chosen, err);
    if (r == 0 && !task->chosen.count && !json && !task->events)
        fprintf(stderr, "%s\n", cli_none_of(kind));
    return r < 0 ? r : make_results(task, json, err);
}

int cli_task_end(const struct cli_task *task, int code, struct pi_error *err)
{
    if (code < 0 || !task->results)
        return code;
    json_auto_t *shown = json_pack("{s:O}", "machines", task->results);
    int r = shown ? cli_json_print(shown, err) : pi_fail(err, ENOMEM, "results");
    return r < 0 ? r : code;
}

json_t *cli_task_result(struct cli_task *task, const struct api_instance *instance)
{
    return json_array_get(task->results, (size_t)(instance - task->chosen.items));
}

int cli_task_each(struct cli_task *task, cli_act_fn *act)
{
    int code = PI_OK;
    for (size_t i = 0; i < task->chosen.count; i++) {
        struct api_instance *instance = &task->chosen.items[i];
        struct pi_error err = {0};
        int r = instance->name ? act(task, instance, &err) : 0;
        if (r > 0)
            return r;
        if (r == 0)
            continue;
        int failed = task->results ? (int)err.kind : task->events ? cli_report_json(&err) : cli_report(&err);
        if (task->results)
            json_object_set_new(cli_task_result(task, instance), "error", pi_failure_write(&err));
        code = code ? code : failed;
        api_done(instance, instance);
    }
    return code;
}

int cli_task_post(struct cli_task *task, struct api_instance *instance, struct pi_error *err)
{
    json_auto_t *reply = NULL;
    int r = cli_call(&task->agent, "POST", instance->name, task->request, task->body, &reply, err);
    if (r < 0 || !json_is_true(json_object_get(reply, "already")))
        return r;
    api_done(instance, instance);
    r = api_read(instance, reply, instance, err);
    return r < 0 ? pi_context(err, r, "the agent's answer") : 0;
}

/* A request that has nothing left to do. */
static void tell_already(const char *request, const struct api_instance *instance)
{
    const char *name = instance->name;
    bool stops = !strcmp(request, "powerdown") || !strcmp(request, "kill");
    if (!strcmp(request, "reseed"))
        fprintf(stderr, "%s is served the seed of its first boot already\n", name);
    else if (stops && instance->spec.template)
        cli_note("%s is a template, and does not run: piagent template rm %s removes it", name, name);
    else if (stops && instance->state == VM_SAVED)
        cli_note("%s does not run: its state is saved, and stays; piagent start --cold %s drops it", name,
                 name);
    else
        fprintf(stderr, "%s is %s already\n", name, api_state_word(instance));
}

int cli_task_request(struct cli_task *task, struct api_instance *instance, struct pi_error *err)
{
    int r = cli_task_post(task, instance, err);
    if (r < 0 || !instance->already)
        return r;
    if (task->results)
        json_object_set_new(cli_task_result(task, instance), "already", json_true());
    else if (!task->events)
        tell_already(task->request, instance);
    return 0;
}

const char *cli_ended_by(enum api_stopped_by end, bool *ret_forced)
{
    static const char *const texts[API_STOPPED_BYS] = {
        [API_STOPPED_BY_GUEST] = "the guest powered itself off",
        [API_STOPPED_BY_POWERDOWN] = "the guest powered itself off",
        [API_STOPPED_BY_QUIT] = "ended by QEMU's quit, without the guest's own poweroff",
        [API_STOPPED_BY_TERM] = "QEMU did not quit and was terminated (SIGTERM)",
        [API_STOPPED_BY_KILL] = "QEMU did not quit and was killed (SIGKILL)",
    };
    if (end == API_STOPPED_BY_QUIT || end == API_STOPPED_BY_TERM || end == API_STOPPED_BY_KILL)
        *ret_forced = true;
    return end < API_STOPPED_BYS && texts[end] ? texts[end] : "it has ended";
}

/* It has ended, or cannot be followed. One that another command may be about to start has ended, too. */
static bool is_at_rest(const struct cli_view *view)
{
    return view->error.kind != PI_OK || cli_state_is_over(view->state);
}

int cli_task_await_stop(struct cli_task *task, struct api_instance *instance, struct pi_error *err)
{
    pi_auto_follow struct cli_follow follow = {0};
    pi_auto_instance struct api_instance now = {0};
    const char *name = instance->name;
    if (instance->already)
        return 0;
    if (task->events)
        instance->boot_event = 0; /* how it booted is no news */
    int r = cli_follow_open(&follow, &task->agent, instance, err);
    follow.json = follow.screen.silent = task->events;
    while (r == 0 && !is_at_rest(&follow.view)) {
        r = cli_follow_step(&follow, NULL, 0, err);
        if (r == 0 && follow.signal) {
            cli_screen_line(&follow.screen, "%s: interrupted; it goes on stopping", name);
            return CLI_EXIT_SIGNAL + follow.signal;
        }
    }
    if (r == 0 && follow.view.state == VM_LOST)
        return cli_tell_over(&follow, true, err);
    if (r < 0 || (r = cli_follow_look(&follow, &now, err)) < 0)
        return r;
    cli_screen_line(&follow.screen, "%s: %s", name, cli_ended_by(now.stopped_by, &task->forced));
    json_t *result = cli_task_result(task, instance);
    if (result && now.stopped_by)
        json_object_set_new(result, "stopped_by", json_string(PI_WORD(&now, stopped_by, api_stopped_by)));
    return 0;
}

/* An instance whose state could not be saved runs again; the event before says why. */
static int check_suspend(struct cli_task *task, const struct cli_follow *follow, char why[VM_REASON_MAX],
                         struct pi_error *err)
{
    pi_auto_instance struct api_instance now = {0};
    const struct cli_view *view = &follow->view;
    if (view->state == VM_RESTORING && view->reason[0])
        snprintf(why, VM_REASON_MAX, "%s", view->reason);
    if (vm_state_is_saved(view->state) || is_at_rest(view))
        return 0;
    int r = cli_get_instance(&task->agent, view->name, &now, err);
    if (r < 0 || vm_state_is_saved(now.state) || cli_state_is_over(now.state))
        return r;
    return pi_refuse(err, PI_FAILED, "%s was not saved, and is %s%s%s", view->name, api_state_word(&now),
                     why[0] ? ": " : "", why);
}

int cli_task_await_suspend(struct cli_task *task, struct api_instance *instance, struct pi_error *err)
{
    pi_auto_follow struct cli_follow follow = {0};
    pi_auto_instance struct api_instance now = {0};
    const char *name = instance->name;
    char why[VM_REASON_MAX] = "";
    if (instance->already)
        return 0;
    int r = cli_follow_open(&follow, &task->agent, instance, err);
    while (r == 0 && !is_at_rest(&follow.view)) {
        r = cli_follow_step(&follow, NULL, 0, err);
        if (r == 0 && follow.signal) {
            cli_screen_line(&follow.screen, "%s: interrupted; piagent goes on saving its state", name);
            return CLI_EXIT_SIGNAL + follow.signal;
        }
        if (r == 0)
            r = check_suspend(task, &follow, why, err);
    }
    if (r < 0 || (r = cli_get_instance(&task->agent, name, &now, err)) < 0)
        return r;
    if (now.state != VM_SAVED)
        return pi_refuse(err, PI_FAILED, "%s was not saved, and is %s%s%s", name, api_state_word(&now),
                         now.reason ? ": " : "", now.reason ? now.reason : "");
    json_t *result = cli_task_result(task, instance);
    if (result)
        json_object_set_new(result, "saved_bytes", json_integer((json_int_t)now.saved_bytes));
    return 0;
}

int cli_task_stop(struct cli_task *task, cli_act_fn *ask)
{
    int asked = cli_task_each(task, ask), stopped = cli_task_each(task, cli_task_await_stop);
    return stopped > CLI_EXIT_SIGNAL || !asked ? stopped : asked;
}
