/* SPDX-License-Identifier: MIT */
/* Rendered seeds, taken by the cloud-init of this host as a guest would take them:
 * tests/harness/seed_check.py holds what must come of each. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
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
#include "agent/seed/documents.h"
#include "agent/seed/password.h"
#include "agent/seed/ssh_keygen.h"
#include "agent/seed/user_data.h"
#include "skip.h"

#define TEXT(text) .data = (text), .size = sizeof(text) - 1

/* printf '#cloud-config\npackages: [gzip]\n' | gzip -n9 */
static const char gzip[] = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x53\x4e\xce\xc9\x2f\x4d\xd1"
                           "\x4d\xce\xcf\x4b\xcb\x4c\xe7\x2a\x48\x4c\xce\x4e\x4c\x4f\x2d\xb6\x52"
                           "\x88\x4e\xaf\xca\x2c\x88\xe5\x02\x00\x41\xb1\x76\xc6\x1f\x00\x00\x00";

static const struct seed_case {
    const char *name;
    const char *data; /* the user's own file */
    size_t size;
    const char *groups;
    const char *machine_id;
    bool locked, booted, networks, fleet;
} cases[] = {
    {.name = "plain"},
    {.name = "locked", .groups = "users,wheel", .locked = true},
    {.name = "users",
     TEXT("#cloud-config\n"
          "users:\n"
          "  - default\n"
          "  - name: pi\n"
          "    groups: docker\n"
          "    lock_passwd: true\n"
          "    ssh_authorized_keys: [ssh-ed25519 AAAA theirs]\n"
          "  - name: bob\n"
          "packages: [htop]\n"
          "bootcmd: ['true']\n"
          "write_files: [{path: /x}]\n"
          "reporting: {mine: {type: log}}\n")},
    {.name = "jinja",
     TEXT("## template: jinja\n"
          "#cloud-config\n"
          "users: [{name: bob}]\n"
          "runcmd: ['echo {{ v1.instance_id }}']\n")},
    {.name = "script",
     TEXT("#!/bin/sh\necho gr\xc3\xbc\xc3\x9f"
          "e\n")},
    {.name = "mime",
     TEXT("Content-Type: multipart/mixed; boundary=\"b\"\n"
          "MIME-Version: 1.0\n"
          "\n"
          "--b\n"
          "Content-Type: text/cloud-config\n"
          "\n"
          "packages: [mime]\n"
          "--b--\n")},
    {.name = "gzip", TEXT(gzip)},
    {.name = "clone", .machine_id = "4567456745674567456745674567abcd", .networks = true},
    {.name = "networks", .networks = true},
    {.name = "fleet",
     TEXT(
         "## template: jinja\n"
         "#cloud-config\n"
         "runcmd:\n"
         "  - join {{ ds.meta_data.security_credentials.join_secret }}\n"
         "  - join {{ ds.meta_data['security-credentials'].join_secret }}\n"
         "{% for p in ds.meta_data.fleet.peers %}"
         "  - hello {{ p.name }} {{ p.role }} {{ p.index }} {{ p.address }} {{ p.arch }}\n"
         "{% endfor %}"
         "{% with f = ds.meta_data.fleet %}"
         "  - i am {{ f.role }} {{ f.index }} of {{ f.count }} in {{ f.name }} of {{ f.size }} {{ f.peers_url }}\n"
         "{% endwith %}"),
     .fleet = true},
    {.name = "fleet-booted", .booted = true, .fleet = true},
    {.name = "booted", TEXT("#cloud-config\npackages: [secret]\n"), .booted = true},
};

static const struct seed_peer peers[] = {
    {.name = "node-1", .role = "node", .index = 1, .address = "10.77.0.3", .arch = "aarch64"},
    {.name = "server",
     .role = "server",
     .index = 1,
     .address = "10.77.0.2",
     .arch = "x86_64",
     .running = true},
};
static const struct seed_fleet fleet = {.name = "lab",
                                        .role = "node",
                                        .index = 1,
                                        .count = 1,
                                        .peers = peers,
                                        .peer_count = PI_ARRAY_SIZE(peers),
                                        .peers_url = "http://10.0.2.2:1234/PEERS/peers",
                                        .join_secret = "join-secret-5eed"};

struct host_key {
    struct pi_buf private, public;
};

static void host_key_done(struct host_key *key)
{
    pi_buf_done(&key->private);
    pi_buf_done(&key->public);
}

static void make_host_key(int folder, struct host_key *ret)
{
    struct pi_error err = {0};
    assert_int_equal(seed_ssh_keygen(folder, "host", "pi-1", &ret->public, &err), 0);
    assert_int_equal(pi_file_read(folder, "host", 65536, &ret->private, &err), 0);
}

static void write_document(int folder, const char *name, const struct pi_buf *document)
{
    assert_int_equal(pi_file_write(folder, name, document->data, document->size, 0600, NULL), 0);
}

static void holds_no_secret(const struct seed_documents *documents, const struct seed_spec *spec)
{
    const struct pi_buf *const all[] = {&documents->meta_data, &documents->user_data, &documents->vendor_data,
                                        &documents->network_config};
    for (size_t i = 0; i < PI_ARRAY_SIZE(all); i++) {
        if (!all[i]->data)
            continue;
        assert_null(spec->password_hash ? strstr(all[i]->data, spec->password_hash) : NULL);
        assert_null(strstr(all[i]->data, "PRIVATE KEY"));
        assert_null(strstr(all[i]->data, "secret"));
    }
}

static void render_case(int seeds, const struct seed_case *c, struct seed_spec spec)
{
    enum seed_kind kind;
    if (c->data)
        assert_int_equal(seed_user_data_check(c->data, c->size, &kind, NULL), 0);
    spec.user_data = c->data;
    spec.user_data_size = c->size;
    spec.groups = c->groups;
    spec.booted = c->booted;
    spec.machine_id = c->machine_id;
    spec.instance_id = c->machine_id ? "iid-4567" : "iid-0123";
    static const struct seed_network networks[] = {
        {"lab", "52:54:0a:4d:00:02", "10.77.0.2/24", "10.77.0.1"},
        {"bridge.br0", "52:56:8c:1f:0d:6e", "", ""},
    };
    spec.networks = networks;
    spec.network_count = c->networks ? PI_ARRAY_SIZE(networks) : 0;
    spec.fleet = c->fleet ? &fleet : NULL;
    if (c->locked)
        spec.password_hash = NULL;

    struct pi_error err = {0};
    pi_auto_documents struct seed_documents documents = {0};
    if (seed_render(&spec, &documents, &err) < 0)
        fail_msg("%s: %s", c->name, err.text);
    assert_int_equal(mkdirat(seeds, c->name, 0700), 0);
    pi_auto_close int folder = openat(seeds, c->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    write_document(folder, "meta-data", &documents.meta_data);
    write_document(folder, "user-data", &documents.user_data);
    write_document(folder, "vendor-data", &documents.vendor_data);
    write_document(folder, "network-config", &documents.network_config);
    if (c->booted)
        holds_no_secret(&documents, &spec);
}

static void render_all(const char *top)
{
    pi_auto(host_key_done) struct host_key key = {0};
    pi_auto_close int folder = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    make_host_key(folder, &key);
    pi_auto_strv struct pi_strv keys = {0};
    pi_auto_free char *labelled = strdup(key.public.data);
    labelled[strlen(labelled) - strlen("pi-1")] = '\0';
    assert_int_equal(pi_strv_addf(&keys, "%spiagent", labelled), 0);
    assert_int_equal(pi_strv_addf(&keys, "%s\x07 user", labelled), 0); /* a comment that YAML can't hold */

    char hash[SEED_HASH_MAX + 1];
    assert_int_equal(seed_password_hash(SEED_SHA512, "raspberry", hash, NULL), 0);
    struct seed_spec spec = {.hostname = "pi-1",
                             .user = "pi",
                             .password_hash = hash,
                             .authorized_keys = &keys,
                             .host_key_private = key.private.data,
                             .host_key_public = key.public.data};
    pi_auto_free char *path = NULL;
    assert_true(asprintf(&path, "%s/seeds", top) > 0);
    pi_auto_close int seeds = pi_dir_open(path, NULL);
    assert_true(seeds >= 0);
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++)
        render_case(seeds, &cases[i], spec);
}

static void rendered_seeds_reach_cloud_init_as_meant(void **state)
{
    (void)state;
    const char *const probe[] = {"/usr/bin/python3", "-c", "import cloudinit.stages", NULL};
    if (pi_run(probe, NULL, NULL, NULL) < 0) {
        skip_because("cloud-init is not installed: apt-get install cloud-init");
    }
    char top[] = "/tmp/piagent-seed-XXXXXX";
    assert_non_null(mkdtemp(top));
    render_all(top);

    pi_auto_free char *script = NULL, *seeds = NULL;
    assert_true(asprintf(&script, "%s/tests/harness/seed_check.py", getenv("PIAGENT_SOURCE")) > 0);
    assert_true(asprintf(&seeds, "%s/seeds", top) > 0);
    const char *const argv[] = {"/usr/bin/python3", script, seeds, NULL};
    pi_auto_buf struct pi_buf output = {0};
    int code = -1;
    assert_int_equal(pi_run(argv, &output, &code, NULL), 0);
    assert_int_equal(pi_tree_remove(AT_FDCWD, top, NULL), 0);
    if (code != 0)
        fail_msg("seed_check.py: %s", output.data ? output.data : "no output");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rendered_seeds_reach_cloud_init_as_meant)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
