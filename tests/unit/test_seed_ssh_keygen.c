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
#include "agent/seed/ssh_keygen.h"

struct keys {
    char path[32];
    int fd;
};

static int folder_make(void **state)
{
    struct keys *keys = calloc(1, sizeof *keys);
    *state = keys;
    if (!keys || !mkdtemp(strcpy(keys->path, "/tmp/piagent-keys-XXXXXX")))
        return -1;
    keys->fd = open(keys->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return keys->fd < 0 ? -1 : 0;
}

static int folder_remove(void **state)
{
    struct keys *keys = *state;
    int r = pi_tree_remove(AT_FDCWD, keys->path, NULL);
    close(keys->fd);
    free(keys);
    return r;
}

/* What a shell in the folder prints, which has to succeed. */
static void shell(const struct keys *keys, const char *script, struct pi_buf *ret)
{
    pi_auto_free char *words = NULL;
    struct pi_error err = {0};
    assert_true(asprintf(&words, "cd %s && %s", keys->path, script) > 0);
    if (pi_run((const char *const[]){"sh", "-c", words, NULL}, ret, NULL, &err) < 0)
        fail_msg("%s: %s", script, err.text);
}

static void make(const struct keys *keys, const char *name, const char *comment, struct pi_buf *ret)
{
    struct pi_error err = {0};
    if (seed_ssh_keygen(keys->fd, name, comment, ret, &err) < 0)
        fail_msg("%s", err.text);
}

/* Comments of all lengths that need another padding. */
static void openssh_reads_a_key_and_signs_with_it(void **state)
{
    static const char comment[] = "piagent@pi-1 ";
    const struct keys *keys = *state;
    for (size_t cut = 0; cut < 8; cut++) {
        pi_auto_buf struct pi_buf public = {0}, read = {0}, line = {0};
        make(keys, "id", comment + cut, &public);
        assert_int_equal(seed_ssh_key_check(public.data, NULL), 0);
        assert_non_null(strstr(public.data, comment + cut));
        shell(keys, "ssh-keygen -y -f id", &read);
        assert_int_equal(strncmp(read.data, public.data, strcspn(public.data + 12, " ") + 12), 0);
        assert_int_equal(pi_file_read(keys->fd, "id.pub", SEED_SSH_KEY_MAX, &line, NULL), 0);
        assert_int_equal(pi_buf_puts(&public, "\n"), 0);
        assert_string_equal(line.data, public.data);
        shell(keys,
              "echo text > text && ssh-keygen -q -Y sign -n file -f id text 2>&1 && "
              "ssh-keygen -Y check-novalidate -n file -s text.sig < text && rm id id.pub text text.sig",
              NULL);
    }
}

static void keys_are_private_and_no_two_are_equal(void **state)
{
    const struct keys *keys = *state;
    pi_auto_buf struct pi_buf one = {0}, other = {0};
    struct stat st;
    make(keys, "one", "same", &one);
    make(keys, "other", "same", &other);
    assert_string_not_equal(one.data, other.data);
    assert_int_equal(fstatat(keys->fd, "one", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void a_key_that_is_there_stays(void **state)
{
    const struct keys *keys = *state;
    pi_auto_buf struct pi_buf public = {0}, before = {0}, after = {0};
    struct pi_error err = {0};
    make(keys, "id", "first", &public);
    assert_int_equal(pi_file_read(keys->fd, "id", SEED_SSH_KEY_MAX, &before, NULL), 0);
    assert_true(seed_ssh_keygen(keys->fd, "id", "second", &public, &err) < 0);
    assert_int_equal(err.kind, PI_CONFLICT);
    assert_int_equal(pi_file_read(keys->fd, "id", SEED_SSH_KEY_MAX, &after, NULL), 0);
    assert_string_equal(before.data, after.data);
}

/* A user who gives this file instead of the public one is told so. */
static void a_private_key_is_refused_where_a_public_one_belongs(void **state)
{
    const struct keys *keys = *state;
    pi_auto_buf struct pi_buf public = {0};
    pi_auto_strv struct pi_strv read = {0};
    pi_auto_free char *path = NULL;
    struct pi_error err = {0};
    make(keys, "id", "", &public);
    assert_true(asprintf(&path, "%s/id", keys->path) > 0);
    assert_true(seed_ssh_keys_read(path, &read, &err) < 0);
    assert_non_null(strstr(err.text, "this is a private key"));
    assert_non_null(strstr(err.text, path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(openssh_reads_a_key_and_signs_with_it, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(keys_are_private_and_no_two_are_equal, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(a_key_that_is_there_stays, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(a_private_key_is_refused_where_a_public_one_belongs, folder_make,
                                        folder_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
