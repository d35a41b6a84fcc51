/* SPDX-License-Identifier: MIT */
/* Any frame of a hostile guest's: one that passes for its owner's is, and the resolver's answer fits and goes back to him. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "agent/switch/resolver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct resolver resolver = {.prefix = 24,
                                       .domain = "lab.internal",
                                       .names = {{.name = "server"}, {.name = "node-1"}},
                                       .count = 2};
    static uint8_t reply[FRAME_MAX];
    struct frame_owner owner = {{0x52, 0x54, 0, 0, 0, 0x10}, {htonl(0x0a4d0010)}};
    resolver.self = (struct frame_owner){{0x52, 0x54, 0, 0, 0, 1}, {htonl(0x0a4d0001)}};
    resolver.names[0].address = resolver.self.address;
    if (!frame_is_own(data, size, &owner))
        return 0;
    if (size > FRAME_MAX || memcmp(data + FRAME_MAC_SIZE, owner.mac, FRAME_MAC_SIZE) != 0)
        abort();
    size_t answered = resolver_answer(&resolver, &owner, data, size, reply);
    if (answered > FRAME_MAX ||
        (answered && (answered < FRAME_HEADER_SIZE || memcmp(reply, owner.mac, FRAME_MAC_SIZE) != 0)))
        abort();
    return 0;
}
