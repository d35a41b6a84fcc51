/* SPDX-License-Identifier: MIT */
/* A guest agent's bytes: cut anywhere, they lead to the same, and never to more than one request at a time.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "qmp/guest_agent.h"

#define NOW UINT64_C(1700000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct guest_clock talk(const char *bytes, size_t size, size_t piece)
{
    struct guest_clock clock;
    guest_clock_start(&clock, 7, 1000, NOW);
    for (size_t at = 0; at < size; at += piece) {
        guest_clock_receive(&clock, bytes + at, size - at < piece ? size - at : piece, NOW);
        if (strlen(clock.request) >= sizeof clock.request - 1 || clock.line_size > GUEST_AGENT_LINE_MAX)
            abort();
    }
    return clock;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct guest_clock whole = talk((const char *)data, size, size ? size : 1),
                       cut = talk((const char *)data, size, 1);
    if (whole.step != cut.step || whole.offset_ms != cut.offset_ms || whole.was_ms != cut.was_ms)
        abort();
    return 0;
}
