/* SPDX-License-Identifier: MIT */
/*
 * The boot hook that sets up a guest's interfaces beside the first one: those of the networks that instances share, and of
 * bridges. A hook, because cloud-init before 24.3 asks no web server for network-config (NoCloud, util.read_seeded()), and the
 * later ones would set up the first interface anew, by which the seed comes. It runs at each boot, before network-online.target.
 *
 * Each card is found by its MAC. Its configuration is written for the program that looks after the guest's network:
 * systemd-networkd (also below netplan), NetworkManager, or ifupdown; without any of them the hook sets the address itself. It
 * is left as it is if it is right already.
 *
 * Names: systemd-resolved and NetworkManager get the network's own address as the server of the network's domain. A plain
 * resolv.conf has it first: it refuses what it does not know, and the C library asks the next server (resolv.conf(5) does not
 * say so; glibc's res_send.c does).
 *
 * The guest's own name leads to its address in the first of the networks, as it does for the others: servers bind to what
 * their own name resolves to. A line of /etc/hosts says so, because Debian, Fedora and systemd-resolved all read that file
 * first (nsswitch.conf: "files myhostname resolve dns"); else libnss-myhostname answers, with link-local addresses and that of
 * the first interface. Names of the guest are taken from loopback lines, which the C library would prefer (RFC 3484). Debian's
 * images let cloud-init write these anew at each boot (manage_etc_hosts): the vendor-data turns that off, unless the
 * user-data turns it on.
 */
#ifndef PIAGENT_SEED_NETWORK_HOOK_H
#define PIAGENT_SEED_NETWORK_HOOK_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/buf.h"

/* Texts are of letters, digits and ".:/_-" only: they go into a shell's script as they are. */
struct seed_network {
    char name[64]; /* of the network, or "bridge." and the bridge's */
    char mac[18];
    char address[19]; /* "10.77.0.2/24"; "" = by DHCP */
    char gateway[16]; /* the server for names in NAME.internal; "" = none */
};

/* The network in which the guest's own name has its address; NULL if there is none: they are all bridges. */
const struct seed_network *seed_network_of_name(const struct seed_network *networks, size_t count);

/* The script. hostname as pi_name_check(). 0 or -ENOMEM. */
int seed_network_hook(const char *hostname, const struct seed_network *networks, size_t count,
                      struct pi_buf *ret);

#endif
