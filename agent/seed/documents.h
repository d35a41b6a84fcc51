/* SPDX-License-Identifier: MIT */
/*
 * Renders the four documents that cloud-init's NoCloud datasource fetches. Pure, so that the agent can render
 * them at each start of an instance.
 *
 * The content of each document, and why (checked by booting guests with cloud-init 22.4.2 and 25.1.4):
 *
 *  meta-data       instance-id, local-hostname, the fleet (fleet_data.h), and the SSH keys as "public-keys". cloud-init gives the
 *                  default user these keys whatever the user-data is (a script, an #include, MIME, gzip), in
 *                  addition to keys that the user-data names.
 *  user-data       the user's own file, byte for byte; without one, the account.
 *  vendor-data     what the agent needs in the guest: the SSH host key, the boot hook (below), and, if the
 *                  user-data is the user's own file, the account.
 *  network-config  empty: cloud-init then uses DHCP for the first interface. Others are set up by a boot hook in the
 *                  vendor-data (network_hook.h). (It must be served all the same: a 404 costs 10 s of
 *                  each boot.)
 *
 * Every process in the guest can fetch the seed, because cloud-init writes its address into files that all
 * may read. So the host key, the password's hash, the fleet's join secret and the user's own file are in it only
 * until the guest's first successful boot. After that (.booted) the documents hold just enough for a guest that fetches them
 * again.
 *
 * The account is cloud-init's "user:" entry. It changes the image's default user, so groups and everything
 * that it does not set are the image's own (Fedora: wheel, adm, systemd-journal). cloud-init adds it to any
 * "users:" of the user's file, and in the keys that it sets it wins over an entry of the same name. A "user:"
 * in the file would win over it: seed_user_data_check() refuses that.
 *
 * The boot hook runs at each boot. It makes /var/lib/cloud/seed/nocloud/meta-data a link to the asset tag of the board
 * (SMBIOS), which holds the instance-id. If that is still the one that cloud-init knows, it does not fetch the seed again, so
 * a reboot needs no server. A clone of the disk boots on another board: cloud-init sees another instance-id there, fetches
 * the clone's seed, and sets it up as a new instance. Under a QEMU of an earlier piagent, whose board has no tag, the hook
 * writes a file instead. After a reboot cloud-init uses the cached
 * vendor-data, so the hook takes the address for reports from this boot's SMBIOS. Whoever knows that address
 * can report. So the hook writes it to a file that cloud-init reads and only root can read: the configuration
 * of a second vendor-data, which NoCloud does not have. (If a user may not read a file in
 * /etc/cloud/cloud.cfg.d, cloud-init warns them about it, and if they may not read /run/cloud-init/cloud.cfg
 * it fails. A "write_files" or "bootcmd" here would be replaced by the user's own.) cloud-init's log holds
 * the address too, and up to 23.1 all may read it: the hook changes its mode. Before you make an image of an
 * instance's disk, run "cloud-init clean" in the guest, as on any cloud.
 *
 * If no partition of the disk can grow, the hook turns cloud-init's growpart off in the same file: to find that out by itself, it
 * needs two seconds of an emulated boot. A user's own "growpart" wins.
 *
 * The hook also writes the address of the list of peers to /run/cloud-init/piagent-peers-url, which all may read: the
 * one in the meta-data is of the boot in which cloud-init fetched that, and the port may have changed since.
 *
 * The machine-id of a clone (.machine_id) is set by a boot hook of its own, before all others, because cloud-init renews none.
 * It is the UUID, as systemd's own choice in a new virtual machine is. The hook then restarts the daemons that have read the
 * source's: journald, which names its files after it, and networkd, whose DHCP requests would be those of the source.
 *
 * At the end of the boot a script in the vendor-data searches cloud-init's log for problems of the user-data,
 * which cloud-init tells nowhere else. It reports each as "user-data/check", with result WARN and the problem
 * as description.
 *
 * It does not set ssh_pwauth: the password is for the console, and SSH uses keys.
 */
#ifndef PIAGENT_SEED_DOCUMENTS_H
#define PIAGENT_SEED_DOCUMENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/seed/fleet_data.h"
#include "agent/seed/network_hook.h"

/* All pointers are borrowed for the call. */
struct seed_spec {
    const char *instance_id;               /* 1 to 64 of A-Z a-z 0-9 - _ */
    const char *hostname;                  /* as pi_name_check() */
    const char *user;                      /* as seed_user_check() */
    const char *groups;                    /* "a,b", created if missing; NULL = the image's own */
    const char *password_hash;             /* as seed_hash_check(); NULL = no password: locked */
    const struct pi_strv *authorized_keys; /* each as seed_ssh_key_check() */
    const char *machine_id;    /* 32 hexadecimal digits, for a clone; NULL = the guest's own affair */
    const char *identity_port; /* of a template: where its clones are told who they are; NULL = it is none */
    bool booted;               /* its guest has booted successfully before: see above */
    const char *host_key_private;        /* OpenSSH's private key file, as text */
    const char *host_key_public;         /* the public key's line */
    const struct seed_fleet *fleet;      /* NULL = it is in none; .join_secret is told unless .booted */
    const char *user_data;               /* the user's own file; NULL = none */
    size_t user_data_size;               /* at most SEED_USER_DATA_MAX (user_data.h) */
    const struct seed_network *networks; /* the guest's interfaces beside the first one */
    size_t network_count;
};

struct seed_documents {
    struct pi_buf meta_data, user_data, vendor_data, network_config;
};

/* Renders all four into an empty *ret. PI_USAGE if cloud-init would misread a value of the spec. */
int seed_render(const struct seed_spec *spec, struct seed_documents *ret, struct pi_error *err);

void seed_documents_done(struct seed_documents *documents);
#define pi_auto_documents __attribute__((cleanup(seed_documents_done)))

/* Checks a login name: 1 to 32 of a-z 0-9 _ -, the first a-z or _, which every distribution accepts. Not
 * root, because cloud-init disables root's login. */
#define SEED_USER_MAX 32
int seed_user_check(const char *name, struct pi_error *err);

#endif
