/* SPDX-License-Identifier: MIT */
#include "agent/seed/password.h"

#include <assert.h>
#include <crypt.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/text.h"

static_assert(SEED_HASH_MAX + 1 >= CRYPT_OUTPUT_SIZE, "a hash must fit");
static_assert(SEED_PASSWORD_MAX + 1 == CRYPT_MAX_PASSPHRASE_SIZE, "crypt(3) must take every password");

/* digest: how many characters of a hash (crypt(5)) follow the last '$'. In $2b$ the salt is among them. */
static const struct {
    const char *prefix, *name;
    size_t digest;
} methods[] = {
    [SEED_YESCRYPT] = {"$y$", "yescrypt", 43},
    [SEED_SHA512] = {"$6$", "sha512", 86},
    {"$5$", NULL, 43},
    {"$2b$", NULL, 53},
};

int seed_hash_method_parse(const char *name, enum seed_hash_method *ret, struct pi_error *err)
{
    for (size_t i = 0; i <= SEED_SHA512; i++)
        if (strcmp(name, methods[i].name) == 0) {
            *ret = (enum seed_hash_method)i;
            return 0;
        }
    return pi_refuse(err, PI_USAGE, "no such method for hashing: use yescrypt or sha512");
}

static void wipe_free(struct crypt_data **data)
{
    if (*data)
        explicit_bzero(*data, sizeof **data);
    free(*data);
}

/* crypt_rn(3) into ret. Fails if it does not know the setting. */
static int hash_with(const char *setting, const char *password, char ret[SEED_HASH_MAX + 1])
{
    pi_auto(wipe_free) struct crypt_data *data = calloc(1, sizeof *data);
    if (!data)
        return -ENOMEM;
    const char *hash = crypt_rn(password, setting, data, sizeof *data);
    if (!hash)
        return -errno;
    memcpy(ret, hash, strlen(hash) + 1);
    return 0;
}

static int password_check(const char *password, struct pi_error *err)
{
    if (!password[0])
        return pi_refuse(err, PI_USAGE, "the password is empty");
    if (strlen(password) > SEED_PASSWORD_MAX)
        return pi_refuse(err, PI_USAGE, "the password is longer than %d bytes", SEED_PASSWORD_MAX);
    return 0;
}

int seed_password_hash(enum seed_hash_method method, const char *password, char ret[SEED_HASH_MAX + 1],
                       struct pi_error *err)
{
    int r = password_check(password, err);
    if (r < 0)
        return r;
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    if (!crypt_gensalt_rn(methods[method].prefix, 0, NULL, 0, setting, sizeof setting))
        return pi_fail(err, errno, "cannot make a salt");
    r = hash_with(setting, password, ret);
    return r < 0 ? pi_fail(err, -r, "cannot hash the password") : 0;
}

bool seed_password_verify(const char *hash, const char *password)
{
    char again[SEED_HASH_MAX + 1];
    return hash_with(hash, password, again) == 0 && strcmp(again, hash) == 0;
}

#define CRYPT_ALPHABET "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

int seed_hash_check(const char *hash, struct pi_error *err)
{
    size_t length = strlen(hash);
    for (size_t i = 0; length <= SEED_HASH_MAX && i < PI_ARRAY_SIZE(methods); i++) {
        if (!pi_starts_with(hash, methods[i].prefix))
            continue;
        const char *setting = hash + strlen(methods[i].prefix);
        const char *digest = strrchr(hash, '$') + 1;
        if (digest > setting && strlen(digest) == methods[i].digest &&
            !digest[strspn(digest, CRYPT_ALPHABET)] && !setting[strspn(setting, CRYPT_ALPHABET "$=,")])
            return 0;
    }
    return pi_refuse(
        err, PI_USAGE,
        "this is not a whole password hash of the form $y$, $6$, $5$ or $2b$, so no login can use it: make one "
        "with 'piagent hash-password'");
}

/* A terminal without echo. Signals that would end the process are blocked until the terminal is as it was
 * before. */
struct quiet {
    int tty, signals;
    bool stopped; /* SIGTSTP came while it read */
    struct termios before;
    sigset_t mask_before;
};

static int quiet_begin(struct quiet *quiet, int tty)
{
    sigset_t held;
    sigemptyset(&held);
    static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
    for (size_t i = 0; i < PI_ARRAY_SIZE(ending); i++)
        sigaddset(&held, ending[i]);

    *quiet = (struct quiet){.tty = tty};
    if (tcgetattr(tty, &quiet->before) < 0)
        return -errno;
    quiet->signals = signalfd(-1, &held, SFD_CLOEXEC);
    if (quiet->signals < 0)
        return -errno;
    pthread_sigmask(SIG_BLOCK, &held, &quiet->mask_before);
    struct termios silent = quiet->before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    silent.c_lflag |= ICANON | ECHONL;
    tcsetattr(tty, TCSAFLUSH, &silent);
    return 0;
}

static void quiet_end(struct quiet *quiet)
{
    tcsetattr(quiet->tty, TCSAFLUSH, &quiet->before);
    close(quiet->signals);
    pthread_sigmask(SIG_SETMASK, &quiet->mask_before, NULL); /* a blocked signal takes effect here */
}

/* Reads a line without its newline. quiet is NULL unless fd is a terminal. -EINTR if a signal came that quiet
 * blocks, -ENODATA if the input ended before any byte, -E2BIG. */
static int read_password_line(int fd, struct quiet *quiet, char ret[SEED_PASSWORD_MAX + 1])
{
    size_t used = 0;
    for (;;) {
        struct pollfd polls[] = {{.fd = fd, .events = POLLIN},
                                 {.fd = quiet ? quiet->signals : -1, .events = POLLIN}};
        if (poll(polls, 2, -1) < 0 && errno != EINTR)
            return -errno;
        if (polls[1].revents) {
            sigset_t held;
            quiet->stopped = sigpending(&held) == 0 && sigismember(&held, SIGTSTP) == 1;
            return -EINTR;
        }
        char c;
        ssize_t n = read(fd, &c, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0 && used == 0)
            return -ENODATA;
        if (n == 0 || c == '\n')
            break;
        if (used == SEED_PASSWORD_MAX)
            return -E2BIG;
        ret[used++] = c;
    }
    ret[used] = '\0';
    return memchr(ret, '\0', used) ? -EILSEQ : 0;
}

static int ask_password(int tty, struct quiet *quiet, const char *prompt, const char *suffix,
                        char ret[SEED_PASSWORD_MAX + 1])
{
    int r = pi_write_all(tty, prompt, strlen(prompt));
    if (r == 0)
        r = pi_write_all(tty, suffix, strlen(suffix));
    return r < 0 ? r : read_password_line(tty, quiet, ret);
}

static int read_error(int r, struct pi_error *err)
{
    if (r == -ENODATA)
        return pi_refuse(err, PI_USAGE, "no password was given: the input ended");
    if (r == -E2BIG)
        return pi_refuse(err, PI_USAGE, "the password is longer than %d bytes", SEED_PASSWORD_MAX);
    if (r == -EILSEQ)
        return pi_refuse(err, PI_USAGE, "the password holds a NUL byte");
    return pi_fail(err, -r, "cannot read the password");
}

int seed_password_prompt(int fd, const char *prompt, char ret[SEED_PASSWORD_MAX + 1], struct pi_error *err)
{
    char first[SEED_PASSWORD_MAX + 1] = "", again[SEED_PASSWORD_MAX + 1] = "";
    int r;
    bool terminal = isatty(fd) == 1;
    if (terminal) {
        struct quiet quiet;
        /* After SIGTSTP and SIGCONT it asks again. */
        do {
            if ((r = quiet_begin(&quiet, fd)) < 0)
                break;
            r = ask_password(fd, &quiet, prompt, ": ", first);
            if (r == 0 && first[0])
                r = ask_password(fd, &quiet, prompt, ", again: ", again);
            quiet_end(&quiet);
        } while (r == -EINTR && quiet.stopped);
    } else {
        r = read_password_line(fd, NULL, first);
    }
    if (r < 0)
        r = read_error(r, err);
    else if ((r = password_check(first, err)) == 0 && terminal && strcmp(first, again) != 0)
        r = pi_refuse(err, PI_USAGE, "the two passwords differ: try again");
    if (r == 0)
        memcpy(ret, first, sizeof first);
    explicit_bzero(first, sizeof first);
    explicit_bzero(again, sizeof again);
    return r;
}
