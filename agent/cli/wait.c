/* SPDX-License-Identifier: MIT */
#include "agent/cli/wait.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/cli/chosen.h"
#include "agent/cli/commands.h"

#define UNDO_STEP_MS 1000

/* 1 if the guest has not run, 0 if it has. */
static int may_undo(const struct cli_follow *follow, struct pi_error *err)
{
    pi_auto_instance struct api_instance now = {0};
    int r = cli_follow_look(follow, &now, err);
    return r < 0 ? r : cli_state_is_before_boot(now.state);
}

/* QEMU was started meanwhile. As its guest has not run, it has nothing to write out that would take time. A
 * signal ends the wait for its end. */
static int end_qemu(struct cli_follow *follow, struct pi_error *err)
{

    const struct api_stop stop = {.step_ms = UNDO_STEP_MS};
    json_auto_t *body = api_write(stop, &stop);
    int r = body ? cli_call(follow->agent, "POST", follow->view.name, "kill", body, NULL, err)
                 : pi_fail(err, ENOMEM, "kill");
    while (r == 0 && !follow->signal && !cli_view_is_over(&follow->view))
        r = cli_follow_step(follow, NULL, 0, err);
    return r < 0 && err->kind == PI_CONFLICT ? 0 : r; /* it has ended by itself */
}

/* Each time it is looked at first: by its name alone another instance could be hit. */
static int remove_unbooted(struct cli_follow *follow, struct pi_error *err)
{
    int r = may_undo(follow, err);
    if (r <= 0)
        return r;
    r = cli_call(follow->agent, "DELETE", follow->view.name, NULL, NULL, NULL, err);
    if (r == 0 || err->kind != PI_CONFLICT)
        return r < 0 ? r : 1;
    if ((r = may_undo(follow, err)) <= 0 || (r = end_qemu(follow, err)) < 0)
        return r;
    pi_auto_instance struct api_instance now = {0};
    if (!follow->signal && (r = cli_follow_look(follow, &now, err)) == 0)
        r = cli_call(follow->agent, "DELETE", follow->view.name, NULL, NULL, NULL, err);
    return r < 0 ? r : 1;
}

int cli_undo(struct cli_follow *follow, struct pi_error *err)
{
    const char *name = follow->view.name;
    int number = follow->signal;
    follow->signal = 0;
    int r = remove_unbooted(follow, err);
    if (r <= 0) {
        follow->signal = number;
        return r;
    }
    if (follow->signal)
        cli_screen_line(&follow->screen,
                        "%s: interrupted again before it was undone: it may still be there; remove it with: "
                        "piagent rm --force %s",
                        name, name);
    else
        cli_screen_line(&follow->screen, "%s: interrupted, and undone: nothing of it is left", name);
    return CLI_EXIT_SIGNAL + number;
}

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
    if (instance.cloud_init && !strcmp(instance.cloud_init, "silent") && !strcmp(instance.state, "running"))
        return tell_silent(screen, &instance, login);
    if (!instance.cloud_init || strcmp(instance.cloud_init, "failed") != 0) {
        if (strcmp(follow->view.state, "ready") != 0) {
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
    if (!strcmp(view->state, "failed"))
        return pi_refuse(err, PI_HOST, "%s could not be started: %s", view->name, reason);
    if (!strcmp(view->state, "lost")) {
        if (words)
            cli_tell_last_words(follow, NULL);
        return pi_refuse(err, PI_GUEST, "%s was lost: %s", view->name, reason);
    }
    return view->trouble[0] ? cli_tell_trouble(follow, words, err) : PI_OK;
}

/* A guest whose cloud-init is done and then powers it off, as power_state asks for, was as ready as it could
 * be. */
static bool was_done(struct cli_follow *follow)
{
    pi_auto_instance struct api_instance instance = {0};
    return cli_get_instance(follow->agent, follow->view.name, &instance, NULL) == 0 && instance.cloud_init &&
           (!strcmp(instance.cloud_init, "done") || !strcmp(instance.cloud_init, "degraded"));
}

static int tell_over(const struct cli_wait *how, struct cli_follow *follow, struct pi_error *err)
{
    const struct cli_view *view = &follow->view;
    if (how->stopped && !strcmp(view->state, "stopped"))
        return PI_OK;
    int r = cli_tell_over(follow, true, err);
    if (r < 0 || how->stopped || was_done(follow))
        return r;
    cli_tell_last_words(follow, NULL);
    return pi_refuse(err, PI_GUEST, "%s stopped before it was ready: %s", view->name,
                     view->reason[0] ? view->reason : "no reason is known");
}

static int tell_quiet(struct cli_follow *follow, uint64_t quiet_ms, struct pi_error *err)
{
    char quiet[32];
    const char *name = follow->view.name;
    cli_tell_last_words(follow, NULL);
    return pi_refuse(
        err, PI_TIMEOUT,
        "%s shows no progress: the last was \"%s\", and nothing for %s; it runs on: piagent console %s "
        "(--timeout TIME or none: how long to wait)",
        name, follow->view.doing, pi_duration_format(quiet_ms, quiet), name);
}

/* A guest that is to stop may run as long as it likes. */
static uint64_t limit_of(const struct cli_wait *how)
{
    return how->timeout_ms ? how->timeout_ms : how->stopped ? CLI_NEVER : CLI_WAIT_LIMIT_MS;
}

/* Whether the wait for one has come to its end; *ret is then its exit code, or negative with err filled. */
static bool settle(const struct cli_wait *how, struct cli_follow *follow, int *ret, struct pi_error *err)
{
    const struct cli_view *view = &follow->view;
    uint64_t quiet_ms, limit_ms = limit_of(how);
    int up;
    if (view->seq < follow->known) /* what was before is still being read */
        return false;
    if (cli_view_is_over(view))
        *ret = tell_over(how, follow, err);
    else if (!how->stopped && cli_view_is_up(view) &&
             (up = cli_tell_up(follow, how->login, true, err)) != -EAGAIN)
        *ret = up;
    else if (!how->stopped && view->trouble[0])
        *ret = cli_tell_trouble(follow, true, err);
    else if ((quiet_ms = cli_follow_quiet_ms(follow, limit_ms)) >= limit_ms)
        *ret = tell_quiet(follow, quiet_ms, err);
    else
        return false;
    return true;
}

static int on_signal(const struct cli_wait *how, struct cli_follow *leader, struct pi_error *err)
{
    int r = how->fresh && cli_state_is_before_boot(leader->view.state) ? cli_undo(leader, err) : 0;
    if (r != 0)
        return r;
    for (struct cli_follow *one = leader; one; one = one->next)
        if (!one->settled)
            cli_screen_line(&leader->screen,
                            "%s goes on; look with: piagent status %s, stop it with: piagent powerdown %s",
                            one->view.name, one->view.name, one->view.name);
    return CLI_EXIT_SIGNAL + leader->signal;
}

static int loop(const struct cli_wait *how, struct cli_follow *leader, struct pi_error *err)
{
    int code = PI_OK, r;
    for (bool waits = true; waits;) {
        waits = false;
        for (struct cli_follow *one = leader; one; one = one->next) {
            if (!one->settled && settle(how, one, &r, err)) {
                one->settled = true;
                if (r < 0 && !leader->next)
                    return r;
                if (r < 0)
                    cli_screen_clear(&leader->screen);
                r = r >= 0 ? r : how->json ? cli_report_json(err) : cli_report(err);
                code = code ? code : r;
            }
            waits = waits || !one->settled;
        }
        if (waits && (r = cli_follow_step(leader, NULL, 0, err)) < 0)
            return r;
        if (waits && leader->signal)
            return on_signal(how, leader, err);
    }
    return code;
}

int cli_wait(const struct cli_wait *how, struct cli_agent *agent, const struct api_instance *instances,
             unsigned count, struct pi_error *err)
{
    pi_auto_free struct cli_follow *all = count ? calloc(count, sizeof *all) : NULL;
    int r = all ? cli_follow_open(&all[0], agent, &instances[0], err) : pi_fail(err, ENOMEM, "wait");
    if (r < 0)
        return r;
    all[0].json = all[0].screen.silent = how->json;
    unsigned joined = 1;
    while (r == 0 && joined < count &&
           (r = cli_follow_join(&all[joined], &all[0], &instances[joined], err)) == 0)
        joined++;
    if (r == 0)
        r = loop(how, &all[0], err);
    while (joined > 0)
        cli_follow_close(&all[--joined]);
    return r;
}

struct wait_options {
    char *goal;
    uint64_t timeout_ms;
    bool json;
};

static int check(const struct cli_wait *how, const struct api_instance *instance, struct pi_error *err)
{
    if (how->stopped || !cli_state_is_over(instance->state))
        return 0;
    return pi_refuse(err, PI_CONFLICT, "%s is %s, and does not become ready by itself: piagent start -d %s",
                     instance->name, instance->state, instance->name);
}

static int run_wait(const struct cli_call *call, struct pi_error *err)
{
    const struct wait_options *options = call->values;
    struct cli_wait how = {.stopped = options->goal && !strcmp(options->goal, "stopped"),
                           .json = options->json,
                           .timeout_ms = options->timeout_ms};
    pi_auto_agent struct cli_agent agent = {0};
    pi_auto_chosen struct cli_chosen chosen = {0};
    int r = cli_connect(&agent, err);
    if (r == 0)
        r = cli_choose_named(&agent, call, &chosen, err);
    for (size_t i = 0; r == 0 && i < chosen.count; i++)
        r = check(&how, &chosen.items[i], err);
    return r < 0 ? r : cli_wait(&how, &agent, chosen.items, (unsigned)chosen.count, err);
}

static const char *const goals[] = {"ready", "stopped", NULL};

static const struct cli_option wait_table[] = {
    {.name = "for",
     .type = CLI_STRING,
     .argument = "STATE",
     .kind = CLI_WORD,
     .words = goals,
     .offset = offsetof(struct wait_options, goal),
     .help = "ready (the default) or stopped"},
    {.name = "timeout",
     .type = CLI_LIMIT,
     .argument = "TIME",
     .offset = offsetof(struct wait_options, timeout_ms),
     .help = CLI_WAIT_LIMIT_HELP},
    {.name = "json",
     .type = CLI_FLAG,
     .offset = offsetof(struct wait_options, json),
     .help = "the events as JSON lines, from the boot's beginning"},
    {0},
};

const struct cli_command cli_command_wait = {
    .name = "wait",
    .operands = "NAME...",
    .summary = "waits until machines are ready, or stopped",
    .details =
        "Shows how their boots go on, a line each. Progress is anything that a guest prints, asks for or\n"
        "reports; while there is some it is waited for. Without any for so long as --timeout says, the wait ends\n"
        "with exit code 9, and the machine runs on; a wait for the stop of a machine has no such limit unless you\n"
        "give one. The exit code is 8 where cloud-init failed, the kernel panicked, the boot got stuck or the\n"
        "machine stopped before it was ready; also where the guest of a first boot is up, and its cloud-init does\n"
        "not report. Where cloud-init announces a reboot (power_state), the machine is ready after the boot that\n"
        "follows.",
    .example = "piagent wait pi-1 pi-2 --timeout 2m",
    .options = wait_table,
    .values_size = sizeof(struct wait_options),
    .min_operands = 1,
    .max_operands = CLI_WAIT_MAX,
    .operand = CLI_MACHINE,
    .run = run_wait,
};
