/* SPDX-License-Identifier: MIT */
#include "agent/lan/lan_hello.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fields.h"

#define VERSION 1

struct hello_text {
    struct lan_hello hello;
    uint64_t piagent_network;
};

static const struct pi_field hello_fields[] = {
    PI_FIELD(lan_hello, id, PI_FIELD_TEXT, .required = true),
    PI_FIELD(lan_hello, host, PI_FIELD_TEXT, .required = true),
    PI_FIELD(lan_hello, subnet, PI_FIELD_TEXT, .required = true),
    PI_FIELD(lan_hello, members, PI_FIELD_JSON, .required = true),
    {0},
};

static const struct pi_field line_fields[] = {
    PI_FIELD(hello_text, piagent_network, PI_FIELD_U64, .required = true),
    PI_FIELD(hello_text, hello, PI_FIELD_INLINE, .nested = hello_fields, .required = true),
    {0},
};

/* Of a member all that the other host needs to know. */
struct member_text {
    char name[PI_NAME_MAX + 1], address[INET_ADDRSTRLEN];
};

static const struct pi_field hello_member_fields[] = {
    PI_FIELD(member_text, name, PI_FIELD_TEXT, .required = true),
    PI_FIELD(member_text, address, PI_FIELD_TEXT, .required = true),
    {0},
};

char *lan_hello_render(const char *id, const struct vm_subnet *subnet, const json_t *members)
{
    struct hello_text text = {.piagent_network = VERSION};
    json_auto_t *list = json_array();
    const json_t *member;
    size_t i;
    json_array_foreach(members, i, member)
        json_array_append_new(list, json_pack("{s:O, s:O}", "name", json_object_get(member, "name"),
                                              "address", json_object_get(member, "address")));
    snprintf(text.hello.id, sizeof text.hello.id, "%s", id);
    if (gethostname(text.hello.host, sizeof text.hello.host - 1) < 0)
        snprintf(text.hello.host, sizeof text.hello.host, "unknown");
    vm_subnet_format(subnet, text.hello.subnet);
    text.hello.members = list;
    json_auto_t *object = list ? pi_fields_write(line_fields, &text) : NULL;
    return object ? json_dumps(object, JSON_COMPACT) : NULL;
}

int lan_hello_parse(const char *line, size_t size, struct lan_hello *ret, struct pi_error *err)
{
    struct hello_text text = {0};
    json_auto_t *object = pi_json_parse(line, size, err);
    int r = object ? pi_fields_read(line_fields, object, true, &text, err) : -EBADMSG;
    if (r == 0 && (text.piagent_network != VERSION || !json_is_array(text.hello.members)))
        r = pi_refuse(err, PI_CONFLICT, "it is another version's");
    if (r == 0 && !pi_is_hex(text.hello.id, LAN_ID_DIGITS))
        r = pi_refuse(err, PI_USAGE, "its id is not one");
    if (r < 0) {
        lan_hello_done(&text.hello);
        return pi_context(err, r, "the other host's piagent: its first line");
    }
    *ret = text.hello;
    pi_text_clean(text.hello.host, strlen(text.hello.host), ret->host, sizeof ret->host);
    return 0;
}

void lan_hello_done(struct lan_hello *hello)
{
    pi_fields_done(hello_fields, hello);
}

static const json_t *find_taken(const json_t *members, const struct member_text *one)
{
    const json_t *member;
    size_t i;
    json_array_foreach(members, i, member)
        if (!strcmp(json_string_value(json_object_get(member, "name")), one->name) ||
            !strcmp(json_string_value(json_object_get(member, "address")), one->address))
            return member;
    return NULL;
}

/* The member with its MAC. */
static int check_member(const json_t *object, const struct vm_subnet *subnet, const json_t *taken,
                        const json_t *before, json_t **ret, struct pi_error *err)
{
    struct member_text member = {0};
    struct in_addr address;
    char mac[VM_MAC_TEXT_SIZE];
    int r = pi_fields_read(hello_member_fields, object, true, &member, err);
    if (r < 0 || (r = pi_name_check(member.name, err)) < 0 ||
        (r = vm_subnet_member_parse(subnet, member.address, &address, err)) < 0)
        return pi_context(err, r, "a member of the other host's");
    vm_address_format(address, member.address);
    const json_t *other = find_taken(taken, &member);
    if (!other)
        other = find_taken(before, &member);
    if (other)
        return pi_refuse(
            err, PI_CONFLICT,
            "%s (%s) of the other host and %s (%s) have the same name or address: remove one of them",
            member.name, member.address, json_string_value(json_object_get(other, "name")),
            json_string_value(json_object_get(other, "address")));
    vm_subnet_mac(address, mac);
    *ret = json_pack("{s:s, s:s, s:s}", "name", member.name, "address", member.address, "mac", mac);
    return *ret ? 0 : pi_fail(err, ENOMEM, "link");
}

int lan_hello_check(const struct lan_hello *hello, const char *own_id, const struct vm_subnet *own,
                    const json_t *taken, json_t **ret, struct pi_error *err)
{
    char subnet[VM_SUBNET_TEXT_SIZE];
    json_auto_t *members = json_array();
    const json_t *object;
    size_t i;
    vm_subnet_format(own, subnet);
    if (!strcmp(hello->id, own_id))
        return pi_refuse(err, PI_CONFLICT, "it leads to this network itself");
    if (strcmp(hello->subnet, subnet) != 0)
        return pi_refuse(
            err, PI_CONFLICT,
            "the subnet is %s here and another on %s: make the network there anew, with --subnet %s", subnet,
            hello->host, subnet);
    if (json_array_size(hello->members) + json_array_size(taken) > LAN_SPANNED_MAX)
        return pi_refuse(err, PI_CONFLICT, "a network that spans hosts has at most %d members",
                         LAN_SPANNED_MAX);
    json_array_foreach(hello->members, i, object) {
        json_t *member = NULL;
        int r = check_member(object, own, taken, members, &member, err);
        if (r < 0)
            return r;
        if (json_array_append_new(members, member) < 0)
            return pi_fail(err, ENOMEM, "link");
    }
    *ret = json_incref(members);
    return 0;
}
