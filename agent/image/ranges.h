/* SPDX-License-Identifier: MIT */
/*
 * Decides when a transfer uses several connections, as one pure function: (state, event) -> (state, actions).
 * A server must prove that it serves ranges of the object before a transfer relies on it.
 *
 *                 200 OK                a second connection is wanted
 *     ASKING ───────────────▶ WHOLE ──────────────────────────────────▶ PROVING
 *     │  ▲ │                                             206          │    │
 *     │  └─┘ it cannot go on from there: ask for all  ┌───────────────┘    │ it does not serve that range, or
 *     │                                               ▼                    ▼ the first one was faster
 *     └──────────────────────────────────────────▶ RANGES               SINGLE
 *        206 Partial Content
 *
 * A transfer ends when no connection is left, not by a state of its own.
 */
#ifndef PIAGENT_IMAGE_RANGES_H
#define PIAGENT_IMAGE_RANGES_H

enum image_ranges_state {
    IMAGE_RANGES_ASKING,  /* the first connection has no answer yet */
    IMAGE_RANGES_WHOLE,   /* it receives everything; the server was not asked for ranges */
    IMAGE_RANGES_PROVING, /* the same, and a second one waits for the answer to a range */
    IMAGE_RANGES_SINGLE,  /* the first one receives everything, and no second one is tried again */
    IMAGE_RANGES_SERVED,  /* the server has served a range: all connections share what is missing */
};

/* The first connection is number 0: it has the span that the transfer began with. */
enum image_ranges_event {
    IMAGE_RANGES_ANSWER_WHOLE,  /* a connection got all of the object (200) */
    IMAGE_RANGES_ANSWER_RANGE,  /* a connection got the range that it asked for (206) */
    IMAGE_RANGES_NO_SUCH_RANGE, /* the server does not serve the first one's range, or one of another object */
    IMAGE_RANGES_SPLIT,         /* another connection took a span of the first one */
    IMAGE_RANGES_FIRST_DONE,    /* the first connection has received its span */
    IMAGE_RANGES_FIRST_FAILED,  /* it broke, and others are left */
    IMAGE_RANGES_OTHER_FAILED,  /* another one broke, and some are left */
};

enum image_ranges_action {
    IMAGE_RANGES_DO_BEGIN = 1 << 0,     /* take size and validators from the answer */
    IMAGE_RANGES_DO_RESTART = 1 << 1,   /* drop the bytes so far, and ask for everything */
    IMAGE_RANGES_DO_REFUSE = 1 << 2,    /* the answer cannot be used: the connection fails */
    IMAGE_RANGES_DO_CUT = 1 << 3,       /* the first connection ends at the split */
    IMAGE_RANGES_DO_GIVE_BACK = 1 << 4, /* the others take over the rest of its span */
    IMAGE_RANGES_DO_JOIN = 1 << 5,      /* the first connection takes everything, the others stop */
};

/* Returns the actions, a set of enum image_ranges_action, and updates *state. An event that has no meaning in
 * a state changes nothing. */
unsigned image_ranges_next(enum image_ranges_state *state, enum image_ranges_event event);

#endif
