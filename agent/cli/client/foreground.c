/* SPDX-License-Identifier: MIT */
#include "agent/cli/client/foreground.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/cli/client/console_attach.h"
#include "agent/cli/client/outcome.h"
#include "agent/cli/client/undo.h"

#define FIRST_WORDS 65536 /* bytes that the firmware may have said before the console was attached */

struct foreground {
    struct cli_follow *follow;
    bool fresh;          /* made by this command: undone when it is interrupted before the start */
    unsigned interrupts; /* how often the instance was asked to stop */
    bool attached;       /* to the console, now or before */
    bool told_up;
    int exit_code;
};

/* The result becomes the exit code. A user who was attached has seen the console's last lines. */
static int tell_up(struct foreground *fg, struct pi_error *err)
{
    int r = cli_tell_up(fg->follow, false, !fg->attached, err);
    if (r == -EAGAIN)
        return 0;
    fg->told_up = true;
    if (r >= 0 && !fg->attached)
        cli_screen_line(
            &fg->follow->screen,
            "%s: this command waits until the guest ends; with -d it returns when the guest is ready",
            fg->follow->view.name);
    if (r > 0)
        fg->exit_code = r;
    return r;
}

static int tell_end(struct foreground *fg, struct pi_error *err)
{
    const struct cli_view *view = &fg->follow->view;
    if (view->state == VM_SAVED && !view->reason[0]) {
        cli_screen_line(&fg->follow->screen, "%s is saved: piagent start %s lets it go on", view->name,
                        view->name);
        return fg->exit_code;
    }
    int r = cli_tell_over(fg->follow, !fg->attached, err);
    return r < 0 ? r : fg->exit_code;
}

/* The first signal powers the instance down; the second one kills it. */
static int ask_to_stop(struct foreground *fg, struct pi_error *err)
{
    struct cli_follow *follow = fg->follow;
    const char *request = fg->interrupts++ ? "kill" : "powerdown";
    pi_auto_instance struct api_instance now = {0};
    follow->signal = 0;
    int r = cli_follow_look(follow, &now, err);
    if (r == 0)
        r = cli_call(follow->agent, "POST", follow->view.name, request, NULL, NULL, err);
    if (r == 0 && fg->interrupts == 1)
        cli_screen_line(&follow->screen, "%s: powering down; interrupt again to kill it", follow->view.name);
    /* The instance may have ended meanwhile: its events will tell. */
    return r < 0 && err->kind == PI_CONFLICT ? 0 : r;
}

/* 0 = go on, positive = the exit code, negative = err. A closed terminal (SIGHUP) never stops an instance. */
static int on_foreground_signal(struct foreground *fg, struct pi_error *err)
{
    struct cli_follow *follow = fg->follow;
    enum cli_undo undone = CLI_UNDO_RAN;
    bool unbooted = fg->fresh && cli_state_is_before_boot(follow->view.state);
    int r = unbooted ? cli_undo(follow->agent, follow->view.name, follow->uuid, &follow->screen, &undone, err)
                     : 0;
    if (r < 0)
        return r;
    if (undone != CLI_UNDO_RAN)
        return CLI_EXIT_SIGNAL + follow->signal;
    if (follow->signal != SIGHUP)
        return ask_to_stop(fg, err);
    cli_tell_goes_on(follow);
    return CLI_EXIT_SIGNAL + SIGHUP;
}

static int attach(struct foreground *fg, bool *ret_detached, struct pi_error *err)
{
    enum cli_console_end end;
    /* The output of earlier boots is not shown when an instance is started again. */
    int r = cli_console_attach(fg->follow, fg->fresh ? FIRST_WORDS : 0, false, &end, err);
    if (r == 0 && end == CLI_CONSOLE_DETACHED) {
        cli_console_tell_left(fg->follow);
        *ret_detached = true;
    }
    if (r == 0 && end == CLI_CONSOLE_OVER && fg->follow->view.state == VM_STOPPED)
        cli_console_tell_over(fg->follow);
    return r;
}

static int foreground_loop(struct foreground *fg, struct pi_error *err)
{
    struct cli_follow *follow = fg->follow;
    bool wants_console = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO), detached = false;
    int r = 0;
    while (!cli_view_is_over(&follow->view) && !detached) {
        if ((r = cli_follow_step(follow, NULL, 0, err)) < 0)
            return r;
        if (follow->signal && (r = on_foreground_signal(fg, err)) != 0)
            return r;
        if (wants_console && vm_state_runs(follow->view.state)) {
            wants_console = false;
            fg->attached = true;
            if ((r = attach(fg, &detached, err)) < 0)
                return r;
        }
        if (cli_view_is_up(&follow->view) && !fg->told_up && (r = tell_up(fg, err)) < 0)
            return r;
    }
    return cli_view_is_over(&follow->view) ? tell_end(fg, err) : fg->exit_code;
}

int cli_foreground(struct cli_agent *agent, const struct api_instance *instance, bool fresh,
                   struct pi_error *err)
{
    pi_auto_follow struct cli_follow follow = {0};
    int r = cli_follow_open(&follow, agent, instance, err);
    struct foreground fg = {.follow = &follow, .fresh = fresh};
    return r < 0 ? r : foreground_loop(&fg, err);
}

int cli_refuse_attached(bool detach, bool json, uint64_t timeout_ms, struct pi_error *err)
{
    if (detach || !(json || timeout_ms))
        return 0;
    return pi_refuse(err, PI_USAGE, "%s goes with -d, which waits until the guest is ready",
                     json ? "--json" : "--timeout");
}
