/* SPDX-License-Identifier: MIT */
#include "agent/seed/reserved.h"

#include <string.h>

#include "agent/base/auto.h"

static const struct {
    const char *key, *advice;
} reserved[] = {
    {"user", "name the user with --user; further ones belong under 'users'"},
    {"vendor_data", "piagent's own part reaches the guest as vendor-data, and nothing works without it"},
    {"ssh_keys", "piagent puts the host key in, and 'piagent ssh' checks it"},
};

void seed_reserved_check(const struct seed_node *root, struct seed_findings *findings)
{
    for (const struct seed_node *key = root->first; key; key = key->next ? key->next->next : NULL)
        for (size_t i = 0; key->text && i < PI_ARRAY_SIZE(reserved); i++)
            if (strcmp(key->text, reserved[i].key) == 0)
                seed_findings_addf(findings, SEED_ERROR, key->line, key->column, NULL, reserved[i].advice,
                                   "'%s' is piagent's to set", key->text);
}
