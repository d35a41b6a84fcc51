/* SPDX-License-Identifier: MIT */
/* SSH keys: public ones checked before a guest gets them, an instance's own made by ssh-keygen. */
#ifndef PIAGENT_SEED_SSH_KEY_H
#define PIAGENT_SEED_SSH_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"

/* OpenSSH refuses longer lines (sshd(8), authorized_keys: 8 kilobytes). */
#define SEED_SSH_KEY_MAX 8192

/* The keys that one file may hold. */
#define SEED_SSH_KEYS_MAX 64

/*
 * Whether line is one public key, "TYPE BASE64 [COMMENT]": a type that OpenSSH knows, a body that decodes and
 * that names the same type inside (RFC 4253, section 6.6), UTF-8. Options before the type are refused, and by
 * their names what people take for a key: private keys, certificates, DSA, PEM, PuTTY's.
 */
int seed_ssh_key_check(const char *line, struct pi_error *err);

/* Fedora's RequiredRSASize (crypto-policies, sshd_config(5)). */
#define SEED_SSH_RSA_BITS_MIN 2048

/* Whether Fedora's sshd would not take the key, which is one; then ret says why, and what to do. */
bool seed_ssh_key_is_weak(const char *line, char *ret, size_t size);

/* Adds the keys of a file, one a line, to keys; empty lines and those that start with '#' are passed over.
 * Lines end as on any system: LF, CR LF or CR. At least one. Refusals name the file and the line. */
int seed_ssh_keys_read(const char *path, struct pi_strv *keys, struct pi_error *err);

/* Makes an ed25519 pair without a passphrase: FOLDER/NAME (0600) and FOLDER/NAME.pub. Runs ssh-keygen: blocks
 * (for the command line and workers). -EEXIST (PI_CONFLICT) where FOLDER/NAME exists. */
int seed_ssh_keygen(const char *folder, const char *name, const char *comment, struct pi_error *err);

/* Appends a line for a known_hosts file (sshd(8)): ALIAS TYPE BASE64, to be used with ssh -o
 * HostKeyAlias=ALIAS, so that neither address nor port are part of the identity. */
int seed_known_hosts_line(const char *alias, const char *public_key, struct pi_buf *ret,
                          struct pi_error *err);

#endif
