/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/seed/password.h"

/* "raspberry", by crypt(3) itself. */
#define SHA512 \
    "$6$saltsaltsalt$iGLAVL3c2GYpilE8N67NS71.UcI2GugQki/yMJQsX9.vb74q1QJPvY6rYLd4xyyDPQuNxYYd34FsY4Fr836Ns."
#define YESCRYPT "$y$j9T$2yZE/Efp2brYF9LwPzIbH/$jlgdB1.OhcmbnpB9orlVKiiIaxiFzKu72l1FPy713T7"

static void a_hash_verifies_its_password_alone(void **state)
{
    (void)state;
    static const struct {
        enum seed_hash_method method;
        const char *prefix;
    } cases[] = {{SEED_YESCRYPT, "$y$"}, {SEED_SHA512, "$6$"}};
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        char one[SEED_HASH_MAX + 1], two[SEED_HASH_MAX + 1];
        struct pi_error err = {0};
        assert_int_equal(seed_password_hash(cases[i].method, "raspberry", one, &err), 0);
        assert_int_equal(seed_password_hash(cases[i].method, "raspberry", two, &err), 0);
        assert_string_not_equal(one, two);
        assert_memory_equal(one, cases[i].prefix, 3);
        assert_true(seed_password_verify(one, "raspberry"));
        assert_false(seed_password_verify(one, "Raspberry"));
        assert_int_equal(seed_hash_check(one, &err), 0);
    }
    assert_true(seed_password_verify(SHA512, "raspberry"));
    assert_true(seed_password_verify(YESCRYPT, "raspberry"));
    assert_false(seed_password_verify("raspberry", "raspberry"));
}

static void methods_have_names(void **state)
{
    (void)state;
    enum seed_hash_method method;
    assert_int_equal(seed_hash_method_parse("sha512", &method, NULL), 0);
    assert_int_equal(method, SEED_SHA512);
    assert_int_equal(seed_hash_method_parse("yescrypt", &method, NULL), 0);
    assert_int_equal(method, SEED_YESCRYPT);
    assert_true(seed_hash_method_parse("md5", &method, NULL) < 0);
}

static void empty_and_too_long_passwords_are_refused(void **state)
{
    (void)state;
    char hash[SEED_HASH_MAX + 1], password[SEED_PASSWORD_MAX + 2];
    assert_true(seed_password_hash(SEED_SHA512, "", hash, NULL) < 0);
    memset(password, 'x', sizeof password);
    password[SEED_PASSWORD_MAX + 1] = '\0';
    assert_true(seed_password_hash(SEED_SHA512, password, hash, NULL) < 0);
    password[SEED_PASSWORD_MAX] = '\0';
    assert_int_equal(seed_password_hash(SEED_SHA512, password, hash, NULL), 0);
}

static void only_whole_hashes_that_a_login_can_use_pass(void **state)
{
    (void)state;
    static const char *const good[] = {
        SHA512,
        YESCRYPT,
        "$5$saltsalt$SSPrvXAEWD6DK5CbRRxSnyfcvzzPQLYJjZqh7x0O3g7",
        "$5$rounds=10000$salt$0123456789012345678901234567890123456789012",
        "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
    };
    static const char *const bad[] = {
        "",
        "raspberry",
        "$6$",
        "$y$",
        "$6$salt",
        "$6$salt$short",
        "$1$salt$0123456789012345678901",
        "$5$salt$012345678901234567890123456789012345678901:",
        "$5$salt$01234567890123456789012345678901234567890123",
        "$5$sa:lt$SSPrvXAEWD6DK5CbRRxSnyfcvzzPQLYJjZqh7x0O3g7",
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(good); i++)
        if (seed_hash_check(good[i], NULL) < 0)
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < PI_ARRAY_SIZE(bad); i++) {
        struct pi_error err = {0};
        if (seed_hash_check(bad[i], &err) == 0)
            fail_msg("taken: %s", bad[i]);
        assert_null(strstr(err.text, "raspberry"));
    }
    char longer[SEED_HASH_MAX + 1];
    snprintf(longer, sizeof longer, "%sx", SHA512);
    assert_true(seed_hash_check(longer, NULL) < 0);
    longer[strlen(longer) - 1] = '\n';
    assert_true(seed_hash_check(longer, NULL) < 0);
}

static int prompt_from(const char *input, size_t size, char ret[SEED_PASSWORD_MAX + 1], struct pi_error *err)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(write(ends[1], input, size), size);
    close(ends[1]);
    int r = seed_password_prompt(ends[0], "Password", ret, err);
    close(ends[0]);
    return r;
}

static void without_a_terminal_one_line_is_read(void **state)
{
    (void)state;
    char password[SEED_PASSWORD_MAX + 1] = "before";
    struct pi_error err = {0};
    assert_int_equal(prompt_from("a pass word\nmore", 16, password, &err), 0);
    assert_string_equal(password, "a pass word");
    assert_int_equal(prompt_from("no newline", 10, password, &err), 0);
    assert_string_equal(password, "no newline");

    char much[SEED_PASSWORD_MAX + 1];
    memset(much, 'x', sizeof much);
    assert_true(prompt_from("", 0, password, &err) < 0);
    assert_true(prompt_from("\n", 1, password, &err) < 0);
    assert_true(prompt_from("a\0b\n", 4, password, &err) < 0);
    assert_true(prompt_from(much, sizeof much, password, &err) < 0);
    assert_string_equal(password, "no newline");
}

/* A child that asks on a terminal of its own; its exit code: 0 for a password that is "good". */
struct asking {
    int master, slave;
    pid_t child;
};

static struct asking ask_begin(void)
{
    struct asking a = {.master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)};
    assert_true(a.master >= 0 && grantpt(a.master) == 0 && unlockpt(a.master) == 0);
    char name[64];
    assert_int_equal(ptsname_r(a.master, name, sizeof name), 0);
    a.slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(a.slave >= 0);
    a.child = fork();
    assert_true(a.child >= 0);
    if (a.child == 0) {
        char password[SEED_PASSWORD_MAX + 1];
        int r = seed_password_prompt(a.slave, "Password", password, NULL);
        _exit(r == 0 && strcmp(password, "good") == 0 ? 0 : 1);
    }
    return a;
}

/* Reads what the terminal shows until it ends with text: then the echo is off, for the prompt comes after. */
static void see(const struct asking *a, const char *text)
{
    char shown[256];
    size_t used = 0, length = strlen(text);
    while (used < length || memcmp(shown + used - length, text, length) != 0) {
        struct pollfd p = {.fd = a->master, .events = POLLIN};
        assert_int_equal(poll(&p, 1, 10000), 1);
        assert_true(used < sizeof shown);
        assert_int_equal(read(a->master, shown + used, 1), 1);
        used++;
    }
    assert_null(memmem(shown, used, "good", 4));
}

static bool echoes(const struct asking *a)
{
    struct termios t;
    assert_int_equal(tcgetattr(a->slave, &t), 0);
    return t.c_lflag & ECHO;
}

static int ask_end(struct asking *a)
{
    int status = 0;
    assert_int_equal(waitpid(a->child, &status, 0), a->child);
    assert_true(echoes(a));
    close(a->master);
    close(a->slave);
    return status;
}

static void on_a_terminal_it_is_asked_twice_without_echo(void **state)
{
    (void)state;
    static const struct {
        const char *first, *again;
        int code;
    } cases[] = {{"good\n", "good\n", 0}, {"good\n", "goof\n", 1}, {"\n", NULL, 1}, {"bad\n", "bad\n", 1}};
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct asking a = ask_begin();
        see(&a, "Password: ");
        assert_false(echoes(&a));
        assert_true(write(a.master, cases[i].first, strlen(cases[i].first)) > 0);
        if (cases[i].again) {
            see(&a, "Password, again: ");
            assert_true(write(a.master, cases[i].again, strlen(cases[i].again)) > 0);
        }
        int status = ask_end(&a);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), cases[i].code);
    }
}

static void a_signal_ends_it_with_the_terminal_as_before(void **state)
{
    (void)state;
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < PI_ARRAY_SIZE(signals); i++) {
        struct asking a = ask_begin();
        see(&a, "Password: ");
        assert_int_equal(kill(a.child, signals[i]), 0);
        int status = ask_end(&a);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), signals[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hash_verifies_its_password_alone),
        cmocka_unit_test(methods_have_names),
        cmocka_unit_test(empty_and_too_long_passwords_are_refused),
        cmocka_unit_test(only_whole_hashes_that_a_login_can_use_pass),
        cmocka_unit_test(without_a_terminal_one_line_is_read),
        cmocka_unit_test(on_a_terminal_it_is_asked_twice_without_echo),
        cmocka_unit_test(a_signal_ends_it_with_the_terminal_as_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
