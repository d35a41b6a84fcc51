/* SPDX-License-Identifier: MIT */
/* The servers of Fedora's files. */
#include "image_fixture.h"

#include "agent/image/sources.h"

static const char *const variables[] = {"PIAGENT_FEDORA_INDEX_URL",    "PIAGENT_FEDORA_URL",
                                        "PIAGENT_FEDORA_CHECKSUM_URL", "PIAGENT_FEDORA_ARCHIVE_URL",
                                        "PIAGENT_FEDORA_METALINK_URL", "PIAGENT_FEDORA_KEYS_URL",
                                        "PIAGENT_FEDORA_SIGNER"};

static int setup(void **state)
{
    static char dir[64];
    for (size_t i = 0; i < PI_ARRAY_SIZE(variables); i++)
        unsetenv(variables[i]);
    *state = folder_new(dir);
    return 0;
}

static int teardown(void **state)
{
    folder_done(*state);
    return 0;
}

#define ONES  "1111111111111111111111111111111111111111"
#define LOWER "abcdefabcdefabcdefabcdefabcdefabcdefabcd"
#define UPPER "ABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCD"

static void configure(const char *dir, const char *text)
{
    char path[96];
    snprintf(path, sizeof path, "%s/config.json", dir);
    assert_int_equal(pi_file_write(AT_FDCWD, path, text, strlen(text), 0600, NULL), 0);
}

static void defaults_are_fedoras_own(void **state)
{
    pi_auto_image_sources struct image_sources s = {0};
    assert_int_equal(image_sources_load(*state, &s, NULL), 0);
    assert_string_equal(s.fedora_index_url, IMAGE_INDEX_URL);
    assert_string_equal(s.fedora_url, IMAGE_DOWNLOAD_URL);
    assert_string_equal(s.fedora_checksum_url, IMAGE_CHECKSUM_URL);
    assert_string_equal(s.fedora_metalink_url, IMAGE_METALINK_URL);
}

static void signers_are_pinned_unless_the_user_names_others(void **state)
{
    char pin[IMAGE_FINGERPRINT_LENGTH + 1];
    pi_auto_image_sources struct image_sources fedora = {0}, own = {0};
    assert_int_equal(image_sources_load(*state, &fedora, NULL), 0);
    assert_true(image_sources_signer(&fedora, "45 Beta", pin));
    assert_string_equal(pin, "4F50A6114CD5C6976A7F1179655A4B02F577861E");
    assert_false(image_sources_signer(&fedora, "4", pin));
    configure(*state, "{\"fedora_signers\": {\"44\": \"" ONES "\", \"43\": \"" ONES "\"}}");
    setenv("PIAGENT_FEDORA_SIGNER", "43:" LOWER ",48:" LOWER, 1);
    assert_int_equal(image_sources_load(*state, &own, NULL), 0);
    static const char *const expected[][2] = {{"44", ONES}, {"43", UPPER}, {"48 Beta", UPPER}};
    for (size_t i = 0; i < PI_ARRAY_SIZE(expected); i++) {
        assert_true(image_sources_signer(&own, expected[i][0], pin));
        assert_string_equal(pin, expected[i][1]);
    }
}

static void several_mirrors_may_be_named_instead_of_fedoras_own(void **state)
{
    pi_auto_image_sources struct image_sources s = {0};
    setenv("PIAGENT_FEDORA_URL", " https://a.example/f/  http://b.example/f", 1);
    assert_int_equal(image_sources_load(*state, &s, NULL), 0);
    assert_string_equal(s.fedora_url, "https://a.example/f http://b.example/f");
    assert_string_equal(s.fedora_metalink_url, "none");
}

static void environment_beats_file_beats_defaults(void **state)
{
    pi_auto_image_sources struct image_sources s = {0};
    configure(*state, "{\"fedora_url\": \"https://mirror.example/f//\", "
                      "\"fedora_index_url\": \"https://mirror.example/i.json\"}");
    setenv("PIAGENT_FEDORA_INDEX_URL", "http://127.0.0.1:1/i.json", 1);
    setenv("PIAGENT_FEDORA_CHECKSUM_URL", "", 1); /* empty is as unset */
    assert_int_equal(image_sources_load(*state, &s, NULL), 0);
    assert_string_equal(s.fedora_index_url, "http://127.0.0.1:1/i.json");
    assert_string_equal(s.fedora_url, "https://mirror.example/f");
    assert_string_equal(s.fedora_checksum_url, IMAGE_CHECKSUM_URL);
}

static void bad_configuration_is_refused_by_file_and_key(void **state)
{
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"{\"fedora_mirror\": \"https://x\"}", "'fedora_mirror' is not known here"},
        {"{\"fedora_url\": 5}", "'fedora_url' is not a string"},
        {"{\"fedora_url\": \"ftp://x\"}", "fedora_url is not an http or https URL: 'ftp://x'"},
        {"{\"fedora_checksum_url\": \"https://a https://b\"}", "fedora_checksum_url is not"},
        {"{\"fedora_signers\": 5}", "fedora_signers is not an object"},
        {"{\"fedora_signers\": {\"44\": \"12\"}}", "40 hexadecimal digits"},
        {"{\"fedora_signers\": {\"x\": \"" ONES "\"}}", "found 'x'"},
        {"{", "not JSON: line 1"},
        {"", "not JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct image_sources s = {0};
        struct pi_error err = {0};
        configure(*state, cases[i].text);
        assert_true(image_sources_load(*state, &s, &err) < 0);
        assert_int_equal(err.kind, PI_USAGE);
        if (!strstr(err.text, cases[i].said))
            fail_msg("case %zu: %s", i, err.text);
        assert_null(s.fedora_url);
    }
}

static void bad_environment_is_refused_by_its_variable(void **state)
{
    struct image_sources s = {0};
    struct pi_error err = {0};
    setenv("PIAGENT_FEDORA_URL", "mirror.example", 1);
    assert_true(image_sources_load(*state, &s, &err) < 0);
    assert_string_equal(err.text, "PIAGENT_FEDORA_URL is not an http or https URL: 'mirror.example'");
}

static void links_to_fedoras_servers_are_moved(void **state)
{
    static const struct {
        const char *link, *moved;
        bool archived;
    } cases[] = {
        {IMAGE_DOWNLOAD_URL "/releases/x", "http://a/f/releases/x", false},
        {IMAGE_CHECKSUM_URL "/releases/x", "http://a/f/releases/x", false},
        {IMAGE_ARCHIVE_URL "/releases/x", "http://a/f/releases/x", true},
        {"https://download.fedoraproject.org/pub/archive/fedora/linux/releases/x", "http://a/f/releases/x",
         true},
        {"https://example.org/x", "https://example.org/x", false},
        {IMAGE_DOWNLOAD_URL "x/y", IMAGE_DOWNLOAD_URL "x/y", false},
        {IMAGE_ARCHIVE_URL "x/y", IMAGE_ARCHIVE_URL "x/y", false},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        pi_auto_free char *moved = image_sources_rewrite("http://a/f", cases[i].link);
        assert_string_equal(moved, cases[i].moved);
        assert_int_equal(image_sources_is_archived(cases[i].link), cases[i].archived);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults_are_fedoras_own, setup, teardown),
        cmocka_unit_test_setup_teardown(signers_are_pinned_unless_the_user_names_others, setup, teardown),
        cmocka_unit_test_setup_teardown(several_mirrors_may_be_named_instead_of_fedoras_own, setup, teardown),
        cmocka_unit_test_setup_teardown(environment_beats_file_beats_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_configuration_is_refused_by_file_and_key, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_environment_is_refused_by_its_variable, setup, teardown),
        cmocka_unit_test(links_to_fedoras_servers_are_moved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
