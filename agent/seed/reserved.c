/* SPDX-License-Identifier: MIT */
#include "agent/seed/reserved.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "agent/base/auto.h"

/* Reads "enabled" as cloud-init does (util.translate_bool): every other word is false. */
static bool is_true(const struct seed_node *node)
{
    static const char *const words[] = {"true", "1", "on", "yes"};
    for (size_t i = 0; node->text && i < PI_ARRAY_SIZE(words); i++)
        if (strcasecmp(node->text, words[i]) == 0)
            return true;
    return false;
}

static bool switches_off(const struct seed_node *vendor_data)
{
    if (vendor_data->type != SEED_MAP)
        return true;
    for (const struct seed_node *key = vendor_data->first; key && key->next; key = key->next->next)
        if (key->text && (seed_node_is_merge(key) ||
                          (!strcmp(key->text, "enabled") && !is_true(seed_node_target(key->next)))))
            return true;
    return false;
}

static bool any_value(const struct seed_node *value)
{
    return value != NULL;
}

static const struct {
    const char *key, *advice;
    bool (*harms)(const struct seed_node *value);
} reserved[] = {
    {"user", "name the user with --user; further ones belong under 'users'", any_value},
    {"ssh_keys", "piagent sets the host key, and 'piagent ssh' checks it", any_value},
    {"vendor_data", "piagent configures the guest by vendor-data: leave it enabled", switches_off},
};

void seed_reserved_check(const struct seed_node *root, struct seed_findings *findings)
{
    for (const struct seed_node *key = root->first; key && key->next; key = key->next->next)
        for (size_t i = 0; key->text && i < PI_ARRAY_SIZE(reserved); i++)
            if (!strcmp(key->text, reserved[i].key) && reserved[i].harms(seed_node_target(key->next)))
                seed_findings_addf(findings, SEED_ERROR, key->line, key->column, NULL, reserved[i].advice,
                                   "piagent sets '%s' itself", key->text);
}
