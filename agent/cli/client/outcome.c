/* SPDX-License-Identifier: MIT */
#include "agent/cli/client/outcome.h"

#include <errno.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/cli/client/last_words.h"

static void tell_login(struct cli_screen *screen, const char *name)
{
    cli_screen_line(screen, "%s: log in with: piagent ssh %s", name, name);
}

/* A guest that was ready before is set up, whatever became of its cloud-init since. */
static int tell_up_silent(struct cli_screen *screen, const struct api_instance *instance, bool login)
{
    cli_screen_line(screen, "%s: up: %s", instance->name,
                    instance->reason ? instance->reason : "its SSH server answers");
    if (login && instance->booted)
        tell_login(screen, instance->name);
    return instance->booted ? PI_OK : PI_GUEST;
}

static int tell_ready(struct cli_follow *follow, const struct api_instance *instance, bool login)
{
    struct cli_screen *screen = &follow->leader->screen;
    if (follow->view.seq == follow->known) /* no event has said so: it was before */
        cli_screen_line(screen, "%s: ready", instance->name);
    if (instance->user_data_problems.count)
        cli_screen_line(screen, "%s: degraded: its user-data was not taken as it stands", instance->name);
    if (login)
        tell_login(screen, instance->name);
    return PI_OK;
}

static int tell_failed(struct cli_follow *follow, const struct api_instance *instance, bool words)
{
    pi_auto_buf struct pi_buf modules = {0};
    if (words)
        cli_tell_last_words(follow, &instance->failed_modules);
    for (size_t i = 0; i < instance->failed_modules.count; i++)
        pi_buf_printf(&modules, "%s%s", i ? ", " : ": ", instance->failed_modules.items[i]);
    cli_screen_line(
        &follow->leader->screen,
        "%s: cloud-init failed%s; why: piagent ssh %s -- cloud-init status --long, or piagent logs %s",
        instance->name, modules.data ? modules.data : "", instance->name, instance->name);
    return PI_GUEST;
}

int cli_tell_up(struct cli_follow *follow, bool login, bool words, struct pi_error *err)
{
    pi_auto_instance struct api_instance instance = {0};
    enum cli_up up;
    int r = cli_follow_up(follow, &up, &instance, err);
    if (r < 0)
        return r;
    switch (up) {
    case CLI_UP_READY:
        return tell_ready(follow, &instance, login);
    case CLI_UP_FAILED:
        return tell_failed(follow, &instance, words);
    case CLI_UP_SILENT:
        return tell_up_silent(&follow->leader->screen, &instance, login);
    case CLI_NOT_UP:
        break;
    }
    return -EAGAIN;
}

void cli_tell_goes_on(struct cli_follow *follow)
{
    const struct cli_view *view = &follow->view;
    cli_screen_line(&follow->leader->screen,
                    "%s goes on; wait for it with: piagent wait %s, %s it with: piagent %s %s", view->name,
                    view->name, view->template ? "remove" : "stop",
                    view->template ? "template rm" : "powerdown", view->name);
}

int cli_tell_trouble(struct cli_follow *follow, bool words, struct pi_error *err)
{
    const char *name = follow->view.name;
    if (words)
        cli_tell_last_words(follow, NULL);
    return pi_refuse(err, PI_GUEST, "%s does not go on: %s; its last words: piagent logs %s", name,
                     follow->view.trouble, name);
}

/* An ephemeral instance is removed by then. */
static int tell_not_loaded(struct cli_follow *follow, struct pi_error *err)
{
    const struct cli_view *view = &follow->view;
    pi_auto_instance struct api_instance now = {0};
    if (cli_follow_look(follow, &now, NULL) == 0 && now.spec.ephemeral)
        return pi_refuse(err, PI_FAILED, "%s could not be started: %s", view->name, view->reason);
    return pi_refuse(err, PI_FAILED,
                     "%s is still saved: %s; piagent start --cold %s drops its state and boots its disk, as "
                     "after a power cut",
                     view->name, view->reason, view->name);
}

int cli_refuse_saved(const char *name, bool template, struct pi_error *err)
{
    if (template)
        return pi_refuse(
            err, PI_CONFLICT,
            "%s is a template, and never runs: piagent run --template %s NAME makes an instance of it", name,
            name);
    return pi_refuse(err, PI_CONFLICT, "%s is saved: piagent start %s lets it go on", name, name);
}

int cli_tell_over(struct cli_follow *follow, bool words, struct pi_error *err)
{
    const struct cli_view *view = &follow->view;
    const char *reason = view->reason[0] ? view->reason : "no reason is known";
    if (view->error.kind != PI_OK) {
        *err = view->error;
        return -EIO;
    }
    if (view->state == VM_SAVED && view->reason[0])
        return tell_not_loaded(follow, err);
    if (view->state == VM_SAVED)
        return cli_refuse_saved(view->name, view->template, err);
    if (view->state == VM_FAILED)
        return pi_refuse(err, PI_HOST, "%s could not be started: %s", view->name, reason);
    if (view->state == VM_LOST) {
        if (words)
            cli_tell_last_words(follow, NULL);
        return pi_refuse(err, PI_GUEST, "%s was lost: %s", view->name, reason);
    }
    return view->trouble[0] ? cli_tell_trouble(follow, words, err) : PI_OK;
}
