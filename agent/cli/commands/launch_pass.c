/* SPDX-License-Identifier: MIT */
#include "agent/cli/commands/launch_pass.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/cli/client/start.h"
#include "agent/cli/terminal/error_report.h"
#include "agent/cli/terminal/host_hint.h"
#include "agent/vm/boot_load.h"

#define CREATIONS_AT_ONCE 8 /* they take turns at the image and the disk anyway */

/* That /dev/kvm can be opened proves nothing: until a guest has come up under KVM, boots count as emulated. */
static unsigned launch_load(const struct cli_launch_pass *pass, const struct cli_launch_item *item)
{
    const struct api_agent *host = &item->host->told;
    bool native = !item->arch || !host->arch || !strcmp(item->arch, host->arch);
    bool proven = host->kvm && host->kvm_proven && native && !item->emulated;
    return item->resumes && !pass->cold ? VM_LOAD_RESUME : vm_boot_load(!proven);
}

/* A host whose older agent does not tell has two, most likely more. */
static uint64_t launch_processors(const struct api_agent *host)
{
    return host->cpus ? host->cpus : 2;
}

void cli_launch_host_done(struct cli_launch_host *host)
{
    api_done(agent, &host->told);
    host->told = (struct api_agent){0};
}

/* Asks the host how it is now, once for each boot that begins or ends. What it does not tell is not known. */
static void look_at_host(struct cli_launch_host *host)
{
    if (host->looked)
        return;
    cli_launch_host_done(host);
    (void)cli_get_agent(host->agent, &host->told, NULL);
    host->looked = true;
}

/* Tells a failure that is no reason to end: the other instances go on. */
static void fail_item(struct cli_launch_pass *pass, struct cli_launch_item *item, struct pi_error *failure)
{
    int code = pass->wait.json ? cli_report_json(failure) : cli_report(failure);
    item->state = CLI_LAUNCH_FAILED;
    pass->code = pass->code ? pass->code : code;
    *failure = (struct pi_error){0};
}

static unsigned items_in(const struct cli_launch_pass *pass, enum cli_launch_state state)
{
    unsigned count = 0;
    for (size_t i = 0; i < pass->count; i++)
        count += pass->items[i].state == state;
    return count;
}

static void tell_rest(void *user, char *ret, size_t size)
{
    const struct cli_launch_pass *pass = user;
    unsigned failed = items_in(pass, CLI_LAUNCH_FAILED) + items_in(pass, CLI_LAUNCH_HELD);
    ret[0] = '\0';
    if (pass->count == 1)
        return;
    int n = snprintf(
        ret, size,
        pass->wait.made ? "%u to make, %u being made, %u made" : "%u to start, %u starting, %u ready",
        items_in(pass, CLI_LAUNCH_WAITS), items_in(pass, CLI_LAUNCH_BEGUN), items_in(pass, CLI_LAUNCH_DONE));
    if (failed)
        snprintf(ret + n, size - (size_t)n, ", %u failed", failed);
}

static void item_over(void *user, const char *name, int code)
{
    struct cli_launch_pass *pass = user;
    for (size_t i = 0; i < pass->count; i++)
        if (!strcmp(pass->items[i].name, name)) {
            pass->items[i].state = code == PI_OK ? CLI_LAUNCH_DONE : CLI_LAUNCH_FAILED;
            pass->items[i].host->looked = false;
        }
}

/* From now on its agent sees to it that it takes no more than there is (instance/set_up.h). */
static void item_resumed(void *user, const char *name)
{
    struct cli_launch_pass *pass = user;
    for (size_t i = 0; i < pass->count; i++)
        if (!strcmp(pass->items[i].name, name)) {
            pass->items[i].load = 0;
            pass->items[i].host->looked = false;
        }
}

/* Another command may make the same fleet at the same time. */
static bool was_made_by_another(const struct cli_launch_item *item, struct cli_agent *agent,
                                struct api_instance *ret)
{
    if (cli_get_instance(agent, item->name, ret, NULL) < 0)
        return false;
    if (!strcmp(ret->spec.fleet.name, item->place->name) && !strcmp(ret->spec.fleet.role, item->place->role))
        return true;
    api_done(instance, ret);
    *ret = (struct api_instance){0};
    return false;
}

static int begin_creation(const struct cli_launch_pass *pass, const struct cli_launch_item *item,
                          struct api_instance *ret, struct pi_error *err)
{
    struct cli_agent *agent = item->host->agent;
    if (item->made) {
        *ret = *item->made;
        *item->made = (struct api_instance){0};
        return 0;
    }
    if (!item->body) /* an earlier command may have left an instance that is being created */
        return cli_get_instance(agent, item->name, ret, err);
    int r = cli_create_instance(agent, item->body, ret, err);
    bool theirs =
        r < 0 && err->kind == PI_CONFLICT && !pass->wait.fresh && was_made_by_another(item, agent, ret);
    return theirs ? 0 : r;
}

/* Starts it, unless it runs already and is only waited for. */
static int begin_start(const struct cli_launch_pass *pass, const struct cli_launch_item *item,
                       struct api_instance *ret, struct pi_error *err)
{
    struct cli_agent *agent = item->host->agent;
    if (!item->start)
        return cli_get_instance(agent, item->name, ret, err);
    ret->name = strdup(item->name);
    int r = ret->name ? cli_start_one(agent, ret, pass->cold, err) : pi_fail(err, ENOMEM, "%s", item->name);
    if (r == 0 && ret->already && pass->wait.login && !pass->wait.json)
        fprintf(stderr, "%s is %s already\n", ret->name, api_state_word(ret));
    return r;
}

typedef int begin_fn(const struct cli_launch_pass *pass, const struct cli_launch_item *item,
                     struct api_instance *ret, struct pi_error *err);

/* 1 with *ret if it is begun, 0 if it has failed, which was told, or negative if there is no agent any more. One that has died is
 * started again. */
static int begin_item(struct cli_launch_pass *pass, struct cli_launch_item *item, begin_fn *begin,
                      struct cli_agent **ret_agent, struct api_instance *ret, struct pi_error *err)
{
    struct cli_agent *agent = *ret_agent = item->host->agent;
    int r = begin(pass, item, ret, err);
    if (r < 0 && cli_may_ask_again(agent, err)) {
        api_done(instance, ret);
        r = begin(pass, item, ret, err);
    }
    if (r == 0) {
        snprintf(item->uuid, sizeof item->uuid, "%s", ret->spec.uuid);
        item->state = CLI_LAUNCH_BEGUN;
        item->load = launch_load(pass, item);
        item->host->looked = false;
        return 1;
    }
    api_done(instance, ret);
    if (err->kind == PI_AGENT)
        return r;
    cli_host_hint_error(err, agent->host.url);
    fail_item(pass, item, err);
    return 0;
}

/* NULL: there is no more. */
static struct cli_launch_item *next_to_create(const struct cli_launch_pass *pass)
{
    struct cli_launch_item *next = NULL;
    for (size_t i = 0; i < pass->count; i++) {
        struct cli_launch_item *item = &pass->items[i];
        if (item->state == CLI_LAUNCH_WAITS && (!next || (item->first && !next->first)))
            next = item;
    }
    return next;
}

static int next_creation(void *user, unsigned waiting, struct cli_agent **ret_agent, struct api_instance *ret,
                         struct pi_error *err)
{
    struct cli_launch_pass *pass = user;
    struct cli_launch_item *item;
    int r = 0;
    while (r == 0 && waiting < CREATIONS_AT_ONCE && (item = next_to_create(pass)))
        r = begin_item(pass, item, begin_creation, ret_agent, ret, err);
    return r;
}

/* True if the text, such as "server=ready", names this role. *ret_ready tells if the role has to be ready. */
static bool is_about(const char *after, const char *role, bool *ret_ready)
{
    size_t length = strlen(role);
    bool about = !strncmp(after, role, length) && after[length] == '=';
    *ret_ready = about && !strcmp(after + length + 1, "ready");
    return about;
}

/* 1: it may start. 0: not yet. Negative: it never may, because of *ret_why. */
static int may_start(const struct cli_launch_pass *pass, const struct cli_launch_item *item,
                     const char **ret_why)
{
    const struct vm_fleet *place = item->place;
    bool ready;
    for (size_t i = 0; i < place->after.count; i++)
        for (size_t k = 0; k < pass->count; k++) {
            const struct cli_launch_item *other = &pass->items[k];
            if (strcmp(other->place->name, place->name) != 0 ||
                !is_about(place->after.items[i], other->place->role, &ready) ||
                other->state == CLI_LAUNCH_DONE || (other->state == CLI_LAUNCH_BEGUN && !ready))
                continue;
            *ret_why = other->name;
            return other->state == CLI_LAUNCH_FAILED || other->state == CLI_LAUNCH_HELD ? -1 : 0;
        }
    return 1;
}

/* 1: there is room for it. 0: when others are up, there may be. Negative: there is none. */
static int host_has_room(const struct cli_launch_pass *pass, const struct cli_launch_item *item,
                         struct pi_error *err)
{
    char needed[32], there[32];
    struct cli_launch_host *host = item->host;
    unsigned load = 0, begun = 0;
    for (size_t i = 0; i < pass->count; i++)
        if (pass->items[i].state == CLI_LAUNCH_BEGUN && pass->items[i].host == host) {
            load += pass->items[i].load;
            begun++;
        }
    look_at_host(host);
    uint64_t most = pass->pace.parallel, available = host->told.memory_available_mib;
    uint64_t promised = host->told.memory_promised_mib,
             left = available > promised ? available - promised : 0;
    if (begun &&
        (most ? begun >= most : !vm_boot_fits(launch_load(pass, item), load, launch_processors(&host->told))))
        return 0;
    if (pass->pace.overcommit || !available || item->memory_mib <= left)
        return 1;
    if (begun)
        return 0;
    return pi_refuse(
        err, PI_HOST,
        "%s is not started: it may take %s, and %s has %s available beside what its instances may still take; stop other programs, or give --overcommit",
        item->name, pi_size_format(item->memory_mib << 20, needed), host->text,
        pi_size_format(left << 20, there));
}

static void hold_item(struct cli_launch_pass *pass, struct cli_launch_item *item, const char *why)
{
    struct pi_error err = {0};
    pi_refuse(
        &err, PI_GUEST,
        "%s is not started: %s, which it is after, did not come up; fix the cause shown above, then run '%s' again",
        item->name, why, pass->command);
    fail_item(pass, item, &err);
    item->state = CLI_LAUNCH_HELD;
}

/* Nothing is waited for, and no host is full: those that are left wait for each other. */
static void refuse_circle(struct cli_launch_pass *pass)
{
    for (size_t i = 0; i < pass->count; i++)
        if (pass->items[i].host->full)
            return;
    for (size_t i = 0; i < pass->count; i++) {
        struct pi_error err;
        if (pass->items[i].state != CLI_LAUNCH_WAITS)
            continue;
        pi_refuse(
            &err, PI_CONFLICT,
            "%s is not started: what it is after waits for it, too; correct 'after', then run '%s' again",
            pass->items[i].name, pass->command);
        fail_item(pass, &pass->items[i], &err);
    }
}

static int next_start(void *user, unsigned waiting, struct cli_agent **ret_agent, struct api_instance *ret,
                      struct pi_error *err)
{
    struct cli_launch_pass *pass = user;
    for (size_t i = 0; i < pass->count; i++)
        pass->items[i].host->full = false;
    for (size_t i = 0; i < pass->count; i++) {
        struct cli_launch_item *item = &pass->items[i];
        const char *why = NULL;
        if (item->state != CLI_LAUNCH_WAITS || item->host->full) /* a small one does not overtake */
            continue;
        int may = may_start(pass, item, &why);
        if (may < 0) {
            hold_item(pass, item, why);
            i = SIZE_MAX; /* from the first one again: those that are after it are held */
            continue;
        }
        int room = may > 0 && item->start ? host_has_room(pass, item, err) : may;
        item->host->full = may > 0 && room == 0;
        if (room < 0)
            fail_item(pass, item, err);
        int r = room > 0 ? begin_item(pass, item, begin_start, ret_agent, ret, err) : 0;
        if (r != 0)
            return r;
        if (item->state == CLI_LAUNCH_FAILED)
            i = SIZE_MAX;
    }
    if (!waiting)
        refuse_circle(pass);
    return 0;
}

int cli_launch_pass(struct cli_launch_pass *pass, struct pi_error *err)
{
    const struct cli_wait_source source = {.next = pass->wait.made ? next_creation : next_start,
                                           .resumed = item_resumed,
                                           .over = item_over,
                                           .rest = tell_rest,
                                           .user = pass};
    pass->code = PI_OK;
    int r = cli_wait_each(&pass->wait, &source, err);
    return r ? r : pass->code;
}
