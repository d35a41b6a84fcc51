/* SPDX-License-Identifier: MIT */
/*
 * The four documents that cloud-init's NoCloud datasource fetches, as pure functions of what an instance is:
 * no file is read and nothing blocks, so that the agent can render at each start.
 *
 * Who says what, and why there (checked by booting guests with cloud-init 22.4.2 and 25.1.4):
 *
 *  meta-data       instance-id, local-hostname, and the SSH keys as "public-keys". cloud-init adds those to
 *                  the default user whatever the user-data is (a script, an #include, MIME, gzip), beside any
 *                  keys that the user-data names itself.
 *  user-data       the user's own file, byte for byte, where there is one; else the account.
 *  vendor-data     what the agent needs in the guest: the SSH host key, the boot hook (below), and the
 *                  account where the user-data is the user's own.
 *  network-config  empty: cloud-init takes that as "none given" and uses DHCP. (It must be answered all the
 *                  same: a 404 costs 10 s of each boot.)
 *
 * Every process in the guest can fetch the seed: cloud-init writes its address into files that all may read.
 * So the host key, the password's hash and the user's own file are in it up to the guest's first successful
 * boot. The documents after that (.booted) keep a guest going that fetches them again.
 *
 * The account is cloud-init's "user:" entry, which makes it the image's default user: groups and what else
 * isn't said here are the image's own (Fedora: wheel, adm, systemd-journal). It joins any "users:" of the
 * user's file, wins over a same-named entry there in the keys that it sets, and needs no merging of lists. A
 * "user:" in the file would win over it: seed_user_data_check() refuses that.
 *
 * The boot hook runs at each boot. It leaves the instance-id in /var/lib/cloud/seed/nocloud/meta-data, which
 * keeps cloud-init from fetching the seed again, so that a reboot needs no server; and since the vendor-data
 * is then the cached one, it takes the address for reports from this boot's SMBIOS. Whoever knows that
 * address can report, so that the hook puts it where cloud-init looks and only root can: into the
 * configuration of a second vendor-data, which NoCloud has not. (cloud-init warns every other user about a
 * file in /etc/cloud/cloud.cfg.d that they may not read, and fails for them if it is
 * /run/cloud-init/cloud.cfg. A "write_files" or "bootcmd" of ours would be lost to the user's own.)
 * cloud-init's log holds the address as well, and up to 23.1 all may read it: the hook ends that. Before the
 * disk of an instance becomes an image: "cloud-init clean" in the guest, as for any cloud.
 *
 * A script in the vendor-data looks at the end of the boot for what cloud-init found wrong with the user-data
 * (which it says in its log alone) and reports it as "user-data/check", with result WARN and the problem as
 * description.
 *
 * ssh_pwauth is left to the image: the password is for the console, SSH uses keys.
 */
#ifndef PIAGENT_SEED_DOCUMENTS_H
#define PIAGENT_SEED_DOCUMENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"

/* Everything is borrowed for the call. */
struct seed_spec {
    const char *instance_id;               /* 1 to 64 of A-Z a-z 0-9 - _ */
    const char *hostname;                  /* as pi_name_check() */
    const char *user;                      /* as seed_user_check() */
    const char *groups;                    /* "a,b", made where missing; NULL = the image's own */
    const char *password_hash;             /* as seed_hash_check(); NULL = no password: locked */
    const struct pi_strv *authorized_keys; /* each as seed_ssh_key_check() */
    bool booted;                           /* its guest has booted successfully: see above */
    const char *host_key_private;          /* OpenSSH's private key file, as text */
    const char *host_key_public;           /* the public key's line */
    const char *user_data;                 /* the user's own file; NULL = none */
    size_t user_data_size;                 /* at most SEED_USER_DATA_MAX (user_data.h) */
};

struct seed_documents {
    struct pi_buf meta_data, user_data, vendor_data, network_config;
};

/* Renders all four into an empty *ret. PI_USAGE where the spec holds what cloud-init would misread. */
int seed_render(const struct seed_spec *spec, struct seed_documents *ret, struct pi_error *err);

void seed_documents_done(struct seed_documents *documents);
#define pi_auto_documents __attribute__((cleanup(seed_documents_done)))

/* A login name that every distribution takes: 1 to 32 of a-z 0-9 _ -, the first a-z or _; not root, whose
 * login cloud-init disables. */
#define SEED_USER_MAX 32
int seed_user_check(const char *name, struct pi_error *err);

#endif
