/* SPDX-License-Identifier: MIT */
#include "agent/image/download.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/image/part.h"

#define PIECE_BYTES      ((uint64_t)4 << 20)
#define FAST_BYTES       ((uint64_t)64 << 20) /* a second: a line that needs no help */
#define FIRST_STEP       4u                   /* connections, where one is slow; then all that may be */
#define WINDOW_MS        500u
#define SAVE_MS          1000u
#define POLL_MS          100
#define FAILURES_MAX     8u
#define HTTP_UNSATISFIED 416

static unsigned active(const struct image_transfer *t)
{
    unsigned count = 0;
    for (unsigned i = 0; i < IMAGE_CONNECTIONS_MAX; i++)
        count += t->parts[i].state != IMAGE_PART_IDLE;
    return count;
}

/* Up to where everything is there. */
static uint64_t frontier(const struct image_transfer *t)
{
    uint64_t least = t->next;
    for (unsigned i = 0; i < IMAGE_CONNECTIONS_MAX; i++) {
        const struct image_part *part = &t->parts[i];
        if (part->state != IMAGE_PART_IDLE && part->at < part->end && part->at < least)
            least = part->at;
    }
    for (size_t i = 0; i < t->todo_count; i++)
        if (t->todo[i].at < least)
            least = t->todo[i].at;
    return least;
}

/* Writes what all parts hold. Where one cannot, its next bytes end it. */
static void flush(struct image_transfer *t)
{
    for (unsigned i = 0; i < IMAGE_CONNECTIONS_MAX; i++)
        (void)image_part_flush(&t->parts[i]);
}

static void advance(struct image_transfer *t)
{
    struct image_resume *resume = t->what->resume;
    uint64_t now_ms = pi_monotonic_ms();
    bool save = t->received_bytes && now_ms - t->saved_ms >= SAVE_MS;
    if (save)
        flush(t);
    uint64_t there = frontier(t);
    if (t->received_bytes && there != UINT64_MAX && there > resume->done_bytes) {
        resume->done_bytes = there;
        image_follow_advance(t->follow, there);
    }
    if (!save)
        return;
    if (t->what->checkpoint)
        t->what->checkpoint(resume, t->what->user);
    t->saved_ms = now_ms;
}

static void report(struct image_transfer *t)
{
    uint64_t done = t->what->resume->done_bytes, total = t->total == UINT64_MAX ? 0 : t->total;
    /* What is there beyond the frontier counts too. */
    uint64_t missing = total > t->next ? total - t->next : 0;
    for (unsigned i = 0; i < IMAGE_CONNECTIONS_MAX; i++)
        if (t->parts[i].state != IMAGE_PART_IDLE && t->parts[i].end != UINT64_MAX)
            missing += t->parts[i].end - image_part_position(&t->parts[i]);
    for (size_t i = 0; i < t->todo_count; i++)
        missing += t->todo[i].end - t->todo[i].at;
    if (t->received_bytes)
        image_meter_step(t->meter, missing < total && total - missing > done ? total - missing : done,
                         total ? total : t->what->size_bytes);
}

/* The server has served a range: the first connection needs to come no further than the second began. */
static void cut_first(struct image_transfer *t, uint64_t at)
{
    struct image_part *first = &t->parts[0];
    uint64_t position = image_part_position(first);
    if (first->state == IMAGE_PART_IDLE || first->end != t->total || position == at)
        return;
    first->end = position > at ? position : at;
    if (t->next < first->end)
        t->next = first->end;
}

/* Takes a piece from the first connection's way, so far ahead that the answer comes before it. */
static bool split_first(struct image_transfer *t, struct image_part *part)
{
    const struct image_part *first = &t->parts[0];
    uint64_t lead = t->rate > PIECE_BYTES ? t->rate : PIECE_BYTES;
    if (first->state != IMAGE_PART_RECEIVING || first->end != t->total ||
        t->total - image_part_position(first) < lead + PIECE_BYTES)
        return false;
    uint64_t at = image_part_position(first) + lead;
    if (image_part_start(part, at, at + PIECE_BYTES) < 0)
        return false;
    t->next = at + PIECE_BYTES;
    if (t->proven)
        cut_first(t, at);
    return true;
}

static bool next_span(struct image_transfer *t, uint64_t *ret_at, uint64_t *ret_end)
{
    if (t->todo_count) {
        struct image_span *last = &t->todo[--t->todo_count];
        *ret_at = last->at;
        *ret_end = last->end;
        return true;
    }
    if (t->next >= t->total)
        return false;
    *ret_at = t->next;
    *ret_end = t->total - t->next < PIECE_BYTES ? t->total : t->next + PIECE_BYTES;
    t->next = *ret_end;
    return true;
}

static struct image_part *idle_part(struct image_transfer *t)
{
    for (unsigned i = 0; i < IMAGE_CONNECTIONS_MAX; i++)
        if (t->parts[i].state == IMAGE_PART_IDLE)
            return &t->parts[i];
    return NULL;
}

/* Gives idle connections something to do, as many as are wanted. */
static int fill(struct image_transfer *t, struct pi_error *err)
{
    while (active(t) < t->wanted && t->received_bytes) {
        uint64_t at, end;
        struct image_part *part = idle_part(t);
        bool whole = t->next == t->total && !t->todo_count;
        if (whole && (!t->may_split || !split_first(t, part)))
            return 0;
        if (!t->proven && active(t) > 1)
            return 0; /* one proof at a time */
        if (whole)
            continue;
        if (!next_span(t, &at, &end))
            return 0;
        if (image_part_start(part, at, end) < 0)
            return pi_fail(err, ENOMEM, "cannot fetch %s", t->what->url);
    }
    return 0;
}

/* More connections while they bring more. */
static void adapt(struct image_transfer *t)
{
    uint64_t now_ms = pi_monotonic_ms(), passed_ms = now_ms - t->window_ms;
    unsigned asked = t->what->connections; /* by a list of mirrors that nobody signed */
    unsigned max = asked && asked < IMAGE_CONNECTIONS_MAX ? asked : IMAGE_CONNECTIONS_MAX;
    if (passed_ms < WINDOW_MS || !t->received_bytes)
        return;
    t->rate = (t->received_bytes - t->window_bytes) * 1000 / passed_ms;
    t->window_ms = now_ms;
    t->window_bytes = t->received_bytes;
    if (t->settling) {
        t->settling = false;
        return;
    }
    bool worth = t->may_split && t->total != UINT64_MAX && t->wanted < max && t->rate < FAST_BYTES &&
                 image_resume_validator(t->what->resume) &&
                 (t->total - t->what->resume->done_bytes) > t->rate;
    if (!worth)
        return;
    if (t->rate < t->last_rate + t->last_rate / 4) {
        t->may_split = false;
        return;
    }
    t->last_rate = t->rate;
    t->wanted = t->wanted < FIRST_STEP && FIRST_STEP < max ? FIRST_STEP : max;
    t->settling = true;
}

static int give_up(struct image_transfer *t, const struct image_part *part, CURLcode code,
                   struct pi_error *err)
{
    if (part->r == 0 && code != CURLE_OK)
        return image_http_failed(part->curl, code, t->what->url, part->reason, err);
    if (part->r == 0)
        return pi_refuse(err, PI_NETWORK,
                         "cannot fetch %s: the server ended early: try again later, or name a mirror with "
                         "PIAGENT_FEDORA_URL",
                         t->what->url);
    if (err)
        *err = part->error;
    return pi_context(err, part->r, "cannot fetch %s", t->what->url);
}

/* A connection besides the others failed: what it should have brought is left to them. */
static void hand_back(struct image_transfer *t, const struct image_part *part)
{
    t->failures++;
    t->may_split = false;
    if (!t->proven && t->parts[0].end == t->total) {
        t->next = t->total; /* only a proof failed: the first connection brings all of it */
        t->wanted = 1;
        return;
    }
    t->todo[t->todo_count++] = (struct image_span){part->at, part->end};
    t->wanted = active(t);
}

/* The first connection has brought all of it, while another one still waits for its first answer. */
static void stop_others(struct image_transfer *t)
{
    for (unsigned i = 1; i < IMAGE_CONNECTIONS_MAX; i++)
        image_part_stop(&t->parts[i]);
    t->todo_count = 0;
    t->next = t->total;
}

/* A connection has ended, well or not. */
static int finish(struct image_transfer *t, struct image_part *part, CURLcode code, struct pi_error *err)
{
    bool known = part->end != UINT64_MAX;
    bool answered = part->state == IMAGE_PART_RECEIVING;
    bool written = image_part_flush(part) == 0;
    bool whole = written && (part->r == -EALREADY || (part->r == 0 && code == CURLE_OK && answered &&
                                                      (!known || part->at >= part->end)));
    if (whole && !known)
        t->total = t->next = part->end = part->at;
    bool alone = active(t) == 1 || part->error.kind == PI_HOST || t->failures >= FAILURES_MAX ||
                 t->todo_count == IMAGE_CONNECTIONS_MAX;
    int r = whole || !alone ? 0 : give_up(t, part, code, err);
    if (r < 0) {
        advance(t);
        image_part_stop(part);
        return r;
    }
    image_part_stop(part);
    if (!whole)
        hand_back(t, part);
    else if (part == &t->parts[0] && !t->proven && part->end == t->total)
        stop_others(t);
    return 0;
}

static int collect(struct image_transfer *t, struct pi_error *err)
{
    int left, r = 0;
    for (CURLMsg *message; r == 0 && (message = curl_multi_info_read(t->multi, &left));) {
        struct image_part *part = NULL;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&part);
        r = finish(t, part, code, err);
    }
    return r;
}

static int run(struct image_transfer *t, struct pi_error *err)
{
    t->window_ms = t->saved_ms = pi_monotonic_ms();
    if (image_part_start(&t->parts[0], t->what->resume->done_bytes, UINT64_MAX) < 0)
        return pi_fail(err, ENOMEM, "cannot fetch %s", t->what->url);
    for (;;) {
        int running;
        bool was_proven = t->proven;
        curl_multi_perform(t->multi, &running);
        if (t->proven && !was_proven && t->parts[1].state == IMAGE_PART_RECEIVING)
            cut_first(t, t->parts[1].begin);
        int r = collect(t, err);
        if (r < 0)
            return r;
        advance(t);
        report(t);
        if (image_meter_cancelled(t->meter)) {
            flush(t);
            advance(t);
            return image_meter_give_up(t->meter, err);
        }
        adapt(t);
        if ((r = fill(t, err)) < 0 || active(t) == 0)
            return r;
        curl_multi_poll(t->multi, NULL, 0, POLL_MS, NULL);
    }
}

static int transfer(const struct image_download *what, struct image_follow *follow, struct image_meter *meter,
                    bool *ret_void, struct pi_error *err)
{
    pi_auto_free struct image_transfer *t = calloc(1, sizeof *t);
    CURLM *multi = t ? curl_multi_init() : NULL;
    if (!multi)
        return pi_fail(err, ENOMEM, "cannot fetch %s", what->url);
    *t = (struct image_transfer){.what = what,
                                 .follow = follow,
                                 .meter = meter,
                                 .multi = multi,
                                 .total = UINT64_MAX,
                                 .next = UINT64_MAX,
                                 .wanted = 1,
                                 .may_split = true};
    /* A piece on the same connection as another one would not come any faster. */
    curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    for (unsigned i = 0; i < IMAGE_CONNECTIONS_MAX; i++)
        t->parts[i].transfer = t;
    int r = run(t, err);
    long status = 0;
    if (t->parts[0].curl)
        curl_easy_getinfo(t->parts[0].curl, CURLINFO_RESPONSE_CODE, &status);
    *ret_void = t->void_start || status == HTTP_UNSATISFIED;
    for (unsigned i = 0; i < IMAGE_CONNECTIONS_MAX; i++)
        image_part_done(&t->parts[i]);
    curl_multi_cleanup(multi);
    return r;
}

int image_download(const struct image_download *what, struct image_follow *follow, struct image_meter *meter,
                   struct pi_error *err)
{
    struct image_resume *resume = what->resume;
    bool start_is_void = false;
    bool complete = resume->size_bytes && resume->done_bytes == resume->size_bytes;
    if (complete && (!what->size_bytes || what->size_bytes == resume->size_bytes))
        return 0;
    int r = transfer(what, follow, meter, &start_is_void, err);
    if (r == 0 || !start_is_void || !resume->done_bytes)
        return r;
    resume->done_bytes = 0;
    image_follow_restart(follow);
    return ftruncate(what->fd, 0) < 0 ? pi_fail(err, errno, "cannot write the image")
                                      : transfer(what, follow, meter, &start_is_void, err);
}
