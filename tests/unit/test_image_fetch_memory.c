/* SPDX-License-Identifier: MIT */
/* Whole fetches, and the removal of their files, when memory runs out. */
#include "memory_fixture.h"

#include <arpa/inet.h>
#include <lzma.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/text.h"
#include "agent/image/digest.h"
#include "agent/image/fetch.h"
#include "agent/image/remove.h"
#include "agent/image/signature.h"
#include "agent/image/use.h"
#include "agent/image/verify.h"
#include "image_fixture.h"

#define SIZE    ((size_t)4 * QCOW2_CLUSTER)
#define ARCH    "x86_64"
#define NAME    "Fedora-Cloud-Base-Generic-44-1.7." ARCH ".qcow2"
#define UNKNOWN "Fedora-Cloud-Base-35-1.2." ARCH ".qcow2"  /* of a release whose key nobody has pinned */
#define SIGNER  "F503882E03A750D9CEDD121921DBCA1DC506FCD8" /* tests/cases/signature */

/* The last operation starts GnuPG a hundred times. */
#ifdef __SANITIZE_ADDRESS__
#define FORKS_ARE_SLOW 1
#else
#define FORKS_ARE_SLOW 0
#endif

static struct {
    char path[64]; /* www: what the server serves; cache/images: the store */
    pid_t server;
    char url[64];
    char sha256[IMAGE_SHA256_LENGTH + 1], packed_sha256[IMAGE_SHA256_LENGTH + 1];
    struct image_sources sources;
    struct image_store store;
    struct pi_buf signed_text;
} site;

/* The server: one file a connection, from www, without the query. */

static void serve(int fd)
{
    char request[4096], file[256] = "", path[512], head[128];
    pi_auto_buf struct pi_buf body = {0};
    ssize_t n = read(fd, request, sizeof request - 1);
    request[n > 0 ? n : 0] = '\0';
    (void)sscanf(request, "GET %255[^? ]", file);
    snprintf(path, sizeof path, "%s/www%s", site.path, file);
    bool there = pi_file_read(AT_FDCWD, path, (size_t)1 << 20, &body, NULL) == 0;
    snprintf(head, sizeof head,
             "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\nETag: \"1\"\r\n\r\n",
             there ? "200 OK" : "404 Not Found", body.size);
    (void)pi_write_all(fd, head, strlen(head));
    (void)pi_write_all(fd, body.data, body.size);
}

static void start_server(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 16), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    snprintf(site.url, sizeof site.url, "http://127.0.0.1:%u", ntohs(address.sin_port));
    site.server = fork();
    if (site.server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGPIPE, SIG_IGN);
        for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0; close(fd))
            serve(fd);
        _exit(1);
    }
    close(listener);
}

/* The served files. */

static void put(const char *name, const void *data, size_t size)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", site.path, name);
    *strrchr(path, '/') = '\0';
    assert_int_equal(pi_dir_make(path, NULL), 0);
    path[strlen(path)] = '/';
    assert_int_equal(pi_file_write(AT_FDCWD, path, data, size, 0600, NULL), 0);
}

static __attribute__((format(printf, 2, 3))) void put_text(const char *name, const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    put(name, text, strlen(text));
}

static void hash(const uint8_t *data, size_t size, char ret[IMAGE_SHA256_LENGTH + 1])
{
    pi_auto_digest EVP_MD_CTX *digest = image_digest_new();
    EVP_DigestUpdate(digest, data, size);
    image_digest_hex(digest, ret);
}

#define ENTRY(version, file)                                                                               \
    "{\"version\": \"" version "\", \"arch\": \"" ARCH                                                     \
    "\", \"variant\": \"Cloud\", \"subvariant\": \"Cloud_Base\", \"link\": \"" IMAGE_DOWNLOAD_URL "/" file \
    "\", \"sha256\": \"%s\"}"

static void fill_server(void)
{
    pi_auto_free uint8_t *disk = malloc(SIZE), *packed = malloc(SIZE);
    size_t packed_size = 0;
    qcow2_fill(disk, SIZE);
    hash(disk, SIZE, site.sha256);
    assert_int_equal(
        lzma_easy_buffer_encode(0, LZMA_CHECK_CRC64, NULL, disk, SIZE, packed, &packed_size, SIZE), LZMA_OK);
    hash(packed, packed_size, site.packed_sha256);
    put("disk.qcow2", disk, SIZE);
    put("www/mirror/disk.qcow2", disk, SIZE);
    put("www/mirror/" UNKNOWN, disk, SIZE);
    put("www/mirror/disk.qcow2.xz", packed, packed_size);
    put_text("www/releases.json", "[" ENTRY("44", NAME) ", " ENTRY("35", UNKNOWN) "]", site.sha256,
             site.sha256);
    put_text("www/checksums/Fedora-Cloud-35-1.2-" ARCH "-CHECKSUM", "# %s: %zu bytes\nSHA256 (%s) = %s\n",
             UNKNOWN, SIZE, UNKNOWN, site.sha256);
    put_text(
        "www/metalink",
        "<metalink version='3.0' xmlns='http://www.metalinker.org/'><files><file name='" NAME
        "'><resources><url preference='9'>%s/mirror/disk.qcow2</url></resources></file></files></metalink>",
        site.url);
}

static void put_instance(void)
{
    uint8_t header[4096];
    char base[256];
    qcow2_fill(header, sizeof header);
    snprintf(base, sizeof base, "%s/cache/images/sha256-%s.qcow2", site.path, site.sha256);
    put64(header + 8, 512);
    put32(header + 16, (uint32_t)strlen(base));
    memcpy(header + 512, base, strlen(base));
    put("instances/web/" IMAGE_USE_DISK, header, sizeof header);
}

static void configure(void)
{
    put_text("config.json",
             "{\"fedora_index_url\": \"%s/releases.json\", \"fedora_url\": \"%s/none %s/mirror\", "
             "\"fedora_checksum_url\": \"%s/checksums\", \"fedora_archive_url\": \"%s/none\", "
             "\"fedora_metalink_url\": \"%s/metalink\", \"fedora_keys_url\": \"%s/none\", "
             "\"fedora_signers\": {\"44\": \"" SIGNER "\"}}",
             site.url, site.url, site.url, site.url, site.url, site.url, site.url);
    struct pi_error err;
    if (image_sources_load(site.path, &site.sources, &err) < 0)
        fail_msg("%s", err.text);
}

static void take_sample(const char *name, struct pi_buf *ret)
{
    char path[512];
    snprintf(path, sizeof path, "%s/tests/cases/signature/%s", getenv("PIAGENT_SOURCE"), name);
    assert_int_equal(pi_file_read(AT_FDCWD, path, 65536, ret, NULL), 0);
}

/* The store. */

static bool holds(const char *prefix)
{
    bool found = false;
    pi_auto_closedir DIR *dir = opendir(site.store.dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        found |= pi_starts_with(entry->d_name, prefix);
    return found;
}

static void empty_store(void)
{
    char path[512];
    bool armed = memory.armed;
    memory.armed = false;
    image_store_done(&site.store);
    snprintf(path, sizeof path, "%s/cache", site.path);
    assert_int_equal(pi_tree_remove(AT_FDCWD, path, NULL), 0);
    assert_int_equal(pi_dir_make(path, NULL), 0);
    snprintf(path, sizeof path, "%s/cache/images", site.path);
    assert_int_equal(image_store_open(path, &site.store, NULL), 0);
    memory.armed = armed;
}

/* Into the store as it is; nothing half-made is left in it, and what it had is not lost. */
static int fetch(const struct image_request *request, const char *name, struct pi_error *err)
{
    struct image image;
    struct image_request whole = *request;
    whole.arch = ARCH;
    bool armed = memory.armed;
    memory.armed = false;
    bool had = holds("sha256-");
    memory.armed = armed;
    memory_mark(&image, sizeof image);
    int r = image_fetch(&site.store, &site.sources, &whole, NULL, NULL, &image, err);
    ERR_clear_error();
    memory.armed = false;
    if (r < 0)
        assert_true(memory_untouched(&image, sizeof image));
    assert_int_equal(holds("sha256-"), had || r == 0);
    if (r == 0) {
        assert_string_equal(image.sha256, site.sha256);
        assert_string_equal(image.name, name);
        assert_int_equal(access(image.path, R_OK), 0);
        image_done(&image);
    }
    return r;
}

static int fetch_anew(const struct image_request *request, const char *name, struct pi_error *err)
{
    empty_store();
    return fetch(request, name, err);
}

static int file_is_imported(struct pi_error *err)
{
    char path[96];
    snprintf(path, sizeof path, "%s/disk.qcow2", site.path);
    return fetch_anew(&(struct image_request){.ref = path, .unverified = true}, "disk.qcow2", err);
}

static int url_is_fetched(struct pi_error *err)
{
    char url[96];
    snprintf(url, sizeof url, "%s/mirror/disk.qcow2", site.url);
    return fetch_anew(&(struct image_request){.ref = url, .sha256 = site.sha256}, "disk.qcow2", err);
}

static int unverified_url_is_fetched(struct pi_error *err)
{
    char url[96];
    snprintf(url, sizeof url, "%s/mirror/disk.qcow2", site.url);
    return fetch_anew(&(struct image_request){.ref = url, .unverified = true}, "disk.qcow2", err);
}

static int packed_url_is_fetched(struct pi_error *err)
{
    char url[96];
    snprintf(url, sizeof url, "%s/mirror/disk.qcow2.xz", site.url);
    return fetch_anew(&(struct image_request){.ref = url, .sha256 = site.packed_sha256}, "disk.qcow2", err);
}

/* From the last address that there is: one of the list of mirrors. */
static int release_is_fetched(struct pi_error *err)
{
    return fetch_anew(&(struct image_request){.ref = "fedora:44", .sha256 = site.sha256}, NAME, err);
}

static int unsigned_release_is_fetched(struct pi_error *err)
{
    return fetch_anew(&(struct image_request){.ref = "fedora:35", .allow_unsigned = true}, UNKNOWN, err);
}

/* The server has no 304: what comes again is the same. */
static int unverified_url_is_fetched_again(struct pi_error *err)
{
    char url[96];
    snprintf(url, sizeof url, "%s/mirror/disk.qcow2", site.url);
    return fetch(&(struct image_request){.ref = url, .unverified = true}, "disk.qcow2", err);
}

/* Checks the store's files. */

static int newest_release_is_found_without_an_index(struct pi_error *err)
{
    struct image_sources lost = site.sources, all = site.sources;
    lost.fedora_index_url = lost.fedora_keys_url;
    site.sources = lost;
    int r = fetch(&(struct image_request){.ref = "fedora", .allow_unsigned = true}, UNKNOWN, err);
    site.sources = all;
    return r;
}

static int release_is_found(struct pi_error *err)
{
    return fetch(&(struct image_request){.ref = "fedora:35", .allow_unsigned = true}, UNKNOWN, err);
}

static int stored_image_is_verified(struct pi_error *err)
{
    pi_auto_image_list struct image_list list = {0};
    struct image_meter meter = {0};
    int r = image_store_list(&site.store, &list, err);
    if (r == 0 && list.count == 0)
        return pi_fail(err, ENOMEM, "it was passed over"); /* as a damaged one is */
    if (r == 0)
        r = image_store_verify(&site.store, &list.items[0], &meter, err);
    ERR_clear_error();
    return r < 0 ? r : image_check(list.items[0].path, list.items[0].sha256, err);
}

static int damaged_images_are_listed(struct pi_error *err)
{
    pi_auto_strv struct pi_strv damaged = {0}, unread = {0};
    int r = image_store_damaged(&site.store, &damaged, &unread, err);
    memory_promise(damaged.count == 0); /* prune would remove it */
    image_store_prune_partials(&site.store, 0, true);
    return r;
}

/* An instance that uses the image: by its disk, and by a link in the store. */

static int users_are_found(struct pi_error *err)
{
    char path[512], folder[512], instances[128];
    json_auto_t *use = NULL;
    snprintf(path, sizeof path, "%s/sha256-%s.qcow2", site.store.dir, site.sha256);
    snprintf(instances, sizeof instances, "%s/instances", site.path);
    snprintf(folder, sizeof folder, "%s/web", instances);
    const struct image_instances who = {.folder = instances};
    int r = image_use_add(path, site.sha256, folder, err);
    if (r == 0)
        r = image_use_find(&site.store, &who, &use, err);
    ERR_clear_error();
    if (r == 0)
        r = image_use_check(use, site.sha256, "it", err);
    memory_promise(r < 0);
    return r == -ENOMEM ? r : 0;
}

static int image_in_use_is_not_removed(struct pi_error *err)
{
    char instances[128];
    struct image image = {.name = (char *)"it"};
    snprintf(image.sha256, sizeof image.sha256, "%s", site.sha256);
    snprintf(instances, sizeof instances, "%s/instances", site.path);
    const struct image_instances who = {.folder = instances};
    int r = image_store_remove(&site.store, &image, &who, err);
    ERR_clear_error();
    memory.armed = false;
    assert_true(r < 0 && holds("sha256-"));
    return r == -ENOMEM ? r : 0;
}

/* Signatures. */

static int signature_is_checked(struct pi_error *err)
{
    pi_auto_buf struct pi_buf text = {0};
    struct image_meter meter = {0};
    char signer[IMAGE_FINGERPRINT_LENGTH + 1];
    int r = image_signature_check(&site.signed_text, "44", &site.sources, &meter, &text, signer, err);
    memory_promise(r < 0 || (strstr(text.data, "SHA256 (" NAME ")") && !strcmp(signer, SIGNER)));
    return r;
}

static void every_failing_allocation_is_survived(void **state)
{
    static const struct memory_operation operations[] = {
        MEMORY_OPERATION(file_is_imported, .own_only = true),
        MEMORY_OPERATION(url_is_fetched, .own_only = true),
        MEMORY_OPERATION(unverified_url_is_fetched, .own_only = true),
        MEMORY_OPERATION(unverified_url_is_fetched_again, .own_only = true),
        MEMORY_OPERATION(packed_url_is_fetched, .own_only = true),
        MEMORY_OPERATION(release_is_fetched, .own_only = true),
        MEMORY_OPERATION(unsigned_release_is_fetched, .own_only = true),
        MEMORY_OPERATION(release_is_found, .own_only = true),
        MEMORY_OPERATION(newest_release_is_found_without_an_index, .own_only = true),
        MEMORY_OPERATION(stored_image_is_verified, .parses = true),
        MEMORY_OPERATION(damaged_images_are_listed, .parses = true),
        MEMORY_OPERATION(users_are_found, .parses = true),
        MEMORY_OPERATION(image_in_use_is_not_removed, .own_only = true),
        MEMORY_OPERATION(signature_is_checked, .own_only = true, .alone_only = true),
    };
    (void)state;
    memory_check(operations, PI_ARRAY_SIZE(operations) - FORKS_ARE_SLOW);
}

static int setup(void **state)
{
    pi_auto_buf struct pi_buf key = {0};
    (void)state;
    site.store.dir_fd = -1;
    /* In memory if possible, because each of some thousand fetches syncs its files. */
    snprintf(site.path, sizeof site.path, "/dev/shm/piagent-image-XXXXXX");
    if (!mkdtemp(site.path))
        folder_new(site.path);
    start_server();
    fill_server();
    put_instance();
    configure();
    take_sample("CHECKSUM", &site.signed_text);
    take_sample("key.gpg", &key);
    put("keys/own.gpg", key.data, key.size);
    setenv("TMPDIR", site.path, 1);
    setenv("HOME", site.path, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kill(site.server, SIGKILL);
    waitpid(site.server, NULL, 0);
    image_sources_done(&site.sources);
    image_store_done(&site.store);
    pi_buf_done(&site.signed_text);
    folder_done(site.path);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
