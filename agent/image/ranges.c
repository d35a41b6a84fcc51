/* SPDX-License-Identifier: MIT */
#include "agent/image/ranges.h"

#include "agent/base/auto.h"

#define ROW(state, event, next, actions)                                         \
    {                                                                            \
        IMAGE_RANGES_##state, IMAGE_RANGES_##event, IMAGE_RANGES_##next, actions \
    }

static const struct {
    enum image_ranges_state state;
    enum image_ranges_event event;
    enum image_ranges_state next;
    unsigned actions;
} rows[] = {
    ROW(ASKING, ANSWER_WHOLE, WHOLE, IMAGE_RANGES_DO_BEGIN),
    ROW(ASKING, ANSWER_RANGE, SERVED, IMAGE_RANGES_DO_BEGIN),
    ROW(ASKING, NO_SUCH_RANGE, ASKING, IMAGE_RANGES_DO_RESTART),
    ROW(WHOLE, SPLIT, PROVING, 0),
    ROW(PROVING, ANSWER_WHOLE, PROVING, IMAGE_RANGES_DO_REFUSE),
    ROW(PROVING, ANSWER_RANGE, SERVED, IMAGE_RANGES_DO_CUT),
    ROW(PROVING, FIRST_DONE, SINGLE, IMAGE_RANGES_DO_JOIN),
    ROW(PROVING, FIRST_FAILED, PROVING, IMAGE_RANGES_DO_CUT | IMAGE_RANGES_DO_GIVE_BACK),
    ROW(PROVING, OTHER_FAILED, SINGLE, IMAGE_RANGES_DO_JOIN),
    ROW(SERVED, ANSWER_WHOLE, SERVED, IMAGE_RANGES_DO_REFUSE),
    ROW(SERVED, SPLIT, SERVED, IMAGE_RANGES_DO_CUT),
    ROW(SERVED, FIRST_FAILED, SERVED, IMAGE_RANGES_DO_GIVE_BACK),
    ROW(SERVED, OTHER_FAILED, SERVED, IMAGE_RANGES_DO_GIVE_BACK),
};

unsigned image_ranges_next(enum image_ranges_state *state, enum image_ranges_event event)
{
    for (size_t i = 0; i < PI_ARRAY_SIZE(rows); i++) {
        if (rows[i].state == *state && rows[i].event == event) {
            *state = rows[i].next;
            return rows[i].actions;
        }
    }
    return 0;
}
