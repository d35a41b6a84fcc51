/* SPDX-License-Identifier: MIT */
#include "agent/cli/client/undo.h"

#include <errno.h>

#include "agent/base/auto.h"

#define UNDO_STEP_MS 1000

/* 1 if the guest has not run, 0 if it has. */
static int may_undo(const struct cli_follow *follow, struct pi_error *err)
{
    pi_auto_instance struct api_instance now = {0};
    int r = cli_follow_look(follow, &now, err);
    return r < 0 ? r : cli_state_is_before_boot(now.state) || !now.started_ms;
}

/* QEMU was started meanwhile. As its guest has not run, it has nothing to write out that would take time. A
 * signal ends the wait for its end. */
static int end_qemu(struct cli_follow *follow, struct pi_error *err)
{

    const struct api_stop stop = {.step_ms = UNDO_STEP_MS};
    json_auto_t *body = api_write(stop, &stop);
    int r = body ? cli_call(follow->agent, "POST", follow->view.name, "kill", body, NULL, err)
                 : pi_fail(err, ENOMEM, "kill");
    while (r == 0 && !follow->leader->signal && !cli_view_is_over(&follow->view))
        r = cli_follow_step(follow->leader, NULL, 0, err);
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
    if (!follow->leader->signal && (r = cli_follow_look(follow, &now, err)) == 0)
        r = cli_call(follow->agent, "DELETE", follow->view.name, NULL, NULL, NULL, err);
    return r < 0 ? r : 1;
}

int cli_undo(struct cli_follow *follow, struct pi_error *err)
{
    const char *name = follow->view.name;
    struct cli_follow *leader = follow->leader;
    int number = leader->signal;
    leader->signal = 0;
    int r = remove_unbooted(follow, err);
    if (r <= 0) {
        leader->signal = number;
        return r;
    }
    if (leader->signal)
        cli_screen_line(&leader->screen,
                        "%s: interrupted again before it was undone: it may still be there; remove it with: "
                        "piagent rm --force %s",
                        name, name);
    else
        cli_screen_line(&leader->screen, "%s: interrupted, and undone: nothing of it is left", name);
    return CLI_EXIT_SIGNAL + number;
}
