/* SPDX-License-Identifier: MIT */
/*
 * libqmp: a client of the QEMU Machine Protocol, without I/O of its own. Bytes that QEMU sent go in; events,
 * replies and bytes to send come out. Time is an argument. There is no thread, descriptor, clock or log in
 * here.
 *
 * Source of the protocol: QEMU's docs/interop/qmp-spec.rst ("the spec" below). The server greets, the client
 * sends qmp_capabilities (with no capability enabled: out-of-band execution is not used), then commands and
 * replies, matched by "id", and events at any time. Every message is one JSON object on a line that ends with
 * CR LF.
 *
 * QEMU is not trusted, because a guest may have taken it over. The client limits what it takes from QEMU
 * (below), and closes for good when QEMU breaks the protocol. A text from QEMU (why, names, data) may hold
 * anything that JSON can, control characters included: clean it before you show it to a person.
 *
 * How to drive it:
 *
 *     client = qmp_client_new(&handler, me, now + 10000);
 *     on bytes from the socket:    qmp_client_receive(client, bytes, size);
 *     on end of file or an error:  qmp_client_close(client, 0 or -errno, "...");
 *     at qmp_client_deadline_ms(): qmp_client_expire(client, now);
 *     after any of these, and after qmp_client_execute():
 *         size = qmp_client_pending(client, &bytes);
 *         n = write(fd, bytes, size);
 *         qmp_client_sent(client, n);
 * If you use qmp_client_execute_fd(), send what qmp_client_pending_fd() names along with the bytes.
 *
 * QEMU reads its monitor byte by byte, and may exit before it has read the end of the last line: on a unix
 * socket you then get ECONNRESET instead of an end of file, after all that QEMU sent. Treat both alike.
 *
 * Callbacks are made only from within qmp_client_receive(), _expire() and _close(). A callback may call every
 * function here on the same client, with one exception: qmp_client_receive() returns -EBUSY.
 * qmp_client_free() in a callback takes effect at once for the caller (no further callback is made); the
 * memory goes when the outermost call returns.
 *
 * Not thread-safe: one client belongs to one thread at a time.
 */
#ifndef QMP_QMP_H
#define QMP_QMP_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define QMP_LINE_MAX        ((size_t)1 << 20) /* bytes of one message from QEMU */
#define QMP_DEPTH_MAX       32                /* arrays and objects within each other in it */
#define QMP_OUTSTANDING_MAX 64                /* commands without a reply yet, the handshake's own included */
#define QMP_PENDING_MAX     ((size_t)256 << 10) /* bytes waiting to be sent */
#define QMP_WHY_MAX         512                 /* bytes of a why, its NUL included; longer ones are cut */

enum qmp_state {
    QMP_GREETING,    /* waiting for the greeting */
    QMP_NEGOTIATING, /* qmp_capabilities is under way */
    QMP_READY,       /* commands are sent as they are given */
    QMP_CLOSED,      /* for good */
};

struct qmp_event {
    const char *name;   /* "SHUTDOWN"; decode it with qmp_event_decode() of qmp/commands.h */
    const json_t *data; /* an object, or NULL if the event has none */
    /* since 1970 by the host's clock, as QEMU read it; 0 if it is absent or not readable */
    uint64_t realtime_ms;
};

/* Each may be NULL. Arguments are valid during the call only: json_incref() those that you keep. */
struct qmp_handler {
    /* The handshake is done. Commands that were given before are sent now, in their order. */
    void (*ready)(void *user);

    /* Events can come in every state but QMP_CLOSED: QEMU may deliver some that it queued for an earlier
     * client before it greets (https://gitlab.com/qemu-project/qemu/-/issues/2176). */
    void (*event)(const struct qmp_event *event, void *user);

    /* Called once, after every outstanding command has failed. reason is the one that qmp_client_close() got,
     * or -EPROTO (QEMU broke the protocol or a limit), -ETIMEDOUT (no greeting and handshake in time), or
     * -ENOMEM (or -EPROTO, if jansson takes a lack of memory for bad JSON). */
    void (*closed)(int reason, const char *why, void *user);
};

/*
 * The end of one command. Called exactly once for each command that qmp_client_execute() accepted, unless the
 * client is freed first. If result is 0, data is the reply's "return" and why is NULL. If result is negative,
 * data is NULL and why says what is wrong:
 *
 * - EREMOTEIO: QEMU refused; why is "CLASS: DESC" of its error.
 * - ETIMEDOUT: the deadline passed. QEMU may still carry the command out, unless no byte of it was sent.
 *   A late reply is dropped.
 * - ECONNRESET: the client was closed; qmp_handler.closed gets the same why.
 */
typedef void (*qmp_reply_fn)(int result, const json_t *data, const char *why, void *user);

struct qmp_client;

/*
 * A client for one connection, from its first byte on. handler must live as long as the client. The client
 * closes if greeting and handshake are not done at greeting_deadline_ms (any monotonic base, the same in all
 * calls; UINT64_MAX = never). NULL without memory. Free it with qmp_client_free().
 */
struct qmp_client *qmp_client_new(const struct qmp_handler *handler, void *user,
                                  uint64_t greeting_deadline_ms);

/* Frees it; no callback is made, not even for outstanding commands. NULL is fine. */
void qmp_client_free(struct qmp_client *client);

/*
 * Takes bytes from QEMU, cut anywhere. 0 while the client is open. Once it is closed, the reason: -EPROTO if
 * these bytes closed it, -ECONNRESET if qmp_client_close() was called with 0, -ECANCELED if a callback freed
 * the client. -EBUSY from within a callback.
 *
 * QEMU breaks the protocol with a line that is longer or deeper than the limits, is not a JSON object, has a
 * key twice, or is neither greeting, event nor reply; with a second greeting; and with a reply that has no id
 * (QEMU could not parse the command) or comes before its command was sent. The client drops a reply with an
 * unknown id, as the spec asks ("Commands Responses"): it belongs to an expired command, or to an earlier
 * client of the same QEMU (7.2 sends those on, after the greeting). A line may end with LF alone. Empty lines
 * are ignored. A byte 0xFF discards what stands before it on its line ("Forcing the JSON parser into
 * known-good state").
 */
int qmp_client_receive(struct qmp_client *client, const char *bytes, size_t size);

/*
 * The bytes to send now and their number, 0 if there are none. They are valid until the next call with this
 * client (qmp_client_state(), _deadline_ms() and _pending_fd() excepted). Write or copy them, then tell qmp_client_sent()
 * how many you took.
 */
size_t qmp_client_pending(const struct qmp_client *client, const char **ret_bytes);
void qmp_client_sent(struct qmp_client *client, size_t size);

/* The descriptor that has to go along with the first of these bytes, as SCM_RIGHTS of sendmsg() (unix(7)); -1: none. */
int qmp_client_pending_fd(const struct qmp_client *client);

/*
 * Executes a command; before QMP_READY, keeps it until then. arguments is an object or NULL; the reference is
 * stolen, also on failure. reply may be NULL. It is never called from within this function, and not at all if
 * this function fails: -ECONNRESET (the client is closed), -EBUSY (QMP_OUTSTANDING_MAX reached), -ENOBUFS
 * (QMP_PENDING_MAX would be passed), -ENOMEM. deadline_ms is of the same base as all times here; UINT64_MAX =
 * never.
 */
int qmp_client_execute(struct qmp_client *client, const char *command, json_t *arguments,
                       uint64_t deadline_ms, qmp_reply_fn reply, void *user);

/* The same, for a command that takes a descriptor, as getfd does (qapi/misc.json). The descriptor is borrowed: keep it
 * open until the command has ended. -EBADF if fd is negative. */
int qmp_client_execute_fd(struct qmp_client *client, const char *command, json_t *arguments, int fd,
                          uint64_t deadline_ms, qmp_reply_fn reply, void *user);

/* When to call qmp_client_expire() at the latest: the earliest deadline; UINT64_MAX = there is none. */
uint64_t qmp_client_deadline_ms(const struct qmp_client *client);

/* Fails the commands whose deadline is at or before now_ms. Closes the client if greeting and handshake are
 * overdue. */
void qmp_client_expire(struct qmp_client *client, uint64_t now_ms);

/*
 * Call it when the connection is gone or given up. Fails all outstanding commands with -ECONNRESET and why,
 * then calls qmp_handler.closed with reason (0 or -errno, the caller's choice) and why (not NULL). No effect
 * on a closed client.
 */
void qmp_client_close(struct qmp_client *client, int reason, const char *why);

enum qmp_state qmp_client_state(const struct qmp_client *client);

#endif
