/* SPDX-License-Identifier: MIT */
/* The instance metadata service when memory runs out: only that guest's request fails. */
#include "memory_fixture.h"

#include "imds_fixture.h"

static const char report_text[] =
    "{\"name\": \"modules-final/config-scripts-user\", \"description\": \"running config-scripts-user\", "
    "\"event_type\": \"finish\", \"origin\": \"cloudinit\", \"timestamp\": 1700000000.5, \"result\": \"FAIL\", "
    "\"files\": [{\"path\": \"/a\", \"content\": \"b\"}]}";

static const struct imds_seed seed = {
    .documents = {{"meta", 4}, {"user", 4}, {"vendor", 6}, {NULL, 0}},
};

static int registry_grows(struct pi_error *err)
{
    char key[IMDS_KEY_LENGTH + 1] = KEY;
    struct imds_registry *registry = NULL;
    (void)err;
    int r = imds_registry_new(&registry);
    for (char digit = 'a'; r == 0 && digit <= 'f'; digit++)
        for (int i = 0; r == 0 && i < 4; i++) {
            key[0] = digit;
            key[1] = (char)('0' + i);
            r = imds_registry_put(registry, key, &seed, true, registry);
            memory_promise((imds_registry_find(registry, key) != NULL) == (r == 0));
        }
    imds_registry_free(registry);
    return r;
}

static int seed_is_replaced(struct pi_error *err)
{
    struct imds_seed other = {.documents[IMDS_META_DATA] = {"other", 5}};
    struct imds_registry *registry = NULL;
    (void)err;
    int r = imds_registry_new(&registry);
    if (r == 0 && (r = imds_registry_put(registry, KEY, &seed, true, NULL)) == 0) {
        r = imds_registry_put(registry, KEY, &other, true, NULL);
        memory_promise(imds_registry_find(registry, KEY)->documents[IMDS_META_DATA]->size ==
                       (r == 0 ? 5 : 4));
    }
    imds_registry_free(registry);
    return r;
}

/* One exchange; whether it was answered as it should be. */
static bool exchange(struct fixture *fx, const char *request, const char *answer)
{
    char got[1024];
    int fd = dial(fx);
    say(fx, fd, request, strlen(request));
    settle(fx);
    ssize_t n = recv(fd, got, sizeof got - 1, MSG_DONTWAIT);
    close(fd);
    got[n > 0 ? n : 0] = '\0';
    settle(fx);
    return has_status(got, 200) && strstr(got, answer);
}

static bool both_exchanges(struct fixture *fx)
{
    char post_request[1024];
    snprintf(post_request, sizeof post_request,
             "POST /" KEY "/events HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s",
             sizeof report_text - 1, report_text);
    fx->served = fx->reported = 0;
    bool served = exchange(fx, "GET /" KEY "/vendor-data HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\nvendor");
    bool reported = exchange(fx, post_request, "\r\n\r\n");
    memory_promise(!served || fx->served == 1);
    return served && reported && fx->reported == 1;
}

static int guest_is_served(struct pi_error *err)
{
    static const struct imds_handler handler = {.served = note_served, .reported = note_reported};
    struct fixture fx = {.now_ms = 1000};
    (void)err;
    int fd = listen_anywhere(AF_UNIX, &fx.address, &fx.address_size);
    int r = imds_registry_new(&fx.registry);
    if (r == 0)
        r = imds_registry_put(fx.registry, KEY, &seed, true, &fx);
    if (r == 0)
        r = imds_server_new(fd, fx.registry, &handler, &fx, NULL, &fx.server);
    if (r < 0)
        close(fd);
    if (r == 0 && !both_exchanges(&fx)) {
        r = -ENOMEM;
        /* And the next one is served. */
        memory.armed = false;
        memory_promise(both_exchanges(&fx));
    }
    imds_server_free(fx.server);
    imds_registry_free(fx.registry);
    return r;
}

static void every_failing_allocation_is_survived(void **state)
{
    static const struct memory_operation operations[] = {
        MEMORY_OPERATION(registry_grows, .silent = true),
        MEMORY_OPERATION(seed_is_replaced, .silent = true),
        MEMORY_OPERATION(guest_is_served, .silent = true, .parses = true),
    };
    (void)state;
    memory_check(operations, sizeof operations / sizeof operations[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
