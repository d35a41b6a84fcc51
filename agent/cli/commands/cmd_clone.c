/* SPDX-License-Identifier: MIT */
/* "clone" makes instances of one that does not run, each with its disk and an identity of its own, and follows them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/cli/client/foreground.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/commands/launch_chosen.h"
#include "agent/cli/commands/run_options.h"

#define CLONES_MAX 64

struct clone_options {
    struct vm_spec spec;
    struct cli_pace pace;
    bool no_start, detach, json;
    uint64_t timeout_ms;
};

/* The clones, and the request for each. */
struct clone_list {
    struct cli_launch_item items[CLONES_MAX];
    json_t *bodies[CLONES_MAX];
    size_t count;
    struct api_instance first; /* as the agent has answered */
};

static void clone_list_done(struct clone_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        json_decref(list->bodies[i]);
    api_done(instance, &list->first);
}

static int check_new_name(char **names, unsigned index, struct pi_error *err)
{
    for (unsigned i = 0; i < index; i++)
        if (!strcmp(names[i], names[index]))
            return pi_refuse(err, PI_USAGE, "%s is named twice: every instance has a name of its own",
                             names[index]);
    return pi_name_check(names[index], err);
}

static int add_clone(const struct clone_options *options, const char *source, const char *name, bool stopped,
                     struct clone_list *list, struct pi_error *err)
{
    static const struct vm_fleet none;
    struct api_create request = {
        .name = (char *)name, .clone_of = (char *)source, .spec = options->spec, .stopped = stopped};
    request.spec.arch = VM_ARCHES; /* has no word: it is the source's */
    json_t **body = &list->bodies[list->count];
    int r = cli_request_body(&request, body, err);
    if (r < 0)
        return r;
    list->items[list->count++] = (struct cli_launch_item){.name = name, .place = &none, .body = *body};
    return 0;
}

/* The first one is asked for alone: if the source cannot be cloned, that is told once. */
static int make_first(struct cli_agent *agent, struct clone_list *list, struct pi_error *err)
{
    cli_follow_hold_signals();
    list->items[0].made = &list->first;
    return cli_create_instance(agent, list->bodies[0], &list->first, err);
}

/* Starts those that were made. */
static int start_clones(const struct clone_options *options, struct cli_agent *agent,
                        const struct clone_list *list, const struct cli_wait *how, struct pi_error *err)
{
    pi_auto_chosen struct cli_chosen made = {.items = calloc(list->count, sizeof *made.items)};
    if (!made.items)
        return pi_fail(err, ENOMEM, "clone");
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].state != CLI_LAUNCH_DONE)
            continue;
        int r = cli_get_instance(agent, list->items[i].name, &made.items[made.count++], err);
        if (r < 0)
            return r;
    }
    return made.count ? cli_launch_chosen(agent, &made, how, &options->pace, false, "piagent start", err)
                      : PI_OK;
}

static int make_all(const struct clone_options *options, struct cli_agent *agent, struct clone_list *list,
                    struct pi_error *err)
{
    struct cli_launch_host host = {.agent = agent, .text = agent->host.url ? agent->host.url : "this host"};
    struct cli_launch_pass pass = {
        .items = list->items,
        .count = list->count,
        .pace = options->pace,
        .wait = {.fresh = true, .login = true, .json = options->json, .timeout_ms = options->timeout_ms},
        .command = "piagent clone"};
    struct cli_wait how = pass.wait;
    for (size_t i = 0; i < list->count; i++)
        list->items[i].host = &host;
    pass.wait.made = true;
    pass.wait.brief = !options->no_start;
    int code = cli_launch_pass(&pass, err);
    cli_launch_host_done(&host);
    if (code < 0 || code > CLI_EXIT_SIGNAL || options->no_start)
        return code;
    how.fresh = false;
    int r = start_clones(options, agent, list, &how, err);
    return r ? r : code;
}

static int clone_to(const struct cli_call *call, struct clone_list *list, struct pi_error *err)
{
    const struct clone_options *options = call->values;
    bool attached = !options->detach && !options->no_start;
    pi_auto_agent struct cli_agent agent = {0};
    for (unsigned i = 1; i < call->count; i++) {
        int r = check_new_name(call->operands + 1, i - 1, err);
        if (r == 0)
            r = add_clone(options, call->operands[0], call->operands[i], !attached, list, err);
        if (r < 0)
            return r;
    }
    int r = cli_connect(&agent, err);
    if (r == 0)
        r = make_first(&agent, list, err);
    if (r < 0)
        return r;
    return attached ? cli_foreground(&agent, &list->first, true, err) : make_all(options, &agent, list, err);
}

static int run_clone(const struct cli_call *call, struct pi_error *err)
{
    const struct clone_options *options = call->values;
    pi_auto(clone_list_done) struct clone_list list = {0};
    bool attached = !options->detach && !options->no_start;
    if (options->detach && options->no_start)
        return pi_refuse(err, PI_USAGE,
                         "-d waits until the guests are ready, and --no-start starts none: leave one out");
    if (attached && call->count > 2)
        return pi_refuse(err, PI_USAGE,
                         "several clones can only be made with -d or --no-start: there is one terminal");
    int r = cli_refuse_attached(!attached, options->json, options->timeout_ms, err);
    if (r == 0)
        r = cli_check_shared(&options->spec, call->count - 1, err);
    return r < 0 ? r : clone_to(call, &list, err);
}

static const struct cli_option clone_table[] = {
    {.name = "memory",
     .letter = 'm',
     CLI_MEMBER(CLI_MIB, clone_options, spec.memory_mib),
     .argument = "SIZE",
     .help = "memory (default: as NAME)"},
    {.name = "cpus",
     .letter = 'c',
     CLI_MEMBER(CLI_NUMBER, clone_options, spec.cpus),
     .argument = "N",
     .min = 1,
     .max = VM_CPUS_MAX,
     .help = "virtual CPUs (default: as NAME)"},
    {.name = "forward",
     .letter = 'p',
     CLI_MEMBER(CLI_LIST, clone_options, spec.forwards),
     .kind = CLI_TEXT,
     .argument = "[ADDR:]PORT:GUEST",
     .help = "forward a TCP port of this host, as run does (default: none)"},
    {.name = "network",
     CLI_MEMBER(CLI_LIST, clone_options, spec.networks),
     .kind = CLI_NETWORK,
     .argument = "NAME[,ip=ADDR]",
     .help = "join this network, as run does (default: the networks of NAME, at the next free addresses)"},
    {.name = "ephemeral",
     CLI_MEMBER(CLI_FLAG, clone_options, spec.ephemeral),
     .help = "remove a clone when it has ended, however it ends"},
    {.name = "no-start",
     CLI_MEMBER(CLI_FLAG, clone_options, no_start),
     .help = "make them and leave them stopped; returns when they are made"},
    {.name = "detach",
     .letter = 'd',
     CLI_MEMBER(CLI_FLAG, clone_options, detach),
     .help = "return when the guests are ready"},
    CLI_PACE_OPTIONS(clone_options, "with -d: "),
    {.name = "timeout",
     CLI_MEMBER(CLI_LIMIT, clone_options, timeout_ms),
     .argument = "TIME",
     .help = "with -d: " CLI_WAIT_LIMIT_HELP},
    {.name = "json", CLI_MEMBER(CLI_FLAG, clone_options, json), .help = "with -d: the events as JSON lines"},
    {0},
};

const struct cli_command cli_command_clone = {
    .name = "clone",
    .operands = "NAME NEW...",
    .summary = "makes instances with the disk of one that does not run",
    .details =
        "A clone begins with all that is on the disk of NAME, which takes no room until one of the two changes it. It is\n"
        "another instance: it gets a UUID, instance-id, host name, machine-id, SSH host key, MAC addresses, SSH port and\n"
        "addresses in networks of its own. Labels, user-data and all else are as those of NAME; its forwards and its place in\n"
        "a fleet are not taken over. piagent help clones tells what the guest makes of it.",
    .example = "piagent clone gold web-1 web-2 -d",
    .options = clone_table,
    .values_size = sizeof(struct clone_options),
    .min_operands = 2,
    .max_operands = CLONES_MAX + 1,
    .operand = CLI_MACHINE_OVER,
    .makes_rest = true,
    .run = run_clone,
};
