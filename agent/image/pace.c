/* SPDX-License-Identifier: MIT */
#include "agent/image/pace.h"

#include <stdbool.h>

#define WINDOW_MS  500u
#define FAST_BYTES ((uint64_t)64 << 20) /* a second: such a transfer needs no help */
#define FIRST_STEP 4u                   /* connections; the next step is max */

void image_pace_init(struct image_pace *pace, unsigned max, uint64_t now_ms)
{
    *pace = (struct image_pace){.wanted = 1, .max = max, .window_ms = now_ms};
}

/* False if the window is not over. */
static bool measure_window(struct image_pace *pace, uint64_t received_bytes, uint64_t now_ms)
{
    uint64_t passed_ms = now_ms - pace->window_ms;
    if (passed_ms < WINDOW_MS)
        return false;
    pace->rate = (received_bytes - pace->window_bytes) * 1000 / passed_ms;
    pace->window_ms = now_ms;
    pace->window_bytes = received_bytes;
    return true;
}

/* More connections would have a second of work or more. */
static bool is_worth_more(const struct image_pace *pace, uint64_t missing_bytes)
{
    return pace->wanted < pace->max && pace->rate < FAST_BYTES && missing_bytes > pace->rate;
}

static void want_more(struct image_pace *pace)
{
    if (pace->rate < pace->fewer_rate + pace->fewer_rate / 4) {
        pace->state = IMAGE_PACE_SETTLED;
        return;
    }
    pace->fewer_rate = pace->rate;
    pace->wanted = pace->wanted < FIRST_STEP && FIRST_STEP < pace->max ? FIRST_STEP : pace->max;
    pace->state = IMAGE_PACE_LETTING_GROW;
}

void image_pace_step(struct image_pace *pace, uint64_t received_bytes, uint64_t missing_bytes,
                     uint64_t now_ms)
{
    if (!measure_window(pace, received_bytes, now_ms))
        return;
    switch (pace->state) {
    case IMAGE_PACE_MEASURING:
        if (is_worth_more(pace, missing_bytes))
            want_more(pace);
        break;
    case IMAGE_PACE_LETTING_GROW:
        pace->state = IMAGE_PACE_MEASURING;
        break;
    case IMAGE_PACE_SETTLED:
        break;
    }
}

void image_pace_settle(struct image_pace *pace, unsigned connections)
{
    pace->state = IMAGE_PACE_SETTLED;
    pace->wanted = connections;
}
