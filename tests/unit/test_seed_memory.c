/* SPDX-License-Identifier: MIT */
/* The seed's library when memory runs out. */
#include "memory_fixture.h"

#include "agent/base/auto.h"
#include "agent/seed/documents.h"
#include "agent/seed/password.h"
#include "agent/seed/smbios.h"
#include "agent/seed/ssh_key.h"
#include "agent/seed/user_data.h"
#include "base_fixture.h"

#define PUBLIC_KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEhgPuhxzpSTdh9n1aTWBBVI1hVZ6YhMSpVSfUDGbHNL me@here"

static const char config[] = "#cloud-config\n"
                             "users: [{name: bob, groups: [a, b]}, &x {name: eve}]\n"
                             "again: *x\n"
                             "runcmd:\n"
                             "  - [sh, -c, \"echo 'quoted text'\"]\n"
                             "text: |\n"
                             "  a block\n"
                             "  of lines\n";

static char folder[] = "/tmp/pi-memory-XXXXXX";

static int render(const char *user_data, struct pi_error *err)
{
    static char *keys[] = {(char *)PUBLIC_KEY, (char *)PUBLIC_KEY, NULL};
    const struct pi_strv authorized = {.items = keys, .count = 2};
    static const struct seed_peer peers[] = {
        {.name = "node-1", .role = "node", .index = 1, .address = "10.77.0.3", .arch = "aarch64"},
        {.name = "pi-1", .role = "pi", .index = 1, .arch = "x86_64"},
    };
    static const struct seed_fleet fleet = {.name = "lab",
                                            .role = "pi",
                                            .index = 1,
                                            .count = 1,
                                            .peers = peers,
                                            .peer_count = PI_ARRAY_SIZE(peers),
                                            .peers_url = "http://10.0.2.2:1234/PEERS/peers",
                                            .join_secret = "5eed"};
    const struct seed_spec spec = {
        .instance_id = "iid-1",
        .hostname = "pi-1",
        .user = "pi",
        .groups = "wheel",
        .password_hash = "$6$salt$ETa.MxhpN7DpUK7JGtYvxmZ/UCzaSKXMnSqBBNHHvXTBvVQ4hXBNqcXx8o1VXlwGMcTtzGXnVZ/"
                         "dyWdUUJvV8.",
        .authorized_keys = &authorized,
        .host_key_private = "-----BEGIN OPENSSH PRIVATE KEY-----\n",
        .host_key_public = PUBLIC_KEY,
        .fleet = &fleet,
        .user_data = user_data,
        .user_data_size = user_data ? strlen(user_data) : 0,
    };
    struct seed_documents documents;
    memory_mark(&documents, sizeof documents);
    int r = seed_render(&spec, &documents, err);
    if (r < 0) {
        memory_promise(memory_untouched(&documents, sizeof documents));
        return r;
    }
    memory_promise(strstr(documents.meta_data.data, PUBLIC_KEY "\",\"" PUBLIC_KEY));
    memory_promise(strstr(documents.vendor_data.data, user_data ? "\\\"wheel\\\"" : "PRIVATE KEY"));
    memory_promise(strstr(documents.user_data.data, user_data ? "of lines" : "\"wheel\""));
    seed_documents_done(&documents);
    return 0;
}

static int account_is_rendered(struct pi_error *err)
{
    return render(NULL, err);
}

static int own_user_data_is_rendered(struct pi_error *err)
{
    return render(config, err);
}

static int smbios_is_made(struct pi_error *err)
{
    pi_auto_buf struct pi_buf structure = {0};
    const struct seed_system system = {.manufacturer = "QEMU",
                                       .product = "piagent",
                                       .serial = "ds=nocloud;dsmode=net;s=http://10.0.2.2:80/k/",
                                       .uuid = "8c1f0d6e-5b7a-4c9e-9b1e-2f6d3a4b5c6d"};
    int r = seed_smbios_system(&system, &structure, err);
    memory_promise(r == 0 || structure.size == 0);
    return r;
}

static int host_is_known(struct pi_error *err)
{
    pi_auto_buf struct pi_buf known = {0};
    int r = seed_known_hosts_line("pi-1", PUBLIC_KEY, &known, err);
    memory_promise(r == 0 || known.size == 0);
    return r;
}

static int keys_are_read(struct pi_error *err)
{
    char path[64];
    pi_auto_strv struct pi_strv keys = {0};
    snprintf(path, sizeof path, "%s/keys", folder);
    int r = seed_ssh_keys_read(path, &keys, err);
    memory_promise(keys.count == (r == 0 ? 2 : 0));
    return r;
}

static int user_data_is_read(struct pi_error *err)
{
    char path[64];
    pi_auto_buf struct pi_buf text = {0};
    snprintf(path, sizeof path, "%s/user-data", folder);
    int r = seed_user_data_read(path, &text, err);
    memory_promise(text.size == (r == 0 ? strlen(config) : 0));
    enum seed_kind kind;
    return r < 0 ? r : seed_user_data_check(text.data, text.size, &kind, err);
}

static int password_is_hashed(struct pi_error *err)
{
    char hash[SEED_HASH_MAX + 1];
    memory_mark(hash, sizeof hash);
    int r = seed_password_hash(SEED_SHA512, "secret", hash, err);
    memory_promise(r == 0 || memory_untouched(hash, sizeof hash));
    return r;
}

static int password_is_verified(struct pi_error *err)
{
    static char hash[SEED_HASH_MAX + 1];
    if (!hash[0] && seed_password_hash(SEED_SHA512, "secret", hash, err) < 0)
        return -EINVAL;
    memory_promise(!seed_password_verify(hash, "another"));
    return seed_password_verify(hash, "secret") ? 0 : pi_fail(err, ENOMEM, "cannot verify");
}

static void every_failing_allocation_is_survived(void **state)
{
    static const struct memory_operation operations[] = {
        MEMORY_OPERATION(account_is_rendered), MEMORY_OPERATION(own_user_data_is_rendered),
        MEMORY_OPERATION(smbios_is_made),      MEMORY_OPERATION(host_is_known),
        MEMORY_OPERATION(keys_are_read),       MEMORY_OPERATION(user_data_is_read, .parses = true),
        MEMORY_OPERATION(password_is_hashed),  MEMORY_OPERATION(password_is_verified),
    };
    (void)state;
    memory_check(operations, PI_ARRAY_SIZE(operations));
}

static int setup(void **state)
{
    static const char keys[] = "# mine\n" PUBLIC_KEY "\n\n" PUBLIC_KEY "\n";
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    pi_auto_close int dir_fd = pi_dir_open(folder, NULL);
    return pi_file_write(dir_fd, "keys", keys, strlen(keys), 0600, NULL) < 0 ||
           pi_file_write(dir_fd, "user-data", config, strlen(config), 0600, NULL) < 0;
}

static int teardown(void **state)
{
    (void)state;
    return pi_tree_remove(AT_FDCWD, folder, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
