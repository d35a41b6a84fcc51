/* SPDX-License-Identifier: MIT */
/* Lists of mirrors. */
#include "image_fixture.h"
#include "skip.h"

#include <errno.h>

#include "agent/image/metalink.h"

#define SHA "abababababababababababababababababababababababababababababababab"
#define LIST(inside)                                                                         \
    "<?xml version=\"1.0\"?><metalink version=\"3.0\" xmlns=\"http://www.metalinker.org/\" " \
    "xmlns:mm0=\"http://fedorahosted.org/mirrormanager\"><files>" inside "</files></metalink>"
#define RESOURCES(urls)      "<resources>" urls "</resources>"
#define FILE_(name, inside)  "<file name=\"" name "\"><mm0:timestamp>1</mm0:timestamp>" inside "</file>"
#define URL(preference, url) "<url protocol=\"x\" preference=\"" preference "\">" url "</url>"

static int parse(const char *text, struct image_metalink *ret, struct pi_error *err)
{
    *ret = (struct image_metalink){0};
    return image_metalink_parse(text, strlen(text), "a.qcow2", ret, err);
}

static void preferred_mirrors_come_first_each_once_by_https(void **state)
{
    (void)state;
    pi_auto_image_metalink struct image_metalink m = {0};
    static const char text[] =
        LIST(FILE_("b.qcow2", "<size>1</size>" RESOURCES(URL("100", "https://wrong.example/b.qcow2"))) FILE_(
            "a.qcow2",
            "<size>77</size><verification><hash type=\"md5\">1</hash><hash type=\"sha256\">" SHA
            "</hash></verification><resources maxconnections=\"3\">" URL("98", "https://c.example/a.qcow2")
                URL("100", "http://a.example/a.qcow2") URL("100", "https://a.example/a.qcow2") URL(
                    "99", "ftp://b.example/a.qcow2") URL("99", "http://b.example/a.qcow2") "</resources>"));
    static const char *const expected[] = {"https://a.example/a.qcow2", "http://b.example/a.qcow2",
                                           "https://c.example/a.qcow2"};
    assert_int_equal(parse(text, &m, NULL), 0);
    assert_int_equal(m.urls.count, PI_ARRAY_SIZE(expected));
    for (size_t i = 0; i < PI_ARRAY_SIZE(expected); i++)
        assert_string_equal(m.urls.items[i], expected[i]);
    assert_int_equal(m.size_bytes, 77);
    assert_string_equal(m.sha256, SHA);
    assert_int_equal(m.connections, 3);
}

static void only_the_best_mirrors_of_a_long_list_are_kept(void **state)
{
    (void)state;
    pi_auto_image_metalink struct image_metalink m = {0};
    pi_auto_buf struct pi_buf text = {0};
    assert_int_equal(pi_buf_puts(&text, "<m><file name=\"a.qcow2\"><resources>"), 0);
    for (int i = 0; i < 200; i++)
        assert_int_equal(
            pi_buf_printf(&text, "<url preference=\"%d\">https://m%d.example/a.qcow2</url>", i % 60, i), 0);
    assert_int_equal(pi_buf_puts(&text, "</resources></file></m>"), 0);
    assert_int_equal(parse(text.data, &m, NULL), 0);
    assert_int_equal(m.urls.count, IMAGE_METALINK_MIRRORS);
    assert_string_equal(m.urls.items[0], "https://m59.example/a.qcow2");
}

/* tests/cases/fedora/metalink-alternates.xml and its brothers: what stands elsewhere is not the file's own.
 */
static void only_the_files_own_elements_are_read(void **state)
{
#define SIZE_AND_HASH(size, hash) \
    "<size>" size "</size><verification><hash type=\"sha256\">" hash "</hash></verification>"
#define OTHER_SHA "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
#define OWN       SIZE_AND_HASH("77", SHA) RESOURCES(URL("9", "https://a.example/a.qcow2"))
#define OLDER     SIZE_AND_HASH("66", OTHER_SHA) RESOURCES(URL("100", "https://old.example/a.qcow2"))
    static const char *const others[] = {
        "<mm0:alternates><mm0:alternate>" OLDER "</mm0:alternate></mm0:alternates>",
        "<mm0:size>66</mm0:size>",
        "<unknown>" OLDER "</unknown>",
        "<unknown><file name=\"a.qcow2\">" OLDER "</file></unknown>",
        "<file name=\"a.qcow2\">" OLDER "</file>",
        "<verification><pieces type=\"sha1\"><hash type=\"sha256\">12</hash></pieces></verification>",
        "<hash type=\"sha256\">12</hash>",
        "<url preference=\"100\">https://old.example/a.qcow2</url>",
    };
    (void)state;
    for (size_t i = 0; i < 2 * PI_ARRAY_SIZE(others); i++) {
        char text[4096];
        bool before = i % 2;
        pi_auto_image_metalink struct image_metalink m = {0};
        snprintf(text, sizeof text, LIST(FILE_("a.qcow2", "%s%s%s")), before ? others[i / 2] : "", OWN,
                 before ? "" : others[i / 2]);
        assert_int_equal(parse(text, &m, NULL), 0);
        assert_int_equal(m.size_bytes, 77);
        assert_string_equal(m.sha256, SHA);
        assert_int_equal(m.urls.count, 1);
        assert_string_equal(m.urls.items[0], "https://a.example/a.qcow2");
    }
}

static void sample_with_alternates_tells_the_newest(void **state)
{
    pi_auto_image_metalink struct image_metalink m = {0};
    pi_auto_buf struct pi_buf text = {0};
    char path[512];
    (void)state;
    snprintf(path, sizeof path, "%s/tests/cases/fedora/metalink-alternates.xml", getenv("PIAGENT_SOURCE"));
    assert_int_equal(pi_file_read(AT_FDCWD, path, 65536, &text, NULL), 0);
    assert_int_equal(image_metalink_parse(text.data, text.size, "x.qcow2", &m, NULL), 0);
    assert_int_equal(m.size_bytes, 4761);
    assert_string_equal(m.sha256, "d4f9ad66f7c6e000d8ebf9ec92ad2c4636547853708554d93dab672bdfd98ca1");
    assert_int_equal(m.urls.count, 1);
}

static void what_is_no_good_list_is_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "<html>log in</html>",
        LIST(FILE_("b.qcow2", RESOURCES(URL("1", "https://b.example/")))),
        LIST(FILE_("a.qcow2", RESOURCES(URL("1", "ftp://b.example/")))),
        LIST(FILE_("a.qcow2", "<size>-1</size>" RESOURCES(URL("1", "https://b.example/")))),
        LIST(FILE_("a.qcow2", "<verification><hash type=\"sha256\">12</hash></verification>" RESOURCES(
                                  URL("1", "https://b.example/")))),
        "<!DOCTYPE m [<!ENTITY a \"b.example\">]><m><file "
        "name=\"a.qcow2\"><resources><url>https://&a;/</url></resources></file></m>",
        "<m><file name=\"a.qcow2\"><resources><url>https://b.example/</url></resources></file>",
        "<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a></a></a></a></a></a></a></a></a></a></a></a></a></a></"
        "a></a></a></a>",
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct image_metalink m;
        struct pi_error err = {0};
        if (parse(cases[i], &m, &err) == 0)
            fail_msg("taken: %s", cases[i]);
        assert_int_equal(err.kind, PI_NETWORK);
        assert_null(m.urls.items);
    }
}

/* The genuine list, if this machine has the samples. */
static void fedoras_own_list_is_understood(void **state)
{
    const char *path = getenv("PIAGENT_FEDORA_SAMPLES");
    pi_auto_image_metalink struct image_metalink m = {0};
    pi_auto_buf struct pi_buf text = {0};
    (void)state;
    if (!path)
        skip_because("cannot here: PIAGENT_FEDORA_SAMPLES names no folder with genuine files of Fedora");
    pi_auto_close int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    static const char file[] = "Fedora-Workstation-Live-44-1.7.x86_64.iso";
    assert_int_equal(
        pi_file_read(dir, "Fedora-Workstation-Live-44-1.7.x86_64.iso.metalink", 65536, &text, NULL), 0);
    assert_int_equal(image_metalink_parse(text.data, text.size, file, &m, NULL), 0);
    assert_int_equal(m.size_bytes, 2851612672u);
    assert_int_equal(m.connections, 1);
    assert_int_equal(m.urls.count, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(preferred_mirrors_come_first_each_once_by_https),
        cmocka_unit_test(only_the_best_mirrors_of_a_long_list_are_kept),
        cmocka_unit_test(only_the_files_own_elements_are_read),
        cmocka_unit_test(sample_with_alternates_tells_the_newest),
        cmocka_unit_test(what_is_no_good_list_is_refused),
        cmocka_unit_test(fedoras_own_list_is_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
