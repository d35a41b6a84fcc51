/* SPDX-License-Identifier: MIT */
#include "agent/cli/client/wait.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/cli/client/last_words.h"
#include "agent/cli/client/outcome.h"
#include "agent/cli/client/undo.h"
#include "agent/cli/terminal/error_report.h"
#include "agent/cli/terminal/host_hint.h"

/* A guest whose cloud-init is done and then powers it off, as power_state asks for, was as ready as it could
 * be. */
static bool was_done(const struct api_instance *now)
{
    return now->cloud_init == API_CLOUD_INIT_DONE || now->cloud_init == API_CLOUD_INIT_DEGRADED;
}

/* NULL: nobody asked for it. */
static const char *ender_of(const struct api_instance *now)
{
    switch (now->stopped_by) {
    case API_STOPPED_BY_POWERDOWN:
        return "another command powered it down";
    case API_STOPPED_BY_QUIT:
    case API_STOPPED_BY_TERM:
    case API_STOPPED_BY_KILL:
        return "another command ended its QEMU";
    default:
        return NULL;
    }
}

/* A template is ready when it is saved. */
static bool makes_template(const struct cli_wait *how, const struct cli_view *view)
{
    return view->template && !how->stopped && !how->made;
}

static int tell_unmade(const struct cli_follow *follow, struct pi_error *err)
{
    const struct cli_view *view = &follow->view;
    pi_auto_instance struct api_instance now = {0};
    struct pi_error gone = {0};
    if (cli_follow_look(follow, &now, &gone) < 0 && gone.kind == PI_NOT_FOUND)
        return pi_refuse(err, PI_CONFLICT, "the template %s was not made: another command removed it",
                         view->name);
    const char *ender = ender_of(&now);
    if (ender)
        return pi_refuse(err, PI_CONFLICT,
                         "the template %s was not made: %s; piagent template ls shows if it is still there",
                         view->name, ender);
    return pi_refuse(err, PI_FAILED,
                     "the template %s was not made: %s; remove it with: piagent template rm %s", view->name,
                     view->reason[0] ? view->reason : "its guest powered itself off", view->name);
}

static int tell_over(const struct cli_wait *how, struct cli_follow *follow, struct pi_error *err)
{
    const struct cli_view *view = &follow->view;
    pi_auto_instance struct api_instance now = {0};
    if ((how->stopped && view->state == VM_STOPPED) || (makes_template(how, view) && view->state == VM_SAVED))
        return PI_OK;
    if (makes_template(how, view) && (view->state == VM_STOPPED || view->state == VM_FAILED))
        return tell_unmade(follow, err);
    int r = cli_tell_over(follow, true, err);
    if (r < 0 || how->stopped)
        return r;
    bool known = cli_follow_look(follow, &now, NULL) == 0;
    if (known && was_done(&now))
        return r;
    if (known && !now.started_ms)
        return pi_refuse(err, PI_CONFLICT, "%s was not started: piagent start -d %s", view->name, view->name);
    const char *ender = known ? ender_of(&now) : NULL;
    if (ender)
        return pi_refuse(err, PI_CONFLICT, "%s stopped before it was ready: %s (piagent events %s)",
                         view->name, ender, view->name);
    cli_tell_last_words(follow, NULL);
    return pi_refuse(err, PI_GUEST, "%s stopped before it was ready: %s", view->name,
                     view->reason[0] ? view->reason : "the guest powered itself off");
}

static int tell_quiet(const struct cli_wait *how, struct cli_follow *follow, uint64_t quiet_ms,
                      struct pi_error *err)
{
    char quiet[32], look[PI_NAME_MAX + 64] = "";
    const char *name = follow->view.name;
    if (how->caller_ends_it) {
        cli_tell_last_words(follow, NULL);
    } else {
        cli_tell_last_line(follow);
        snprintf(look, sizeof look, "; it runs on: piagent console %s", name);
    }
    return pi_refuse(err, PI_TIMEOUT,
                     "%s shows no progress: the last was \"%s\", and nothing for %s%s (--timeout TIME or "
                     "none: how long to wait)",
                     name, follow->view.doing, pi_duration_format(quiet_ms, quiet), look);
}

/* A guest that is to stop may run as long as it likes. */
static uint64_t limit_of(const struct cli_wait *how)
{
    return how->timeout_ms ? how->timeout_ms : how->stopped || how->made ? CLI_NEVER : CLI_WAIT_LIMIT_MS;
}

/* Asking the agent may bring the event. */
static bool is_yet_to_be_saved(const struct cli_wait *how, const struct cli_view *view)
{
    return makes_template(how, view) && view->state == VM_READY;
}

/* True if the wait for this instance is over; *ret is then its exit code, or negative with err filled. */
static bool settle(const struct cli_wait *how, struct cli_follow *follow, int *ret, struct pi_error *err)
{
    const struct cli_view *view = &follow->view;
    uint64_t quiet_ms, limit_ms = limit_of(how);
    int up;
    if (view->seq < follow->known) /* earlier events are still being read */
        return false;
    if (how->made && view->error.kind == PI_OK && view->state != VM_CREATED)
        *ret = PI_OK; /* another command may have started it by now */
    else if (cli_view_is_over(view))
        *ret = tell_over(how, follow, err);
    else if (!how->stopped && cli_view_is_up(view) && !is_yet_to_be_saved(how, view) &&
             (up = cli_tell_up(follow, how->login, true, err)) != -EAGAIN && !is_yet_to_be_saved(how, view))
        *ret = up;
    else if (!how->stopped && view->trouble[0])
        *ret = cli_tell_trouble(follow, true, err);
    else if ((quiet_ms = cli_follow_quiet_ms(follow, limit_ms)) >= limit_ms)
        *ret = tell_quiet(how, follow, quiet_ms, err);
    else
        return false;
    return true;
}

/* Takes back one instance, if its guest has not run, or tells that it goes on. False: it was interrupted again. */
static bool leave_one(const struct cli_wait *how, struct cli_follow *one)
{
    struct pi_error err = {0};
    struct cli_screen *screen = &one->leader->screen;
    enum cli_undo undone = CLI_UNDO_RAN;
    bool unbooted = how->fresh && (how->made || cli_state_is_before_boot(one->view.state));
    if (unbooted && cli_undo(one->agent, one->view.name, one->uuid, screen, &undone, &err) < 0) {
        cli_screen_clear(screen);
        (void)(how->json ? cli_report_json(&err) : cli_report(&err));
    } else if (undone == CLI_UNDO_RAN && !how->caller_tells_rest) {
        cli_tell_goes_on(one);
    }
    return undone != CLI_UNDO_CUT;
}

static int on_wait_signal(const struct cli_wait *how, struct cli_follow *leader)
{
    int number = leader->signal;
    for (struct cli_follow *one = leader; one; one = one->next)
        if (!one->settled && !leave_one(how, one))
            break;
    return CLI_EXIT_SIGNAL + number;
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
            return on_wait_signal(how, leader);
    }
    return code;
}

int cli_wait(const struct cli_wait *how, struct cli_agent *agent, const struct api_instance *instances,
             unsigned count, struct pi_error *err)
{
    if (!count)
        return PI_OK;
    pi_auto_free struct cli_follow *all = calloc(count, sizeof *all);
    int r = all ? cli_follow_open(&all[0], agent, &instances[0], err) : pi_fail(err, ENOMEM, "wait");
    if (r < 0)
        return r;
    all[0].json = all[0].screen.silent = how->json;
    all[0].screen.calm = how->calm;
    unsigned joined = 1;
    while (r == 0 && joined < count &&
           (r = cli_follow_join(&all[joined], &all[0], agent, &instances[joined], err)) == 0)
        joined++;
    if (r == 0)
        r = loop(how, &all[0], err);
    while (joined > 0)
        cli_follow_close(&all[--joined]);
    return r;
}

/* The wait for instances as they come. The first one's follow has the signals and the screen of all, and stays to the end; the
 * others go when they are settled, so that there are only as many connections as instances that are waited for. */
struct wait_crowd {
    const struct cli_wait *how;
    const struct cli_wait_source *source;
    struct cli_follow *leader;
    unsigned waiting;
    int code;
};

static int join_crowd(struct wait_crowd *crowd, struct cli_agent *agent, const struct api_instance *instance,
                      struct pi_error *err)
{
    pi_auto_free struct cli_follow *one = calloc(1, sizeof *one);
    if (!one)
        return pi_fail(err, ENOMEM, "wait");
    int r = crowd->leader ? cli_follow_join(one, crowd->leader, agent, instance, err)
                          : cli_follow_open(one, agent, instance, err);
    if (r < 0)
        return r;
    one->json = crowd->how->json;
    if (!crowd->leader) {
        one->screen.silent = crowd->how->json;
        one->brief = crowd->how->brief;
        crowd->leader = one;
    }
    crowd->waiting++;
    pi_steal(one);
    return 0;
}

static int take_all_that_come(struct wait_crowd *crowd, struct pi_error *err)
{
    for (;;) {
        pi_auto_instance struct api_instance instance = {0};
        struct cli_agent *agent = NULL;
        int r = crowd->source->next(crowd->source->user, crowd->waiting, &agent, &instance, err);
        if (r > 0)
            r = join_crowd(crowd, agent, &instance, err);
        else
            return r;
        if (r < 0)
            return r;
    }
}

static bool has_just_resumed(struct cli_follow *one)
{
    const struct cli_view *view = &one->view;
    bool before = one->resumed;
    one->resumed = before || (view->reachable && view->state == VM_RUNNING && view->seq >= one->known);
    return one->resumed && !before;
}

static void settle_crowd(struct wait_crowd *crowd)
{
    for (struct cli_follow **at = &crowd->leader; *at;) {
        struct cli_follow *one = *at;
        struct pi_error err = {0};
        int r;
        if (!one->settled && has_just_resumed(one))
            crowd->source->resumed(crowd->source->user, one->view.name);
        if (!one->settled && settle(crowd->how, one, &r, &err)) {
            one->settled = true;
            crowd->waiting--;
            if (r < 0)
                cli_screen_clear(&crowd->leader->screen);
            cli_host_hint_error(&err, one->agent->host.url);
            r = r >= 0 ? r : crowd->how->json ? cli_report_json(&err) : cli_report(&err);
            crowd->code = crowd->code ? crowd->code : r;
            crowd->source->over(crowd->source->user, one->view.name, r);
        }
        if (one->settled && one != crowd->leader) {
            *at = one->next;
            cli_follow_close(one);
            free(one);
        } else {
            at = &one->next;
        }
    }
}

static int wait_for_crowd(struct wait_crowd *crowd, struct pi_error *err)
{
    for (;;) {
        int r = take_all_that_come(crowd, err);
        if (r < 0 || !crowd->waiting)
            return r < 0 ? r : crowd->code;
        crowd->source->rest(crowd->source->user, crowd->leader->rest, sizeof crowd->leader->rest);
        r = cli_follow_step(crowd->leader, NULL, 0, err);
        if (r < 0)
            return r;
        if (crowd->leader->signal)
            return on_wait_signal(crowd->how, crowd->leader);
        settle_crowd(crowd);
    }
}

int cli_wait_each(const struct cli_wait *how, const struct cli_wait_source *source, struct pi_error *err)
{
    struct wait_crowd crowd = {.how = how, .source = source};
    int r = wait_for_crowd(&crowd, err);
    while (crowd.leader) {
        struct cli_follow *last = crowd.leader, **at = &crowd.leader;
        for (; last->next; last = last->next)
            at = &last->next;
        *at = NULL;
        cli_follow_close(last);
        free(last);
    }
    return r;
}
