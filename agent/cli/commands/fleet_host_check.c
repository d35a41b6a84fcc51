/* SPDX-License-Identifier: MIT */
#include "agent/cli/commands/fleet_host_check.h"

#include <errno.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/fleet/fleet_fault.h"

/* The first instance of the entry that is to be made or started; those of one entry are alike. */
static const struct fleet_change *first_change(const struct fleet_plan *plan, const struct fleet_entry *entry)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->changes[i].entry == entry && (plan->changes[i].create || plan->changes[i].start))
            return &plan->changes[i];
    return NULL;
}

/* Tells if the port belongs to an instance that this run ends first. */
static bool is_set_free(const struct fleet_plan *plan, size_t host, const char *text)
{
    struct vm_forward mine, theirs;
    if (vm_forward_parse(text, &mine, NULL) < 0)
        return false;
    for (size_t i = 0; i < plan->count; i++) {
        const struct fleet_change *change = &plan->changes[i];
        const struct pi_strv *forwards = change->remove ? &change->now->spec.forwards : NULL;
        for (size_t k = 0; change->host == host && forwards && k < forwards->count; k++)
            if (vm_forward_parse(forwards->items[k], &theirs, NULL) == 0 && vm_forwards_clash(&mine, &theirs))
                return true;
    }
    return false;
}

/* Without the networks that instances share, and the ports that this run sets free. */
static json_t *question(const json_t *request, const struct fleet_plan *plan,
                        const struct fleet_change *change)
{
    json_t *body = json_copy((json_t *)request), *networks = json_array(), *forwards = json_array(), *item;
    size_t i;
    json_array_foreach(json_object_get(request, "networks"), i, item)
        if (pi_starts_with(json_string_value(item), "bridge="))
            json_array_append(networks, item);
    json_array_foreach(json_object_get(request, "forwards"), i, item)
        if (!is_set_free(plan, change->host, json_string_value(item)))
            json_array_append(forwards, item);
    json_object_del(body, "user_data_sha256");
    json_object_del(body, "user_data_base64"); /* it is checked here */
    json_object_set_new(body, "name", json_string(change->name));
    json_object_set_new(body, "networks", networks);
    json_object_set_new(body, "forwards", forwards);
    return body;
}

static const struct fleet_word *word_of(const struct fleet_entry *entry, const struct api_fault *fault)
{
    const struct fleet_word *word = NULL;
    for (size_t at = 0; fault->option && (word = fleet_next_word(entry, fault->option, &at));)
        if (!fault->value || !word->value || !strcmp(word->value, fault->value))
            return word;
    return NULL;
}

static const struct fleet_option *option_at(const struct fleet_option *options, const char *text)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");
    while (options->name && (strlen(options->name) != length || strncmp(options->name, text, length) != 0))
        options++;
    return options->name ? options : NULL;
}

/* The message with options as the file writes them: "sha256: HEX" for "--sha256 HEX", "unverified: true" for "--unverified", and
 * "accel" for "--accel" that no value follows. It begins with the name of what is wrong, and commands in it stay what they are. */
static int write_keys(const struct fleet_option *options, const char *message, struct pi_buf *ret)
{
    const char *command = strstr(message, "piagent "),
               *from = message + (pi_starts_with(message, "--") ? 2 : 0);
    int r = 0;
    for (const char *at = from; r == 0 && (at = strstr(at, "--")) && (!command || at < command);) {
        const struct fleet_option *option = option_at(options, at + 2);
        int before = (int)(at - from);
        at += 2;
        if (!option)
            continue;
        at += strlen(option->name);
        r = pi_buf_printf(ret, "%.*s%s%s", before, from, option->name,
                          option->value == FLEET_VALUE_FLAG ? ": true"
                          : *at == ' '                      ? ":"
                                                            : "");
        from = at;
    }
    return r < 0 ? r : pi_buf_puts(ret, from);
}

static int add_host_fault(struct cli_fleet *fleet, const struct fleet_change *change,
                          const struct api_fault *fault, struct pi_error *err)
{
    const struct fleet_word *word = word_of(change->entry, fault);
    pi_auto_buf struct pi_buf text = {0};
    size_t before = fleet->findings->errors;
    /* An instance that is there has its disk. */
    if (!change->create && fault->option &&
        (!strcmp(fault->option, "image") || !strcmp(fault->option, "disk")))
        return 0;
    if (write_keys(fleet->options, fault->message, &text) < 0)
        return pi_fail(err, ENOMEM, "faults");
    if (word)
        fleet_word_fault(fleet->findings, change->entry, word, NULL, "%s", text.data);
    else
        fleet_entry_fault(fleet->findings, change->entry, NULL, change->entry->line, NULL, "%s", text.data);
    fleet->host_faults += fleet->findings->errors - before;
    fleet->host_kind = fleet->host_kind ? fleet->host_kind : fault->kind;
    return 0;
}

static int add_answer(struct cli_fleet *fleet, const struct fleet_change *change, const json_t *reply,
                      struct pi_error *err)
{
    const json_t *item;
    size_t i;
    int r = 0;
    json_array_foreach(json_object_get(reply, "faults"), i, item) {
        struct api_fault fault = {0};
        if ((r = api_read(fault, item, &fault, err)) == 0)
            r = add_host_fault(fleet, change, &fault, err);
        api_done(fault, &fault);
        if (r < 0)
            return pi_context(err, r, "the agent's answer");
    }
    return 0;
}

static int ask_about_entry(const struct cli_fleet_hosts *hosts, struct cli_fleet *fleet,
                           const struct fleet_plan *plan, const struct fleet_change *change,
                           const json_t *request, struct pi_error *err)
{
    json_auto_t *body = question(request, plan, change), *reply = NULL;
    int r = body ? api_client_call(hosts->items[change->host].task.agent.client, "POST", "/v1/check", body,
                                   CLI_CALL_MS, &reply, err)
                 : pi_fail(err, ENOMEM, "%s", change->name);
    if (r < 0 && err->kind == PI_NOT_FOUND)
        return 0;
    return r < 0 ? r : add_answer(fleet, change, reply, err);
}

int cli_fleet_check_hosts(const struct cli_fleet_hosts *hosts, struct cli_fleet *fleet,
                          const struct fleet_plan *plan, struct pi_error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < fleet->fleet.entry_count; i++) {
        const struct fleet_change *change = first_change(plan, &fleet->fleet.entries[i]);
        if (change && fleet->requests[i])
            r = ask_about_entry(hosts, fleet, plan, change, fleet->requests[i], err);
    }
    return r;
}
