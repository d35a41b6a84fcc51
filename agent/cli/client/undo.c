/* SPDX-License-Identifier: MIT */
#include "agent/cli/client/undo.h"

#include <errno.h>

#include "agent/base/auto.h"
#include "agent/cli/client/instance_follow.h"

#define UNDO_STEP_MS 1000
#define UNDO_LOOK_MS 50

struct undoing {
    struct cli_agent *agent;
    const char *name, *uuid;
    enum cli_undo end;
};

static int delete_undone(const struct undoing *undo, struct pi_error *err)
{
    int r = cli_call(undo->agent, "DELETE", undo->name, NULL, NULL, NULL, err);
    return r < 0 && err->kind == PI_NOT_FOUND ? 0 : r; /* it was ephemeral */
}

/* Looks each time before something is done: by its name alone another instance could be hit. */
static int look_at_undone(const struct undoing *undo, struct api_instance *ret, struct pi_error *err)
{
    return cli_get_same_instance(undo->agent, undo->name, undo->uuid, ret, err);
}

/* 1 if the guest has not run, 0 if it has. */
static int may_undo(const struct undoing *undo, struct pi_error *err)
{
    pi_auto_instance struct api_instance now = {0};
    int r = look_at_undone(undo, &now, err);
    return r < 0 ? r : cli_state_is_before_boot(now.state) || !now.started_ms;
}

/* QEMU was started meanwhile. As its guest has not run, it has nothing to write out that would take time. */
static int end_qemu(struct undoing *undo, struct pi_error *err)
{
    const struct api_stop stop = {.step_ms = UNDO_STEP_MS};
    json_auto_t *body = api_write(stop, &stop);
    int r = body ? cli_call(undo->agent, "POST", undo->name, "kill", body, NULL, err)
                 : pi_fail(err, ENOMEM, "kill");
    for (bool over = false; r == 0 && !over;) {
        pi_auto_instance struct api_instance now = {0};
        if (cli_follow_take_signal(UNDO_LOOK_MS)) {
            undo->end = CLI_UNDO_CUT;
            return 0;
        }
        r = look_at_undone(undo, &now, err);
        over = r == 0 && cli_state_is_over(now.state);
    }
    return r < 0 && err->kind == PI_CONFLICT ? 0 : r; /* it has ended by itself */
}

static int remove_unbooted(struct undoing *undo, struct pi_error *err)
{
    int r = may_undo(undo, err);
    if (r <= 0)
        return r;
    undo->end = CLI_UNDO_DONE;
    r = delete_undone(undo, err);
    if (r == 0 || err->kind != PI_CONFLICT)
        return r;
    r = may_undo(undo, err);
    if (r == 0)
        undo->end = CLI_UNDO_RAN;
    if (r <= 0 || (r = end_qemu(undo, err)) < 0 || undo->end == CLI_UNDO_CUT)
        return r;
    return delete_undone(undo, err);
}

int cli_undo(struct cli_agent *agent, const char *name, const char *uuid, struct cli_screen *screen,
             enum cli_undo *ret, struct pi_error *err)
{
    struct undoing undo = {.agent = agent, .name = name, .uuid = uuid, .end = CLI_UNDO_RAN};
    int r = remove_unbooted(&undo, err);
    if (r < 0)
        return pi_context(err, r, "%s was interrupted, and could not be undone", name);
    if (undo.end == CLI_UNDO_CUT)
        cli_screen_line(screen,
                        "%s: interrupted again before it was undone: it may still be there; remove it with: "
                        "piagent rm --force %s",
                        name, name);
    else if (undo.end == CLI_UNDO_DONE)
        cli_screen_line(screen, "%s: interrupted, and undone: nothing of it is left", name);
    *ret = undo.end;
    return 0;
}
