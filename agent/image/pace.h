/* SPDX-License-Identifier: MIT */
/*
 * Decides how many connections a transfer uses: more, as long as more are faster. Pure functions.
 *
 *                 slow: 4 connections, then all
 *     MEASURING ───────────────────────────────▶ LETTING_GROW
 *     │       ▲                                       │
 *     │       └───────────────────────────────────────┘ a window has passed
 *     │ more were not faster by a quarter, or one failed
 *     └──▶ SETTLED
 */
#ifndef PIAGENT_IMAGE_PACE_H
#define PIAGENT_IMAGE_PACE_H

#include <stdint.h>

enum image_pace_state {
    IMAGE_PACE_MEASURING,
    IMAGE_PACE_LETTING_GROW, /* more connections were just made: this window's rate says nothing yet */
    IMAGE_PACE_SETTLED,      /* there will be no more than now */
};

struct image_pace {
    enum image_pace_state state;
    unsigned wanted, max;             /* connections */
    uint64_t rate;                    /* bytes a second, in the last window */
    uint64_t fewer_rate;              /* the same when there were fewer connections; 0 = there never were */
    uint64_t window_ms, window_bytes; /* when the window began, and what had been received by then */
};

/* Wants one connection at first, and never more than max. */
void image_pace_init(struct image_pace *pace, unsigned max, uint64_t now_ms);

/* received_bytes have come so far; connections could share missing_bytes of the rest. */
void image_pace_step(struct image_pace *pace, uint64_t received_bytes, uint64_t missing_bytes,
                     uint64_t now_ms);

/* A connection failed: wants no more than the connections that are left. */
void image_pace_settle(struct image_pace *pace, unsigned connections);

#endif
