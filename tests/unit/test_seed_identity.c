/* SPDX-License-Identifier: MIT */
/* What a guest that resumed from a template is told, and the program that hears it: tests/harness/identity_check.py plays the
 * guest. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/proc.h"
#include "agent/seed/documents.h"
#include "agent/seed/identity.h"

#define UUID "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
#define KEY  "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIk21fdHe+ZRiYhEcx0080ff7GDBypuHexBBugIe9huN"

static void render_line(size_t networks, struct pi_buf *ret)
{
    static const struct seed_network network = {"lab", "52:54:0a:4d:00:02", "10.77.0.2/24", "10.77.0.1"};
    pi_auto_strv struct pi_strv keys = {0};
    assert_int_equal(pi_strv_add(&keys, KEY " piagent"), 0);
    assert_int_equal(pi_strv_add(&keys, KEY " a\x07\"'b\xff"), 0);
    const struct seed_spec seed = {.instance_id = "iid-" UUID,
                                   .hostname = "pi-7",
                                   .user = "pi",
                                   .authorized_keys = &keys,
                                   .machine_id = "6ba7b8109dad41d180b400c04fd430c8",
                                   .host_key_private = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n",
                                   .host_key_public = KEY,
                                   .networks = &network,
                                   .network_count = networks};
    struct seed_identity identity = {.seed = &seed,
                                     .uuid = UUID,
                                     .serial = "ds=nocloud;dsmode=net;s=http://10.0.2.2:1/K/",
                                     .reports = "http://10.0.2.2:1/R/events",
                                     .now_ms = 1700000000123};
    memset(identity.entropy, 0xa5, sizeof identity.entropy);
    assert_int_equal(seed_identity_line(&identity, ret), 0);
}

static void identity_is_one_line_of_json(void **state)
{
    (void)state;
    pi_auto_buf struct pi_buf line = {0};
    render_line(0, &line);
    assert_true(line.data[0] == '\n' && strchr(line.data + 1, '\n') == line.data + line.size - 1);
    json_auto_t *me = json_loads(line.data, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(me, "time_ms")), 1700000000123);
    assert_string_equal(json_string_value(json_object_get(me, "networks")), "");
    json_t *keys = json_object_get(me, "keys");
    assert_string_equal(json_string_value(json_array_get(keys, 1)), KEY " a?\"'b?");
}

/* An ordinary instance's guest waits for nobody. */
static void only_the_seed_of_a_template_has_the_hook(void **state)
{
    (void)state;
    pi_auto_strv struct pi_strv keys = {0};
    struct seed_spec seed = {.instance_id = "iid-" UUID,
                             .hostname = "gold",
                             .user = "pi",
                             .authorized_keys = &keys,
                             .host_key_private = "PRIVATE",
                             .host_key_public = KEY};
    assert_int_equal(pi_strv_add(&keys, KEY), 0);
    for (int i = 0; i < 2; i++) {
        pi_auto_documents struct seed_documents documents = {0};
        seed.identity_port = i ? "org.piagent.test" : NULL;
        assert_int_equal(seed_render(&seed, &documents, NULL), 0);
        assert_int_equal(strstr(documents.vendor_data.data, "piagent-identity") != NULL, i);
    }
}

static void guest_takes_its_identity_once_and_says_so_each_time(void **state)
{
    (void)state;
    char top[] = "/tmp/piagent-identity-XXXXXX";
    assert_non_null(mkdtemp(top));
    pi_auto_buf struct pi_buf hook = {0}, line = {0}, output = {0};
    assert_int_equal(seed_identity_hook("org.piagent.test", "pi", &hook), 0);
    render_line(1, &line);
    pi_auto_close int folder = pi_dir_open(top, NULL);
    assert_int_equal(pi_file_write(folder, "hook", hook.data, hook.size, 0600, NULL), 0);
    assert_int_equal(pi_file_write(folder, "line", line.data, line.size, 0600, NULL), 0);

    pi_auto_free char *script = NULL;
    assert_true(asprintf(&script, "%s/tests/harness/identity_check.py", getenv("PIAGENT_SOURCE")) > 0);
    const char *const argv[] = {"/usr/bin/python3", script, top, NULL};
    int code = -1;
    assert_int_equal(pi_run(argv, &output, &code, NULL), 0);
    assert_int_equal(pi_tree_remove(AT_FDCWD, top, NULL), 0);
    if (code != 0)
        fail_msg("identity_check.py: %s", output.data ? output.data : "no output");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity_is_one_line_of_json),
        cmocka_unit_test(only_the_seed_of_a_template_has_the_hook),
        cmocka_unit_test(guest_takes_its_identity_once_and_says_so_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
