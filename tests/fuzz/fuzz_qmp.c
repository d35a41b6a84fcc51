/* SPDX-License-Identifier: MIT */
/*
 * The QMP client against any peer, at any time. Input: what QEMU sends, with control bytes between that say
 * what this side does: 1 executes a command, 2 sends one byte and 3 all, 4 lets a second pass, 5 closes, 6
 * and 7 let the next callback execute or close. Checked: each command taken is answered once, the end is told
 * once, nothing passes its limit, and the decoders take whatever the client passes on.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "qmp/commands.h"

#undef NDEBUG
#include <assert.h>

struct side {
    struct qmp_client *client;
    unsigned executed, answered, closed;
    char next; /* what the next callback is to do, or 0 */
    uint64_t now_ms;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void execute(struct side *side);

static void act(struct side *side)
{
    char next = side->next;
    side->next = 0;
    if (next == 6)
        execute(side);
    else if (next == 7)
        qmp_client_close(side->client, -EIO, "a callback closed it");
    assert(qmp_client_receive(side->client, "{}\n", 3) == -EBUSY);
}

static void on_ready(void *user)
{
    struct side *side = user;
    assert(qmp_client_state(side->client) == QMP_READY);
    act(side);
}

static void on_event(const struct qmp_event *event, void *user)
{
    struct qmp_event_info info;
    int r = qmp_event_decode(event, &info);
    assert(r == 0 || r == -EPROTO);
    act(user);
}

static void on_closed(int reason, const char *why, void *user)
{
    struct side *side = user;
    assert(reason <= 0 && strlen(why) < QMP_WHY_MAX);
    assert(side->answered == side->executed);
    side->closed++;
    act(side);
}

static void on_reply(int result, const json_t *data, const char *why, void *user)
{
    struct side *side = user;
    struct qmp_status status;
    struct qmp_uuid uuid;
    struct qmp_kvm kvm;
    assert((result == 0) == (data != NULL) && (result < 0) == (why != NULL));
    assert(qmp_status_decode(data, &status) <= 0);
    assert(qmp_uuid_decode(data, &uuid) <= 0);
    assert(qmp_kvm_decode(data, &kvm) <= 0);
    side->answered++;
    act(side);
}

static const struct qmp_handler handler = {.ready = on_ready, .event = on_event, .closed = on_closed};

static void execute(struct side *side)
{
    enum qmp_command command = (enum qmp_command)(side->executed % QMP_COMMANDS);
    if (qmp_command_execute(side->client, command, side->now_ms + 2000, on_reply, side) == 0)
        side->executed++;
}

static void drain(struct side *side, size_t most)
{
    const char *bytes;
    size_t pending = qmp_client_pending(side->client, &bytes);
    assert(pending <= QMP_PENDING_MAX);
    assert(pending == 0 || memchr(bytes, '\n', pending));
    qmp_client_sent(side->client, pending < most ? pending : most);
}

static void control(struct side *side, uint8_t byte)
{
    if (byte == 1)
        execute(side);
    else if (byte == 2 || byte == 3)
        drain(side, byte == 2 ? 1 : SIZE_MAX);
    else if (byte == 4)
        qmp_client_expire(side->client, side->now_ms += 1000);
    else if (byte == 5)
        qmp_client_close(side->client, 0, "the end");
    else
        side->next = (char)byte;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct side side = {0};
    side.client = qmp_client_new(&handler, &side, 4096);
    assert(side.client);
    while (size > 0) {
        if (data[0] >= 1 && data[0] <= 7) {
            control(&side, data[0]);
            data++;
            size--;
            continue;
        }
        size_t text = 1;
        while (text < size && (data[text] < 1 || data[text] > 7))
            text++;
        int r = qmp_client_receive(side.client, (const char *)data, text);
        assert((r < 0) == (qmp_client_state(side.client) == QMP_CLOSED));
        data += text;
        size -= text;
    }
    qmp_client_close(side.client, 0, "the end");
    assert(side.closed == 1 && side.answered == side.executed);
    qmp_client_free(side.client);
    return 0;
}
