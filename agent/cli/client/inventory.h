/* SPDX-License-Identifier: MIT */
/*
 * Instances as an inventory of Ansible: each one's variables, and the groups that it is in by its fleet, role, labels,
 * architecture and state. Pure, but for this program's own path.
 *
 * ansible_ssh_args comes before all other options that Ansible gives to ssh, so that its settings, such as
 * host_key_checking = False, do not weaken the check of the host key
 * (https://docs.ansible.com/ansible/latest/collections/ansible/builtin/ssh_connection.html).
 */
#ifndef PIAGENT_CLI_INVENTORY_H
#define PIAGENT_CLI_INVENTORY_H

#include "agent/api/types.h"

/* Zeroed memory is an empty one. */
struct cli_inventory {
    const char *url; /* of the host that the instances are on (remote_host.h); NULL = this host */
    json_t *hosts;   /* name: its variables */
    json_t *groups;  /* name: array of hosts */
};

/* Adds an instance. One whose record cannot be read is passed over. 0 or -ENOMEM. */
int cli_inventory_add(struct cli_inventory *inventory, const struct api_instance *instance);

/* The JSON that an inventory script prints for --list; a new reference, NULL without memory.
 * https://docs.ansible.com/ansible/latest/dev_guide/developing_inventory.html */
json_t *cli_inventory_list(const struct cli_inventory *inventory);

/* The same as a YAML file. 0 or -ENOMEM. */
int cli_inventory_yaml(const struct cli_inventory *inventory, struct pi_buf *ret);

void cli_inventory_done(struct cli_inventory *inventory);
#define pi_auto_inventory __attribute__((cleanup(cli_inventory_done)))

#endif
