/* SPDX-License-Identifier: MIT */
#include "agent/instance/membership.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/instance/instance.h"
#include "agent/net/bridged.h"

/* The use that an instance makes of a network; false if it makes none. *index is its place in the spec. */
static bool find_use(const struct vm_spec *spec, const struct lan *lan, struct vm_network_use *ret,
                     unsigned *index)
{
    for (size_t i = 0; i < spec->networks.count; i++)
        if (vm_network_use_parse(spec->networks.items[i], ret, NULL) == 0 && !ret->bridge &&
            !strcmp(ret->name, lan->name)) {
            *index = (unsigned)i;
            return true;
        }
    return false;
}

/* The instances that are in a network: while (next_member(...)). After the last one, .instance is NULL. */
struct member_walk {
    const struct instance_host *host;
    const struct lan *lan;
    struct instance *instance; /* NULL: before the first */
    struct vm_network_use use;
    unsigned index;
    struct in_addr address;
};

static bool next_member(struct member_walk *walk)
{
    struct instance *next =
        walk->instance ? LIST_NEXT(walk->instance, entry) : LIST_FIRST(&walk->host->instances);
    for (; next; next = LIST_NEXT(next, entry)) {
        if (vm_life_is_gone(&next->record.life) ||
            !find_use(&next->record.spec, walk->lan, &walk->use, &walk->index) ||
            inet_pton(AF_INET, walk->use.address, &walk->address) != 1)
            continue;
        break;
    }
    walk->instance = next;
    return next != NULL;
}

/* Two members have the same address only if a record was put back after its address was given on. The one that runs keeps
 * it, else the older one. */
static bool has_precedence(const struct instance *a, const struct instance *b)
{
    bool a_lives = vm_state_is_live(a->record.life.state), b_lives = vm_state_is_live(b->record.life.state);
    if (a_lives != b_lives)
        return a_lives;
    if (a->record.created_ms != b->record.created_ms)
        return a->record.created_ms < b->record.created_ms;
    return strcmp(a->record.spec.name, b->record.spec.name) < 0;
}

static int refuse_rival(const struct instance *instance, const struct lan *lan, struct in_addr address,
                        struct pi_error *err)
{
    struct member_walk walk = {.host = instance->host, .lan = lan};
    while (next_member(&walk))
        if (walk.address.s_addr == address.s_addr && walk.instance != instance &&
            has_precedence(walk.instance, instance)) {
            const char *rival = walk.instance->record.spec.name;
            return pi_refuse(err, PI_CONFLICT,
                             "%s has the address %s in the network %s, too: remove one of the two, with "
                             "piagent rm %s or piagent rm %s",
                             rival, walk.use.address, lan->name, rival, instance->record.spec.name);
        }
    return 0;
}

/* Members on other hosts take as much of the switch as those that run here. */
static unsigned count_elsewhere(const struct lan *lan)
{
    json_auto_t *others = lan_links_members(lan);
    return (unsigned)json_array_size(others);
}

static unsigned count_members(const struct instance_host *host, const struct lan *lan, bool running)
{
    struct member_walk walk = {.host = host, .lan = lan};
    unsigned count = 0;
    while (next_member(&walk))
        count += !running || vm_state_is_live(walk.instance->record.life.state);
    return count;
}

static int check_room_to_join(const struct instance_host *host, const struct lan *lan, struct pi_error *err)
{
    return count_members(host, lan, false) + count_elsewhere(lan) < VM_NETWORK_MEMBERS_MAX
               ? 0
               : pi_refuse(
                     err, PI_CONFLICT,
                     "the network %s has %d members, and can have no more: remove instances that you do not "
                     "need (piagent rm), or make another network (piagent network create)",
                     lan->name, VM_NETWORK_MEMBERS_MAX);
}

/* An instance that is made without a start needs no room. */
static int check_room_to_run(const struct instance *instance, const struct lan *lan, struct pi_error *err)
{
    const struct vm_life *life = &instance->record.life;
    return (life->state == VM_CREATED && life->left_stopped) ||
                   count_members(instance->host, lan, true) + count_elsewhere(lan) < VM_NETWORK_RUNNING_MAX
               ? 0
               : pi_refuse(
                     err, PI_CONFLICT,
                     "%d members of the network %s run or are on other hosts, and no more can run at once: first stop another one "
                     "(piagent powerdown)",
                     VM_NETWORK_RUNNING_MAX, lan->name);
}

/* Addresses that members have. */

static int find_free(const struct instance_host *host, const struct lan *lan, struct in_addr *ret,
                     struct pi_error *err)
{
    struct member_walk walk = {.host = host, .lan = lan};
    pi_auto_free struct in_addr *used = NULL;
    size_t count = 0;
    while (next_member(&walk)) {
        struct in_addr *more = reallocarray(used, count + 1, sizeof *used);
        if (!more)
            return pi_fail(err, ENOMEM, "--network %s", lan->name);
        used = more;
        used[count++] = walk.address;
    }
    json_auto_t *others = lan_links_members(lan);
    struct in_addr *all =
        others ? reallocarray(used, count + json_array_size(others) + 1, sizeof *used) : NULL;
    const json_t *other;
    size_t i;
    if (!all)
        return pi_fail(err, ENOMEM, "--network %s", lan->name);
    used = all;
    json_array_foreach(others, i, other)
        inet_pton(AF_INET, json_string_value(json_object_get(other, "address")), &used[count++]);
    int r = vm_subnet_pick_member(&lan->subnet, used, count, ret, err);
    return r < 0 ? pi_context(err, r, "the network %s", lan->name) : 0;
}

static int check_free(const struct instance_host *host, const struct lan *lan, struct in_addr address,
                      struct pi_error *err)
{
    struct member_walk walk = {.host = host, .lan = lan};
    while (next_member(&walk))
        if (walk.address.s_addr == address.s_addr)
            return pi_refuse(err, PI_CONFLICT, "%s is the address of %s: choose another, or leave ip= out",
                             walk.use.address, walk.instance->record.spec.name);
    return 0;
}

/* No member on another host, as far as one is known, has the name or the address. */
static int check_free_elsewhere(const struct lan *lan, const char *name, const char *address,
                                struct pi_error *err)
{
    json_auto_t *others = lan_links_members(lan);
    const json_t *other;
    size_t i;
    json_array_foreach(others, i, other) {
        const char *its_name = json_string_value(json_object_get(other, "name"));
        const char *its_address = json_string_value(json_object_get(other, "address"));
        if (!strcmp(its_name, name) || !strcmp(its_address, address))
            return pi_refuse(
                err, PI_CONFLICT,
                "a member of the network %s on another host is %s (%s): choose another name or address",
                lan->name, its_name, its_address);
    }
    return 0;
}

/* text is the spec's own, and is replaced. */
static int resolve_use(const struct instance_host *host, const char *name, char **text, struct pi_error *err)
{
    char address[INET_ADDRSTRLEN];
    struct vm_network_use use;
    struct in_addr chosen;
    struct lan *lan;
    int r = vm_network_use_parse(*text, &use, err);
    if (r < 0)
        return r;
    if (use.bridge)
        return 0; /* membership_check_use() does that at each start */
    if ((r = lans_need(&host->lans, use.name, &lan, err)) < 0 || (r = check_room_to_join(host, lan, err)) < 0)
        return r;
    if (!use.address[0])
        r = find_free(host, lan, &chosen, err);
    else if ((r = vm_subnet_member_parse(&lan->subnet, use.address, &chosen, err)) < 0 ||
             (r = check_free(host, lan, chosen, err)) < 0)
        r = pi_context(err, r, "--network %s", *text);
    if (r < 0)
        return r;
    vm_address_format(chosen, address);
    if ((r = check_free_elsewhere(lan, name, address, err)) < 0)
        return r;
    char *resolved;
    if (asprintf(&resolved, "%s,ip=%s", use.name, address) < 0)
        return pi_fail(err, ENOMEM, "--network %s", use.name);
    free(*text);
    *text = resolved;
    return 0;
}

int membership_resolve(const struct instance_host *host, struct vm_spec *spec, struct pi_error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < spec->networks.count; i++)
        r = resolve_use(host, spec->name, &spec->networks.items[i], err);
    return r;
}

int membership_check_use(const struct instance *instance, const char *text, struct pi_error *err)
{
    struct vm_network_use use;
    struct in_addr address;
    struct lan *lan;
    int r = vm_network_use_parse(text, &use, err);
    if (r == 0 && use.bridge) {
        r = bridged_check(use.name, err);
        return r < 0 ? pi_context(err, r, "--network %s", text) : 0;
    }
    if (r == 0)
        r = lans_need(&instance->host->lans, use.name, &lan, err);
    if (r == 0)
        r = vm_subnet_member_parse(&lan->subnet, use.address, &address, err);
    return r < 0 ? pi_context(err, r, "its network %s", text) : 0;
}

static int check_uses(const struct instance *instance, struct pi_error *err)
{
    const struct pi_strv *networks = &instance->record.spec.networks;
    int r = 0;
    for (size_t i = 0; r == 0 && i < networks->count; i++)
        r = membership_check_use(instance, networks->items[i], err);
    return r;
}

/* The nth network of the instance, if it is one that can be used, with its address there; NULL if not. */
static struct lan *find_network(const struct instance *instance, size_t n, struct in_addr *address)
{
    struct vm_network_use use;
    struct lan *lan;
    return vm_network_use_parse(instance->record.spec.networks.items[n], &use, NULL) == 0 && !use.bridge &&
                   lans_need(&instance->host->lans, use.name, &lan, NULL) == 0 &&
                   inet_pton(AF_INET, use.address, address) == 1
               ? lan
               : NULL;
}

int membership_check_start(const struct instance *instance, struct pi_error *err)
{
    struct in_addr address;
    int r = check_uses(instance, err);
    for (size_t i = 0; r == 0 && i < instance->record.spec.networks.count; i++) {
        const struct lan *lan = find_network(instance, i, &address);
        if (lan && (r = refuse_rival(instance, lan, address, err)) == 0)
            r = check_room_to_run(instance, lan, err);
    }
    return r;
}

bool membership_tell_trouble(const struct instance *instance, char *buf, size_t size)
{
    bool live = vm_state_is_live(instance->record.life.state);
    struct in_addr address;
    struct pi_error why;
    for (size_t i = 0; i < instance->record.spec.networks.count; i++) {
        const struct lan *lan = find_network(instance, i, &address);
        if (lan && (instance->left_out & 1U << i) && refuse_rival(instance, lan, address, &why) < 0) {
            snprintf(buf, size, "%s", why.text);
            return true;
        }
        if (lan && live && lan->link.refusal) {
            snprintf(buf, size, "the switch of its network %s does not reach all members: %s", lan->name,
                     lan->link.refusal);
            return true;
        }
    }
    return false;
}

/* A folder at the name of a member's socket would keep the member from the network. */
static void remove_stray_folders(int folder_fd, const char *name)
{
    static const char *const endings[] = {"in", "qemu"}; /* agent/switch/control.h */
    for (size_t i = 0; i < PI_ARRAY_SIZE(endings); i++) {
        char file[PI_NAME_MAX + 8];
        struct stat st;
        snprintf(file, sizeof file, "%s.%s", name, endings[i]);
        if (fstatat(folder_fd, file, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
            pi_tree_remove(folder_fd, file, NULL);
    }
}

static int open_network_folder(const struct instance *instance, const char *text, int *ret,
                               struct pi_error *err)
{
    char folder[PATH_MAX];
    struct vm_network_use use;
    struct lan *lan;
    int r = vm_network_use_parse(text, &use, err);
    if (r < 0 || use.bridge)
        return r;
    if ((r = lans_need(&instance->host->lans, use.name, &lan, err)) < 0 ||
        (r = lan_folder(lan, folder, sizeof folder, err)) < 0)
        return r;
    int fd = pi_dir_open(folder, err);
    if (fd < 0)
        return fd;
    remove_stray_folders(fd, instance->record.spec.name);
    *ret = fd;
    return 0;
}

int membership_open(const struct instance *instance, int fds[VM_NETWORKS_MAX], struct pi_error *err)
{
    const struct pi_strv *networks = &instance->record.spec.networks;
    int r = 0;
    for (size_t i = 0; r == 0 && i < networks->count; i++)
        r = open_network_folder(instance, networks->items[i], &fds[i], err);
    return r;
}

size_t membership_seed(const struct instance *instance, struct seed_network ret[VM_NETWORKS_MAX])
{
    const struct vm_spec *spec = &instance->record.spec;
    size_t count = 0;
    for (size_t i = 0; i < spec->networks.count; i++) {
        struct seed_network *network = &ret[count];
        struct vm_network_use use;
        struct in_addr address;
        struct lan *lan;
        if (vm_network_use_parse(spec->networks.items[i], &use, NULL) < 0)
            continue;
        *network = (struct seed_network){.address = ""};
        if (use.bridge) {
            snprintf(network->name, sizeof network->name, "bridge.%.15s", use.name);
            vm_bridge_mac(spec->uuid, i, network->mac);
        } else if (lans_need(&instance->host->lans, use.name, &lan, NULL) == 0 &&
                   inet_pton(AF_INET, use.address, &address) == 1) {
            snprintf(network->name, sizeof network->name, "%s", use.name);
            vm_subnet_mac(address, network->mac);
            snprintf(network->address, sizeof network->address, "%s/%u", use.address,
                     lan->subnet.prefix % 100);
            vm_address_format(vm_subnet_self(&lan->subnet), network->gateway);
        } else {
            continue;
        }
        count++;
    }
    return count;
}

void membership_changed(const struct instance *instance)
{
    if (instance->record.spec.networks.count)
        lans_members_changed(&instance->host->lans);
}

/* By address; of two that have the same one, the one that keeps it comes first. */
static int by_claim(const void *a, const void *b)
{
    const struct member_walk *one = a, *other = b;
    if (one->address.s_addr != other->address.s_addr)
        return one->address.s_addr < other->address.s_addr ? -1 : 1;
    return has_precedence(one->instance, other->instance) ? -1 : 1;
}

static json_t *plan_member(const struct member_walk *member)
{
    char mac[VM_MAC_TEXT_SIZE];
    vm_subnet_mac(member->address, mac);
    return json_pack("{s:s, s:s, s:s, s:b}", "name", member->instance->record.spec.name, "mac", mac,
                     "address", member->use.address, "plugged",
                     vm_state_is_live(member->instance->record.life.state));
}

json_t *membership_list(const struct lan *lan, void *user)
{
    struct member_walk walk = {.host = user, .lan = lan};
    unsigned count = count_members(user, lan, false), i = 0;
    pi_auto_free struct member_walk *claims = calloc(count + 1, sizeof *claims);
    json_auto_t *members = json_array();
    if (!claims)
        return NULL;
    while (next_member(&walk))
        claims[i++] = walk;
    qsort(claims, count, sizeof *claims, by_claim);
    for (i = 0; i < count; i++) {
        bool rival = i > 0 && claims[i].address.s_addr == claims[i - 1].address.s_addr;
        unsigned *left_out = &claims[i].instance->left_out, bit = 1U << claims[i].index;
        *left_out = rival ? *left_out | bit : *left_out & ~bit;
        if (!rival && json_array_append_new(members, plan_member(&claims[i])) < 0)
            return NULL;
    }
    return json_incref(members);
}

int membership_refuse_any(const struct instance_host *host, const struct lan *lan, struct pi_error *err)
{
    struct member_walk walk = {.host = host, .lan = lan};
    pi_auto_buf struct pi_buf names = {0};
    for (unsigned count = 0; next_member(&walk) && count < 8; count++)
        if (pi_buf_printf(&names, "%s%s", count ? ", " : "", walk.instance->record.spec.name) < 0)
            return pi_fail(err, ENOMEM, "the network %s", lan->name);
    if (!names.size)
        return 0;
    return pi_refuse(err, PI_CONFLICT,
                     "the network %s has members (%s%s): remove these instances first, with: piagent rm",
                     lan->name, names.data, walk.instance ? ", and more" : "");
}

/* What the switch has counted, by its answer, for one of its "members" or "trunks"; zero if it has none of that name. */
static struct api_network_counters find_counters(const json_t *answer, const char *list, const char *name)
{
    struct api_network_counters counters = {0};
    const json_t *one;
    size_t i;
    json_array_foreach(json_object_get(answer, list), i, one) {
        const char *of = json_string_value(json_object_get(one, "name"));
        if (of && !strcmp(of, name))
            (void)api_read(network_counters, one, &counters, NULL);
    }
    return counters;
}

static json_t *view_member(const struct member_walk *walk, const json_t *counters)
{
    char mac[VM_MAC_TEXT_SIZE];
    struct api_network_member view = {
        .counters = find_counters(counters, "members", walk->instance->record.spec.name)};
    vm_subnet_mac(walk->address, mac);
    view.name = (char *)walk->instance->record.spec.name;
    view.address = (char *)walk->use.address;
    view.mac = mac;
    view.state = walk->instance->record.life.state;
    return api_write(network_member, &view);
}

static int by_member_name(const void *a, const void *b)
{
    return strcmp(json_string_value(json_object_get(*(json_t *const *)a, "name")),
                  json_string_value(json_object_get(*(json_t *const *)b, "name")));
}

/* A new reference. */
static json_t *sort_members(json_t *members)
{
    size_t count = json_array_size(members), i;
    pi_auto_free json_t **items = calloc(count + 1, sizeof(json_t *));
    json_t *sorted = json_array(), *member;
    if (!items)
        return json_incref(members);
    json_array_foreach(members, i, member)
        items[i] = member;
    qsort(items, count, sizeof(json_t *), by_member_name);
    for (i = 0; i < count; i++)
        json_array_append(sorted, items[i]);
    return sorted;
}

static json_t *view_links(const struct lan *lan, const json_t *counters)
{
    json_t *links = lan_links_view(lan), *link;
    size_t i;
    json_array_foreach(links, i, link) {
        struct api_network_counters counted =
            find_counters(counters, "trunks", json_string_value(json_object_get(link, "trunk")));
        json_object_update_new(link, api_write(network_counters, &counted));
        json_object_del(link, "trunk");
    }
    return links;
}

json_t *membership_view(const struct instance_host *host, const struct lan *lan, const json_t *counters)
{
    char subnet[VM_SUBNET_TEXT_SIZE], gateway[INET_ADDRSTRLEN];
    struct api_network view = {.name = (char *)lan->name,
                               .id = (char *)lan->links.id,
                               .reason = lan->reason,
                               .created_ms = lan->created_ms,
                               .switch_pid = lan->link.pidfd < 0 ? 0 : (uint64_t)lan->link.pid};
    struct member_walk walk = {.host = host, .lan = lan};
    json_auto_t *members = json_array(),
                *links = LIST_EMPTY(&lan->links.list) ? NULL : view_links(lan, counters);
    view.links = links;
    if (!lan->reason) {
        vm_subnet_format(&lan->subnet, subnet);
        vm_address_format(vm_subnet_self(&lan->subnet), gateway);
        view.subnet = subnet;
        view.gateway = gateway;
    }
    while (next_member(&walk))
        if (json_array_append_new(members, view_member(&walk, counters)) < 0)
            return NULL;
    json_t *object = api_write(network, &view);
    json_object_set_new(object, "members", sort_members(members));
    return object;
}
