/* SPDX-License-Identifier: MIT */
/* Choosing from Fedora's index. */
#include "image_fixture.h"

#include "agent/image/index.h"
#include "agent/image/sources.h"

#define FOLDER "https://download.fedoraproject.org/pub/fedora/linux/releases/"
#define HEX(c) c c c c c c c c c c c c c c c c
#define A      HEX("aaaa")
#define B      HEX("bbbb")
#define ENTRY(version, arch, link, subvariant, more)                           \
    "{\"version\": \"" version "\", \"arch\": \"" arch "\", \"link\": \"" link \
    "\", \"variant\": \"Cloud\", "                                             \
    "\"subvariant\": \"" subvariant "\"" more "}"
#define GENERIC(version, label, arch, more)                                                                \
    ENTRY(version, arch, FOLDER label "/Fedora-Cloud-Base-Generic-" label "." arch ".qcow2", "Cloud_Base", \
          more)
#define SUMS(hex, size) ", \"sha256\": \"" hex "\", \"size\": \"" size "\""

static const char index_text[] =
    "["
    "{\"version\": \"44\", \"arch\": \"x86_64\", \"link\": \"" FOLDER "44/Workstation/x.iso\", "
    "\"variant\": \"Workstation\", \"subvariant\": \"Workstation\"}," /**/
    GENERIC("43", "43-1.6", "x86_64", SUMS(A, "500")) "," GENERIC("45 Beta", "45_Beta-1.3", "x86_64", "") "," ENTRY(
        "44", "x86_64", FOLDER "44/Fedora-Cloud-Base-AmazonEC2-44-1.7.x86_64.raw.xz", "Cloud_Base",
        "") "," ENTRY("44", "x86_64", FOLDER "44/Fedora-Cloud-Base-UEFI-UKI-44-1.7.x86_64.qcow2",
                      "Cloud_Base_UKI",
                      "") "," GENERIC("44", "44-1.7", "x86_64",
                                      SUMS(
                                          B,
                                          "491716608")) "," GENERIC("44", "44-1.7", "ppc64le",
                                                                    "") "," ENTRY("40", "aarch64",
                                                                                  FOLDER
                                                                                  "40/Fedora-Cloud-Base-Generic.aarch64-40-1.14.qcow2",
                                                                                  "Cloud_Base",
                                                                                  "") "," ENTRY("39",
                                                                                                "aarch64",
                                                                                                FOLDER
                                                                                                "39/Fedora-Cloud-Base-39-1.5.aarch64.qcow2",
                                                                                                "Cloud_Base",
                                                                                                "") "]";

static int choose(const char *text, const char *release, const char *arch, struct image_entry *ret,
                  struct pi_error *err)
{
    json_auto_t *index = image_index_parse(text, strlen(text), err);
    assert_non_null(index);
    return image_index_choose(index, release, arch, ret, err);
}

static void release_and_architecture_choose_the_generic_image(void **state)
{
    (void)state;
    static const struct {
        const char *release, *arch, *file, *sha256;
        uint64_t size_bytes;
    } cases[] = {
        {"", "x86_64", "Fedora-Cloud-Base-Generic-44-1.7.x86_64.qcow2", B, 491716608},
        {"44", "x86_64", "Fedora-Cloud-Base-Generic-44-1.7.x86_64.qcow2", B, 491716608},
        {"43", "x86_64", "Fedora-Cloud-Base-Generic-43-1.6.x86_64.qcow2", A, 500},
        {"45 Beta", "x86_64", "Fedora-Cloud-Base-Generic-45_Beta-1.3.x86_64.qcow2", "", 0},
        {"", "aarch64", "Fedora-Cloud-Base-Generic.aarch64-40-1.14.qcow2", "", 0},
        {"39", "aarch64", "Fedora-Cloud-Base-39-1.5.aarch64.qcow2", "", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct image_entry entry;
        assert_int_equal(choose(index_text, cases[i].release, cases[i].arch, &entry, NULL), 0);
        assert_string_equal(entry.file, cases[i].file);
        assert_string_equal(entry.sha256, cases[i].sha256);
        assert_int_equal(entry.size_bytes, cases[i].size_bytes);
        assert_string_equal(entry.link + strlen(entry.link) - strlen(entry.file), entry.file);
    }
}

static void unknown_release_names_those_that_are_there(void **state)
{
    (void)state;
    struct image_entry entry;
    struct pi_error err;
    assert_true(choose(index_text, "45", "x86_64", &entry, &err) < 0);
    assert_int_equal(err.kind, PI_NOT_FOUND);
    assert_string_equal(err.text,
                        "Fedora 45 is not in the index as a Cloud image for x86_64: it has 43, 45 Beta, 44");
    assert_true(choose("[]", "", "x86_64", &entry, &err) < 0);
    assert_string_equal(err.text, "Fedora is not in the index as a Cloud image for x86_64: it has none");
}

static void only_betas_are_no_stable_release(void **state)
{
    (void)state;
    struct image_entry entry;
    struct pi_error err;
    assert_true(choose("[" GENERIC("45 Beta", "45_Beta-1.3", "x86_64", "") "]", "", "x86_64", &entry, &err) <
                0);
    assert_int_equal(err.kind, PI_NOT_FOUND);
}

/* Genuine entries of the index, tests/cases/fedora. */
static void read_sample(const char *name, struct pi_buf *ret)
{
    char path[512];
    snprintf(path, sizeof path, "%s/tests/cases/fedora/%s", getenv("PIAGENT_SOURCE"), name);
    assert_int_equal(pi_file_read(AT_FDCWD, path, IMAGE_INDEX_MAX, ret, NULL), 0);
}

static void beta_is_found_without_beta_in_its_files_name(void **state)
{
    (void)state;
    pi_auto_buf struct pi_buf text = {0};
    struct image_entry entry;
    char checksum[128];
    read_sample("releases-40-beta.json", &text);
    assert_int_equal(choose(text.data, "40 Beta", "x86_64", &entry, NULL), 0);
    assert_string_equal(entry.file, "Fedora-Cloud-Base-Generic.x86_64-40-1.10.qcow2");
    assert_string_equal(entry.name.release, "40 Beta");
    image_name_checksum_file(&entry.name, 0, checksum, sizeof checksum);
    assert_string_equal(checksum, "Fedora-Cloud-40_Beta-1.10-x86_64-CHECKSUM");
    assert_true(choose(text.data, "", "x86_64", &entry, NULL) < 0);
    assert_true(choose(text.data, "40", "x86_64", &entry, NULL) < 0);
}

static void links_into_the_archive_are_taken(void **state)
{
    (void)state;
    pi_auto_buf struct pi_buf text = {0};
    struct image_entry entry;
    read_sample("releases-archive-links.json", &text);
    assert_int_equal(choose(text.data, "", "x86_64", &entry, NULL), 0);
    assert_string_equal(entry.name.release, "35");
    pi_auto_free char *url = image_sources_rewrite("http://a/archive", entry.link);
    assert_string_equal(
        url, "http://a/archive/releases/35/Cloud/x86_64/images/Fedora-Cloud-Base-35-1.2.x86_64.qcow2");
    assert_true(image_sources_is_archived(entry.link));
}

static void entries_that_contradict_themselves_do_not_count(void **state)
{
    (void)state;
    static const char *const entries[] = {
        GENERIC("44", "43-1.6", "x86_64", ""),
        GENERIC("44", "44_Beta-1.3", "x86_64", ""),
        GENERIC("44 Rawhide", "44-1.3", "x86_64", ""),
        GENERIC("44", "44-1.7", "x86_64", SUMS("12", "5")),
        GENERIC("44", "44-1.7", "x86_64", SUMS(A, "-5")),
        GENERIC("44", "44-1.7", "x86_64", SUMS(A, "99999999999999999999")),
        GENERIC("44", "44-1.7", "x86_64", SUMS(A "a", "5")),
        ENTRY("44", "x86_64", FOLDER "Fedora-Cloud-Base-Generic-44-1.7.aarch64.qcow2", "Cloud_Base", ""),
        ENTRY("44", "x86_64", "http://a/Fedora-Cloud-Base-Generic-44-1.7.x86_64.qcow2", "Cloud_Base", ""),
        ENTRY("44", "x86_64", "file:///Fedora-Cloud-Base-Generic-44-1.7.x86_64.qcow2", "Cloud_Base", ""),
        ENTRY("44", "x86_64", FOLDER "Fedora-Cloud-Base-Generic-44-1.7.x86_64.qcow2?x", "Cloud_Base", ""),
        "{\"version\": 44, \"arch\": [], \"link\": null, \"variant\": \"Cloud\", \"subvariant\": \"Cloud_Base\"}",
        "44",
        "[]",
    };
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        char text[2048];
        struct image_entry entry;
        snprintf(text, sizeof text, "[%s]", entries[i]);
        if (choose(text, "", "x86_64", &entry, NULL) == 0)
            fail_msg("%s was chosen", text);
    }
}

static void what_is_no_index_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",      "<html>please log in</html>", "{}", "[",
                                        "\"x\"", "[{\"a\":1,\"a\":2}]"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct pi_error err = {0};
        assert_null(image_index_parse(texts[i], strlen(texts[i]), &err));
        assert_int_equal(err.kind, PI_NETWORK);
    }
    pi_auto_free char *large = malloc(IMAGE_INDEX_MAX + 1);
    memset(large, ' ', IMAGE_INDEX_MAX + 1);
    large[0] = '[';
    large[1] = ']';
    assert_null(image_index_parse(large, IMAGE_INDEX_MAX + 1, NULL));
    json_auto_t *index = image_index_parse(large, IMAGE_INDEX_MAX, NULL);
    assert_non_null(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(release_and_architecture_choose_the_generic_image),
        cmocka_unit_test(unknown_release_names_those_that_are_there),
        cmocka_unit_test(only_betas_are_no_stable_release),
        cmocka_unit_test(beta_is_found_without_beta_in_its_files_name),
        cmocka_unit_test(links_into_the_archive_are_taken),
        cmocka_unit_test(entries_that_contradict_themselves_do_not_count),
        cmocka_unit_test(what_is_no_index_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
