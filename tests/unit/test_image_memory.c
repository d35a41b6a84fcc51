/* SPDX-License-Identifier: MIT */
/* The readers of images' files, when memory runs out. */
#include "memory_fixture.h"

#include <openssl/err.h>
#include <sys/mman.h>

#include "agent/image/checksum.h"
#include "agent/image/digest.h"
#include "agent/image/index.h"
#include "agent/image/metalink.h"
#include "agent/image/resume.h"
#include "agent/image/sources.h"
#include "agent/image/store.h"
#include "agent/image/unpack.h"
#include "image_fixture.h"

#define SHA   "abababababababababababababababababababababababababababababababab"
#define FILE_ "Fedora-Cloud-Base-Generic-44-1.7.x86_64.qcow2"
#define LINK  "https://download.fedoraproject.org/pub/fedora/linux/releases/44/Cloud/x86_64/images/" FILE_

static struct {
    char path[64];
    int fd;
} folder;

static int metalink_is_parsed(struct pi_error *err)
{
    static const char text[] =
        "<metalink version='3.0' xmlns='http://www.metalinker.org/'><files><file name='x.qcow2'><size>1024</size>"
        "<verification><hash type='sha256'>" SHA "</hash></verification><resources maxconnections='1'>"
        "<url preference='99'>http://b.example/x.qcow2</url><url preference='100'>https://a.example/x.qcow2</url>"
        "<url preference='98'>http://a.example/x.qcow2</url></resources></file></files></metalink>";
    struct image_metalink found;
    memory_mark(&found, sizeof found);
    int r = image_metalink_parse(text, sizeof text - 1, "x.qcow2", &found, err);
    if (r < 0) {
        memory_promise(memory_untouched(&found, sizeof found));
        return r;
    }
    memory_promise(found.urls.count == 2 && !strcmp(found.sha256, SHA));
    image_metalink_done(&found);
    return 0;
}

static int entry_is_chosen(struct pi_error *err)
{
    static const char text[] =
        "[{\"version\": \"44\", \"arch\": \"x86_64\", \"link\": \"" LINK
        "\", \"variant\": \"Cloud\", \"subvariant\": \"Cloud_Base\", \"sha256\": \"" SHA "\"}]";
    struct image_entry entry;
    json_auto_t *index = image_index_parse(text, sizeof text - 1, err);
    memory_promise(index != NULL);
    int r = image_index_choose(index, "44", "x86_64", &entry, err);
    memory_promise(r == 0 && !strcmp(entry.file, FILE_) && !strcmp(entry.sha256, SHA));
    return r;
}

static int resume_is_kept(struct pi_error *err)
{
    const struct image_resume kept = {
        .url = (char *)LINK, .etag = (char *)"\"e\"", .size_bytes = 9, .done_bytes = 5};
    struct image_resume again;
    memory_mark(&again, sizeof again);
    image_resume_save(folder.fd, "resume", &kept);
    if (!image_resume_load(folder.fd, "resume", &again)) {
        memory_promise(memory_untouched(&again, sizeof again));
        return pi_fail(err, ENOMEM, "resume");
    }
    memory_promise(!strcmp(again.url, LINK) && again.done_bytes == 5);
    image_resume_done(&again);
    return 0;
}

static int sources_are_loaded(struct pi_error *err)
{
    struct image_sources sources;
    char pin[IMAGE_FINGERPRINT_LENGTH + 1];
    memory_mark(&sources, sizeof sources);
    int r = image_sources_load(folder.path, &sources, err);
    if (r < 0) {
        memory_promise(memory_untouched(&sources, sizeof sources));
        return r;
    }
    memory_promise(!strcmp(sources.fedora_metalink_url, "none") && strstr(sources.fedora_url, "b.example") &&
                   image_sources_signer(&sources, "44", pin) && pin[0] == '1');
    pi_auto_free char *url = image_sources_rewrite("http://a", LINK);
    image_sources_done(&sources);
    return url ? 0 : pi_fail(err, ENOMEM, "rewrite");
}

static int image_is_found(struct pi_error *err)
{
    struct image image;
    pi_auto_image_store struct image_store store = {.dir_fd = -1};
    int r = image_store_open(folder.path, &store, err);
    if (r < 0)
        return r;
    memory_mark(&image, sizeof image);
    r = image_store_find(&store, SHA, &image, err);
    if (r < 0) {
        memory_promise(memory_untouched(&image, sizeof image));
        return r;
    }
    memory_promise(!strcmp(image.name, FILE_) && image.path);
    image_done(&image);
    return 0;
}

static int unpack(enum image_packing packing, const void *data, size_t size, struct pi_error *err)
{
    char sha256[IMAGE_SHA256_LENGTH + 1];
    uint64_t unpacked;
    pi_auto_image_unpack struct image_unpack *unpack = NULL;
    pi_auto_close int fd = memfd_create("unpacked", MFD_CLOEXEC);
    int r = image_unpack_new(packing, fd, &unpack, err);
    memory_promise((r == 0) == (unpack != NULL));
    if (r == 0)
        r = image_unpack_feed(unpack, data, size, err);
    if (r == 0)
        r = image_unpack_finish(unpack, &unpacked, sha256, err);
    memory_promise(r < 0 || unpacked == 6);
    ERR_clear_error(); /* libcrypto keeps its texts until the next error */
    return r;
}

static int xz_is_unpacked(struct pi_error *err)
{
    /* printf 'image\n' | xz */
    static const uint8_t packed[] = {
        0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21, 0x01,
        0x16, 0x00, 0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3, 0x01, 0x00, 0x05, 0x69, 0x6d, 0x61, 0x67, 0x65,
        0x0a, 0x00, 0x00, 0x00, 0x2d, 0x81, 0x9a, 0x6e, 0x0b, 0xd0, 0x30, 0xc0, 0x00, 0x01, 0x1e, 0x06,
        0xc1, 0x2f, 0xa4, 0x1d, 0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00, 0x00, 0x04, 0x59, 0x5a};
    return unpack(IMAGE_XZ, packed, sizeof packed, err);
}

static int zst_is_unpacked(struct pi_error *err)
{
    /* printf 'image\n' | zstd */
    static const uint8_t packed[] = {0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, 0x31, 0x00, 0x00, 0x69,
                                     0x6d, 0x61, 0x67, 0x65, 0x0a, 0xd5, 0x7c, 0x80, 0x36};
    return unpack(IMAGE_ZST, packed, sizeof packed, err);
}

static int text_is_hashed(struct pi_error *err)
{
    char digest[IMAGE_SHA256_LENGTH + 1];
    int r = image_digest_text("abc", digest);
    ERR_clear_error();
    memory_promise(r < 0 || strncmp(digest, "ba7816bf", 8) == 0);
    return r < 0 ? pi_fail(err, -r, "digest") : 0;
}

static void every_failing_allocation_is_survived(void **state)
{
    static const struct memory_operation operations[] = {
        MEMORY_OPERATION(metalink_is_parsed),
        MEMORY_OPERATION(entry_is_chosen, .parses = true),
        MEMORY_OPERATION(resume_is_kept, .parses = true),
        MEMORY_OPERATION(sources_are_loaded, .parses = true),
        MEMORY_OPERATION(image_is_found, .parses = true),
        MEMORY_OPERATION(xz_is_unpacked),
        MEMORY_OPERATION(zst_is_unpacked),
        MEMORY_OPERATION(text_is_hashed),
    };
    (void)state;
    memory_check(operations, PI_ARRAY_SIZE(operations));
}

static void put_file(const char *name, const char *text)
{
    assert_int_equal(pi_file_write(folder.fd, name, text, strlen(text), 0600, NULL), 0);
}

static int setup(void **state)
{
    (void)state;
    folder_new(folder.path);
    folder.fd = pi_dir_open(folder.path, NULL);
    put_file("config.json",
             "{\"fedora_url\": \"https://a.example/ https://b.example/\", \"fedora_signers\": {\"44\": "
             "\"1111111111111111111111111111111111111111\"}}");
    put_file("sha256-" SHA ".qcow2", "image");
    put_file("sha256-" SHA ".json",
             "{\"schema\": 1, \"sha256\": \"" SHA "\", \"name\": \"" FILE_
             "\", \"arch\": \"x86_64\", \"source\": \"" LINK
             "\", \"format\": \"qcow2\", \"size_bytes\": 5, \"virtual_size_bytes\": 5, \"verified\": true, "
             "\"checksum_source\": \"index\", \"fetched_ms\": 1}");
    return folder.fd < 0;
}

static int teardown(void **state)
{
    (void)state;
    close(folder.fd);
    folder_done(folder.path);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
