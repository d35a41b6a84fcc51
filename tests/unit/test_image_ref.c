/* SPDX-License-Identifier: MIT */
/* References that users write, and Fedora's names of files. */
#include "image_fixture.h"

#include "agent/image/name.h"
#include "agent/image/ref.h"

static void references_are_understood(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum image_ref_kind kind;
        const char *release;
    } cases[] = {
        {"fedora", IMAGE_REF_FEDORA, ""},
        {"fedora:44", IMAGE_REF_FEDORA, "44"},
        {"fedora:45-beta", IMAGE_REF_FEDORA, "45 Beta"},
        {"fedora:45_Beta", IMAGE_REF_FEDORA, "45 Beta"},
        {"fedora:45 Beta", IMAGE_REF_FEDORA, "45 Beta"},
        {"https://example.org/x.qcow2", IMAGE_REF_URL, ""},
        {"http://127.0.0.1:8080/x.raw", IMAGE_REF_URL, ""},
        {"./x", IMAGE_REF_FILE, ""},
        {"/tmp", IMAGE_REF_FILE, ""},
        {"x.qcow2", IMAGE_REF_FILE, ""},
        {"x.raw", IMAGE_REF_FILE, ""},
        {"x.img", IMAGE_REF_FILE, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct image_ref ref;
        assert_int_equal(image_ref_parse(cases[i].text, &ref, NULL), 0);
        assert_int_equal(ref.kind, cases[i].kind);
        assert_string_equal(ref.release, cases[i].release);
        assert_ptr_equal(ref.text, cases[i].text);
    }
}

static void file_that_is_there_is_a_path_whatever_its_name(void **state)
{
    (void)state;
    char dir[64];
    struct image_ref ref = {0};
    pi_auto_free char *here = getcwd(NULL, 0);
    assert_int_equal(chdir(folder_new(dir)), 0);
    assert_true(image_ref_parse("disk", &ref, NULL) < 0);
    assert_int_equal(pi_file_write(AT_FDCWD, "disk", "", 0, 0600, NULL), 0);
    assert_int_equal(image_ref_parse("disk", &ref, NULL), 0);
    assert_int_equal(ref.kind, IMAGE_REF_FILE);
    assert_int_equal(chdir(here), 0);
    folder_done(dir);
}

static void other_words_are_refused_with_what_is_understood(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "debian",
        "Fedora",
        "fedora:",
        "fedora:0",
        "fedora:044",
        "fedora:1234",
        "fedora:44x",
        "fedora:44-alpha",
        "fedora:rawhide",
        "file:///tmp/x.qcow2",
        "https://",
        "https:///x.qcow2",
        "https://user:password@example.org/x.qcow2",
        "https://example.org/a b.qcow2",
        "https://example.org/\n.qcow2",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct image_ref ref;
        struct pi_error err = {0};
        if (image_ref_parse(texts[i], &ref, &err) == 0)
            fail_msg("'%s' was understood", texts[i]);
        assert_int_equal(err.kind, PI_USAGE);
        assert_non_null(strstr(err.text, "write fedora, fedora:44, an https:// URL"));
    }
}

static void url_has_a_limit(void **state)
{
    (void)state;
    char url[IMAGE_URL_MAX + 1];
    memset(url, 'a', sizeof url);
    memcpy(url, "https://", 8);
    url[IMAGE_URL_MAX] = '\0';
    assert_false(image_is_url(url));
    url[IMAGE_URL_MAX - 1] = '\0';
    assert_true(image_is_url(url));
}

static void base_name_ignores_query_and_fragment_of_a_url(void **state)
{
    (void)state;
    static const struct {
        const char *text, *base;
    } cases[] = {
        {"https://example.org/a/x.qcow2?v=/1#/y", "x.qcow2"},
        {"https://example.org/a/", ""},
        {"/tmp/a?b#c.raw", "a?b#c.raw"},
        {"x.raw", "x.raw"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int length;
        char base[64];
        const char *at = image_base_name(cases[i].text, &length);
        snprintf(base, sizeof base, "%.*s", length, at);
        assert_string_equal(base, cases[i].base);
    }
}

static void names_of_all_releases_are_understood(void **state)
{
    (void)state;
    static const struct {
        const char *file, *release, *compose, *arch, *checksum[IMAGE_CHECKSUM_FORMS];
    } cases[] = {
        {"Fedora-Cloud-Base-38-1.6.x86_64.qcow2",
         "38",
         "1.6",
         "x86_64",
         {"Fedora-Cloud-38-1.6-x86_64-CHECKSUM", "Fedora-Cloud-images-38-1.6-x86_64-CHECKSUM"}},
        {"Fedora-Cloud-Base-38_Beta-1.3.x86_64.qcow2",
         "38 Beta",
         "1.3",
         "x86_64",
         {"Fedora-Cloud-38_Beta-1.3-x86_64-CHECKSUM", "Fedora-Cloud-images-38_Beta-1.3-x86_64-CHECKSUM"}},
        {"Fedora-Cloud-Base-Generic.aarch64-40-1.14.qcow2",
         "40",
         "1.14",
         "aarch64",
         {"Fedora-Cloud-40-1.14-aarch64-CHECKSUM", "Fedora-Cloud-images-40-1.14-aarch64-CHECKSUM"}},
        {"Fedora-Cloud-Base-Generic-44-1.7.aarch64.qcow2",
         "44",
         "1.7",
         "aarch64",
         {"Fedora-Cloud-44-1.7-aarch64-CHECKSUM", "Fedora-Cloud-images-44-1.7-aarch64-CHECKSUM"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct image_name name;
        char checksum[128];
        assert_true(image_name_parse(cases[i].file, &name));
        assert_string_equal(name.release, cases[i].release);
        assert_string_equal(name.compose, cases[i].compose);
        assert_string_equal(name.arch, cases[i].arch);
        for (int form = 0; form < IMAGE_CHECKSUM_FORMS; form++) {
            image_name_checksum_file(&name, form, checksum, sizeof checksum);
            assert_string_equal(checksum, cases[i].checksum[form]);
        }
    }
}

static void names_of_other_files_are_not(void **state)
{
    (void)state;
    static const char *const files[] = {
        "",
        "Fedora-Cloud-Base",
        "Fedora-Cloud-Base-UEFI-UKI-44-1.7.x86_64.qcow2",
        "Fedora-Cloud-Base-UEFI-UKI.x86_64-40-1.14.qcow2",
        "Fedora-Cloud-Base-AmazonEC2-44-1.7.x86_64.raw.xz",
        "Fedora-Cloud-Base-Azure-44-1.7.x86_64.vhdfixed.xz",
        "Fedora-Cloud-Base-GCE-44-1.7.x86_64.tar.gz",
        "Fedora-Cloud-Base-Vagrant-libvirt-44-1.7.x86_64.vagrant.libvirt.box",
        "Fedora-Cloud-Base-39-1.5.x86_64.raw.xz",
        "Fedora-Cloud-Base-Generic-44-1.7.ppc64le.qcow2",
        "Fedora-Cloud-Base-Generic-44-1.7.x86_64.qcow2.part",
        "Fedora-Cloud-Base-Generic-44-1.7.x86_64.raw",
        "Fedora-Cloud-Base-Generic-44-.7.x86_64.qcow2",
        "Fedora-Cloud-Base-Generic-44444-1.7.x86_64.qcow2",
        "Fedora-Cloud-Base-Generic-44-1.77777.x86_64.qcow2",
        "Fedora-Cloud-Base-Generic--1.7.x86_64.qcow2",
        "xFedora-Cloud-Base-Generic-44-1.7.x86_64.qcow2",
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct image_name name;
        if (image_name_parse(files[i], &name))
            fail_msg("'%s' was taken for a generic Cloud image", files[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references_are_understood),
        cmocka_unit_test(file_that_is_there_is_a_path_whatever_its_name),
        cmocka_unit_test(other_words_are_refused_with_what_is_understood),
        cmocka_unit_test(url_has_a_limit),
        cmocka_unit_test(base_name_ignores_query_and_fragment_of_a_url),
        cmocka_unit_test(names_of_all_releases_are_understood),
        cmocka_unit_test(names_of_other_files_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
