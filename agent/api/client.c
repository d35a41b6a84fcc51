/* SPDX-License-Identifier: MIT */
#include "agent/api/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/api/reply_check.h"
#include "agent/base/auto.h"
#include "agent/base/clock.h"

#define REPLY_MAX ((size_t)64 << 20)

struct api_client {
    CURLM *multi;
    bool shares; /* multi is another client's */
    char *socket_path;
    uint64_t slow_ms;
    void (*slow)(void); /* or NULL */
};

struct api_transfer {
    struct api_client *client;
    CURL *easy;
    struct curl_slist *headers;
    struct api_sink sink;
    struct pi_buf failure; /* the body of a reply that is an error */
    int stopped;           /* the sink's negative return */
};

int api_client_new(const char *socket_path, struct api_client **ret, struct pi_error *err)
{
    pi_auto_free struct api_client *client = calloc(1, sizeof *client);
    if (!client || curl_global_init(CURL_GLOBAL_DEFAULT))
        return pi_fail(err, ENOMEM, "cannot talk to the agent");
    client->multi = curl_multi_init();
    client->socket_path = strdup(socket_path);
    if (!client->multi || !client->socket_path) {
        api_client_free(pi_steal(client));
        return pi_fail(err, ENOMEM, "cannot talk to the agent");
    }
    *ret = pi_steal(client);
    return 0;
}

void api_client_free(struct api_client *client)
{
    if (!client)
        return;
    if (client->multi && !client->shares)
        curl_multi_cleanup(client->multi);
    free(client->socket_path);
    free(client);
}

void api_client_share(struct api_client *client, struct api_client *other)
{
    curl_multi_cleanup(client->multi);
    client->multi = other->multi;
    client->shares = true;
}

void api_client_on_slow(struct api_client *client, uint64_t ms, void (*slow)(void))
{
    client->slow_ms = ms;
    client->slow = slow;
}

static void end_transfer(struct api_transfer *transfer)
{
    if (transfer->easy) {
        curl_multi_remove_handle(transfer->client->multi, transfer->easy);
        curl_easy_cleanup(transfer->easy);
    }
    curl_slist_free_all(transfer->headers);
    pi_buf_done(&transfer->failure);
    free(transfer);
}

void api_transfer_cancel(struct api_transfer *transfer)
{
    if (transfer)
        end_transfer(transfer);
}

static size_t on_reply_bytes(char *bytes, size_t one, size_t size, void *user)
{
    struct api_transfer *transfer = user;
    long status = 0;
    (void)one;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    int r = status < 300 ? transfer->sink.data ? transfer->sink.data(bytes, size, transfer->sink.user) : 0
                         : pi_buf_add(&transfer->failure, bytes, size);
    if (r < 0) {
        transfer->stopped = r;
        return 0;
    }
    return size;
}

/* 0, or the failure that the agent reported, or what became of the connection. */
static int transfer_result(const struct api_transfer *transfer, CURLcode code, struct pi_error *err)
{
    long status = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    if (transfer->stopped)
        return pi_fail(err, -transfer->stopped, "cannot use the agent's answer");
    if (code == CURLE_OPERATION_TIMEDOUT)
        return pi_refuse(err, PI_TIMEOUT, "the agent did not answer in time");
    if (code == CURLE_COULDNT_CONNECT)
        return pi_refuse(err, PI_AGENT, "no agent answers at %s", transfer->client->socket_path);
    if (code != CURLE_OK) {
        int r = pi_refuse(err, PI_AGENT, "the connection to the agent broke: %s", curl_easy_strerror(code));
        bool hung_up = code == CURLE_GOT_NOTHING || code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR;
        return hung_up ? -ECONNRESET : r;
    }
    if (status < 300)
        return 0;
    json_auto_t *body =
        pi_json_parse(transfer->failure.data ? transfer->failure.data : "", transfer->failure.size, NULL);
    struct pi_error said;
    if (api_answer_clean(body) < 0)
        return pi_fail(err, ENOMEM, "the agent's answer");
    if (pi_failure_read(json_object_get(body, "error"), &said) < 0)
        return pi_refuse(err, PI_AGENT, "the agent answered with HTTP status %ld", status);
    return pi_refuse(err, said.kind, "%s", said.text);
}

static struct api_transfer *make_transfer(struct api_client *client, const char *method, const char *path,
                                          const void *body, size_t size, const struct api_sink *sink)
{
    struct api_transfer *transfer = calloc(1, sizeof *transfer);
    pi_auto_free char *url = NULL;
    if (!transfer)
        return NULL;
    *transfer = (struct api_transfer){.client = client, .sink = *sink, .failure.max = REPLY_MAX};
    transfer->easy = curl_easy_init();
    /* No "Expect: 100-continue": it costs a round trip, or a second if the server does not answer it. */
    transfer->headers = curl_slist_append(NULL, "Expect:");
    if (!transfer->easy || !transfer->headers || asprintf(&url, "http://piagent%s", path) < 0) {
        end_transfer(transfer);
        return NULL;
    }
    CURL *easy = transfer->easy;
    curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, client->socket_path);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
    if (body) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
        curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, body);
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_reply_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    return transfer;
}

int api_client_start(struct api_client *client, const char *method, const char *path, const void *body,
                     size_t size, const struct api_sink *sink, struct api_transfer **ret,
                     struct pi_error *err)
{
    struct api_transfer *transfer = make_transfer(client, method, path, body, size, sink);
    if (!transfer || curl_multi_add_handle(client->multi, transfer->easy)) {
        api_transfer_cancel(transfer);
        return pi_fail(err, ENOMEM, "cannot talk to the agent");
    }
    if (ret)
        *ret = transfer;
    return 0;
}

/* True if a transfer has ended. */
static bool finish_transfers(struct api_client *client)
{
    CURLMsg *message;
    int left;
    bool any = false;
    while ((message = curl_multi_info_read(client->multi, &left))) {
        char *private_data = NULL;
        CURLcode code = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private_data);
        struct api_transfer *transfer = (struct api_transfer *)private_data;
        struct api_sink sink = transfer->sink;
        struct pi_error err = {0};
        int r = transfer_result(transfer, code, &err);
        end_transfer(transfer);
        if (sink.done)
            sink.done(r, &err, sink.user);
        any = true;
    }
    return any;
}

int api_client_wait(struct api_client *client, struct pollfd *extra, unsigned extra_count, int timeout_ms,
                    struct pi_error *err)
{
    struct curl_waitfd fds[8] = {0};
    int running;
    if (extra_count > PI_ARRAY_SIZE(fds))
        return pi_fail(err, EINVAL, "too many descriptors");
    for (unsigned i = 0; i < extra_count; i++)
        fds[i] = (struct curl_waitfd){.fd = extra[i].fd, .events = CURL_WAIT_POLLIN};
    if (curl_multi_perform(client->multi, &running))
        return pi_fail(err, EIO, "cannot talk to the agent");
    /* A transfer that has ended already, for example because no agent listens, has no descriptor that could wake us. */
    if (finish_transfers(client))
        timeout_ms = 0;
    if (curl_multi_poll(client->multi, fds, extra_count, timeout_ms < 0 ? 1000000 : timeout_ms, NULL) ||
        curl_multi_perform(client->multi, &running))
        return pi_fail(err, EIO, "cannot talk to the agent");
    for (unsigned i = 0; i < extra_count; i++)
        extra[i].revents = fds[i].revents ? POLLIN : 0;
    finish_transfers(client);
    return 0;
}

struct one_call {
    struct pi_buf reply;
    bool over;
    int result;
    struct pi_error err;
};

static int on_call_bytes(const char *bytes, size_t size, void *user)
{
    struct one_call *one = user;
    return pi_buf_add(&one->reply, bytes, size);
}

static void on_call_done(int result, const struct pi_error *err, void *user)
{
    struct one_call *one = user;
    one->over = true;
    one->result = result;
    one->err = *err;
}

static int await_call(struct api_client *client, struct one_call *one, struct api_transfer *transfer,
                      uint64_t timeout_ms, struct pi_error *err)
{
    uint64_t now = pi_monotonic_ms(), end = now + timeout_ms;
    uint64_t slow = client->slow && client->slow_ms < timeout_ms ? now + client->slow_ms : UINT64_MAX;
    while (!one->over) {
        now = pi_monotonic_ms();
        if (now >= slow) {
            client->slow();
            slow = UINT64_MAX;
        }
        if (now >= end) {
            api_transfer_cancel(transfer);
            return pi_refuse(err, PI_TIMEOUT, "the agent did not answer within %llu ms",
                             (unsigned long long)timeout_ms);
        }
        int r = api_client_wait(client, NULL, 0, (int)((slow < end ? slow : end) - now), err);
        if (r < 0) {
            if (!one->over)
                api_transfer_cancel(transfer);
            return r;
        }
    }
    if (one->result < 0 && err)
        *err = one->err;
    return one->result;
}

int api_client_call(struct api_client *client, const char *method, const char *path, const json_t *body,
                    uint64_t timeout_ms, json_t **ret, struct pi_error *err)
{
    struct one_call one = {.reply.max = REPLY_MAX};
    struct api_sink sink = {.data = on_call_bytes, .done = on_call_done, .user = &one};
    struct api_transfer *transfer;
    pi_auto_free char *text = body ? json_dumps(body, JSON_COMPACT) : strdup("");
    const void *sent = body || strcmp(method, "GET") != 0 ? text : NULL;
    if (!text)
        return pi_fail(err, ENOMEM, "cannot talk to the agent");
    int r = api_client_start(client, method, path, sent, strlen(text), &sink, &transfer, err);
    if (r == 0)
        r = await_call(client, &one, transfer, timeout_ms, err);
    if (r == 0 && ret) {
        struct pi_error why;
        json_auto_t *reply = pi_json_parse(one.reply.data ? one.reply.data : "", one.reply.size, &why);
        r = reply ? api_answer_check(method, path, body, reply, err)
                  : pi_refuse(err, PI_AGENT, "the agent's answer: %.800s", why.text);
        if (r == 0)
            *ret = json_incref(reply);
    }
    pi_buf_done(&one.reply);
    return r;
}
