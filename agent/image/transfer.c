/* SPDX-License-Identifier: MIT */
#include "agent/image/transfer.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/image/connection.h"
#include "agent/image/pace.h"
#include "agent/image/ranges.h"
#include "agent/image/space.h"

#define SAVE_MS          1000u
#define POLL_MS          100
#define HTTP_PARTIAL     206
#define HTTP_UNSATISFIED 416

struct transfer {
    const struct image_transfer *what;
    struct image_hasher *hasher;
    struct image_meter *meter;
    CURLM *multi;
    enum image_ranges_state state;
    struct image_spans spans;
    struct image_pace pace;
    struct image_connection connections[IMAGE_CONNECTIONS_MAX];
    uint64_t saved_ms;
};

static unsigned count_active(const struct transfer *t)
{
    unsigned count = 0;
    for (unsigned i = 0; i < IMAGE_CONNECTIONS_MAX; i++)
        count += t->connections[i].state != IMAGE_CONNECTION_IDLE;
    return count;
}

static uint64_t count_received(const struct transfer *t)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < IMAGE_CONNECTIONS_MAX; i++)
        bytes += t->connections[i].received_bytes;
    return bytes;
}

/* Writes what all connections hold. If one cannot, its next bytes end it. */
static void flush_all(struct transfer *t)
{
    for (unsigned i = 0; i < IMAGE_CONNECTIONS_MAX; i++)
        (void)image_connection_flush(&t->connections[i]);
}

/* Tells the hashing thread how far the file is. Once a second, also the caller, who may want to go on later.
 */
static void advance_frontier(struct transfer *t)
{
    struct image_resume *resume = t->what->resume;
    uint64_t now_ms = pi_monotonic_ms();
    if (t->state == IMAGE_RANGES_ASKING)
        return;
    bool save = now_ms - t->saved_ms >= SAVE_MS;
    if (save)
        flush_all(t);
    uint64_t frontier = image_spans_frontier(&t->spans);
    if (frontier != UINT64_MAX && frontier > resume->done_bytes) {
        resume->done_bytes = frontier;
        image_hasher_advance(t->hasher, frontier);
    }
    if (!save)
        return;
    if (t->what->checkpoint)
        t->what->checkpoint(resume, t->what->user);
    t->saved_ms = now_ms;
}

/* Counts bytes beyond the frontier too. */
static void report_progress(struct transfer *t)
{
    uint64_t done = t->what->resume->done_bytes;
    uint64_t total = t->spans.total == UINT64_MAX ? 0 : t->spans.total;
    uint64_t missing = image_spans_missing(&t->spans);
    if (t->state == IMAGE_RANGES_ASKING)
        return;
    if (missing < total && total - missing > done)
        done = total - missing;
    image_meter_step(t->meter, done, total ? total : t->what->size_bytes);
}

static int start_connection(struct transfer *t, unsigned number, struct pi_error *err)
{
    const struct image_resume *resume = t->what->resume;
    bool asking = t->state == IMAGE_RANGES_ASKING;
    struct image_connection_request request = {
        .url = asking ? t->what->url : resume->url,
        /* Another server has other validators. */
        .validator = asking && !t->what->same_url ? NULL : image_resume_validator(resume),
        .ranged = !asking || resume->done_bytes,
        .http_redirects = t->what->checksum_known,
        .stall_s = t->what->stall_s};
    return image_connection_start(&t->connections[number], t->multi, &request) < 0
               ? pi_fail(err, ENOMEM, "cannot fetch %s", t->what->url)
               : 0;
}

static int start_first(struct transfer *t, struct pi_error *err)
{
    unsigned asked = t->what->connections; /* by a list of mirrors that nobody signed */
    t->saved_ms = pi_monotonic_ms();
    t->state = IMAGE_RANGES_ASKING;
    image_spans_init(&t->spans, t->what->resume->done_bytes);
    image_pace_init(&t->pace, asked && asked < IMAGE_CONNECTIONS_MAX ? asked : IMAGE_CONNECTIONS_MAX,
                    t->saved_ms);
    return start_connection(t, 0, err);
}

/* The bytes in the file are useless. */
static int empty_file(struct transfer *t, struct pi_error *err)
{
    t->what->resume->done_bytes = 0;
    image_hasher_restart(t->hasher);
    return ftruncate(t->what->fd, 0) < 0 ? pi_fail(err, errno, "cannot write the image") : 0;
}

/* The other connections stop, and the first one brings everything. */
static void join_spans(struct transfer *t)
{
    for (unsigned i = 1; i < IMAGE_CONNECTIONS_MAX; i++)
        image_connection_stop(&t->connections[i], t->multi);
    image_spans_join(&t->spans);
}

/* Feeds an event of a connection to the state machine, and carries out the actions. The caller carries out
 * those that belong to an answer or a restart (BEGIN, REFUSE, RESTART). */
static unsigned feed_event(struct transfer *t, enum image_ranges_event event, unsigned number)
{
    unsigned actions = image_ranges_next(&t->state, event);
    if (actions & IMAGE_RANGES_DO_CUT)
        image_spans_cut(&t->spans);
    if (actions & IMAGE_RANGES_DO_GIVE_BACK)
        image_spans_give_back(&t->spans, number);
    if (actions & IMAGE_RANGES_DO_JOIN)
        join_spans(t);
    return actions;
}

/* -ERANGE (PI_NETWORK) for another range, or one of another object. The first answer of another server than
 * before is held to the size alone: the checksum decides in the end. */
static int check_range(const struct transfer *t, struct image_connection *connection)
{
    const struct image_resume *resume = t->what->resume;
    bool asking = t->state == IMAGE_RANGES_ASKING;
    uint64_t total = asking ? resume->size_bytes : t->spans.total;
    if (connection->ranged && image_answer_has_range(&connection->answer, connection->span->at, total) &&
        ((asking && !t->what->same_url) || image_answer_agrees(&connection->answer, resume)))
        return image_answer_check_size(total, t->what->size_bytes, &connection->error);
    pi_refuse(&connection->error, PI_NETWORK,
              "the server sent a range that piagent did not ask for, or one of another object");
    return -ERANGE;
}

/* Later answers are held to what the first one proves. */
static int keep_proof(struct transfer *t, struct image_connection *connection)
{
    char *url = NULL;
    curl_easy_getinfo(connection->curl, CURLINFO_EFFECTIVE_URL, &url);
    uint64_t size_bytes = t->spans.total == UINT64_MAX ? 0 : t->spans.total;
    return image_answer_keep(&connection->answer, url ? url : "", size_bytes, t->what->resume) < 0
               ? pi_fail(&connection->error, ENOMEM, "cannot keep the server's answer")
               : 0;
}

static int begin_object(struct transfer *t, struct image_connection *connection, uint64_t at, uint64_t total)
{
    image_spans_answered(&t->spans, at, total);
    int r = total == UINT64_MAX ? 0 : image_space_reserve(t->what->fd, total, &connection->error);
    return r < 0 ? r : keep_proof(t, connection);
}

/* The server sends everything, so the bytes so far are useless. */
static int begin_whole(struct transfer *t, struct image_connection *connection)
{
    curl_off_t length = -1;
    curl_easy_getinfo(connection->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    int r =
        length >= 0 ? image_answer_check_size((uint64_t)length, t->what->size_bytes, &connection->error) : 0;
    if (r == 0 && t->what->resume->done_bytes)
        r = empty_file(t, &connection->error);
    if (r < 0)
        return r;
    uint64_t published = t->what->size_bytes ? t->what->size_bytes : UINT64_MAX;
    return begin_object(t, connection, 0, length >= 0 ? (uint64_t)length : published);
}

/* Called before the first byte of an answer is accepted. */
static int accept_answer(struct image_connection *connection, void *user)
{
    struct transfer *t = user;
    long status = 0;
    curl_easy_getinfo(connection->curl, CURLINFO_RESPONSE_CODE, &status);
    bool range = status == HTTP_PARTIAL;
    int r = range ? check_range(t, connection) : 0;
    if (r < 0)
        return r;
    unsigned actions =
        feed_event(t, range ? IMAGE_RANGES_ANSWER_RANGE : IMAGE_RANGES_ANSWER_WHOLE, connection->number);
    if (actions & IMAGE_RANGES_DO_REFUSE)
        return pi_refuse(&connection->error, PI_NETWORK, "the server does not serve ranges of one object");
    if (!(actions & IMAGE_RANGES_DO_BEGIN))
        return 0;
    return range ? begin_object(t, connection, connection->span->at, connection->answer.range_total)
                 : begin_whole(t, connection);
}

/* Gives an idle connection a span. False if it has nothing to do, now or ever. */
static bool find_span(struct transfer *t, unsigned number)
{
    if (t->state == IMAGE_RANGES_SERVED && image_spans_take(&t->spans, number))
        return true;
    if ((t->state != IMAGE_RANGES_WHOLE && t->state != IMAGE_RANGES_SERVED) ||
        t->pace.state == IMAGE_PACE_SETTLED || t->connections[0].state != IMAGE_CONNECTION_RECEIVING ||
        !image_spans_split(&t->spans, number, t->pace.rate))
        return false;
    feed_event(t, IMAGE_RANGES_SPLIT, number);
    return true;
}

/* Starts as many connections as are wanted. */
static int start_wanted(struct transfer *t, struct pi_error *err)
{
    for (unsigned i = 0; i < IMAGE_CONNECTIONS_MAX && count_active(t) < t->pace.wanted; i++) {
        if (t->connections[i].state != IMAGE_CONNECTION_IDLE)
            continue;
        if (!find_span(t, i))
            return 0;
        int r = start_connection(t, i, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int end_hopeless(struct transfer *t, struct image_connection *connection, CURLcode code,
                        struct pi_error *err)
{
    advance_frontier(t);
    if (connection->r == 0 && code != CURLE_OK)
        return image_http_failed(connection->curl, code, t->what->url, connection->reason, err);
    if (connection->r == 0)
        return pi_refuse(
            err, PI_NETWORK,
            "cannot fetch %s: the server closed the connection too early: try again later, or name a mirror with "
            "PIAGENT_FEDORA_URL",
            t->what->url);
    if (err)
        *err = connection->error;
    return pi_context(err, connection->r, "cannot fetch %s", t->what->url);
}

/* The server cannot go on with what is there. */
static bool lacks_range(const struct image_connection *connection)
{
    long status = 0;
    curl_easy_getinfo(connection->curl, CURLINFO_RESPONSE_CODE, &status);
    return connection->ranged && (connection->r == -ERANGE || status == HTTP_UNSATISFIED);
}

static int end_failed(struct transfer *t, struct image_connection *connection, CURLcode code,
                      struct pi_error *err)
{
    if (lacks_range(connection) && feed_event(t, IMAGE_RANGES_NO_SUCH_RANGE, connection->number)) {
        image_connection_stop(connection, t->multi);
        int r = empty_file(t, err);
        return r < 0 ? r : start_first(t, err);
    }
    if (count_active(t) == 1 || connection->error.kind == PI_HOST)
        return end_hopeless(t, connection, code, err);
    image_connection_stop(connection, t->multi);
    feed_event(t, connection->number ? IMAGE_RANGES_OTHER_FAILED : IMAGE_RANGES_FIRST_FAILED,
               connection->number);
    image_pace_settle(&t->pace, count_active(t));
    return 0;
}

static void end_complete(struct transfer *t, struct image_connection *connection)
{
    if (connection->span->end == UINT64_MAX)
        image_spans_ended(&t->spans, connection->number);
    image_connection_stop(connection, t->multi);
    image_spans_drop(&t->spans, connection->number);
    if (connection->number == 0)
        feed_event(t, IMAGE_RANGES_FIRST_DONE, 0);
}

static int collect_ended(struct transfer *t, struct pi_error *err)
{
    int left, r = 0;
    for (CURLMsg *message; r == 0 && (message = curl_multi_info_read(t->multi, &left));) {
        struct image_connection *connection = NULL;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&connection);
        if (image_connection_is_complete(connection, code))
            end_complete(t, connection);
        else
            r = end_failed(t, connection, code, err);
    }
    return r;
}

/* Bytes that several connections could share: only validators prove that all of them have the same object. */
static uint64_t count_sharable(const struct transfer *t)
{
    const struct image_resume *resume = t->what->resume;
    return t->spans.total != UINT64_MAX && image_resume_validator(resume)
               ? t->spans.total - resume->done_bytes
               : 0;
}

static int transfer_loop(struct transfer *t, struct pi_error *err)
{
    int r = start_first(t, err);
    while (r == 0 && count_active(t)) {
        int running;
        curl_multi_perform(t->multi, &running);
        if ((r = collect_ended(t, err)) < 0)
            break;
        advance_frontier(t);
        report_progress(t);
        if (image_meter_cancelled(t->meter)) {
            flush_all(t);
            advance_frontier(t);
            return image_meter_give_up(t->meter, err);
        }
        if (t->state != IMAGE_RANGES_ASKING)
            image_pace_step(&t->pace, count_received(t), count_sharable(t), pi_monotonic_ms());
        if ((r = start_wanted(t, err)) == 0 && count_active(t))
            curl_multi_poll(t->multi, NULL, 0, POLL_MS, NULL);
    }
    return r;
}

static void free_transfer(struct transfer *t)
{
    for (unsigned i = 0; i < IMAGE_CONNECTIONS_MAX; i++) {
        image_connection_stop(&t->connections[i], t->multi);
        image_connection_done(&t->connections[i]);
    }
    curl_multi_cleanup(t->multi);
    free(t);
}

int image_transfer_run(const struct image_transfer *what, struct image_hasher *hasher,
                       struct image_meter *meter, struct pi_error *err)
{
    const struct image_resume *resume = what->resume;
    bool complete = resume->size_bytes && resume->done_bytes == resume->size_bytes;
    if (complete && (!what->size_bytes || what->size_bytes == resume->size_bytes))
        return 0;
    struct transfer *t = calloc(1, sizeof *t);
    CURLM *multi = t ? curl_multi_init() : NULL;
    if (!multi) {
        free(t);
        return pi_fail(err, ENOMEM, "cannot fetch %s", what->url);
    }
    *t = (struct transfer){.what = what, .hasher = hasher, .meter = meter, .multi = multi};
    /* A second span on the same connection would not come any faster. */
    curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    for (unsigned i = 0; i < IMAGE_CONNECTIONS_MAX; i++)
        t->connections[i] = (struct image_connection){
            .number = i, .fd = what->fd, .span = &t->spans.taken[i], .accept = accept_answer, .user = t};
    int r = transfer_loop(t, err);
    free_transfer(t);
    return r;
}
