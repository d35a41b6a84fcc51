/* SPDX-License-Identifier: MIT */
#include "agent/cli/client/inventory.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/cli/client/ssh_options.h"

/* Ansible itself shares connections, with a ControlPath of its own. */
#define SHARING "-o ControlMaster=auto -o ControlPersist=60s"

/* A group's name is a variable's, too: letters, digits and '_'. */
static int add_to_group(struct cli_inventory *inventory, const char *kind, const char *name, const char *host)
{
    pi_auto_buf struct pi_buf group = {0};
    if (pi_buf_printf(&group, "%s_%s", kind, name) < 0)
        return -ENOMEM;
    for (char *c = group.data; *c; c++)
        if (!isalnum((unsigned char)*c))
            *c = '_';
    if (!json_object_get(inventory->groups, group.data) &&
        json_object_set_new(inventory->groups, group.data, json_array()) < 0)
        return -ENOMEM;
    json_t *members = json_object_get(inventory->groups, group.data);
    size_t count = json_array_size(members);
    const char *last = count ? json_string_value(json_array_get(members, count - 1)) : NULL;
    if (last && !strcmp(last, host)) /* by another label that looks the same */
        return 0;
    return json_array_append_new(members, json_string(host)) < 0 ? -ENOMEM : 0;
}

static int add_groups(struct cli_inventory *inventory, const struct api_instance *instance)
{
    const char *name = instance->name;
    const struct vm_fleet *fleet = &instance->spec.fleet;
    int r = add_to_group(inventory, "arch", PI_WORD(instance, arch, vm_arch), name);
    if (r == 0)
        r = add_to_group(inventory, "state", api_state_word(instance), name);
    if (r == 0 && fleet->name[0])
        r = add_to_group(inventory, "fleet", fleet->name, name);
    if (r == 0 && fleet->role[0])
        r = add_to_group(inventory, "role", fleet->role, name);
    for (size_t i = 0; r == 0 && i < instance->spec.labels.count; i++)
        r = add_to_group(inventory, "label", instance->spec.labels.items[i], name);
    return r;
}

static bool is_about_sharing(const char *option)
{
    return pi_starts_with(option, "ControlMaster ") || pi_starts_with(option, "ControlPath ");
}

/* ssh's options as one text, which Ansible splits as a shell does. */
static int add_ssh_args(const char *url, const struct api_instance *instance, json_t *vars)
{
    pi_auto_strv struct pi_strv options = {0};
    pi_auto_buf struct pi_buf text = {0};
    const struct cli_ssh how = {.url = url, .instance = instance, .host = instance->name};
    int r = cli_ssh_options(&how, &options);
    if (r == 0)
        r = pi_buf_puts(&text, SHARING);
    for (size_t i = 0; r == 0 && i < options.count; i++) {
        pi_auto_free char *word = pi_shell_quote(options.items[i]);
        if (!is_about_sharing(options.items[i]))
            r = word ? pi_buf_printf(&text, " -o %s", word) : -ENOMEM;
    }
    return r == 0 ? json_object_set_new(vars, "ansible_ssh_args", json_string(text.data)) : r;
}

static json_t *variables(const char *url, const struct api_instance *instance)
{
    json_t *vars =
        json_pack("{s:s,s:o,s:o}", "ansible_user", instance->spec.user, "ansible_ssh_private_key_file",
                  json_sprintf("%s/ssh_key", instance->folder), "piagent", api_write(summary, instance));
    if (vars && add_ssh_args(url, instance, vars) < 0)
        json_decref(pi_steal(vars));
    return vars;
}

int cli_inventory_add(struct cli_inventory *inventory, const struct api_instance *instance)
{
    if (!instance->folder || !instance->spec.user)
        return 0;
    if (!inventory->hosts)
        inventory->hosts = json_object();
    if (!inventory->groups)
        inventory->groups = json_object();
    if (json_object_set_new(inventory->hosts, instance->name, variables(inventory->url, instance)) < 0)
        return -ENOMEM;
    return add_groups(inventory, instance);
}

json_t *cli_inventory_list(const struct cli_inventory *inventory)
{
    json_t *list = json_pack("{s:{s:O*}}", "_meta", "hostvars", inventory->hosts);
    json_t *members, *hosts = json_array();
    const char *name;
    json_object_foreach(inventory->groups, name, members)
        json_object_set_new(list, name, json_pack("{s:O}", "hosts", members));
    json_object_foreach(inventory->hosts, name, members)
        json_array_append_new(hosts, json_string(name));
    if (json_object_set_new(list, "all", json_pack("{s:o}", "hosts", hosts)) < 0)
        json_decref(pi_steal(list));
    return list;
}

/* "key": value, with the value in JSON, which is YAML, too. */
static int add_yaml(struct pi_buf *ret, const char *indent, const char *key, const json_t *value)
{
    pi_auto_free char *text = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    if (value && !text)
        return -ENOMEM;
    return pi_buf_printf(ret, "%s\"%s\":%s%s\n", indent, key, text ? " " : "", text ? text : "");
}

static int add_yaml_hosts(const struct cli_inventory *inventory, struct pi_buf *ret)
{
    const char *name, *key;
    json_t *vars, *value;
    int r = 0;
    json_object_foreach(inventory->hosts, name, vars) {
        r = r == 0 ? add_yaml(ret, "    ", name, NULL) : r;
        json_object_foreach(vars, key, value)
            r = r == 0 ? add_yaml(ret, "      ", key, value) : r;
    }
    return r;
}

static int add_yaml_groups(const struct cli_inventory *inventory, struct pi_buf *ret)
{
    const char *name;
    json_t *members, *member;
    size_t i;
    int r = 0;
    json_object_foreach(inventory->groups, name, members) {
        r = r == 0 ? pi_buf_printf(ret, "    %s:\n      hosts:\n", name) : r;
        json_array_foreach(members, i, member)
            r = r == 0 ? add_yaml(ret, "        ", json_string_value(member), NULL) : r;
    }
    return r;
}

int cli_inventory_yaml(const struct cli_inventory *inventory, struct pi_buf *ret)
{
    if (!json_object_size(inventory->hosts))
        return pi_buf_puts(ret, "all:\n  hosts: {}\n");
    int r = pi_buf_puts(ret, "all:\n  hosts:\n");
    if (r == 0)
        r = add_yaml_hosts(inventory, ret);
    if (r == 0)
        r = pi_buf_puts(ret, "  children:\n");
    return r == 0 ? add_yaml_groups(inventory, ret) : r;
}

void cli_inventory_done(struct cli_inventory *inventory)
{
    json_decref(inventory->hosts);
    json_decref(inventory->groups);
    *inventory = (struct cli_inventory){0};
}
