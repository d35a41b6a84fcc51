/* SPDX-License-Identifier: MIT */
#include "agent/image/spans.h"

static struct image_span make_span(const struct image_spans *spans, uint64_t at, uint64_t end)
{
    return (struct image_span){.at = at, .end = end, .last = end == spans->total};
}

void image_spans_init(struct image_spans *spans, uint64_t at)
{
    *spans = (struct image_spans){0};
    image_spans_answered(spans, at, UINT64_MAX);
}

void image_spans_answered(struct image_spans *spans, uint64_t at, uint64_t total)
{
    spans->total = spans->next = total;
    spans->taken[0] = make_span(spans, at, total);
}

void image_spans_ended(struct image_spans *spans, unsigned connection)
{
    struct image_span *span = &spans->taken[connection];
    spans->total = spans->next = span->end = span->at;
}

bool image_spans_take(struct image_spans *spans, unsigned connection)
{
    uint64_t at = spans->next, rest = spans->total - at;
    if (spans->left_count) {
        spans->taken[connection] = spans->left[--spans->left_count];
        return true;
    }
    if (!rest)
        return false;
    spans->next = rest < IMAGE_SPAN_BYTES ? spans->total : at + IMAGE_SPAN_BYTES;
    spans->taken[connection] = make_span(spans, at, spans->next);
    return true;
}

bool image_spans_split(struct image_spans *spans, unsigned connection, uint64_t lead_bytes)
{
    const struct image_span *first = &spans->taken[0];
    if (!first->last || spans->total == UINT64_MAX)
        return false;
    uint64_t rest = spans->total - image_span_position(first);
    uint64_t lead = lead_bytes > IMAGE_SPAN_BYTES ? lead_bytes : IMAGE_SPAN_BYTES;
    if (rest < lead + IMAGE_SPAN_BYTES)
        return false;
    spans->split = image_span_position(first) + lead;
    spans->next = spans->split + IMAGE_SPAN_BYTES;
    spans->taken[connection] = make_span(spans, spans->split, spans->next);
    return true;
}

void image_spans_cut(struct image_spans *spans)
{
    struct image_span *first = &spans->taken[0];
    uint64_t position = image_span_position(first);
    if (!first->last)
        return;
    first->end = position > spans->split ? position : spans->split;
    first->last = false;
    if (spans->next < first->end)
        spans->next = first->end;
}

void image_spans_join(struct image_spans *spans)
{
    for (unsigned i = 1; i < IMAGE_CONNECTIONS_MAX; i++)
        image_spans_drop(spans, i);
    spans->left_count = 0;
    spans->next = spans->total;
}

void image_spans_give_back(struct image_spans *spans, unsigned connection)
{
    const struct image_span *span = &spans->taken[connection];
    if (span->at < span->end)
        spans->left[spans->left_count++] = *span;
    image_spans_drop(spans, connection);
}

void image_spans_drop(struct image_spans *spans, unsigned connection)
{
    spans->taken[connection] = (struct image_span){0};
}

uint64_t image_spans_frontier(const struct image_spans *spans)
{
    uint64_t least = spans->next;
    for (unsigned i = 0; i < IMAGE_CONNECTIONS_MAX; i++) {
        const struct image_span *span = &spans->taken[i];
        if (span->at < span->end && span->at < least)
            least = span->at;
    }
    for (size_t i = 0; i < spans->left_count; i++)
        if (spans->left[i].at < least)
            least = spans->left[i].at;
    return least;
}

uint64_t image_spans_missing(const struct image_spans *spans)
{
    uint64_t missing = spans->total - spans->next;
    for (unsigned i = 0; i < IMAGE_CONNECTIONS_MAX; i++)
        if (spans->taken[i].end != UINT64_MAX)
            missing += spans->taken[i].end - image_span_position(&spans->taken[i]);
    for (size_t i = 0; i < spans->left_count; i++)
        missing += spans->left[i].end - spans->left[i].at;
    return missing;
}
