/* SPDX-License-Identifier: MIT */
/* Checks public SSH keys before a guest gets them. */
#ifndef PIAGENT_SEED_SSH_KEY_H
#define PIAGENT_SEED_SSH_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"

/* OpenSSH refuses longer lines (sshd(8), authorized_keys: 8 kilobytes). */
#define SEED_SSH_KEY_MAX 8192

/* The keys that one file may hold. */
#define SEED_SSH_KEYS_MAX 64

/*
 * Checks that line is one public key, "TYPE BASE64 [COMMENT]": OpenSSH knows the type, the body decodes and
 * names the same type inside (RFC 4253, section 6.6), and the line is UTF-8. Refuses options before the type.
 * Private keys, certificates, DSA, PEM and PuTTY's formats each get a refusal that names them.
 */
int seed_ssh_key_check(const char *line, struct pi_error *err);

/* Fedora's RequiredRSASize (crypto-policies, sshd_config(5)). */
#define SEED_SSH_RSA_BITS_MIN 2048

/* Tells if Fedora's sshd refuses the (valid) key. If so, ret says why, and what to do. */
bool seed_ssh_key_is_weak(const char *line, char *ret, size_t size);

/* Adds the keys of a file, one a line, to keys. Ignores empty lines and those that start with '#'. Lines end
 * with LF, CR LF or CR. Refuses a file without keys. Refusals name the file and the line. */
int seed_ssh_keys_read(const char *path, struct pi_strv *keys, struct pi_error *err);

/* The lines as an array of JSON, for cloud-init and guests. A new reference; NULL without memory. A key's comment may hold
 * anything, but PyYAML rejects control characters: all but ASCII is replaced by '?'. */
json_t *seed_ssh_keys_json(const struct pi_strv *lines);

/* Appends a line for a known_hosts file (sshd(8)): ALIAS TYPE BASE64. Use it with ssh -o HostKeyAlias=ALIAS:
 * ssh then does not look at address and port. */
int seed_known_hosts_line(const char *alias, const char *public_key, struct pi_buf *ret,
                          struct pi_error *err);

#endif
