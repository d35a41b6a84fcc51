/* SPDX-License-Identifier: MIT */
#include "agent/cli/client/names.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/paths.h"
#include "agent/cli/client/chosen.h"
#include "agent/image/release.h"
#include "agent/image/store.h"

#define ASK_MS        1000 /* a user who types does not wait for an agent that does not answer */
#define RELEASE_FIRST 38
#define RELEASE_LAST  99

/* state is its word; NULL: not known. */
static int offer_instance(enum cli_kind kind, const char *name, const char *state, struct cli_candidates *ret)
{
    char place[PI_NAME_MAX + 2];
    snprintf(place, sizeof place, "%.*s%s", PI_NAME_MAX, name, kind == CLI_PLACE ? ":" : "");
    return cli_candidate(ret, place, state);
}

/* Once, however many instances have it. */
static int offer_once(const char *value, json_t *offered, struct cli_candidates *ret)
{
    if (!*value || json_object_get(offered, value))
        return 0;
    json_object_set_new(offered, value, json_true());
    return cli_candidate(ret, value, NULL);
}

static int offer_of(enum cli_kind kind, const struct api_instance *instance, json_t *offered,
                    struct cli_candidates *ret)
{
    const struct pi_strv *labels = &instance->spec.labels;
    int r = 0;
    if (instance->spec.template != (kind == CLI_TEMPLATE))
        return 0;
    if (kind == CLI_FLEET)
        return offer_once(instance->spec.fleet.name, offered, ret);
    for (size_t i = 0; r == 0 && kind == CLI_LABEL && i < labels->count; i++)
        r = offer_once(labels->items[i], offered, ret);
    if (kind == CLI_LABEL || !cli_kind_fits(kind, instance->state) || pi_name_check(instance->name, NULL) < 0)
        return r;
    return offer_instance(kind, instance->name, api_state_word(instance), ret);
}

static int from_agent(enum cli_kind kind, const json_t *instances, struct cli_candidates *ret)
{
    json_auto_t *offered = json_object();
    const json_t *object;
    size_t i;
    int r = 0;
    json_array_foreach(instances, i, object) {
        pi_auto_instance struct api_instance instance = {0};
        if (r == 0 && api_read(summary, object, &instance, NULL) == 0)
            r = offer_of(kind, &instance, offered, ret);
    }
    return r;
}

static int from_folders(enum cli_kind kind, const char *path, struct cli_candidates *ret)
{
    pi_auto_closedir DIR *dir = opendir(path);
    int r = 0;
    for (struct dirent *entry; r == 0 && dir && (entry = readdir(dir));)
        if (pi_name_check(entry->d_name, NULL) == 0)
            r = offer_instance(kind, entry->d_name, NULL, ret);
    return r;
}

static int offer_instances(enum cli_kind kind, struct cli_candidates *ret)
{
    pi_auto_agent struct cli_agent agent = {0};
    json_auto_t *reply = NULL;
    int r = cli_connect_prepare(&agent, NULL);
    if (r == 0)
        r = api_client_call(agent.client, "GET", "/v1/instances?summary=1", NULL, ASK_MS, &reply, NULL);
    if (r == 0)
        return from_agent(kind, json_object_get(reply, "instances"), ret);
    bool names = kind != CLI_FLEET && kind != CLI_LABEL;
    return names && agent.paths.instances && !agent.host.url ? from_folders(kind, agent.paths.instances, ret)
                                                             : 0;
}

/* The newest first, as they are asked for. */
static int offer_releases(struct cli_candidates *ret)
{
    int r = cli_candidate(ret, "fedora", "the newest release");
    for (int number = RELEASE_LAST; r == 0 && number >= RELEASE_FIRST; number--) {
        char release[32], text[16];
        struct image_name name;
        snprintf(text, sizeof text, "%d", number);
        snprintf(release, sizeof release, "fedora:%d", number);
        if (image_release_name(text, "x86_64", &name))
            r = cli_candidate(ret, release, NULL);
    }
    return r;
}

static int offer_stored_images(struct cli_candidates *ret)
{
    pi_auto_paths struct pi_paths paths = {0};
    pi_auto_image_store struct image_store store = {.dir_fd = -1};
    pi_auto_image_list struct image_list list = {0};
    int r = pi_paths_find(&paths, NULL);
    if (r < 0 || cli_host_chosen() || access(paths.images, F_OK) < 0 ||
        image_store_open(paths.images, &store, NULL) < 0 || image_store_list(&store, &list, NULL) < 0)
        return 0;
    for (size_t i = 0; r == 0 && i < list.count; i++)
        r = cli_candidate(ret, list.items[i].name, list.items[i].arch);
    return r;
}

static int offer_networks(struct cli_candidates *ret)
{
    pi_auto_agent struct cli_agent agent = {0};
    json_auto_t *reply = NULL;
    const json_t *network;
    size_t i;
    int r = cli_connect_prepare(&agent, NULL);
    if (r < 0 || api_client_call(agent.client, "GET", "/v1/networks", NULL, ASK_MS, &reply, NULL) < 0)
        return 0;
    json_array_foreach(json_object_get(reply, "networks"), i, network) {
        const char *name = json_string_value(json_object_get(network, "name"));
        if (r == 0 && name && pi_name_check(name, NULL) == 0)
            r = cli_candidate(ret, name, json_string_value(json_object_get(network, "subnet")));
    }
    return r;
}

int cli_names(enum cli_kind kind, struct cli_candidates *ret)
{
    if (kind == CLI_IMAGE)
        return offer_releases(ret);
    if (kind == CLI_NETWORK)
        return offer_networks(ret);
    return kind == CLI_STORED_IMAGE ? offer_stored_images(ret) : offer_instances(kind, ret);
}
