/* SPDX-License-Identifier: MIT */
/*
 * Errors: a function returns 0 or -errno, and fills an optional caller-owned struct pi_error, whose message
 * gathers context on the way up ("cannot start pi-1: firmware for aarch64: ..."). Outputs are untouched on
 * failure.
 *
 * A message says what failed, why, and what to do next; it is one line, without a full stop or newline at its
 * end.
 */
#ifndef PIAGENT_BASE_ERROR_H
#define PIAGENT_BASE_ERROR_H

/* The kind of a failure. Its value is the exit code of the command line, which
 * agent/cli/topics/exit-codes.txt documents. */
enum pi_kind {
    PI_OK = 0,
    PI_FAILED = 1,     /* something broke that fits no other kind */
    PI_USAGE = 2,      /* the command or its values are wrong */
    PI_NOT_FOUND = 3,  /* no such instance, image or file */
    PI_CONFLICT = 4,   /* the name is in use, or the state forbids it */
    PI_UNVERIFIED = 5, /* a checksum or signature is missing or wrong, or an image is not safe to boot */
    PI_HOST = 6,       /* this host lacks something: QEMU, firmware, KVM, memory, disk, a free port */
    PI_NETWORK = 7,    /* a download failed */
    PI_GUEST = 8,      /* the guest's cloud-init reported a failure, or the guest died */
    PI_TIMEOUT = 9,    /* it did not happen in time */
    PI_AGENT = 10,     /* the agent does not answer or cannot start */
    PI_KINDS
};
extern const char
    *const pi_kind_names[]; /* their words on the wire: "ok", ..., "not-found", ...; ends with NULL */

struct pi_error {
    enum pi_kind kind;
    char text[1024];
};

/* A system call failed: message + ": " + strerror(errnum). The kind is PI_FAILED, or PI_HOST if the disk is
 * full. Returns -errnum (or -EIO if errnum is 0). err may be NULL. */
int pi_fail(struct pi_error *err, int errnum, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A refusal that a person can act on: the message alone. Returns the negative errno that stands for the kind.
 * err may be NULL. */
int pi_refuse(struct pi_error *err, enum pi_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "context: " before the message of err, unless err is NULL, and returns r. */
int pi_context(struct pi_error *err, int r, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
