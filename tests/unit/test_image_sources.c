/* Where Fedora's files come from. */
#include "image_fixture.h"

#include "agent/image/sources.h"

static const char *const variables[] = {"PIAGENT_FEDORA_INDEX_URL", "PIAGENT_FEDORA_URL",
                                        "PIAGENT_FEDORA_CHECKSUM_URL"};

static int setup(void **state)
{
    static char dir[64];
    for (size_t i = 0; i < 3; i++)
        unsetenv(variables[i]);
    *state = folder_new(dir);
    return 0;
}

static int teardown(void **state)
{
    folder_done(*state);
    return 0;
}

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

static void links_below_fedoras_base_are_moved(void **state)
{
    (void)state;
    pi_auto_free char *moved =
        image_sources_rewrite("http://127.0.0.1:1/f", IMAGE_DOWNLOAD_URL "/releases/x");
    pi_auto_free char *kept = image_sources_rewrite("http://127.0.0.1:1/f", "https://example.org/x");
    pi_auto_free char *near = image_sources_rewrite("http://127.0.0.1:1/f", IMAGE_DOWNLOAD_URL "x/y");
    assert_string_equal(moved, "http://127.0.0.1:1/f/releases/x");
    assert_string_equal(kept, "https://example.org/x");
    assert_string_equal(near, IMAGE_DOWNLOAD_URL "x/y");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults_are_fedoras_own, setup, teardown),
        cmocka_unit_test_setup_teardown(environment_beats_file_beats_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_configuration_is_refused_by_file_and_key, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_environment_is_refused_by_its_variable, setup, teardown),
        cmocka_unit_test(links_below_fedoras_base_are_moved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
