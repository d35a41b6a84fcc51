/* SPDX-License-Identifier: MIT */
/* "network status" tells all about one network: its subnet, its members, and what its switch carried. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "agent/cli/client/connect.h"
#include "agent/cli/client/instance_view.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/terminal/host_hint.h"
#include "agent/cli/terminal/table.h"

struct network_status_options {
    bool json;
};

static void format_amount(uint64_t frames, uint64_t bytes, char ret[64])
{
    char size[32];
    snprintf(ret, 64, "%" PRIu64 ", %s", frames, pi_size_format(bytes, size));
}

static int add_member_row(struct libscols_table *table, const json_t *object, struct pi_error *err)
{
    struct api_network_member member = {0};
    char sent[64], got[64], ipv6[24], refused[24], lost[24];
    int r = api_read(network_member, object, &member, err);
    if (r == 0) {
        const struct api_network_counters *counters = &member.counters;
        format_amount(counters->received_frames, counters->received_bytes, sent);
        format_amount(counters->sent_frames, counters->sent_bytes, got);
        snprintf(ipv6, sizeof ipv6, "%" PRIu64, counters->ipv6);
        snprintf(refused, sizeof refused, "%" PRIu64, counters->refused);
        snprintf(lost, sizeof lost, "%" PRIu64, counters->lost);
        bool over = cli_state_is_over(member.state);
        const char *const cells[] = {
            member.name,        member.address,    member.mac,         api_state_word(&member),
            over ? NULL : sent, over ? NULL : got, over ? NULL : ipv6, over ? NULL : refused,
            over ? NULL : lost,
        };
        if (cli_table_add(table, cells, cli_state_colour(member.state)) < 0)
            r = pi_fail(err, ENOMEM, "network status");
    }
    api_done(network_member, &member);
    return r;
}

static int print_members(const json_t *list, struct pi_error *err)
{
    static const struct cli_column columns[] = {
        {"MEMBER", CLI_LEFT}, {"ADDRESS", CLI_LEFT},
        {"MAC", CLI_LEFT},    {"STATE", CLI_LEFT},
        {"SENT", CLI_LEFT},   {"GOT", CLI_LEFT},
        {"IPV6", CLI_RIGHT},  {"REFUSED", CLI_RIGHT},
        {"LOST", CLI_RIGHT},  {0},
    };
    pi_auto_table struct libscols_table *table = cli_table_new(columns, false);
    int r = table ? 0 : pi_fail(err, ENOMEM, "network status");
    const json_t *member;
    size_t i;
    json_array_foreach(list, i, member)
        if (r == 0)
            r = add_member_row(table, member, err);
    return r < 0 ? r : cli_table_print(table, err);
}

static const char *link_state(const json_t *link)
{
    const char *reason = cli_json_text(link, "reason");
    return json_is_true(json_object_get(link, "connected")) ? "connected"
           : *reason                                        ? reason
                                                            : "not connected yet";
}

static void print_traffic(const json_t *link)
{
    struct api_network_counters counters = {0};
    char sent[64], got[64];
    (void)api_read(network_counters, link, &counters, NULL);
    format_amount(counters.sent_frames, counters.sent_bytes, sent);
    format_amount(counters.received_frames, counters.received_bytes, got);
    printf("  sent %s; got %s; refused %" PRIu64 ", lost %" PRIu64 "\n", sent, got, counters.refused,
           counters.lost);
}

static void print_links(const json_t *links)
{
    const json_t *link, *member;
    size_t i, j;
    json_array_foreach(links, i, link) {
        printf("%s %s: %s\n", json_is_true(json_object_get(link, "dialed_here")) ? "link to" : "link from",
               *cli_json_text(link, "host") ? cli_json_text(link, "host") : "another host", link_state(link));
        print_traffic(link);
        json_array_foreach(json_object_get(link, "members"), j, member)
            printf("  %s %s\n", cli_json_text(member, "name"), cli_json_text(member, "address"));
    }
}

static int print_network(const json_t *network, struct pi_error *err)
{
    const json_t *members = json_object_get(network, "members");
    json_int_t process = json_integer_value(json_object_get(network, "switch_pid"));
    const char *reason = cli_json_text(network, "reason");
    printf("%s: %s", cli_json_text(network, "name"), *reason ? reason : cli_json_text(network, "subnet"));
    if (!*reason)
        printf(", the members ask %s for names", cli_json_text(network, "gateway"));
    if (process)
        printf(", its switch is process %" JSON_INTEGER_FORMAT, process);
    puts("");
    print_links(json_object_get(network, "links"));
    if (json_array_size(members))
        return print_members(members, err);
    cli_note("it has no member yet: piagent run NAME --network %s", cli_json_text(network, "name"));
    return PI_OK;
}

static int run_network_status(const struct cli_call *call, struct pi_error *err)
{
    const struct network_status_options *options = call->values;
    pi_auto_agent struct cli_agent agent = {0};
    json_auto_t *reply = NULL;
    int r = cli_connect(&agent, err);
    if (r == 0)
        r = cli_call_networks(&agent, "GET", call->operands[0], NULL, &reply, err);
    if (r < 0)
        return r;
    return options->json ? cli_json_print(reply, err) : print_network(reply, err);
}

static const struct cli_option network_status_table[] = {
    {.name = "json", CLI_MEMBER(CLI_FLAG, network_status_options, json), .help = "as the agent's JSON"},
    {0},
};

const struct cli_command cli_command_network_status = {
    .name = "network status",
    .operands = "NAME",
    .summary = "tells all about one network and its members",
    .details =
        "For each member that runs: the frames and bytes that it SENT to the switch and GOT from it, its frames of IPV6 and\n"
        "those that were REFUSED, and frames for it that were LOST; and the same of each link, as this host sees it. piagent\n"
        "help networking explains them.",
    .example = "piagent network status lab",
    .options = network_status_table,
    .values_size = sizeof(struct network_status_options),
    .min_operands = 1,
    .max_operands = 1,
    .operand = CLI_NETWORK,
    .run = run_network_status,
};
