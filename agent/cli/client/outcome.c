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
static int tell_silent(struct cli_screen *screen, const struct api_instance *instance, bool login)
{
    cli_screen_line(screen, "%s: up: %s", instance->name,
                    instance->reason ? instance->reason : "its SSH server answers");
    if (login && instance->booted)
        tell_login(screen, instance->name);
    return instance->booted ? PI_OK : PI_GUEST;
}

int cli_tell_up(struct cli_follow *follow, bool login, bool words, struct pi_error *err)
{
    struct cli_screen *screen = &follow->leader->screen;
    pi_auto_instance struct api_instance instance = {0};
    pi_auto_buf struct pi_buf modules = {0};
    const char *name = follow->view.name;
    if (follow->asked_seq && follow->asked_seq == follow->view.seq) /* nothing has changed since */
        return -EAGAIN;
    int r = cli_get_instance(follow->agent, name, &instance, err);
    if (r < 0)
        return r;
    if (instance.cloud_init == API_CLOUD_INIT_SILENT && instance.state == VM_RUNNING)
        return tell_silent(screen, &instance, login);
    if (instance.cloud_init != API_CLOUD_INIT_FAILED) {
        if (follow->view.state != VM_READY) {
            follow->asked_seq = follow->view.seq;
            return -EAGAIN;
        }
        if (follow->view.seq == follow->known) /* no event has said so: it was before */
            cli_screen_line(screen, "%s: ready", name);
        if (instance.user_data_problems.count)
            cli_screen_line(screen, "%s: degraded: its user-data was not taken as it stands", name);
        if (login)
            tell_login(screen, name);
        return PI_OK;
    }
    if (words)
        cli_tell_last_words(follow, &instance.failed_modules);
    for (size_t i = 0; i < instance.failed_modules.count; i++)
        pi_buf_printf(&modules, "%s%s", i ? ", " : ": ", instance.failed_modules.items[i]);
    cli_screen_line(
        screen,
        "%s: cloud-init failed%s; why: piagent ssh %s -- cloud-init status --long, or piagent logs %s", name,
        modules.data ? modules.data : "", name, name);
    return PI_GUEST;
}

void cli_tell_goes_on(struct cli_follow *follow)
{
    const char *name = follow->view.name;
    cli_screen_line(&follow->leader->screen,
                    "%s goes on; wait for it with: piagent wait %s, stop it with: piagent powerdown %s", name,
                    name, name);
}

int cli_tell_trouble(struct cli_follow *follow, bool words, struct pi_error *err)
{
    const char *name = follow->view.name;
    if (words)
        cli_tell_last_words(follow, NULL);
    return pi_refuse(err, PI_GUEST, "%s does not go on: %s; its last words: piagent logs %s", name,
                     follow->view.trouble, name);
}

int cli_tell_over(struct cli_follow *follow, bool words, struct pi_error *err)
{
    const struct cli_view *view = &follow->view;
    const char *reason = view->reason[0] ? view->reason : "no reason is known";
    if (view->error.kind != PI_OK) {
        *err = view->error;
        return -EIO;
    }
    if (view->state == VM_FAILED)
        return pi_refuse(err, PI_HOST, "%s could not be started: %s", view->name, reason);
    if (view->state == VM_LOST) {
        if (words)
            cli_tell_last_words(follow, NULL);
        return pi_refuse(err, PI_GUEST, "%s was lost: %s", view->name, reason);
    }
    return view->trouble[0] ? cli_tell_trouble(follow, words, err) : PI_OK;
}
