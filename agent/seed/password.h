/* SPDX-License-Identifier: MIT */
/* Hashes passwords with libxcrypt, in the process that the user types them into: no other process sees the
 * plain text. */
#ifndef PIAGENT_SEED_PASSWORD_H
#define PIAGENT_SEED_PASSWORD_H

#include <stdbool.h>

#include "agent/base/error.h"

enum seed_hash_method {
    SEED_YESCRYPT, /* $y$, Fedora's and Debian's own default (crypt(5)) */
    SEED_SHA512,   /* $6$, as mkpasswd --method=SHA-512 */
};

/* "yescrypt" or "sha512". */
int seed_hash_method_parse(const char *name, enum seed_hash_method *ret, struct pi_error *err);

/* crypt(5)'s longest hash and password, without the NUL. */
#define SEED_HASH_MAX     383
#define SEED_PASSWORD_MAX 511

/* Hashes with a new random salt and the method's default cost. Blocks for some tens of milliseconds. Refuses
 * an empty password and one longer than SEED_PASSWORD_MAX. */
int seed_password_hash(enum seed_hash_method method, const char *password, char ret[SEED_HASH_MAX + 1],
                       struct pi_error *err);

/* Tells if hash is a hash of this password. */
bool seed_password_verify(const char *hash, const char *password);

/* Checks that a guest's login can use the hash: $y$, $6$, $5$ or $2b$, and well-formed. The refusal gives
 * advice, and does not repeat the text, which may be a password. */
int seed_hash_check(const char *hash, struct pi_error *err);

/*
 * Reads a new password. If fd is a terminal, prompts there and reads it twice, without echo; else reads one
 * line. Refuses an empty password, and two that differ. Wipe ret with explicit_bzero() after use.
 *
 * SIGINT, SIGTERM, SIGHUP, SIGQUIT and SIGTSTP take effect only after the terminal is as it was before. If
 * the process survives the signal, returns -EINTR; after SIGTSTP it asks again instead.
 */
int seed_password_prompt(int fd, const char *prompt, char ret[SEED_PASSWORD_MAX + 1], struct pi_error *err);

#endif
