/* SPDX-License-Identifier: MIT */
/* Passwords: hashed with libxcrypt where they are typed, so that no plain text leaves that process. */
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

/* Hashes with a fresh random salt and the method's default cost. Blocks for some tens of milliseconds. An
 * empty password and one past SEED_PASSWORD_MAX are refused. */
int seed_password_hash(enum seed_hash_method method, const char *password, char ret[SEED_HASH_MAX + 1],
                       struct pi_error *err);

/* Whether hash is of this password. */
bool seed_password_verify(const char *hash, const char *password);

/* Whether a guest's login can use the hash: $y$, $6$, $5$ or $2b$, well-formed, nothing else. Refuses plain
 * text with advice (and doesn't repeat it). */
int seed_hash_check(const char *hash, struct pi_error *err);

/*
 * Reads a new password: from the terminal twice, without echo, where fd is one (the prompt goes to the same
 * terminal), else one line from fd. The terminal is as before when this returns, also on SIGINT, SIGTERM,
 * SIGHUP, SIGQUIT and SIGTSTP, which take their effect only then; -EINTR where the process lives on, but
 * after SIGTSTP it is asked for anew. Empty
 * ones, and two that differ, are refused. Wipe ret with explicit_bzero() after use.
 */
int seed_password_prompt(int fd, const char *prompt, char ret[SEED_PASSWORD_MAX + 1], struct pi_error *err);

#endif
