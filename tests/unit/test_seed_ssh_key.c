/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/proc.h"
#include "agent/seed/ssh_key.h"

#define ED25519 "AAAAC3NzaC1lZDI1NTE5AAAAIO40U73bowb00xuVwE77+wZMuhv1vy4WLjp9dAtJo0GB"
#define ECDSA                                                                                                  \
    "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBM5gwbUtfPvt5CZ0SjgLBEoA4V2pocmxJ8BdNiEoZBXDOHNNeKZg" \
    "+OfsCpiaVLOp5m7jnneyQ/tEcR2Y81RCMMk="

static void a_public_key_passes_with_or_without_a_comment(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "ssh-ed25519 " ED25519,
        "ssh-ed25519\t" ED25519 "  someone@some where",
        "ecdsa-sha2-nistp256 " ECDSA " x",
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct pi_error err = {0};
        if (seed_ssh_key_check(cases[i], &err) < 0)
            fail_msg("%s: %s", cases[i], err.text);
    }
}

static void refusals_say_what_the_line_is(void **state)
{
    (void)state;
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"", "this is not an SSH public key"},
        {"hello", "this is not an SSH public key"},
        {"ssh-dss AAAA", "this is a DSA key, which sshd no longer accepts"},
        {"-----BEGIN RSA PUBLIC KEY-----", "ssh-keygen -i -m PEM"},
        {"-----BEGIN CERTIFICATE-----", "an X.509 certificate"},
        {"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----", "this is a private key"},
        {"ecdsa-sha2-nistp256-cert-v01@openssh.com AAAA", "this is a certificate"},
        {"\xef\xbb\xbfssh-ed25519 " ED25519, "a byte order mark (BOM)"},
        {"ssh-ed25519 " ED25519 " gr\xfcn", "the key's comment is not UTF-8"},
        {"ssh-ed25519", "cut off or damaged"},
        {"ssh-ed25519 AAAA", "cut off or damaged"},
        {"ssh-ed25519 " ECDSA, "cut off or damaged"},
        {"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", "cut off or damaged"},
        {"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO40U73bowb00xuVwE77+wZMuhv1vy4W", "cut off or damaged"},
        {"ssh-ed25519 AAAA*3NzaC1lZDI1NTE5AAAAIO40", "cut off or damaged"},
        {"ssh-ed25519 AAA=", "cut off or damaged"},
        {"ssh-ed25519 ====", "cut off or damaged"},
        {"no-pty ssh-ed25519 " ED25519,
         "options before an SSH key are not allowed: start the line at 'ssh-ed25519'"},
        {"command=\"a b\" ssh-rsa AAAA", "start the line at 'ssh-rsa'"},
        {"-----BEGIN OPENSSH PRIVATE KEY-----", "this is a private key"},
        {"ssh-ed25519 " ED25519 "\nssh-rsa", "is one line"},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct pi_error err = {0};
        assert_true(seed_ssh_key_check(cases[i].line, &err) < 0);
        assert_int_equal(err.kind, PI_USAGE);
        if (!strstr(err.text, cases[i].message))
            fail_msg("%s: got: %s", cases[i].line, err.text);
    }
    char line[SEED_SSH_KEY_MAX + 2];
    memset(line, 'a', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    struct pi_error err = {0};
    assert_true(seed_ssh_key_check(line, &err) < 0);
    assert_non_null(strstr(err.text, "at most 8192 bytes"));
}

static int folder_make(void **state)
{
    char *folder = strdup("/tmp/piagent-keys-XXXXXX");
    *state = folder;
    return folder && mkdtemp(folder) ? 0 : -1;
}

static int folder_remove(void **state)
{
    int r = pi_tree_remove(AT_FDCWD, *state, NULL);
    free(*state);
    return r;
}

static char *in_folder(void **state, const char *name)
{
    char *path = NULL;
    assert_true(asprintf(&path, "%s/%s", (char *)*state, name) > 0);
    return path;
}

static void write_keys(const char *path, const char *text)
{
    assert_int_equal(pi_file_write(AT_FDCWD, path, text, strlen(text), 0600, NULL), 0);
}

static void a_file_may_hold_several_keys_and_says_which_line_is_bad(void **state)
{
    pi_auto_free char *path = in_folder(state, "keys");
    pi_auto_strv struct pi_strv keys = {0};
    struct pi_error err = {0};
    write_keys(path, "# mine\n\nssh-ed25519 " ED25519 " a\r\n  ecdsa-sha2-nistp256 " ECDSA "\n");
    assert_int_equal(seed_ssh_keys_read(path, &keys, &err), 0);
    assert_int_equal(keys.count, 2);
    assert_string_equal(keys.items[0], "ssh-ed25519 " ED25519 " a");

    write_keys(path, "ssh-ed25519 " ED25519 "\nnonsense\n");
    assert_true(seed_ssh_keys_read(path, &keys, &err) < 0);
    assert_non_null(strstr(err.text, "line 2: this is not an SSH public key"));
    write_keys(path, "# nothing\n");
    assert_true(seed_ssh_keys_read(path, &keys, &err) < 0);
    assert_non_null(strstr(err.text, "holds no SSH public key"));
    write_keys(path, "");
    assert_true(seed_ssh_keys_read(path, &keys, &err) < 0);
    assert_non_null(strstr(err.text, "is empty"));
    unlink(path);
    assert_true(seed_ssh_keys_read(path, &keys, &err) < 0);
    assert_int_equal(err.kind, PI_NOT_FOUND);
    assert_int_equal(keys.count, 2);
}

static void known_hosts_names_the_alias_and_drops_the_comment(void **state)
{
    (void)state;
    pi_auto_buf struct pi_buf line = {0};
    assert_int_equal(seed_known_hosts_line("piagent-pi-1", "ssh-ed25519  " ED25519 " root@x", &line, NULL),
                     0);
    assert_string_equal(line.data, "piagent-pi-1 ssh-ed25519 " ED25519 "\n");

    static const char *const bad[] = {"", "a b", "a,b", "*", "!a", "|1|", "#a", "@a", "a\n"};
    for (size_t i = 0; i < PI_ARRAY_SIZE(bad); i++)
        assert_true(seed_known_hosts_line(bad[i], "ssh-ed25519 " ED25519, &line, NULL) < 0);
}

/* Files of tests/cases/ssh: how many keys there are, or why none. */
static void files_that_people_give_are_read_or_named(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t keys;
        const char *words;
    } files[] = {
        {"cr_only.pub", 2, NULL},
        {"k_rsa1k.pub", 1, NULL},
        {"pem.pub", 0,
         "line 1: this is a public key in PEM: give what 'ssh-keygen -i -m PKCS8 -f FILE' prints"},
        {"ppk", 0, "line 1: this is PuTTY's private key, which stays with you"},
        {"putty.pub", 0,
         "line 1: this is a public key in the form of PuTTY and RFC 4716: give what 'ssh-keygen -i -f FILE'"},
        {"utf16.pub", 0, "is saved as UTF-16: save it as UTF-8"},
        {"k_ed25519-cert.pub", 0, "line 1: this is a certificate: give the public key that it was made from"},
        {"latin1.pub", 0, "latin1.pub, line 1: the key's comment is not UTF-8"},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(files); i++) {
        pi_auto_strv struct pi_strv keys = {0};
        pi_auto_free char *path = NULL;
        struct pi_error err = {0};
        assert_true(asprintf(&path, "%s/tests/cases/ssh/%s", getenv("PIAGENT_SOURCE"), files[i].name) > 0);
        int r = seed_ssh_keys_read(path, &keys, &err);
        if ((r == 0) != (files[i].words == NULL) || keys.count != files[i].keys ||
            !strstr(err.text, files[i].words ? files[i].words : "") ||
            !strstr(err.text, r ? files[i].name : ""))
            fail_msg("%s: %zu keys: %s", files[i].name, keys.count, err.text);
    }
}

static void rsa_keys_that_fedora_refuses_are_weak(void **state)
{
    pi_auto_free char *path = in_folder(state, "rsa");
    static const char *const sizes[] = {"1024", "2047", "2048", "3072"};
    for (size_t i = 0; i < PI_ARRAY_SIZE(sizes); i++) {
        pi_auto_strv struct pi_strv keys = {0};
        pi_auto_free char *public = NULL;
        char why[192] = "";
        unlink(path);
        const char *const argv[] = {"ssh-keygen", "-q", "-t", "rsa", "-b", sizes[i],
                                    "-N",         "",   "-f", path,  NULL};
        assert_int_equal(pi_run(argv, NULL, NULL, NULL), 0);
        assert_true(asprintf(&public, "%s.pub", path) > 0);
        assert_int_equal(seed_ssh_keys_read(public, &keys, NULL), 0);
        bool weak = seed_ssh_key_is_weak(keys.items[0], why, sizeof why);
        if (weak != (i < 2) || (weak && !strstr(why, sizes[i])))
            fail_msg("%s bits: %s", sizes[i], why);
    }
    assert_false(seed_ssh_key_is_weak("ssh-ed25519 " ED25519, NULL, 0));
    assert_false(seed_ssh_key_is_weak("ecdsa-sha2-nistp256 " ECDSA, NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_public_key_passes_with_or_without_a_comment),
        cmocka_unit_test(refusals_say_what_the_line_is),
        cmocka_unit_test(a_file_may_hold_several_keys_and_says_which_line_is_bad),
        cmocka_unit_test(files_that_people_give_are_read_or_named),
        cmocka_unit_test(rsa_keys_that_fedora_refuses_are_weak),
        cmocka_unit_test(known_hosts_names_the_alias_and_drops_the_comment),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
