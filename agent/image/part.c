/* SPDX-License-Identifier: MIT */
#include "agent/image/part.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "agent/base/text.h"
#include "agent/image/space.h"

#define RECEIVE_BUFFER (256L << 10)
#define HTTP_PARTIAL   206

/* The value of the header where line is of that name; cleaned of what surrounds it. */
static bool value_of(const char *line, size_t size, const char *name, char *ret, size_t max)
{
    size_t n = strlen(name);
    if (size <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
        return false;
    for (line += n + 1, size -= n + 1; size && isspace((unsigned char)*line); size--)
        line++;
    while (size && isspace((unsigned char)line[size - 1]))
        size--;
    if (size >= max || memchr(line, '\0', size))
        return false;
    memcpy(ret, line, size);
    ret[size] = '\0';
    return true;
}

/* "bytes 100-199/1000" */
static void read_range(const char *value, struct image_answer *answer)
{
    uint64_t start, last, total;
    char rest;
    answer->has_range = sscanf(value, "bytes %19" SCNu64 "-%19" SCNu64 "/%19" SCNu64 "%c", &start, &last,
                               &total, &rest) == 3 &&
                        start <= last && last < total;
    if (answer->has_range) {
        answer->range_start = start;
        answer->range_total = total;
    }
}

static size_t on_header(char *data, size_t one, size_t count, void *user)
{
    struct image_part *part = user;
    struct image_answer *answer = &part->answer;
    size_t size = one * count, header_bytes = answer->header_bytes + size;
    char value[256];
    if (header_bytes > IMAGE_HTTP_HEADERS_MAX) {
        part->r = pi_refuse(&part->error, PI_NETWORK, "the server sends headers without end");
        return 0;
    }
    if (size > 5 && !memcmp(data, "HTTP/", 5)) /* each answer of a chain of redirects */
        *answer = (struct image_answer){0};
    answer->header_bytes = header_bytes;
    if (value_of(data, size, "ETag", value, sizeof value) && *value == '"')
        memcpy(answer->etag, value, sizeof answer->etag);
    else if (value_of(data, size, "Content-Range", value, sizeof value))
        read_range(value, answer);
    else
        value_of(data, size, "Last-Modified", answer->last_modified, sizeof answer->last_modified);
    return size;
}

static bool is_first(const struct image_part *part)
{
    return part == &part->transfer->parts[0];
}

/* The same object as before, as far as the server tells. */
static bool same_object(const struct image_part *part)
{
    const struct image_resume *resume = part->transfer->what->resume;
    const struct image_answer *answer = &part->answer;
    uint64_t total = part->transfer->total == UINT64_MAX ? resume->size_bytes : part->transfer->total;
    if (answer->range_total != total)
        return false;
    if (!part->transfer->what->same_url && !part->transfer->received_bytes)
        return true; /* another server's: its size, and the hash in the end */
    return (!resume->etag || !*answer->etag || !strcmp(resume->etag, answer->etag)) &&
           (!resume->last_modified || !*answer->last_modified ||
            !strcmp(resume->last_modified, answer->last_modified));
}

static int note(char **field, const char *value)
{
    free(*field);
    *field = *value ? strdup(value) : NULL;
    return *value && !*field ? -ENOMEM : 0;
}

/* What the first answer proves is what later ones are held to. */
static int learn(struct image_part *part)
{
    struct image_resume *resume = part->transfer->what->resume;
    char *url = NULL;
    curl_easy_getinfo(part->curl, CURLINFO_EFFECTIVE_URL, &url);
    resume->size_bytes = part->transfer->total == UINT64_MAX ? 0 : part->transfer->total;
    if (note(&resume->url, url ? url : "") < 0 || note(&resume->etag, part->answer.etag) < 0 ||
        note(&resume->last_modified, part->answer.last_modified) < 0)
        return pi_fail(&part->error, ENOMEM, "cannot keep what the server said");
    return 0;
}

static int check_size(struct image_part *part, uint64_t size_bytes)
{
    uint64_t published = part->transfer->what->size_bytes;
    if (published && size_bytes != published)
        return pi_refuse(&part->error, PI_UNVERIFIED,
                         "the server has %llu bytes where %llu are published: try again later, or name "
                         "another mirror with PIAGENT_FEDORA_URL",
                         (unsigned long long)size_bytes, (unsigned long long)published);
    if (size_bytes > IMAGE_FILE_MAX)
        return pi_refuse(&part->error, PI_UNVERIFIED, "the server has %llu bytes: no image is that large",
                         (unsigned long long)size_bytes);
    return 0;
}

/* All of the file comes: what was there before is void. */
static int accept_whole(struct image_part *part)
{
    struct image_transfer *t = part->transfer;
    curl_off_t length = -1;
    curl_easy_getinfo(part->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    int r = length >= 0 ? check_size(part, (uint64_t)length) : 0;
    if (r < 0)
        return r;
    if (t->what->resume->done_bytes) {
        image_follow_restart(t->follow);
        t->what->resume->done_bytes = 0;
        if (ftruncate(t->what->fd, 0) < 0)
            return pi_fail(&part->error, errno, "cannot write the image");
    }
    part->at = 0;
    if (length >= 0)
        t->total = (uint64_t)length;
    else if (t->what->size_bytes)
        t->total = t->what->size_bytes;
    else
        t->total = UINT64_MAX;
    part->end = t->next = t->total;
    r = t->total == UINT64_MAX ? 0 : image_space_reserve(t->what->fd, t->total, &part->error);
    return r < 0 ? r : learn(part);
}

static int accept_range(struct image_part *part)
{
    struct image_transfer *t = part->transfer;
    const struct image_answer *answer = &part->answer;
    if (!part->ranged || !answer->has_range || answer->range_start != part->at || !same_object(part)) {
        t->void_start = is_first(part) && !t->received_bytes;
        return pi_refuse(&part->error, PI_NETWORK,
                         "the server answers with another range, or of another object, than was asked for");
    }
    int r = check_size(part, answer->range_total);
    if (r < 0 || !is_first(part) || t->received_bytes)
        return r;
    t->total = answer->range_total;
    part->end = t->next = t->total;
    r = image_space_reserve(t->what->fd, t->total, &part->error);
    return r < 0 ? r : learn(part);
}

/* Before the first byte of an answer is taken. */
static int accept_answer(struct image_part *part)
{
    struct image_transfer *t = part->transfer;
    long status = 0;
    curl_easy_getinfo(part->curl, CURLINFO_RESPONSE_CODE, &status);
    bool begins = is_first(part) && !t->received_bytes;
    if (status != HTTP_PARTIAL && !begins)
        return pi_refuse(&part->error, PI_NETWORK, "the server does not serve ranges of one object");
    int r = status == HTTP_PARTIAL ? accept_range(part) : accept_whole(part);
    if (r < 0)
        return r;
    part->state = IMAGE_PART_RECEIVING;
    t->proven |= status == HTTP_PARTIAL;
    return 0;
}

int image_part_flush(struct image_part *part)
{
    size_t written = 0;
    int r = 0;
    while (written < part->held_bytes && r == 0) {
        ssize_t n = pwrite(part->transfer->what->fd, part->held + written, part->held_bytes - written,
                           (off_t)(part->at + written));
        if (n >= 0)
            written += (size_t)n;
        else if (errno == ENOSPC || errno == EDQUOT)
            r = image_space_full(&part->error);
        else if (errno != EINTR)
            r = pi_fail(&part->error, errno, "cannot write the image");
    }
    part->at += written;
    part->held_bytes = 0;
    if (r < 0)
        part->r = r;
    return r;
}

/* Writes happen at round offsets, however the span began. */
static int hold(struct image_part *part, const char *data, size_t size)
{
    part->transfer->received_bytes += size;
    while (size) {
        size_t room = IMAGE_PART_HELD_MAX - image_part_position(part) % IMAGE_PART_HELD_MAX;
        size_t n = size < room ? size : room;
        memcpy(part->held + part->held_bytes, data, n);
        part->held_bytes += n;
        data += n;
        size -= n;
        if (n == room && image_part_flush(part) < 0)
            return part->r;
    }
    return 0;
}

static size_t on_bytes(char *data, size_t one, size_t count, void *user)
{
    struct image_part *part = user;
    size_t size = one * count;
    if (part->r == 0 && part->state == IMAGE_PART_ASKING)
        part->r = accept_answer(part);
    if (part->r < 0)
        return 0;
    uint64_t end = part->end == UINT64_MAX ? IMAGE_FILE_MAX : part->end;
    uint64_t left = end - image_part_position(part);
    size_t fits = left < size ? (size_t)left : size;
    part->r = hold(part, data, fits);
    if (part->r == 0 && fits < size)
        part->r =
            end == part->transfer->total || part->end == UINT64_MAX
                ? pi_refuse(&part->error, PI_UNVERIFIED,
                            "the server sends more than the %llu bytes of the image", (unsigned long long)end)
                : -EALREADY;
    return part->r < 0 ? 0 : size;
}

/* If-Range only helps where the validators are this server's. */
static int ask_for_range(struct image_part *part)
{
    const struct image_transfer *t = part->transfer;
    const char *validator = image_resume_validator(t->what->resume);
    char range[64], condition[320];
    if (part->end == t->total || part->end == UINT64_MAX)
        snprintf(range, sizeof range, "%llu-", (unsigned long long)part->at);
    else
        snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)part->at,
                 (unsigned long long)part->end - 1);
    if (curl_easy_setopt(part->curl, CURLOPT_RANGE, range) != CURLE_OK)
        return -ENOMEM;
    if (!validator || (!t->what->same_url && !t->received_bytes))
        return 0;
    snprintf(condition, sizeof condition, "If-Range: %s", validator);
    part->header = curl_slist_append(NULL, condition);
    curl_easy_setopt(part->curl, CURLOPT_HTTPHEADER, part->header);
    return part->header ? 0 : -ENOMEM;
}

int image_part_start(struct image_part *part, uint64_t at, uint64_t end)
{
    const struct image_transfer *t = part->transfer;
    const struct image_resume *resume = t->what->resume;
    if (!part->curl && !(part->curl = curl_easy_init()))
        return -ENOMEM;
    if (!part->held && !(part->held = malloc(IMAGE_PART_HELD_MAX)))
        return -ENOMEM;
    curl_easy_reset(part->curl);
    part->at = part->begin = at;
    part->end = end;
    part->error = (struct pi_error){0};
    part->r = 0;
    part->answer = (struct image_answer){0};
    part->ranged = at > 0 || t->received_bytes;
    if (image_http_setup(part->curl, t->received_bytes ? resume->url : t->what->url, t->what->checksum_known,
                         t->what->stall_s, part->reason) != CURLE_OK)
        return -ENOMEM;
    curl_easy_setopt(part->curl, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER);
    curl_easy_setopt(part->curl, CURLOPT_PRIVATE, part);
    curl_easy_setopt(part->curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(part->curl, CURLOPT_HEADERDATA, part);
    curl_easy_setopt(part->curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(part->curl, CURLOPT_WRITEDATA, part);
    if (part->ranged && ask_for_range(part) < 0)
        return -ENOMEM;
    if (curl_multi_add_handle(t->multi, part->curl) != CURLM_OK)
        return -ENOMEM;
    part->state = IMAGE_PART_ASKING;
    return 0;
}

void image_part_stop(struct image_part *part)
{
    if (part->state == IMAGE_PART_IDLE)
        return;
    curl_multi_remove_handle(part->transfer->multi, part->curl);
    curl_slist_free_all(part->header);
    part->header = NULL;
    part->held_bytes = 0;
    part->state = IMAGE_PART_IDLE;
}

void image_part_done(struct image_part *part)
{
    image_part_stop(part);
    curl_slist_free_all(part->header);
    curl_easy_cleanup(part->curl);
    free(part->held);
    *part = (struct image_part){0};
}
