/* SPDX-License-Identifier: MIT */
#include "agent/cli/client/chosen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/cli/client/instance_view.h"
#include "agent/vm/label.h"

bool cli_selection_is_part(const struct cli_selection *selection)
{
    return selection->fleet || selection->labels.count;
}

int cli_selection_check(const struct cli_selection *selection, struct pi_error *err)
{
    int r = selection->fleet ? pi_name_check(selection->fleet, err) : 0;
    if (r < 0)
        return pi_context(err, r, "--fleet");
    for (size_t i = 0; r == 0 && i < selection->labels.count; i++)
        r = vm_label_term_check(selection->labels.items[i], err);
    return r;
}

bool cli_selection_takes(const struct cli_selection *selection, const struct api_instance *instance)
{
    if (instance->spec.template)
        return false;
    if (selection->fleet && strcmp(selection->fleet, instance->spec.fleet.name) != 0)
        return false;
    for (size_t i = 0; i < selection->labels.count; i++)
        if (!vm_labels_fulfil(&instance->spec.labels, selection->labels.items[i]))
            return false;
    return true;
}

bool cli_kind_fits(enum cli_kind kind, enum vm_state state)
{
    bool over = cli_state_is_over(state);
    return kind == CLI_MACHINE_LIVE ? !over : kind != CLI_MACHINE_OVER || over;
}

const char *cli_none_of(enum cli_kind kind)
{
    return kind == CLI_MACHINE_LIVE   ? "nothing runs"
           : kind == CLI_MACHINE_OVER ? "nothing is stopped"
                                      : "there is no instance";
}

static int make_room(struct cli_chosen *ret, size_t count, struct pi_error *err)
{
    ret->items = calloc(count + 1, sizeof *ret->items);
    return ret->items ? 0 : pi_fail(err, ENOMEM, "instances");
}

static bool is_there_before(char *const *operands, unsigned at)
{
    for (unsigned i = 0; i < at; i++)
        if (!strcmp(operands[i], operands[at]))
            return true;
    return false;
}

static int choose_named(struct cli_agent *agent, const struct cli_call *call, struct cli_chosen *ret,
                        struct pi_error *err)
{
    int r = make_room(ret, call->count, err);
    for (unsigned i = 0; r == 0 && i < call->count; i++) {
        if (is_there_before(call->operands, i))
            continue;
        r = cli_get_instance(agent, call->operands[i], &ret->items[ret->count], err);
        ret->count += r == 0;
    }
    return r;
}

static int choose_each(struct cli_agent *agent, struct cli_chosen *ret, struct pi_error *err)
{
    json_auto_t *reply = NULL;
    const json_t *object;
    size_t i;
    int r = api_client_call(agent->client, "GET", "/v1/instances", NULL, CLI_CALL_MS, &reply, err);
    const json_t *list = json_object_get(reply, "instances");
    if (r == 0)
        r = make_room(ret, json_array_size(list), err);
    if (r < 0)
        return r;
    json_array_foreach(list, i, object)
        if ((r = api_read(instance, object, &ret->items[ret->count++], err)) < 0)
            return pi_context(err, r, "the agent's answer");
    return 0;
}

/* Keeps the instances that the selection takes and whose state fits the kind. */
static void narrow(struct cli_chosen *chosen, const struct cli_selection *selection, enum cli_kind kind)
{
    size_t left = 0;
    for (size_t i = 0; i < chosen->count; i++) {
        struct api_instance *instance = &chosen->items[i];
        if (cli_selection_takes(selection, instance) && cli_kind_fits(kind, instance->state))
            chosen->items[left++] = *instance;
        else
            api_done(instance, instance);
    }
    chosen->count = left;
}

static int refuse_fleet(const char *fleet, const char *const *fleets, struct pi_error *err)
{
    char suggestion[PI_SUGGESTION_SIZE];
    return pi_refuse(err, PI_NOT_FOUND, "no instance is of a fleet named %s: %s", fleet,
                     pi_suggest(fleet, fleets, "piagent ps -a --labels shows the fleets", suggestion));
}

static int refuse_labels(const struct cli_selection *selection, struct pi_error *err)
{
    pi_auto_buf struct pi_buf labels = {0};
    for (size_t i = 0; i < selection->labels.count; i++)
        pi_buf_printf(&labels, "%s%s", i ? ", " : "", selection->labels.items[i]);
    return pi_refuse(err, PI_NOT_FOUND, "no instance%s%s has the label%s %.400s",
                     selection->fleet ? " of fleet " : "", selection->fleet ? selection->fleet : "",
                     selection->labels.count > 1 ? "s" : "", labels.data ? labels.data : "");
}

int cli_selection_refuse(const struct cli_selection *selection, const char *const *fleets,
                         struct pi_error *err)
{
    bool known = !selection->fleet;
    for (size_t i = 0; !known && fleets[i]; i++)
        known = !strcmp(fleets[i], selection->fleet);
    return known ? refuse_labels(selection, err) : refuse_fleet(selection->fleet, fleets, err);
}

/* A fleet or label that no instance has is a mistake. */
static int check_taken(const struct cli_chosen *all, const struct cli_selection *selection,
                       struct pi_error *err)
{
    pi_auto_free const char **fleets = calloc(all->count + 1, sizeof *fleets);
    if (!fleets)
        return pi_fail(err, ENOMEM, "instances");
    for (size_t i = 0; i < all->count; i++) {
        if (cli_selection_takes(selection, &all->items[i]))
            return 0;
        fleets[i] = all->items[i].spec.fleet.name;
    }
    return cli_selection_is_part(selection) ? cli_selection_refuse(selection, fleets, err) : 0;
}

int cli_choose(struct cli_agent *agent, const struct cli_call *call, const struct cli_selection *selection,
               enum cli_kind kind, struct cli_chosen *ret, struct pi_error *err)
{
    if (!selection->all && !cli_selection_is_part(selection))
        return choose_named(agent, call, ret, err);
    int r = cli_selection_check(selection, err);
    if (r == 0)
        r = choose_each(agent, ret, err);
    if (r == 0)
        r = check_taken(ret, selection, err);
    if (r == 0)
        narrow(ret, selection, kind);
    return r;
}

void cli_chosen_done(struct cli_chosen *chosen)
{
    for (size_t i = 0; i < chosen->count; i++)
        api_done(instance, &chosen->items[i]);
    free(chosen->items);
    *chosen = (struct cli_chosen){0};
}
