/* SPDX-License-Identifier: MIT */
#include "agent/switch/dhcp.h"

#include <arpa/inet.h>
#include <net/if_arp.h>
#include <string.h>

#define COOKIE         0x63825363u
#define FLAG_BROADCAST 0x8000u
#define BOOTP_SIZE     300 /* RFC 1542, 2.1: old clients drop a shorter one */

enum { BOOT_REQUEST = 1, BOOT_REPLY = 2 };

enum message_type {
    DHCP_DISCOVER = 1,
    DHCP_OFFER,
    DHCP_REQUEST,
    DHCP_DECLINE,
    DHCP_ACK,
    DHCP_NAK,
    DHCP_RELEASE,
    DHCP_INFORM
};

enum option_code {
    OPTION_PAD = 0,
    OPTION_MASK = 1,
    OPTION_ADDRESS = 50,
    OPTION_LEASE = 51,
    OPTION_TYPE = 53,
    OPTION_SERVER = 54,
    OPTION_CLIENT = 61,
    OPTION_END = 255,
};

struct dhcp_message {
    uint8_t op, hardware, hardware_size, hops;
    uint32_t id;
    uint16_t seconds, flags;
    struct in_addr client, yours, next_server, relay;
    uint8_t mac[16], server_name[64], file[128];
    uint32_t cookie;
};
_Static_assert(sizeof(struct dhcp_message) == 240, "as it is on the wire, RFC 2131, 2");

/* A client's. What is absent is 0. */
struct dhcp_options {
    uint8_t type;
    struct in_addr address, server;
    const uint8_t *client;
    uint8_t client_size;
};

static bool read_address(const uint8_t *data, uint8_t size, struct in_addr *ret)
{
    if (size != sizeof *ret)
        return false;
    memcpy(ret, data, sizeof *ret);
    return true;
}

/* False if it is malformed. */
static bool parse_dhcp_option(uint8_t code, const uint8_t *data, uint8_t size, struct dhcp_options *ret)
{
    switch (code) {
    case OPTION_TYPE:
        ret->type = size == 1 ? *data : 0;
        return size == 1;
    case OPTION_ADDRESS:
        return read_address(data, size, &ret->address);
    case OPTION_SERVER:
        return read_address(data, size, &ret->server);
    case OPTION_CLIENT:
        ret->client = data;
        ret->client_size = size;
        return true;
    default:
        return true;
    }
}

static bool parse_dhcp_options(const uint8_t *bytes, size_t size, struct dhcp_options *ret)
{
    for (size_t i = 0; i < size && bytes[i] != OPTION_END;) {
        if (bytes[i] == OPTION_PAD) {
            i++;
            continue;
        }
        if (size - i < 2 || bytes[i + 1] > size - i - 2 ||
            !parse_dhcp_option(bytes[i], bytes + i + 2, bytes[i + 1], ret))
            return false;
        i += 2u + bytes[i + 1];
    }
    return true;
}

static bool is_request(const struct dhcp_message *message, const struct frame_owner *client)
{
    return message->op == BOOT_REQUEST && message->cookie == htonl(COOKIE) &&
           message->hardware == ARPHRD_ETHER && message->hardware_size == FRAME_MAC_SIZE &&
           memcmp(message->mac, client->mac, FRAME_MAC_SIZE) == 0 && message->relay.s_addr == 0;
}

/* The type of the answer; 0 for none. */
static uint8_t choose_type(const struct resolver *resolver, const struct frame_owner *client,
                           const struct dhcp_message *message, const struct dhcp_options *options)
{
    struct in_addr wanted = options->address.s_addr ? options->address : message->client;
    bool chosen = options->server.s_addr == 0 || options->server.s_addr == resolver->self.address.s_addr;
    switch (options->type) {
    case DHCP_DISCOVER:
        return DHCP_OFFER;
    case DHCP_REQUEST:
        if (!chosen || wanted.s_addr == 0)
            return 0;
        return wanted.s_addr == client->address.s_addr ? DHCP_ACK : DHCP_NAK;
    case DHCP_INFORM:
        return message->client.s_addr == client->address.s_addr ? DHCP_ACK : 0;
    default:
        return 0;
    }
}

/* An option that finds no room is left out. */
static void put_option(uint8_t *reply, size_t *size, uint8_t code, const void *data, size_t data_size)
{
    if (*size + 2 + data_size + 1 > DHCP_SIZE_MAX)
        return;
    reply[(*size)++] = code;
    reply[(*size)++] = (uint8_t)data_size;
    memcpy(reply + *size, data, data_size);
    *size += data_size;
}

/* RFC 2131, 4.3.1, table 3. */
static size_t put_options(const struct resolver *resolver, const struct dhcp_options *options, uint8_t type,
                          uint8_t *reply)
{
    uint32_t mask = htonl(~(uint32_t)0 << (32 - resolver->prefix)), lease = htonl(DHCP_LEASE_S);
    size_t size = sizeof(struct dhcp_message);
    put_option(reply, &size, OPTION_TYPE, &type, sizeof type);
    put_option(reply, &size, OPTION_SERVER, &resolver->self.address, sizeof resolver->self.address);
    if (type != DHCP_NAK)
        put_option(reply, &size, OPTION_MASK, &mask, sizeof mask);
    if (type != DHCP_NAK && options->type != DHCP_INFORM)
        put_option(reply, &size, OPTION_LEASE, &lease, sizeof lease);
    if (options->client)
        put_option(reply, &size, OPTION_CLIENT, options->client, options->client_size);
    reply[size++] = OPTION_END;
    return size < BOOTP_SIZE ? BOOTP_SIZE : size;
}

/* RFC 2131, 4.1. */
static struct in_addr choose_destination(const struct frame_owner *client, const struct dhcp_message *message,
                                         uint8_t type)
{
    bool broadcast = message->client.s_addr == 0 && (message->flags & htons(FLAG_BROADCAST));
    return type == DHCP_NAK || broadcast ? (struct in_addr){htonl(INADDR_BROADCAST)} : client->address;
}

size_t dhcp_answer(const struct resolver *resolver, const struct frame_owner *client, const uint8_t *message,
                   size_t size, uint8_t *reply, struct in_addr *to)
{
    struct dhcp_message asked, answer;
    struct dhcp_options options = {0};
    if (size < sizeof asked)
        return 0;
    memcpy(&asked, message, sizeof asked);
    if (!is_request(&asked, client) ||
        !parse_dhcp_options(message + sizeof asked, size - sizeof asked, &options))
        return 0;
    uint8_t type = choose_type(resolver, client, &asked, &options);
    if (type == 0)
        return 0;
    answer = (struct dhcp_message){.op = BOOT_REPLY,
                                   .hardware = asked.hardware,
                                   .hardware_size = asked.hardware_size,
                                   .id = asked.id,
                                   .flags = asked.flags,
                                   .cookie = asked.cookie};
    memcpy(answer.mac, client->mac, FRAME_MAC_SIZE);
    if (type == DHCP_ACK)
        answer.client = asked.client;
    if (type != DHCP_NAK && options.type != DHCP_INFORM)
        answer.yours = client->address;
    memset(reply, 0, DHCP_SIZE_MAX);
    memcpy(reply, &answer, sizeof answer);
    *to = choose_destination(client, &asked, type);
    return put_options(resolver, &options, type, reply);
}
