/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/seed/user_data.h"
#include "agent/seed/yaml_tree.h"

static void every_kind_is_known_by_its_first_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum seed_kind kind;
    } cases[] = {
        {"#cloud-config\npackages: [htop]\n", SEED_CLOUD_CONFIG},
        {"#cloud-config \r\npackages: [htop]\r\n", SEED_CLOUD_CONFIG},
        {"#Cloud-Config\na: 1", SEED_CLOUD_CONFIG},
        {"## template: jinja\n#cloud-config\na: {{ b }}\n", SEED_JINJA},
        {"#!/bin/sh\n{ [", SEED_SCRIPT},
        {"#include\nhttp://example.org/\n", SEED_INCLUDE},
        {"#include-once http://example.org/\n", SEED_INCLUDE},
        {"#cloud-boothook\n#!/bin/sh\n", SEED_BOOTHOOK},
        {"#cloud-config-archive\n- a\n", SEED_ARCHIVE},
        {"#cloud-config-jsonp\n[]\n", SEED_JSON_PATCH},
        {"#part-handler\ndef f(): pass\n", SEED_PART_HANDLER},
        {"Content-Type: text/plain\nmime-version: 1.0\n\n#!/bin/sh\n", SEED_MIME},
        {"\x1f\x8b\x08", SEED_GZIP},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct pi_error err = {0};
        enum seed_kind kind;
        if (seed_user_data_check(cases[i].text, strlen(cases[i].text), &kind, &err) < 0)
            fail_msg("%s: %s", cases[i].text, err.text);
        assert_int_equal(kind, cases[i].kind);
    }
}

static void refusals_say_what_is_wrong_and_where(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "it is empty"},
        {"#cloud-config\n", "nothing follows the first line"},
        {"#cloud-config\n# only a comment\n", "nothing follows the first line"},
        {"#cloud-config\n---\n", "nothing follows the first line"},
        {"#cloud-confg\na: 1\n",
         "line 1, column 1: the first line is '#cloud-confg': make the first line exactly '#cloud-config'"},
        {"#cloud-config-jsonp # x\n[]\n", "make the first line exactly '#cloud-config-jsonp'"},
        {"\n#!/bin/sh\nls\n", "remove the empty line above '#!/bin/sh'"},
        {"\n## template: jinja\n#cloud-config\na: 1\n", "remove the empty line above '## template: jinja'"},
        {"##template: jinja\n#cloud-config\na: 1\n", "write '## template: jinja'"},
        {"Content-Type: text/cloud-config\n\n#cloud-config\n", "MIME-Version: 1.0 is missing"},
        {"\xff\xfe#\0c\0", "line 1, column 1: it is saved as UTF-16: save it as UTF-8"},
        {"#!/bin/sh\necho gr\xfcn\n", "line 2, column 8: byte 18 is not UTF-8"},
        {"\t#cloud-config\nhostname: a\n", "line 1, column 1: indented with a tab"},
        {"a: 1\n#cloud-config\n", "line 2, column 1: '#cloud-config' must be the first line"},
        {"\n\n#cloud-config\nruncmd: 5\n", "line 4, column 9: runcmd: a number"},
        {"#cloud_config\na: 1\n", "make the first line exactly"},
        {"cloud-config\na: 1\n", "make the first line exactly"},
        {"\xef\xbb\xbf#cloud-config\na: 1\n", "byte order mark"},
        {"users:\n  - default\n", "the first line is 'users:'"},
        {"#cloud-config\na: [1\nb: 2\n", "line 3, column 2: "},
        {"#cloud-config\na:\n\tb: 1\n", "line 3, column 1: indented with a tab"},
        {"#cloud-config\na: 1\nb: 2\na: 3\n", "line 4, column 1: a: the key is there already, in line 2"},
        {"#cloud-config\na: {b: 1, b: 2}\n", "b: the key is there already"},
        {"#cloud-config\n- a\n- b\n", "line 2, column 1: the top level must be a mapping"},
        {"#cloud-config\njust words\n", "line 2, column 1: the top level must be a mapping"},
        {"#cloud-config\na: 1\n---\nb: 2\n", "line 3, column 1: a second document starts"},
        {"#cloud-config\n? [a]\n: 1\n", "a key must be plain text"},
        {"#cloud-config\na: *b\n", "line 2, column 4: there is no anchor of this name"},
        {"#cloud-config\nhostname:\tweb\n", "line 2, column 10: a tab: cloud-init drops"},
        {"#cloud-config\nhostname: web\t\n", "line 2, column 14: a tab"},
        {"#cloud-config\nhostname: web\t# c\n", "line 2, column 14: a tab"},
        {"#cloud-config\npackages: [vim,\tgit]\n", "line 2, column 16: a tab"},
        {"#cloud-config\nruncmd:\n- >\t\n  a\n", "line 3, column 4: a tab"},
        {"#cloud-config\n\"\u00e9\":\t'b\tc' # \t\n", "line 2, column 5: a tab"},
        {"#cloud-config\na: b\n\t\nc: d\n", "line 3, column 1: indented with a tab"},
        {"#cloud-config\na: &x\t'b'\n", "line 2, column 6: a tab"},
        {"#cloud-config\na: |\n  b\n\nc: b \tc\n", "line 5, column 6: a tab"},
        {"#cloud-config\na: b,#c\td\n", "line 2, column 8: a tab"},
        {"#cloud-config\na: &x b\nc: &x d\n", "line 3, column 4: an anchor of this name is there already"},
        {"#cloud-config\nhostname: !Ref foo\n", "line 2, column 11: the tag '!Ref' is not known"},
        {"#cloud-config\na: !vault |\n  b\n", "the tag '!vault'"},
        {"#cloud-config\na: !x [b]\n", "the tag '!x'"},
        {"#cloud-config\na: !!python/name:b {}\n", "the tag 'tag:yaml.org,2002:python/name:b'"},
        {"#cloud-config\na: \xff\n", "save the file as UTF-8"},
        {"#cloud-config\nuser: bob\n",
         "line 2, column 1: piagent sets 'user' itself: name the user with --user"},
        {"#cloud-config\nvendor_data: {enabled: false}\n", "piagent sets 'vendor_data' itself"},
        {"#cloud-config\nvendor_data: {enabled: \"off\", prefix: a}\n", "piagent sets 'vendor_data' itself"},
        {"#cloud-config\nvendor_data: {<<: {enabled: false}}\n", "piagent sets 'vendor_data' itself"},
        {"#cloud-config\nvendor_data: null\n", "piagent sets 'vendor_data' itself"},
        {"#cloud-config\nssh_keys: {}\n", "piagent sets 'ssh_keys' itself"},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct pi_error err = {0};
        enum seed_kind kind = SEED_GZIP;
        assert_true(seed_user_data_check(cases[i].text, strlen(cases[i].text), &kind, &err) < 0);
        assert_int_equal(err.kind, PI_USAGE);
        assert_int_equal(kind, SEED_GZIP);
        if (!strstr(err.text, cases[i].message))
            fail_msg("%s: got: %s", cases[i].text, err.text);
    }
}

static void what_only_looks_wrong_passes(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "#cloud-config\na: &x {b: 1}\nc: *x\n",
        "#cloud-config\na: &x {b: 1}\nc: {<<: *x, b: 2}\n",
        "#cloud-config\na: {b: 1}\nc: {b: 1}\n",
        "#cloud-config\nx: [{a: 1}, {a: 2}]\n",
        "#cloud-config\nusers: [{name: u, user: x}]\n",
        "#cloud-config\nscript: |\n  if x; then\n  \ty\n  fi\n",
        "#cloud-config\n{\"a\": [1, {\"b\": null}]}\n",
        "#cloud-config\n{}\n",
        "#cloud-config\nvendor_data: {enabled: true, prefix: [a]}\n",
        "#cloud-config\nvendor_data: {enabled: \"On\"}\n",
        "#cloud-config\nvendor_data: {}\n",
        "#cloud-config\nusers: [{name: a, vendor_data: b}]\nx: {user: a, ssh_keys: b}\n",
        "#cloud-config\na: 'b\tc'\n\"d\te\": &x \"\tf\n\tg\"\nh: !!str '\t'\n",
        "#cloud-config\n# a\tb\na: b # c\td\ne: [f, # \t\n  g]\n",
        "#cloud-config\na: &x |\n  b\tc\n  \td\ne: !!str > # \t\n  f\t\n",
        "#cloud-config\na: '\u00e9\u20ac' # \u00e9\nb: |\n  \u00e9\tc\nd: '\t'\r\ne: '\t'\n",
        "#cloud-config\na: !!binary YQ==\nb: !!set {c}\nd: ! e\nf: !!map {}\n",
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct pi_error err = {0};
        enum seed_kind kind;
        if (seed_user_data_check(cases[i], strlen(cases[i]), &kind, &err) < 0)
            fail_msg("%s: %s", cases[i], err.text);
    }
}

static void refuse_repeated(const char *part, size_t times, const char *message)
{
    pi_auto_buf struct pi_buf text = {0};
    assert_int_equal(pi_buf_puts(&text, "#cloud-config\na: "), 0);
    for (size_t i = 0; i < times; i++)
        assert_int_equal(pi_buf_puts(&text, part), 0);
    struct pi_error err = {0};
    enum seed_kind kind;
    assert_true(seed_user_data_check(text.data, text.size, &kind, &err) < 0);
    if (!strstr(err.text, message))
        fail_msg("got: %s", err.text);
}

static void depth_events_anchors_and_size_are_bounded(void **state)
{
    (void)state;
    refuse_repeated("[", SEED_YAML_DEPTH_MAX + 1, "levels deep");
    refuse_repeated("\n- 1", SEED_YAML_EVENTS_MAX + 1, "more than 200000 keys and values");
    refuse_repeated("x", SEED_USER_DATA_MAX, "larger than 1048576 bytes");

    pi_auto_buf struct pi_buf text = {0};
    struct pi_error err = {0};
    enum seed_kind kind;
    assert_int_equal(pi_buf_puts(&text, "#cloud-config\na:\n"), 0);
    for (int i = 0; i < 1001; i++)
        assert_int_equal(pi_buf_printf(&text, "- &x%d 1\n", i), 0);
    assert_true(seed_user_data_check(text.data, text.size, &kind, &err) < 0);
    assert_non_null(strstr(err.text, "more than 1000 anchors"));
}

static void a_bomb_of_aliases_is_not_expanded(void **state)
{
    (void)state;
    pi_auto_buf struct pi_buf text = {0};
    assert_int_equal(pi_buf_puts(&text, "#cloud-config\na0: &a0 [x, x]\n"), 0);
    for (int i = 1; i < 60; i++)
        assert_int_equal(pi_buf_printf(&text, "a%d: &a%d [*a%d, *a%d]\n", i, i, i - 1, i - 1), 0);
    enum seed_kind kind;
    assert_int_equal(seed_user_data_check(text.data, text.size, &kind, NULL), 0);
}

static void a_file_is_read_as_it_is(void **state)
{
    (void)state;
    char path[] = "/tmp/piagent-user-data-XXXXXX";
    pi_auto_close int fd = mkstemp(path);
    assert_true(fd >= 0);
    static const char text[] = "#cloud-config\na: 1\n";
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    pi_auto_buf struct pi_buf got = {0};
    struct pi_error err = {0};
    assert_int_equal(seed_user_data_read(path, &got, &err), 0);
    assert_int_equal(got.size, sizeof text - 1);
    assert_memory_equal(got.data, text, got.size);

    unlink(path);
    assert_true(seed_user_data_read(path, &got, &err) < 0);
    assert_int_equal(err.kind, PI_NOT_FOUND);
    assert_non_null(strstr(err.text, path));
}

/* The place, severity, path and text of a finding. An empty path and line 0: no finding. */
static const struct {
    const char *text;
    enum seed_severity severity;
    size_t line, column;
    const char *path, *words;
} slips[] = {
    {"runcmmd: [a]\n", SEED_WARNING, 2, 1, "runcmmd", "did you mean runcmd?"},
    {"Write-Files: []\n", SEED_WARNING, 2, 1, "Write-Files", "did you mean write_files?"},
    {"zzzzzzzz: 1\n", SEED_WARNING, 2, 1, "zzzzzzzz", "cloud-init ignores it"},
    {"apt_update: true\n", SEED_WARNING, 2, 13, "apt_update", "write package_update"},
    {"users:\n  - name: a\n    lock_paswd: no\n", SEED_WARNING, 4, 5, "users[0].lock_paswd", "lock_passwd?"},
    {"users: [{name: a, passwd: secret}]\n", SEED_WARNING, 2, 27, "users[0].passwd", "hash-password"},
    {"ssh_authorized_keys: [ssh-rsa foo]\n", SEED_WARNING, 2, 23, "ssh_authorized_keys[0]", ".pub"},
    {"ssh_authorized_keys: [nonsense]\n", SEED_WARNING, 2, 23, "ssh_authorized_keys[0]", ".pub"},
    {"write_files:\n- path: /a\n  permissions: 0644\n", SEED_WARNING, 4, 16, "write_files[0].permissions",
     "as '0644'"},
    {"write_files: [{path: /a, permissions: rw}]\n", SEED_WARNING, 2, 39, "write_files[0].permissions",
     "not a file's mode"},
    {"power_state: {mode: powerof}\n", SEED_WARNING, 2, 21, "power_state.mode", "did you mean poweroff?"},
    {"package_update: \"yes\"\n", SEED_WARNING, 2, 17, "package_update", "write it without quotes"},
    {"hostname: 12\n", SEED_WARNING, 2, 11, "hostname", "put it in quotes"},
    {"packages:\n", SEED_WARNING, 2, 10, "packages", "remove the key"},
    {"runcmd: 5\n", SEED_ERROR, 2, 9, "runcmd", "a number, but cloud-init wants a list"},
    {"runcmd:\n- echo a: b\n", SEED_ERROR, 3, 3, "runcmd[0]", "put the whole line in quotes"},
    {"yum_repos: {a: {baseurl: {}}}\n", SEED_ERROR, 2, 26, "yum_repos.a.baseurl", "a mapping, but"},
    {"users: [{gecos: a}]\n", SEED_WARNING, 2, 9, "users[0]", "there is no key 'name'"},
    {"users:\n- default\n- gecos: a\n", SEED_WARNING, 4, 3, "users[1]", "there is no key 'name'"},
    {"write_files: [{content: a}]\n", SEED_WARNING, 2, 15, "write_files[0]", "there is no key 'path'"},
    {"phone_home: {tries: 1}\n", SEED_WARNING, 2, 13, "phone_home", "there is no key 'url'"},
    {"power_state: {}\n", SEED_WARNING, 2, 14, "power_state", "there is no key 'mode'"},
    {"chpasswd: {users: [{password: a}]}\n", SEED_WARNING, 2, 20, "chpasswd.users[0]", "no key 'name'"},
    {"users: [{name: a, expiredate: 2030-01-31}]\n", SEED_WARNING, 2, 31, "users[0].expiredate",
     "a date, but cloud-init wants text: put it in quotes"},
    {"final_message: 2030-1-3 12:30:00\n", SEED_WARNING, 2, 16, "final_message", "put it in quotes"},
    {"hostname: a: b\n", SEED_ERROR, 2, 12, "", "needs quotes"},
};

static void slips_are_found_where_they_are_with_what_to_write(void **state)
{
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(slips); i++) {
        char text[256];
        enum seed_kind kind;
        static struct seed_findings findings;
        findings = (struct seed_findings){0};
        snprintf(text, sizeof text, "#cloud-config\n%s", slips[i].text);
        assert_int_equal(seed_user_data_findings(text, strlen(text), &kind, &findings), 0);
        char all[512] = "";
        const struct seed_finding *f = findings.items;
        if (findings.count == 1)
            seed_finding_format(f, all, sizeof all);
        if (findings.count != 1 || f->severity != slips[i].severity || f->line != slips[i].line ||
            f->column != slips[i].column || strcmp(f->path, slips[i].path) != 0 ||
            !strstr(all, slips[i].words))
            fail_msg("%s: %zu findings: %s", slips[i].text, findings.count, all);
    }
}

/* A first line that is wrong doesn't hide the rest, and findings are in the order of the file. */
static void all_findings_are_told_in_order(void **state)
{
    (void)state;
    static const char text[] = "#cloud-confg\nrunmcd: [a]\npackages: vim\nhostname: 1\nrunmcd: 1\n";
    static const size_t lines[] = {1, 2, 3, 4, 5, 5};
    static struct seed_findings findings;
    enum seed_kind kind;
    findings = (struct seed_findings){0};
    assert_int_equal(seed_user_data_findings(text, sizeof text - 1, &kind, &findings), 0);
    assert_int_equal(findings.count, PI_ARRAY_SIZE(lines));
    for (size_t i = 0; i < PI_ARRAY_SIZE(lines); i++)
        assert_int_equal(findings.items[i].line, lines[i]);
    assert_int_equal(findings.errors, 3);
}

static void no_number_of_warnings_hides_an_error(void **state)
{
    (void)state;
    pi_auto_buf struct pi_buf text = {0};
    assert_int_equal(pi_buf_puts(&text, "#cloud-config\n"), 0);
    for (int i = 0; i < 3 * SEED_FINDINGS_MAX; i++)
        assert_int_equal(pi_buf_printf(&text, "unknown%d: 1\n", i), 0);
    assert_int_equal(pi_buf_puts(&text, "runcmd: 5\n"), 0);
    struct pi_error err = {0};
    enum seed_kind kind;
    static struct seed_findings findings;
    findings = (struct seed_findings){0};
    assert_int_equal(seed_user_data_findings(text.data, text.size, &kind, &findings), 0);
    assert_int_equal(findings.count, SEED_FINDINGS_MAX);
    assert_int_equal(findings.warnings, 3 * SEED_FINDINGS_MAX);
    assert_true(seed_user_data_check(text.data, text.size, &kind, &err) < 0);
    assert_non_null(strstr(err.text, "runcmd: a number"));
}

static void what_is_no_cloud_config_is_looked_at_too(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"#!bash\n", "'#!' needs the path of a program"},
        {"#!/bin/sh\r\nls\r\n", "Unix line ends"},
        {"## template: jinja\nfoo: 1\n", "is not the first line of a known kind"},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct pi_error err = {0};
        enum seed_kind kind;
        assert_true(seed_user_data_check(cases[i][0], strlen(cases[i][0]), &kind, &err) < 0);
        if (!strstr(err.text, cases[i][1]))
            fail_msg("%s: got: %s", cases[i][0], err.text);
    }
}

/* Text that cloud-init takes for a cloud-config, but other programs may not. words: of the warning, or NULL
 * for none. */
static void first_lines_that_cloud_init_takes_are_no_errors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
        size_t line;
        enum seed_kind kind; /* SEED_CLOUD_CONFIG if none is given */
    } cases[] = {
        {"#cloud-config # my notes\nhostname: a\n", NULL, 0, 0},
        {"#cloud-config\t# my notes\nhostname: a\n", NULL, 0, 0},
        {"#cloud-config yes\nhostname: a\n", "make the first line exactly '#cloud-config'", 1, 0},
        {"#cloud-configs\nhostname: a\n", "make the first line exactly '#cloud-config'", 1, 0},
        {" #cloud-config\nhostname: a\n", "should be the first line", 1, 0},
        {"\n\r\n#cloud-config\nhostname: a\n", "should be the first line", 3, 0},
        {"#cloud-config-archive # parts\n- a\n", NULL, 0, SEED_ARCHIVE},
        {"#part-handler # mine\n", NULL, 0, SEED_PART_HANDLER},
        {"#cloud-boothook # early\n#!/bin/sh\n", "make the first line exactly '#cloud-boothook'", 1,
         SEED_BOOTHOOK},
        {"\n#cloud-boothook\n#!/bin/sh\n", "remove the empty line above '#cloud-boothook'", 2, SEED_BOOTHOOK},
        {"\n\n#part-handler\n", "remove the empty line above '#part-handler'", 3, SEED_PART_HANDLER},
        {"  #include http://a/\n", "remove the blanks before '#include http://a/'", 1, SEED_INCLUDE},
        {"## template: jinja\n{# x #}\n#cloud-config\n", NULL, 0, SEED_JINJA},
        {"## template: jinja\n\n  #cloud-config\n", NULL, 0, SEED_JINJA},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        static struct seed_findings findings;
        enum seed_kind kind;
        char all[512] = "";
        findings = (struct seed_findings){0};
        assert_int_equal(seed_user_data_findings(cases[i].text, strlen(cases[i].text), &kind, &findings), 0);
        assert_int_equal(kind, cases[i].kind);
        if (findings.count)
            seed_finding_format(findings.items, all, sizeof all);
        if (findings.errors || findings.warnings != (cases[i].words != NULL) ||
            findings.items[0].line != cases[i].line || !strstr(all, cases[i].words ? cases[i].words : ""))
            fail_msg("%s: %zu findings: %s", cases[i].text, findings.count, all);
    }
}

/* The table is searched by halves, so it has to be in order: every key of it is found. */
static void known_keys_are_known(void **state)
{
    (void)state;
    static const char text[] =
        "#cloud-config\n"
        "hostname: web\nfqdn: web.example.org\nlocale: C.UTF-8\ntimezone: Etc/UTC\npackages: [vim, [git, '2']]\n"
        "users: [default, {snapuser: a}, &u {name: a, expiredate: '2030-01-31'}, {<<: *u, gecos: 2030-1-31},\n"
        "  {name: a, lock_passwd: true, groups: [b], sudo: false, uid: 1000}]\ngroups: [a, {b: [c]}]\n"
        "write_files: [{path: /a, permissions: 0o600}, {path: /a, permissions: '0644', owner: 'a:b', encoding: gz+b64, append: true, defer: true}]\n"
        "runcmd: [ls, [ls, '1', '2030-01-31']]\nbootcmd: [ls]\nntp: {servers: [a]}\nmounts: [[a, b, none, '0', '0']]\n"
        "growpart: {mode: auto, devices: [/]}\nresize_rootfs: noblock\nchpasswd: {expire: false}\n"
        "ssh_pwauth: yes\ndisable_root: true\nfinal_message: done\npower_state: {mode: reboot, delay: now}\n"
        "phone_home: {url: http://a, post: all}\nswap: {filename: /s, size: auto}\napt: {conf: a}\n"
        "yum_repos: {a: {baseurl: b, enabled: true, other: 2}}\nca_certs: {trusted: [a]}\nkeyboard: {layout: de}\n"
        "random_seed: {data: a}\nrsyslog: {configs: [a, {content: b}]}\nmanage_etc_hosts: localhost\n"
        "reporting: {a: {type: log}}\noutput: {all: a}\nzypper: {repos: [{id: a, baseurl: b}]}\n";
    static struct seed_findings findings;
    enum seed_kind kind;
    char line[512];
    findings = (struct seed_findings){0};
    assert_int_equal(seed_user_data_findings(text, sizeof text - 1, &kind, &findings), 0);
    if (findings.count)
        fail_msg("%s", seed_finding_format(findings.items, line, sizeof line));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_known_by_its_first_line),
        cmocka_unit_test(refusals_say_what_is_wrong_and_where),
        cmocka_unit_test(what_only_looks_wrong_passes),
        cmocka_unit_test(depth_events_anchors_and_size_are_bounded),
        cmocka_unit_test(a_bomb_of_aliases_is_not_expanded),
        cmocka_unit_test(a_file_is_read_as_it_is),
        cmocka_unit_test(slips_are_found_where_they_are_with_what_to_write),
        cmocka_unit_test(all_findings_are_told_in_order),
        cmocka_unit_test(no_number_of_warnings_hides_an_error),
        cmocka_unit_test(what_is_no_cloud_config_is_looked_at_too),
        cmocka_unit_test(first_lines_that_cloud_init_takes_are_no_errors),
        cmocka_unit_test(known_keys_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
