/* SPDX-License-Identifier: MIT */
/* Signatures: a genuine one, if this machine has Fedora's files (PIAGENT_FEDORA_SAMPLES), and cases without a
 * key. test_image_fetch.c has the others, with a server that signs. */
#include "image_fixture.h"
#include "skip.h"

#include "agent/image/signature.h"

struct world {
    char dir[64];
    struct image_sources sources;
};

static int setup(void **state)
{
    static struct world w;
    char keys[96];
    w = (struct world){0};
    folder_new(w.dir);
    snprintf(keys, sizeof keys, "%s/keys", w.dir);
    assert_int_equal(mkdir(keys, 0700), 0);
    unsetenv("PIAGENT_FEDORA_SIGNER");
    setenv("PIAGENT_FEDORA_KEYS_URL", "http://127.0.0.1:9/none", 1); /* the discard port */
    assert_int_equal(image_sources_load(w.dir, &w.sources, NULL), 0);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    image_sources_done(&w->sources);
    folder_done(w->dir);
    return 0;
}

static void sample(const char *name, struct pi_buf *ret)
{
    char path[256];
    const char *folder = getenv("PIAGENT_FEDORA_SAMPLES");
    if (!folder)
        skip_because("cannot here: PIAGENT_FEDORA_SAMPLES names no folder with genuine files of Fedora");
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(pi_file_read(AT_FDCWD, path, 65536, ret, NULL), 0);
}

static int check(const struct world *w, const struct pi_buf *text, const char *release, struct pi_buf *ret,
                 struct pi_error *err)
{
    struct image_meter meter = {0};
    char signer[IMAGE_FINGERPRINT_LENGTH + 1];
    *err = (struct pi_error){0};
    return image_signature_check(text, release, &w->sources, &meter, ret, signer, err);
}

static void genuine_checksum_file_is_believed_for_its_own_release_only(void **state)
{
    const struct world *w = *state;
    struct pi_error err;
    char path[128];
    pi_auto_buf struct pi_buf text = {0}, key = {0}, said = {0}, nothing = {0};
    sample("Fedora-Cloud-38_Beta-1.3-x86_64-CHECKSUM", &text);
    sample("RPM-GPG-KEY-fedora-38-primary", &key);
    snprintf(path, sizeof path, "%s/keys/fedora.asc", w->dir);
    assert_int_equal(pi_file_write(AT_FDCWD, path, key.data, key.size, 0600, NULL), 0);
    if (check(w, &text, "38 Beta", &said, &err) < 0)
        fail_msg("%s", err.text);
    assert_non_null(strstr(said.data, "SHA256 (Fedora-Cloud-Base-38_Beta-1.3.x86_64.qcow2) = c6fd69d8"));
    assert_null(strstr(said.data, "PGP"));
    /* Another release's pin: the key is here, but not the one that has to sign. */
    assert_true(check(w, &text, "39", &nothing, &err) < 0);
    /* One character of the text changed. */
    *strstr(text.data, "489029632") = '5';
    assert_true(check(w, &text, "38", &nothing, &err) < 0);
    assert_int_equal(err.kind, PI_UNVERIFIED);
    assert_non_null(strstr(err.text, "found: Bad signature"));
    assert_int_equal(nothing.size, 0);
}

static void release_without_a_pin_is_refused_before_anything_else(void **state)
{
    struct pi_error err;
    pi_auto_buf struct pi_buf text = {0}, said = {0};
    assert_true(check(*state, &text, "999", &said, &err) < 0);
    assert_int_equal(err.kind, PI_UNVERIFIED);
    assert_non_null(strstr(err.text, "no key is pinned for Fedora 999"));
}

static void nothing_of_gnupg_is_left_over(void **state)
{
    struct pi_error err;
    const struct world *w = *state;
    char temporary[96];
    pi_auto_buf struct pi_buf text = {0}, said = {0};
    assert_int_equal(pi_buf_puts(&text, "SHA256 (x) = y\n"), 0);
    snprintf(temporary, sizeof temporary, "%s/tmp", w->dir);
    assert_int_equal(mkdir(temporary, 0700), 0);
    setenv("TMPDIR", temporary, 1);
    assert_true(check(w, &text, "44", &said, &err) < 0); /* its key is nowhere */
    assert_int_equal(err.kind, PI_NETWORK);
    unsetenv("TMPDIR");
    assert_int_equal(rmdir(temporary), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(genuine_checksum_file_is_believed_for_its_own_release_only, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(release_without_a_pin_is_refused_before_anything_else, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(nothing_of_gnupg_is_left_over, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
