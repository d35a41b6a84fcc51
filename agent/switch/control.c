/* SPDX-License-Identifier: MIT */
#include "agent/switch/control.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/fields.h"
#include "agent/base/text.h"

/* A plan and a member as they come. */
struct member_text {
    char name[64], mac[18], address[INET_ADDRSTRLEN], trunk[64];
    bool plugged;
};

struct plan_text {
    char address[INET_ADDRSTRLEN], mac[18], domain[64];
    uint64_t prefix;
    json_t *members;
};

struct request {
    json_t *plan;
    bool counters;
    char trunk[64];
};

static const struct pi_field member_fields[] = {
    PI_FIELD(member_text, name, PI_FIELD_TEXT, .required = true),
    PI_FIELD(member_text, mac, PI_FIELD_TEXT, .required = true),
    PI_FIELD(member_text, address, PI_FIELD_TEXT, .required = true),
    PI_FIELD(member_text, plugged, PI_FIELD_BOOL),
    PI_FIELD(member_text, trunk, PI_FIELD_TEXT),
    {0},
};

static const struct pi_field plan_fields[] = {
    PI_FIELD(plan_text, address, PI_FIELD_TEXT, .required = true),
    PI_FIELD(plan_text, prefix, PI_FIELD_U64, .required = true, .min = 1, .max = 30),
    PI_FIELD(plan_text, mac, PI_FIELD_TEXT, .required = true),
    PI_FIELD(plan_text, domain, PI_FIELD_TEXT, .required = true),
    PI_FIELD(plan_text, members, PI_FIELD_JSON, .required = true),
    {0},
};

static const struct pi_field request_fields[] = {
    PI_FIELD(request, plan, PI_FIELD_JSON),
    PI_FIELD(request, counters, PI_FIELD_BOOL),
    PI_FIELD(request, trunk, PI_FIELD_TEXT),
    {0},
};

static const struct pi_field counter_fields[] = {
    PI_FIELD(frame_counters, received_frames, PI_FIELD_U64),
    PI_FIELD(frame_counters, received_bytes, PI_FIELD_U64),
    PI_FIELD(frame_counters, sent_frames, PI_FIELD_U64),
    PI_FIELD(frame_counters, sent_bytes, PI_FIELD_U64),
    PI_FIELD(frame_counters, ipv6, PI_FIELD_U64),
    PI_FIELD(frame_counters, refused, PI_FIELD_U64),
    PI_FIELD(frame_counters, lost, PI_FIELD_U64),
    {0},
};

/* "52:54:00:12:34:56", in lower or upper case. */
static int parse_mac(const char *text, uint8_t mac[FRAME_MAC_SIZE], struct pi_error *err)
{
    unsigned byte[FRAME_MAC_SIZE];
    int end = 0;
    if (strlen(text) != 17 ||
        sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &byte[0], &byte[1], &byte[2], &byte[3], &byte[4], &byte[5],
               &end) != 6 ||
        end != 17 || (byte[0] & 1))
        return pi_refuse(err, PI_USAGE,
                         "'%s' is not the MAC address of one device, such as 52:54:00:12:34:56", text);
    for (size_t i = 0; i < FRAME_MAC_SIZE; i++)
        mac[i] = (uint8_t)byte[i];
    return 0;
}

static int parse_owner(const char *mac, const char *address, struct frame_owner *ret, struct pi_error *err)
{
    if (inet_pton(AF_INET, address, &ret->address) != 1)
        return pi_refuse(err, PI_USAGE, "'%s' is not an IPv4 address", address);
    return parse_mac(mac, ret->mac, err);
}

static int parse_member(const json_t *object, struct fabric_member *ret, struct pi_error *err)
{
    struct member_text text = {0};
    int r = pi_fields_read(member_fields, object, true, &text, err);
    if (r == 0)
        r = pi_name_check(text.name, err);
    if (r == 0)
        r = parse_owner(text.mac, text.address, &ret->owner, err);
    if (r == 0 && text.plugged && *text.trunk)
        r = pi_refuse(err, PI_USAGE, "%s is plugged and behind the trunk %s: it is on one host", text.name,
                      text.trunk);
    memcpy(ret->trunk, text.trunk, sizeof ret->trunk);
    memcpy(ret->name, text.name, sizeof ret->name);
    ret->plugged = text.plugged;
    return r;
}

static int check_domain(const char *domain, struct pi_error *err)
{
    char labels[64], *rest = labels, *label;
    int r = 0;
    snprintf(labels, sizeof labels, "%s", domain);
    while (r == 0 && (label = strsep(&rest, ".")))
        r = pi_name_check(label, err);
    return r < 0 ? pi_context(err, r, "the domain '%s'", domain) : 0;
}

static bool are_distinct(const struct frame_owner *a, const struct frame_owner *b)
{
    return a->address.s_addr != b->address.s_addr && memcmp(a->mac, b->mac, sizeof a->mac) != 0;
}

static int check_owners(const struct fabric_plan *plan, struct pi_error *err)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct fabric_member *member = &plan->members[i];
        bool distinct = are_distinct(&member->owner, &plan->self);
        for (size_t j = 0; distinct && j < i; j++)
            distinct = are_distinct(&member->owner, &plan->members[j].owner) &&
                       strcmp(member->name, plan->members[j].name) != 0;
        if (!distinct)
            return pi_refuse(err, PI_USAGE, "%s has the name, the MAC or the address of another member",
                             member->name);
    }
    return 0;
}

static int parse_plan(const json_t *object, struct fabric_plan *ret, struct pi_error *err)
{
    struct plan_text text = {0};
    size_t i;
    json_t *member;
    int r = pi_fields_read(plan_fields, object, true, &text, err);
    if (r == 0)
        r = parse_owner(text.mac, text.address, &ret->self, err);
    if (r == 0 && json_array_size(text.members) > PI_ARRAY_SIZE(ret->members))
        r = pi_refuse(err, PI_USAGE, "a network has at most %zu members", PI_ARRAY_SIZE(ret->members));
    ret->prefix = (unsigned)text.prefix;
    memcpy(ret->domain, text.domain, sizeof ret->domain);
    if (r == 0)
        r = check_domain(text.domain, err);
    if (r == 0)
        json_array_foreach(text.members, i, member)
            if ((r = parse_member(member, &ret->members[ret->count++], err)) < 0)
                break;
    pi_fields_done(plan_fields, &text);
    return r < 0 ? r : check_owners(ret, err);
}

static int apply(struct fabric *fabric, const json_t *object, struct pi_error *err)
{
    pi_auto_free struct fabric_plan *plan = calloc(1, sizeof *plan);
    if (!plan)
        return pi_fail(err, ENOMEM, "cannot set up the switch");
    int r = parse_plan(object, plan, err);
    return r < 0 ? r : fabric_apply(fabric, plan, err);
}

/* The new object of the list, borrowed. */
static json_t *render_counters(json_t *list, const char *name, const struct frame_counters *counters)
{
    json_t *object = pi_fields_write(counter_fields, counters);
    json_object_set_new(object, "name", json_string(name));
    json_array_append_new(list, object);
    return object;
}

static json_t *render_all_counters(const struct fabric *fabric)
{
    json_t *members = json_array(), *trunks = json_array();
    const struct switch_port *port;
    const struct trunk *trunk;
    const char *name;
    for (size_t i = 0; (port = fabric_port(fabric, i, &name)); i++)
        render_counters(members, name, &port->counters);
    for (size_t i = 0; (trunk = fabric_trunk(fabric, i)); i++)
        json_object_set_new(render_counters(trunks, trunk->name, &trunk->counters), "connected",
                            json_boolean(trunk->fd >= 0));
    return json_pack("{s:o, s:o}", "members", members, "trunks", trunks);
}

json_t *control_answer(struct fabric *fabric, const char *line, size_t size, int *fd)
{
    struct pi_error err = {0};
    struct request request = {0};
    json_auto_t *object = pi_json_parse(line, size, &err), *answer = NULL;
    int r = object ? pi_fields_read(request_fields, object, true, &request, &err) : -1;
    if (r == 0 && request.plan)
        r = apply(fabric, request.plan, &err);
    if (r == 0 && *request.trunk)
        r = fabric_connect_trunk(fabric, request.trunk, fd, &err);
    if (r < 0)
        answer = json_pack("{s:s}", "error", err.text);
    else
        answer = request.counters ? render_all_counters(fabric) : json_object();
    pi_fields_done(request_fields, &request);
    return json_incref(answer);
}
