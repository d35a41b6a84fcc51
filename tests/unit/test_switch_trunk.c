/* SPDX-License-Identifier: MIT */
/* Two switches of one network in this process, joined by a trunk: "west" has two members, "east" has two others. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/switch/fabric.h"
#include "switch_fixture.h"

#define MEMBERS 4 /* the first two are in the west */

enum side { WEST, EAST, SIDES };

struct fixture {
    char folder[32];
    struct fabric *fabrics[SIDES];
    struct fabric_plan plans[SIDES];
    int qemu[MEMBERS];
};

static const char *const names[MEMBERS] = {"west-1", "west-2", "east-1", "east-2"};

static enum side side_of(size_t member)
{
    return member < 2 ? WEST : EAST;
}

static void plan_side(struct fabric_plan *plan, enum side side)
{
    plan_network(plan, names, MEMBERS);
    for (size_t i = 0; i < MEMBERS; i++) {
        struct fabric_member *member = &plan->members[i];
        member->plugged = side == side_of(i);
        snprintf(member->trunk, sizeof member->trunk, "%s", member->plugged ? "" : "other");
    }
}

static void join_sides(struct fixture *f)
{
    int ends[SIDES];
    const int small = 4096; /* so that the kernel takes parts of a frame */
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(setsockopt(ends[EAST], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    for (size_t side = 0; side < SIDES; side++) {
        assert_int_equal(fabric_connect_trunk(f->fabrics[side], "other", &ends[side], NULL), 0);
        assert_int_equal(ends[side], -1);
    }
}

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){.folder = "/tmp/pi-trunk-XXXXXX"};
    enter_network(f.folder);
    for (size_t i = 0; i < MEMBERS; i++)
        f.qemu[i] = bind_qemu(names[i]);
    for (size_t side = 0; side < SIDES; side++) {
        plan_side(&f.plans[side], (enum side)side);
        f.fabrics[side] = fabric_new(NULL);
        assert_non_null(f.fabrics[side]);
        assert_int_equal(fabric_apply(f.fabrics[side], &f.plans[side], NULL), 0);
    }
    join_sides(&f);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (size_t side = 0; side < SIDES; side++)
        fabric_free(f->fabrics[side]);
    leave_network(f->folder, names, f->qemu, MEMBERS);
    return 0;
}

static const struct frame_owner *owner_of(const struct fixture *f, size_t member)
{
    return &f->plans[WEST].members[member].owner;
}

/* Until nothing moves. */
static void run_sides(const struct fixture *f)
{
    for (size_t i = 0; i < 100; i++)
        fabric_run(f->fabrics[i % SIDES], 1000);
}

static void send_mark(const struct fixture *f, size_t from, const uint8_t *to, uint8_t mark)
{
    uint8_t frame[64];
    send_as(names[from], frame, make_frame(owner_of(f, from), to, mark, frame), f->qemu[from]);
    run_sides(f);
}

static const struct trunk *trunk_of(const struct fixture *f, enum side side)
{
    return fabric_trunk(f->fabrics[side], 0);
}

static void members_of_two_switches_reach_each_other(void **state)
{
    const struct fixture *f = *state;
    send_mark(f, 0, owner_of(f, 3)->mac, 7);
    assert_int_equal(mark_at(f->qemu[3]), 7);
    send_mark(f, 3, owner_of(f, 0)->mac, 8);
    assert_int_equal(mark_at(f->qemu[0]), 8);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(mark_at(f->qemu[i]), -1);
    assert_int_equal(trunk_of(f, WEST)->counters.sent_frames, 1);
    assert_int_equal(trunk_of(f, WEST)->counters.received_frames, 1);
}

static void a_unicast_between_members_of_one_switch_stays_there(void **state)
{
    const struct fixture *f = *state;
    send_mark(f, 0, owner_of(f, 1)->mac, 7);
    assert_int_equal(mark_at(f->qemu[1]), 7);
    assert_int_equal(trunk_of(f, WEST)->counters.sent_frames, 0);
}

static void a_broadcast_reaches_all_once(void **state)
{
    const struct fixture *f = *state;
    send_mark(f, 2, everybody, 9);
    for (size_t i = 0; i < MEMBERS; i++) {
        assert_int_equal(mark_at(f->qemu[i]), i == 2 ? -1 : 9);
        assert_int_equal(mark_at(f->qemu[i]), -1);
    }
    assert_int_equal(trunk_of(f, WEST)->counters.received_frames, 1);
    assert_int_equal(trunk_of(f, EAST)->counters.received_frames, 0);
}

/* Writes to the western switch what a hostile eastern one would. */
static int become_east(struct fixture *f)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(fabric_connect_trunk(f->fabrics[WEST], "other", &ends[0], NULL), 0);
    return ends[1];
}

static void write_framed(int fd, const uint8_t *frame, size_t size)
{
    uint32_t length = htonl((uint32_t)size);
    assert_int_equal(send(fd, &length, sizeof length, 0), sizeof length);
    assert_int_equal(send(fd, frame, size, 0), size);
}

static void a_trunk_speaks_for_the_members_behind_it_alone(void **state)
{
    struct fixture *f = *state;
    pi_auto_close int fd = become_east(f);
    struct frame_owner stranger = {{0x52, 0x54, 9, 9, 9, 9}, {htonl(0x0a4d0099)}}, mixed = *owner_of(f, 2);
    mixed.address = owner_of(f, 0)->address;
    const struct frame_owner *const wrong[] = {owner_of(f, 0), &stranger, &mixed, &f->plans[WEST].self};
    uint8_t frame[64];
    for (size_t i = 0; i < PI_ARRAY_SIZE(wrong); i++)
        write_framed(fd, frame, make_frame(wrong[i], owner_of(f, 1)->mac, 1, frame));
    write_framed(fd, frame,
                 make_frame(owner_of(f, 2), owner_of(f, 3)->mac, 2, frame)); /* back to where it is from */
    write_framed(fd, frame, make_frame(owner_of(f, 2), owner_of(f, 1)->mac, 3, frame));
    run_sides(f);
    assert_int_equal(mark_at(f->qemu[1]), 3);
    assert_int_equal(mark_at(f->qemu[1]), -1);
    assert_int_equal(trunk_of(f, WEST)->counters.refused, PI_ARRAY_SIZE(wrong));
    assert_int_equal(recv(fd, frame, sizeof frame, MSG_DONTWAIT), -1);
}

static void what_is_no_frame_ends_the_trunk(void **state)
{
    struct fixture *f = *state;
    static const uint32_t lengths[] = {0, FRAME_HEADER_SIZE - 1, FRAME_MAX + 1, UINT32_MAX};
    for (size_t i = 0; i < PI_ARRAY_SIZE(lengths); i++) {
        pi_auto_close int fd = become_east(f);
        uint32_t length = htonl(lengths[i]);
        char byte;
        assert_true(trunk_of(f, WEST)->fd >= 0);
        assert_int_equal(send(fd, &length, sizeof length, 0), sizeof length);
        run_sides(f);
        assert_true(trunk_of(f, WEST)->fd < 0);
        assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
    }
}

static void a_trunk_that_broke_may_be_given_again(void **state)
{
    struct fixture *f = *state;
    close(become_east(f));
    run_sides(f);
    assert_true(trunk_of(f, WEST)->fd < 0 && trunk_of(f, EAST)->fd < 0);
    send_mark(f, 0, owner_of(f, 3)->mac, 1);
    assert_int_equal(trunk_of(f, WEST)->counters.lost, 1);
    join_sides(f);
    send_mark(f, 0, owner_of(f, 3)->mac, 2);
    assert_int_equal(mark_at(f->qemu[3]), 2);
    assert_int_equal(mark_at(f->qemu[3]), -1);
}

/* West reads nothing of the trunk; the kernel's buffer, and then the queue, fill. */
static void flood_trunk(const struct fixture *f)
{
    uint8_t frame[FRAME_MAX] = {0};
    make_frame(owner_of(f, 2), owner_of(f, 0)->mac, 1, frame);
    for (size_t i = 0; i < 3000; i++) {
        send_as(names[2], frame, sizeof frame, f->qemu[2]);
        fabric_run(f->fabrics[EAST], 1000);
    }
    assert_true(trunk_of(f, EAST)->counters.lost > 0);
    assert_true(trunk_of(f, EAST)->queue.count <= FRAME_QUEUE_MAX);
}

/* The other eastern member sends 20 frames, and all of them arrive. */
static void expect_room_for_the_other(const struct fixture *f)
{
    int wanted = 100, mark;
    for (int i = 0; i < 20; i++) {
        uint8_t small[64];
        send_as(names[3], small, make_frame(owner_of(f, 3), owner_of(f, 1)->mac, (uint8_t)(100 + i), small),
                f->qemu[3]);
        fabric_run(f->fabrics[EAST], 1000);
    }
    for (size_t i = 0; i < 3000 && wanted < 120; i++) {
        fabric_run(f->fabrics[WEST], 1000);
        fabric_run(f->fabrics[EAST], 1000);
        while ((mark = mark_at(f->qemu[1])) != -1)
            wanted += mark == wanted;
    }
    assert_int_equal(wanted, 120);
}

static void who_floods_a_trunk_leaves_room_for_the_others(void **state)
{
    const struct fixture *f = *state;
    flood_trunk(f);
    expect_room_for_the_other(f);
}

static void a_member_that_leaves_in_the_middle_of_a_frame_breaks_no_trunk(void **state)
{
    struct fixture *f = *state;
    flood_trunk(f);
    assert_true(trunk_of(f, EAST)->sent > 0);
    f->plans[EAST].members[2].plugged = false;
    assert_int_equal(fabric_apply(f->fabrics[EAST], &f->plans[EAST], NULL), 0);
    assert_int_equal(trunk_of(f, EAST)->queue.count, 1);
    expect_room_for_the_other(f);
}

static void a_member_that_moves_is_behind_the_trunk_or_plugged(void **state)
{
    struct fixture *f = *state;
    f->plans[EAST].members[3].plugged = false;
    f->plans[WEST].members[3].plugged = true;
    *f->plans[WEST].members[3].trunk = '\0';
    memcpy(f->plans[EAST].members[3].trunk, "other", sizeof "other");
    assert_int_equal(fabric_apply(f->fabrics[EAST], &f->plans[EAST], NULL), 0);
    assert_int_equal(fabric_apply(f->fabrics[WEST], &f->plans[WEST], NULL), 0);
    send_mark(f, 3, owner_of(f, 2)->mac, 5);
    assert_int_equal(mark_at(f->qemu[2]), 5);
    send_mark(f, 2, owner_of(f, 3)->mac, 6);
    assert_int_equal(mark_at(f->qemu[3]), 6);
}

static void a_trunk_without_members_is_gone(void **state)
{
    struct fixture *f = *state;
    int ends[2];
    f->plans[WEST].count = 2;
    assert_int_equal(fabric_apply(f->fabrics[WEST], &f->plans[WEST], NULL), 0);
    assert_null(trunk_of(f, WEST));
    run_sides(f);
    assert_true(trunk_of(f, EAST)->fd < 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_true(fabric_connect_trunk(f->fabrics[WEST], "other", &ends[0], NULL) < 0);
    assert_true(fabric_connect_trunk(f->fabrics[WEST], "", &ends[0], NULL) < 0);
    assert_true(ends[0] >= 0);
    for (size_t i = 0; i < 2; i++)
        close(ends[i]);
}

static void a_trunk_is_a_connected_stream(void **state)
{
    const struct fixture *f = *state;
    int none = -1, datagrams = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), fds[2];
    assert_int_equal(pipe(fds), 0);
    int *const wrong[] = {&none, &datagrams, &fds[0], &fds[1]};
    for (size_t i = 0; i < PI_ARRAY_SIZE(wrong); i++)
        assert_true(fabric_connect_trunk(f->fabrics[WEST], "other", wrong[i], NULL) < 0);
    assert_true(trunk_of(f, WEST)->fd >= 0);
    for (size_t i = 0; i < PI_ARRAY_SIZE(wrong); i++)
        pi_close_p(wrong[i]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(members_of_two_switches_reach_each_other),
        TEST(a_unicast_between_members_of_one_switch_stays_there),
        TEST(a_broadcast_reaches_all_once),
        TEST(a_trunk_speaks_for_the_members_behind_it_alone),
        TEST(what_is_no_frame_ends_the_trunk),
        TEST(a_trunk_that_broke_may_be_given_again),
        TEST(who_floods_a_trunk_leaves_room_for_the_others),
        TEST(a_member_that_leaves_in_the_middle_of_a_frame_breaks_no_trunk),
        TEST(a_member_that_moves_is_behind_the_trunk_or_plugged),
        TEST(a_trunk_without_members_is_gone),
        TEST(a_trunk_is_a_connected_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
