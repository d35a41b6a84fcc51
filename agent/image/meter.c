/* SPDX-License-Identifier: MIT */
#include "agent/image/meter.h"

#include <errno.h>

#include "agent/base/clock.h"

#define REPORT_EVERY_MS 200u

const char *const image_phase_names[] = {
    [IMAGE_RESOLVING] = "resolving", [IMAGE_WAITING] = "waiting",   [IMAGE_DOWNLOADING] = "downloading",
    [IMAGE_COPYING] = "copying",     [IMAGE_CHECKING] = "checking", [IMAGE_DONE] = "done",
    [IMAGE_DONE + 1] = NULL,
};

const struct pi_field image_progress_fields[] = {
    PI_ENUM(image_progress, phase, image_phase, .required = true),
    PI_FIELD(image_progress, name, PI_FIELD_TEXT),
    PI_FIELD(image_progress, done_bytes, PI_FIELD_U64, .zero_is_none = true),
    PI_FIELD(image_progress, total_bytes, PI_FIELD_U64, .zero_is_none = true),
    PI_FIELD(image_progress, rate_bytes_per_s, PI_FIELD_U64, .zero_is_none = true),
    {0},
};

static void report_now(struct image_meter *meter, uint64_t now_ms)
{
    meter->reported_ms = now_ms;
    if (meter->report)
        meter->report(&meter->now, meter->user);
}

void image_meter_phase(struct image_meter *meter, enum image_phase phase, uint64_t total_bytes)
{
    meter->now.phase = phase;
    meter->now.done_bytes = 0;
    meter->now.total_bytes = total_bytes;
    meter->now.rate_bytes_per_s = 0;
    meter->phase_ms = 0;
    report_now(meter, pi_monotonic_ms());
}

void image_meter_step(struct image_meter *meter, uint64_t done_bytes, uint64_t total_bytes)
{
    uint64_t now_ms = pi_monotonic_ms();
    if (!meter->phase_ms) {
        meter->phase_ms = now_ms;
        meter->phase_done_bytes = done_bytes;
    }
    meter->now.done_bytes = done_bytes;
    meter->now.total_bytes = total_bytes;
    if (now_ms > meter->phase_ms && done_bytes >= meter->phase_done_bytes)
        meter->now.rate_bytes_per_s =
            (done_bytes - meter->phase_done_bytes) * 1000u / (now_ms - meter->phase_ms);
    if (now_ms - meter->reported_ms >= REPORT_EVERY_MS)
        report_now(meter, now_ms);
}

bool image_meter_cancelled(const struct image_meter *meter)
{
    return meter->cancel && *meter->cancel;
}

int image_meter_give_up(const struct image_meter *meter, struct pi_error *err)
{
    return pi_fail(err, ECANCELED, "the fetch of %s", meter->now.name);
}
