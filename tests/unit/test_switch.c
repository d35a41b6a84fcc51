/* SPDX-License-Identifier: MIT */
/* A network's switch in this process: members are datagram sockets, as QEMU's -netdev dgram has them. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <ldns/ldns.h>

#include "agent/base/auto.h"
#include "agent/switch/fabric.h"
#include "switch_fixture.h"

#define MEMBERS 4

struct fixture {
    char folder[32];
    struct fabric *fabric;
    struct fabric_plan plan;
    int qemu[MEMBERS];
    uint64_t now_ms;
};

static const char *const names[MEMBERS] = {"server", "node-1", "node-2", "node-3"};

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){.folder = "/tmp/pi-switch-XXXXXX", .now_ms = 1000};
    enter_network(f.folder);
    plan_network(&f.plan, names, MEMBERS);
    for (size_t i = 0; i < MEMBERS; i++)
        f.qemu[i] = bind_qemu(names[i]);
    f.fabric = fabric_new(NULL);
    assert_non_null(f.fabric);
    assert_int_equal(fabric_apply(f.fabric, &f.plan, NULL), 0);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    fabric_free(f->fabric);
    leave_network(f->folder, names, f->qemu, MEMBERS);
    return 0;
}

static void send_raw(size_t from, const void *frame, size_t size, int fd)
{
    send_as(names[from], frame, size, fd);
}

static void send_frame(const struct fixture *f, size_t from, const uint8_t *to, uint8_t mark)
{
    uint8_t frame[64];
    send_raw(from, frame, make_frame(&f->plan.members[from].owner, to, mark, frame), f->qemu[from]);
}

static int next_mark(const struct fixture *f, size_t member)
{
    return mark_at(f->qemu[member]);
}

#define MAC(f, i) ((f)->plan.members[i].owner.mac)

static void a_frame_goes_to_the_member_that_has_its_address_and_to_nobody_else(void **state)
{
    const struct fixture *f = *state;
    send_frame(f, 0, MAC(f, 1), 7);
    fabric_run(f->fabric, f->now_ms);
    assert_int_equal(next_mark(f, 1), 7);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(next_mark(f, i), -1);
}

static void a_frame_for_nobody_goes_nowhere(void **state)
{
    const struct fixture *f = *state;
    send_frame(f, 0, (const uint8_t[]){0x52, 0x54, 9, 9, 9, 9}, 7);
    fabric_run(f->fabric, f->now_ms);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(next_mark(f, i), -1);
}

static void a_broadcast_goes_to_all_others(void **state)
{
    const struct fixture *f = *state;
    send_frame(f, 2, everybody, 9);
    fabric_run(f->fabric, f->now_ms);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(next_mark(f, i), i == 2 ? -1 : 9);
}

static void broadcasts_beyond_the_rate_are_refused_until_there_was_time(void **state)
{
    const struct fixture *f = *state;
    size_t got = 0;
    for (size_t sent = 0; sent < PORT_BUDGET_BURST + 500; sent++) {
        send_frame(f, 0, everybody, 1);
        fabric_run(f->fabric, f->now_ms);
        got += next_mark(f, 1) == 1;
        next_mark(f, 2);
        next_mark(f, 3);
    }
    assert_int_equal(got, PORT_BUDGET_BURST);
    send_frame(f, 0, MAC(f, 1), 2);
    fabric_run(f->fabric, f->now_ms);
    assert_int_equal(next_mark(f, 1), 2);
    for (size_t i = 0; i < 5; i++) {
        send_frame(f, 0, everybody, 3);
        fabric_run(f->fabric, f->now_ms + 3);
        assert_int_equal(next_mark(f, 1), i < 3 ? 3 : -1);
    }
}

static void what_is_not_the_senders_own_is_refused(void **state)
{
    const struct fixture *f = *state;
    struct frame_owner wrong_mac = f->plan.members[0].owner, wrong_address = wrong_mac;
    uint8_t frame[FRAME_MAX + 100] = {0};
    memcpy(wrong_mac.mac, MAC(f, 2), FRAME_MAC_SIZE);
    wrong_address.address = f->plan.members[2].owner.address;
    const struct frame_owner *owners[] = {&wrong_mac, &wrong_address};
    for (size_t i = 0; i < PI_ARRAY_SIZE(owners); i++)
        send_raw(0, frame, make_frame(owners[i], MAC(f, 1), 1, frame), f->qemu[0]);
    make_frame(&f->plan.members[0].owner, MAC(f, 1), 1, frame);
    frame[12] = 0x88, frame[13] = 0xcc; /* LLDP */
    send_raw(0, frame, 64, f->qemu[0]);
    frame[12] = 0x08, frame[13] = 0x00;
    for (size_t size = 0; size < 34; size++)
        send_raw(0, frame, size, f->qemu[0]), fabric_run(f->fabric, f->now_ms);
    send_raw(0, frame, sizeof frame, f->qemu[0]);
    fabric_run(f->fabric, f->now_ms);
    assert_int_equal(next_mark(f, 1), -1);
    const char *name;
    const struct switch_port *port = fabric_port(f->fabric, 0, &name);
    assert_string_equal(name, "server");
    assert_int_equal(port->counters.refused, 2 + 1 + 34 + 1);
    assert_int_equal(port->counters.received_frames, port->counters.refused);
}

static void ipv6_goes_to_nobody_and_is_no_offence(void **state)
{
    const struct fixture *f = *state;
    const uint8_t *const receivers[] = {MAC(f, 1), everybody, f->plan.self.mac};
    const char *name;
    for (size_t i = 0; i < PI_ARRAY_SIZE(receivers); i++) {
        uint8_t frame[64];
        make_frame(&f->plan.members[0].owner, receivers[i], 1, frame);
        frame[12] = 0x86, frame[13] = 0xdd;
        send_raw(0, frame, sizeof frame, f->qemu[0]);
    }
    fabric_run(f->fabric, f->now_ms);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(next_mark(f, i), -1);
    const struct frame_counters *counters = &fabric_port(f->fabric, 0, &name)->counters;
    assert_int_equal(counters->received_frames, 3);
    assert_int_equal(counters->ipv6, 3);
    assert_int_equal(counters->refused, 0);
}

static void arp_tells_of_the_sender_alone(void **state)
{
    const struct fixture *f = *state;
    const struct frame_owner *owner = &f->plan.members[0].owner, *other = &f->plan.members[2].owner;
    static const struct in_addr none;
    const struct {
        const uint8_t *mac;
        const struct in_addr *address;
        bool passes;
    } cases[] = {{owner->mac, &owner->address, true},  {owner->mac, &none, true}, /* a probe */
                 {owner->mac, &other->address, false}, {owner->mac, &f->plan.self.address, false},
                 {other->mac, &owner->address, false}, {other->mac, &other->address, false}};
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        uint8_t frame[64] = {0};
        memcpy(frame, everybody, 6);
        memcpy(frame + 6, owner->mac, 6);
        memcpy(frame + 12, ((const uint8_t[]){8, 6, 0, 1, 8, 0, 6, 4, 0, 2}), 10);
        memcpy(frame + 22, cases[i].mac, 6);
        memcpy(frame + 28, cases[i].address, 4);
        frame[63] = 5;
        send_raw(0, frame, sizeof frame, f->qemu[0]);
        fabric_run(f->fabric, f->now_ms);
        assert_int_equal(next_mark(f, 1), cases[i].passes ? 5 : -1);
    }
}

/* As fast as it can, with frames for a member that takes none. */
static void flood(const struct fixture *f, size_t from, size_t to, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        send_frame(f, from, MAC(f, to), 1);
        fabric_run(f->fabric, f->now_ms);
    }
}

static void who_floods_a_member_leaves_room_for_the_others(void **state)
{
    const struct fixture *f = *state;
    const char *name;
    flood(f, 0, 1, 3 * FRAME_QUEUE_MAX);
    for (uint8_t i = 0; i < 20; i++) {
        send_frame(f, 2, MAC(f, 1), (uint8_t)(100 + i));
        fabric_run(f->fabric, f->now_ms);
    }
    assert_true(fabric_port(f->fabric, 1, &name)->queue.count <= FRAME_QUEUE_MAX);
    int wanted = 100, mark;
    while ((mark = next_mark(f, 1)) != -1) {
        fabric_run(f->fabric, f->now_ms);
        wanted += mark == wanted;
    }
    assert_int_equal(wanted, 120);
    assert_int_equal(fabric_port(f->fabric, 1, &name)->queue.count, 0);
}

static void frames_wait_in_order_for_a_member_that_is_busy(void **state)
{
    const struct fixture *f = *state;
    for (uint8_t i = 1; i <= 200; i++) {
        send_frame(f, 0, MAC(f, 1), i);
        fabric_run(f->fabric, f->now_ms);
    }
    for (uint8_t i = 1; i <= 200; i++) {
        assert_int_equal(next_mark(f, 1), i);
        fabric_run(f->fabric, f->now_ms);
    }
    assert_int_equal(next_mark(f, 1), -1);
}

static void a_member_whose_qemu_starts_anew_is_reached_again(void **state)
{
    struct fixture *f = *state;
    for (uint8_t i = 1; i <= 3; i++) {
        send_frame(f, 0, MAC(f, 1), i);
        fabric_run(f->fabric, f->now_ms);
        assert_int_equal(next_mark(f, 1), i);
        close(f->qemu[1]);
        if (i == 2) { /* for a while there is none */
            send_frame(f, 0, MAC(f, 1), 9);
            fabric_run(f->fabric, f->now_ms);
            f->now_ms += 1000;
        }
        f->qemu[1] = bind_qemu(names[1]);
    }
}

static void a_member_that_leaves_takes_its_frames_along(void **state)
{
    struct fixture *f = *state;
    const char *name;
    flood(f, 0, 1, 100);
    f->plan.members[0].plugged = false;
    assert_int_equal(fabric_apply(f->fabric, &f->plan, NULL), 0);
    assert_int_equal(fabric_port(f->fabric, 0, &name)->queue.count, 0);
    assert_string_equal(name, "node-1");
    while (next_mark(f, 1) != -1)
        fabric_run(f->fabric, f->now_ms);
    send_frame(f, 2, MAC(f, 0), 4);
    send_frame(f, 2, MAC(f, 1), 5);
    fabric_run(f->fabric, f->now_ms);
    assert_int_equal(next_mark(f, 0), -1);
    assert_int_equal(next_mark(f, 1), 5);
}

static void a_plan_that_stays_the_same_loses_no_frame(void **state)
{
    const struct fixture *f = *state;
    flood(f, 0, 1, 100);
    assert_int_equal(fabric_apply(f->fabric, &f->plan, NULL), 0);
    size_t got = 0;
    while (next_mark(f, 1) == 1) {
        got++;
        fabric_run(f->fabric, f->now_ms);
    }
    assert_int_equal(got, 100);
}

/* Sends a query over UDP. Returns the size of the answer, a frame, or -1 for none. */
static ssize_t send_query(const struct fixture *f, const uint8_t *wire, size_t size, uint8_t *frame)
{
    make_frame(&f->plan.members[1].owner, f->plan.self.mac, 0, frame);
    memcpy(frame + 30, &f->plan.self.address, 4);
    frame[16] = (uint8_t)((28 + size) >> 8), frame[17] = (uint8_t)(28 + size);
    frame[23] = IPPROTO_UDP;
    memset(frame + 34, 0, 8);
    frame[34] = 0x30, frame[35] = 0x39, frame[37] = 53;
    frame[38] = (uint8_t)((8 + size) >> 8), frame[39] = (uint8_t)(8 + size);
    memcpy(frame + 42, wire, size);
    send_raw(1, frame, 42 + size, f->qemu[1]);
    fabric_run(f->fabric, f->now_ms);
    return recv(f->qemu[1], frame, FRAME_MAX, MSG_DONTWAIT);
}

/* The resolver's answer to a question over UDP: its code, or -1 for no answer; *address is set where there is one. */
static int ask(const struct fixture *f, const char *name, ldns_rr_type type, struct in_addr *address)
{
    uint8_t frame[FRAME_MAX];
    pi_auto_free uint8_t *wire = NULL;
    size_t size;
    ldns_pkt *query = ldns_pkt_query_new(ldns_dname_new_frm_str(name), type, LDNS_RR_CLASS_IN, LDNS_RD),
             *answer;
    ldns_pkt_set_id(query, 4711);
    assert_int_equal(ldns_pkt2wire(&wire, query, &size), LDNS_STATUS_OK);
    ldns_pkt_free(query);
    ssize_t got = send_query(f, wire, size, frame);
    if (got < 0)
        return -1;
    assert_memory_equal(frame, MAC(f, 1), FRAME_MAC_SIZE);
    assert_memory_equal(frame + 34, ((const uint8_t[]){0, 53, 0x30, 0x39}), 4);
    assert_int_equal(ldns_wire2pkt(&answer, frame + 42, (size_t)got - 42), LDNS_STATUS_OK);
    assert_int_equal(ldns_pkt_id(answer), 4711);
    if (ldns_pkt_ancount(answer) && type == LDNS_RR_TYPE_A)
        memcpy(address, ldns_rdf_data(ldns_rr_a_address(ldns_rr_list_rr(ldns_pkt_answer(answer), 0))),
               sizeof *address);
    int code = (int)ldns_pkt_get_rcode(answer);
    ldns_pkt_free(answer);
    return code;
}

static void members_are_found_by_name(void **state)
{
    const struct fixture *f = *state;
    static const struct {
        const char *name;
        ldns_rr_type type;
        int code;
        uint32_t address;
    } cases[] = {
        {"server", LDNS_RR_TYPE_A, LDNS_RCODE_NOERROR, 0x0a4d0010},
        {"SERVER.lab.internal", LDNS_RR_TYPE_A, LDNS_RCODE_NOERROR, 0x0a4d0010},
        {"node-3.LAB.internal", LDNS_RR_TYPE_A, LDNS_RCODE_NOERROR, 0x0a4d0013},
        {"server.lab.internal", LDNS_RR_TYPE_AAAA, LDNS_RCODE_NOERROR, 0},
        {"lab.internal", LDNS_RR_TYPE_SOA, LDNS_RCODE_NOERROR, 0},
        {"node-4.lab.internal", LDNS_RR_TYPE_A, LDNS_RCODE_NXDOMAIN, 0},
        {"node-4", LDNS_RR_TYPE_A, LDNS_RCODE_NXDOMAIN, 0},
        {"server.example.org", LDNS_RR_TYPE_A, LDNS_RCODE_REFUSED, 0},
        {"xlab.internal", LDNS_RR_TYPE_A, LDNS_RCODE_REFUSED, 0},
        {"16.0.77.10.in-addr.arpa", LDNS_RR_TYPE_PTR, LDNS_RCODE_NOERROR, 0},
        {"99.0.77.10.in-addr.arpa", LDNS_RR_TYPE_PTR, LDNS_RCODE_REFUSED, 0},
        {".", LDNS_RR_TYPE_NS, LDNS_RCODE_REFUSED, 0},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct in_addr address = {0};
        int code = ask(f, cases[i].name, cases[i].type, &address);
        if (code != cases[i].code || ntohl(address.s_addr) != cases[i].address)
            fail_msg("%s: code %d, address %08x", cases[i].name, code, ntohl(address.s_addr));
    }
}

static void a_query_that_is_more_than_one_question_is_dropped(void **state)
{
    const struct fixture *f = *state;
    static const uint8_t opt[] = {0, 0, 41, 4, 208, 0, 0, 0, 0}, txt[] = {0, 0, 16, 0, 1, 0, 0, 0, 0},
                         question[] = {6, 's', 'e', 'r', 'v', 'e', 'r', 0, 0, 1, 0, 1};
    static const struct {
        uint8_t flags, questions, answers, authorities, additional;
        const uint8_t *rr;
        uint16_t rdata; /* the size of the record's data */
        bool answered;
    } cases[] = {
        {.flags = 1, .questions = 1, .answered = true},
        {.flags = 1, .questions = 1, .additional = 1, .rr = opt, .answered = true},
        {.flags = 1, .questions = 1, .additional = 1, .rr = opt, .rdata = 400, .answered = true},
        {.flags = 1, .questions = 1, .additional = 1, .rr = opt, .rdata = 480},
        {.flags = 1, .questions = 1, .additional = 1, .rr = opt, .rdata = 8000},
        {.flags = 1, .questions = 1, .additional = 1, .rr = txt, .rdata = 1},
        {.flags = 1, .questions = 1, .answers = 1, .rr = txt, .rdata = 1},
        {.flags = 1, .questions = 1, .authorities = 1, .rr = txt, .rdata = 1},
        {.flags = 1, .questions = 2},
        {.flags = 1, .questions = 0},
        {.flags = 0x81, .questions = 1},
        {.flags = 0x11, .questions = 1},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        uint8_t wire[FRAME_MAX] = {0,
                                   1,
                                   cases[i].flags,
                                   0,
                                   0,
                                   cases[i].questions,
                                   0,
                                   cases[i].answers,
                                   0,
                                   cases[i].authorities,
                                   0,
                                   cases[i].additional};
        uint8_t reply[FRAME_MAX];
        size_t size = 12;
        for (size_t k = 0; k < cases[i].questions; k++, size += sizeof question)
            memcpy(wire + size, question, sizeof question);
        if (cases[i].rr) {
            memcpy(wire + size, cases[i].rr, sizeof opt);
            wire[size + 9] = (uint8_t)(cases[i].rdata >> 8), wire[size + 10] = (uint8_t)cases[i].rdata;
            size += sizeof opt + 2 + cases[i].rdata;
        }
        if ((send_query(f, wire, size, reply) > 0) != cases[i].answered)
            fail_msg("case %zu", i);
    }
}

static void questions_beyond_the_rate_are_refused_until_there_was_time(void **state)
{
    const struct fixture *f = *state;
    uint8_t frame[64], reply[FRAME_MAX];
    size_t got = 0;
    make_frame(&f->plan.members[1].owner, f->plan.self.mac, 0, frame);
    memcpy(frame + 30, &f->plan.self.address, 4);
    frame[17] = 28, frame[23] = IPPROTO_ICMP, frame[34] = 8; /* an echo request */
    for (size_t sent = 0; sent < PORT_BUDGET_BURST + 500; sent++) {
        send_raw(1, frame, 42, f->qemu[1]);
        fabric_run(f->fabric, f->now_ms);
        got += recv(f->qemu[1], reply, sizeof reply, MSG_DONTWAIT) == 42;
    }
    assert_int_equal(got, PORT_BUDGET_BURST);
    for (size_t i = 0; i < 5; i++) {
        send_raw(1, frame, 42, f->qemu[1]);
        fabric_run(f->fabric, f->now_ms + 3);
        assert_int_equal(recv(f->qemu[1], reply, sizeof reply, MSG_DONTWAIT), i < 3 ? 42 : -1);
    }
    send_frame(f, 1, everybody, 3);
    send_frame(f, 1, MAC(f, 2), 4);
    fabric_run(f->fabric, f->now_ms + 3);
    assert_int_equal(next_mark(f, 2), 3);
    assert_int_equal(next_mark(f, 2), 4);
}

static void who_asks_for_the_networks_own_address_gets_its_mac(void **state)
{
    const struct fixture *f = *state;
    uint8_t frame[64] = {0}, reply[FRAME_MAX];
    memcpy(frame, everybody, 6);
    memcpy(frame + 6, MAC(f, 1), 6);
    memcpy(frame + 12, ((const uint8_t[]){8, 6, 0, 1, 8, 0, 6, 4, 0, 1}), 10);
    memcpy(frame + 22, MAC(f, 1), 6);
    memcpy(frame + 28, &f->plan.members[1].owner.address, 4);
    memcpy(frame + 38, &f->plan.self.address, 4);
    send_raw(1, frame, 42, f->qemu[1]);
    fabric_run(f->fabric, f->now_ms);
    assert_int_equal(recv(f->qemu[1], reply, sizeof reply, MSG_DONTWAIT), 42);
    assert_int_equal(reply[21], 2);
    assert_memory_equal(reply + 22, f->plan.self.mac, 6);
    assert_memory_equal(reply + 28, &f->plan.self.address, 4);
    assert_memory_equal(reply + 32, MAC(f, 1), 6);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_frame_goes_to_the_member_that_has_its_address_and_to_nobody_else),
        TEST(a_frame_for_nobody_goes_nowhere),
        TEST(a_broadcast_goes_to_all_others),
        TEST(broadcasts_beyond_the_rate_are_refused_until_there_was_time),
        TEST(what_is_not_the_senders_own_is_refused),
        TEST(ipv6_goes_to_nobody_and_is_no_offence),
        TEST(arp_tells_of_the_sender_alone),
        TEST(who_floods_a_member_leaves_room_for_the_others),
        TEST(frames_wait_in_order_for_a_member_that_is_busy),
        TEST(a_member_whose_qemu_starts_anew_is_reached_again),
        TEST(a_member_that_leaves_takes_its_frames_along),
        TEST(a_plan_that_stays_the_same_loses_no_frame),
        TEST(members_are_found_by_name),
        TEST(a_query_that_is_more_than_one_question_is_dropped),
        TEST(questions_beyond_the_rate_are_refused_until_there_was_time),
        TEST(who_asks_for_the_networks_own_address_gets_its_mac),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
