/* SPDX-License-Identifier: MIT */
/* DHCP in a network: what a client sends, and what it, its neighbour and another host get. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/switch/dhcp.h"
#include "agent/switch/fabric.h"
#include "switch_fixture.h"

enum { SERVER, NODE, REMOTE, MEMBERS }; /* REMOTE is behind a trunk */

enum { IP = 14, UDP = IP + 20, DHCP = UDP + 8, OPTIONS = DHCP + 240 };

enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM };

static const char *const names[MEMBERS] = {"server", "node", "remote"};
static const struct in_addr none;

struct fixture {
    char folder[32];
    struct fabric *fabric;
    struct fabric_plan plan;
    int qemu[MEMBERS], trunk;
};

static int setup(void **state)
{
    static struct fixture f;
    int ends[2];
    f = (struct fixture){.folder = "/tmp/pi-dhcp-XXXXXX"};
    enter_network(f.folder);
    plan_network(&f.plan, names, MEMBERS);
    for (size_t i = 0; i < MEMBERS; i++)
        f.qemu[i] = bind_qemu(names[i]);
    f.plan.members[REMOTE].plugged = false;
    strcpy(f.plan.members[REMOTE].trunk, "other");
    assert_non_null(f.fabric = fabric_new(NULL));
    assert_int_equal(fabric_apply(f.fabric, &f.plan, NULL), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(fabric_connect_trunk(f.fabric, "other", &ends[0], NULL), 0);
    f.trunk = ends[1];
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    fabric_free(f->fabric);
    pi_close_p(&f->trunk);
    leave_network(f->folder, names, f->qemu, MEMBERS);
    return 0;
}

struct client {
    uint8_t frame[FRAME_MAX];
    size_t size;
};

static void put(struct client *client, const void *bytes, size_t size)
{
    memcpy(client->frame + client->size, bytes, size);
    client->size += size;
}

static void put_address(struct client *client, uint8_t code, struct in_addr address)
{
    put(client, (const uint8_t[]){code, 4}, 2);
    put(client, &address, 4);
}

/* A message of a member that has no address yet, up to its options. */
static struct client ask(const struct fixture *f, size_t member, uint8_t type)
{
    struct client client = {.size = OPTIONS};
    make_frame(&f->plan.members[member].owner, everybody, 0, client.frame);
    memset(client.frame + IP + 12, 0, 4);
    memset(client.frame + IP + 16, 255, 4);
    client.frame[IP + 9] = IPPROTO_UDP;
    memcpy(client.frame + UDP, ((const uint8_t[]){0, 68, 0, 67}), 4);
    memcpy(client.frame + DHCP, ((const uint8_t[]){1, 1, 6, 0, 0xca, 0xfe, 0xba, 0xbe}), 8);
    memcpy(client.frame + DHCP + 28, f->plan.members[member].owner.mac, FRAME_MAC_SIZE);
    memcpy(client.frame + DHCP + 236, ((const uint8_t[]){0x63, 0x82, 0x53, 0x63}), 4);
    put(&client, (const uint8_t[]){0, 53, 1, type}, 4);
    return client;
}

/* Sends it, with its lengths. The size of what came back, in client->frame; 0 for nothing. */
static size_t answer(const struct fixture *f, size_t member, struct client *client)
{
    size_t ip = client->size - IP, udp = client->size - UDP;
    memcpy(client->frame + IP + 2, ((const uint8_t[]){(uint8_t)(ip >> 8), (uint8_t)ip}), 2);
    memcpy(client->frame + UDP + 4, ((const uint8_t[]){(uint8_t)(udp >> 8), (uint8_t)udp}), 2);
    send_as(names[member], client->frame, client->size, f->qemu[member]);
    fabric_run(f->fabric, 1000);
    ssize_t got = recv(f->qemu[member], client->frame, sizeof client->frame, MSG_DONTWAIT);
    return client->size = got < 0 ? 0 : (size_t)got;
}

static const uint8_t *option(const struct client *client, uint8_t code)
{
    for (size_t i = OPTIONS; client->frame[i] != 255; i += 2u + client->frame[i + 1]) {
        assert_true(i < client->size);
        if (client->frame[i] == code)
            return client->frame + i + 2;
    }
    return NULL;
}

static uint8_t type_of(const struct client *client)
{
    return client->size ? *option(client, 53) : 0;
}

#define ADDRESS(f, member) ((f)->plan.members[member].owner.address)

static void a_client_is_offered_and_given_its_members_address_and_no_route(void **state)
{
    const struct fixture *f = *state;
    for (size_t round = 0; round < 2; round++) {
        struct client client = ask(f, NODE, round ? REQUEST : DISCOVER);
        if (round) {
            put_address(&client, 50, ADDRESS(f, NODE));
            put_address(&client, 54, f->plan.self.address);
        }
        put(&client, (const uint8_t[]){61, 3, 'a', 'b', 'c', 255}, 6);
        assert_true(answer(f, NODE, &client) >= DHCP + 300);
        assert_int_equal(type_of(&client), round ? ACK : OFFER);
        assert_memory_equal(client.frame, f->plan.members[NODE].owner.mac, FRAME_MAC_SIZE);
        assert_memory_equal(client.frame + IP + 12, &f->plan.self.address, 4);
        assert_memory_equal(client.frame + IP + 16, &ADDRESS(f, NODE), 4);
        assert_memory_equal(client.frame + UDP, ((const uint8_t[]){0, 67, 0, 68}), 4);
        assert_memory_equal(client.frame + DHCP, ((const uint8_t[]){2, 1, 6, 0, 0xca, 0xfe, 0xba, 0xbe}), 8);
        assert_memory_equal(client.frame + DHCP + 16, &ADDRESS(f, NODE), 4);
        assert_memory_equal(option(&client, 1), ((const uint8_t[]){255, 255, 240, 0}), 4);
        assert_memory_equal(option(&client, 54), &f->plan.self.address, 4);
        assert_memory_equal(option(&client, 51), ((const uint8_t[]){0, 9, 0x3a, 0x80}), 4);
        assert_memory_equal(option(&client, 61), "abc", 3);
        assert_null(option(&client, 3)); /* no router */
        assert_null(option(&client, 6)); /* no name server */
    }
}

static void a_request_is_answered_as_it_deserves(void **state)
{
    const struct fixture *f = *state;
    const struct in_addr mine = ADDRESS(f, NODE), other = ADDRESS(f, SERVER), self = f->plan.self.address;
    const struct {
        uint8_t type;
        struct in_addr client, wanted, server;
        uint8_t answer;
    } cases[] = {
        {REQUEST, none, mine, none, ACK},  {REQUEST, none, other, none, NAK},
        {REQUEST, none, other, self, NAK}, {REQUEST, none, mine, other, 0}, /* it chose another server */
        {REQUEST, mine, none, none, ACK},  {REQUEST, other, none, none, NAK},
        {REQUEST, none, none, none, 0},    {INFORM, mine, none, none, ACK},
        {INFORM, other, none, none, 0},    {DECLINE, none, mine, self, 0},
        {RELEASE, mine, none, self, 0},    {DISCOVER, none, other, none, OFFER},
        {0, none, none, none, 0},          {99, none, none, none, 0},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct client client = ask(f, NODE, cases[i].type);
        memcpy(client.frame + DHCP + 12, &cases[i].client, 4);
        if (cases[i].wanted.s_addr)
            put_address(&client, 50, cases[i].wanted);
        if (cases[i].server.s_addr)
            put_address(&client, 54, cases[i].server);
        answer(f, NODE, &client);
        if (type_of(&client) != cases[i].answer)
            fail_msg("case %zu: %d", i, type_of(&client));
        if (cases[i].answer)
            assert_memory_equal(client.frame + IP + 16,
                                cases[i].answer == NAK ? "\377\377\377\377" : (const char *)&mine, 4);
        if (cases[i].type == INFORM && cases[i].answer) {
            assert_memory_equal(client.frame + DHCP + 16, &none, 4);
            assert_null(option(&client, 51));
        }
    }
}

static void a_lease_is_renewed_from_its_own_address(void **state)
{
    const struct fixture *f = *state;
    struct client client = ask(f, NODE, REQUEST);
    memcpy(client.frame, f->plan.self.mac, FRAME_MAC_SIZE);
    memcpy(client.frame + IP + 12, &ADDRESS(f, NODE), 4);
    memcpy(client.frame + IP + 16, &f->plan.self.address, 4);
    memcpy(client.frame + DHCP + 12, &ADDRESS(f, NODE), 4);
    assert_true(answer(f, NODE, &client) > 0);
    assert_int_equal(type_of(&client), ACK);
}

static void a_client_that_wants_a_broadcast_gets_one_in_a_frame_for_it_alone(void **state)
{
    const struct fixture *f = *state;
    struct client client = ask(f, NODE, DISCOVER);
    client.frame[DHCP + 10] = 0x80;
    assert_true(answer(f, NODE, &client) > 0);
    assert_memory_equal(client.frame, f->plan.members[NODE].owner.mac, FRAME_MAC_SIZE);
    assert_memory_equal(client.frame + IP + 16, everybody, 4);
    assert_int_equal(client.frame[DHCP + 10], 0x80);
}

static void a_client_is_heard_by_no_other_member_and_over_no_trunk(void **state)
{
    const struct fixture *f = *state;
    for (size_t i = 0; i < 2; i++) {
        struct client client = ask(f, NODE, DISCOVER);
        if (i)
            memcpy(client.frame + IP + 12, &ADDRESS(f, NODE), 4);
        assert_true(answer(f, NODE, &client) > 0);
        assert_int_equal(mark_at(f->qemu[SERVER]), -1);
        assert_int_equal(fabric_trunk(f->fabric, 0)->counters.sent_frames, 0);
    }
}

static void a_client_behind_a_trunk_is_its_own_switchs(void **state)
{
    const struct fixture *f = *state;
    struct client client = ask(f, REMOTE, DISCOVER);
    const uint32_t length = htonl((uint32_t)client.size);
    char back;
    assert_int_equal(send(f->trunk, &length, sizeof length, 0), sizeof length);
    assert_int_equal(send(f->trunk, client.frame, client.size, 0), client.size);
    for (size_t i = 0; i < 10; i++)
        fabric_run(f->fabric, 1000);
    assert_int_equal(fabric_trunk(f->fabric, 0)->counters.received_frames, 1);
    assert_int_equal(mark_at(f->qemu[SERVER]), -1);
    assert_int_equal(mark_at(f->qemu[NODE]), -1);
    assert_int_equal(recv(f->trunk, &back, 1, MSG_DONTWAIT), -1);
}

/* Each change makes the frame one that nobody may send from no address. */
static void no_address_is_for_dhcp_alone(void **state)
{
    const struct fixture *f = *state;
    const struct {
        size_t at;
        uint8_t value;
    } cases[] = {{0, 0x52},     {3, 0},         {11, 0x10},    {13, 6},
                 {IP, 0x46},    {IP + 6, 0x20}, {IP + 7, 1},   {IP + 9, IPPROTO_TCP},
                 {IP + 12, 10}, {IP + 19, 254}, {UDP + 1, 67}, {UDP + 3, 53},
                 {UDP, 1}};
    const char *name;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct client client = ask(f, NODE, DISCOVER);
        client.frame[cases[i].at] = cases[i].value;
        if (answer(f, NODE, &client) != 0 || mark_at(f->qemu[SERVER]) != -1 ||
            fabric_port(f->fabric, 1, &name)->counters.refused != i + 1)
            fail_msg("case %zu", i);
    }
}

static void a_malformed_message_is_dropped(void **state)
{
    const struct fixture *f = *state;
    static const struct {
        size_t at;
        uint8_t value;
    } cases[] = {{0, 2}, {1, 6}, {2, 16}, {27, 1}, {33, 0x10}, {239, 0}};
    static const struct {
        uint8_t bytes[4], size;
    } options[] = {{{50}, 1},    {{50, 4, 1}, 3}, {{50, 2, 1, 1}, 4},
                   {{54, 0}, 2}, {{53, 0}, 2},    {{61, 255}, 2}};
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct client client = ask(f, NODE, DISCOVER);
        client.frame[DHCP + cases[i].at] = cases[i].value;
        if (answer(f, NODE, &client) != 0)
            fail_msg("case %zu", i);
    }
    for (size_t i = 0; i < PI_ARRAY_SIZE(options); i++) {
        struct client client = ask(f, NODE, DISCOVER);
        put(&client, options[i].bytes, options[i].size);
        if (answer(f, NODE, &client) != 0)
            fail_msg("option %zu", i);
    }
    for (size_t size = DHCP; size < OPTIONS + 4; size++) {
        struct client client = ask(f, NODE, DISCOVER);
        client.size = size;
        assert_int_equal(answer(f, NODE, &client), 0);
    }
}

static void an_answer_fits_however_long_the_clients_name_is(void **state)
{
    const struct fixture *f = *state;
    struct client client = ask(f, NODE, DISCOVER);
    uint8_t name[257] = {61, 255};
    for (size_t i = 0; i < 8; i++)
        put(&client, name, sizeof name);
    assert_true(answer(f, NODE, &client) <= DHCP + DHCP_SIZE_MAX);
    assert_int_equal(type_of(&client), OFFER);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_client_is_offered_and_given_its_members_address_and_no_route),
        TEST(a_request_is_answered_as_it_deserves),
        TEST(a_lease_is_renewed_from_its_own_address),
        TEST(a_client_that_wants_a_broadcast_gets_one_in_a_frame_for_it_alone),
        TEST(a_client_is_heard_by_no_other_member_and_over_no_trunk),
        TEST(a_client_behind_a_trunk_is_its_own_switchs),
        TEST(no_address_is_for_dhcp_alone),
        TEST(a_malformed_message_is_dropped),
        TEST(an_answer_fits_however_long_the_clients_name_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
