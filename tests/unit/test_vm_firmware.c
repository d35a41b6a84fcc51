/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/vm/firmware.h"
#include "skip.h"
#include "vm_fixture.h"

/* A descriptor with the parts that a test wants to be different. */
#define DESCRIPTOR(interfaces, mapping, arch, machine, features)                             \
    "{\"description\": \"d\", \"interface-types\": [" interfaces "], \"mapping\": {" mapping \
    "}, \"targets\": [{\"architecture\": \"" arch "\", \"machines\": [" machine              \
    "]}], \"features\": [" features "], \"tags\": []}"
#define FILES(code, vars)                                                 \
    "\"executable\": {\"filename\": \"" code "\", \"format\": \"raw\"}, " \
    "\"nvram-template\": {\"filename\": \"" vars "\", \"format\": \"qcow2\"}"
#define FLASH FILES("/code", "/vars")
#define X86   "\"pc-i440fx-*\", \"pc-q35-*\""

static void descriptor_fits_or_does_not(void **state)
{
    (void)state;
    static const struct {
        const char *why, *json;
        enum vm_arch arch;
        int fits;
    } cases[] = {
        {"plain",
         DESCRIPTOR("\"uefi\"", "\"device\": \"flash\", " FLASH, "x86_64", X86, "\"acpi-s3\", \"amd-sev\""),
         VM_X86_64, 1},
        {"split",
         DESCRIPTOR("\"bios\", \"uefi\"", "\"device\": \"flash\", \"mode\": \"split\", " FLASH, "aarch64",
                    "\"virt-*\"", "\"verbose-static\""),
         VM_AARCH64, 1},
        {"secure boot without keys",
         DESCRIPTOR("\"uefi\"", "\"device\": \"flash\", " FLASH, "aarch64", "\"virt-*\"", "\"secure-boot\""),
         VM_AARCH64, 1},
        {"other architecture", DESCRIPTOR("\"uefi\"", "\"device\": \"flash\", " FLASH, "x86_64", X86, ""),
         VM_AARCH64, 0},
        {"other machine",
         DESCRIPTOR("\"uefi\"", "\"device\": \"flash\", " FLASH, "x86_64", "\"microvm\"", ""), VM_X86_64, 0},
        {"enrolled keys",
         DESCRIPTOR("\"uefi\"", "\"device\": \"flash\", " FLASH, "x86_64", X86, "\"enrolled-keys\""),
         VM_X86_64, 0},
        {"SMM", DESCRIPTOR("\"uefi\"", "\"device\": \"flash\", " FLASH, "x86_64", X86, "\"requires-smm\""),
         VM_X86_64, 0},
        {"BIOS", DESCRIPTOR("\"bios\"", "\"device\": \"memory\", \"filename\": \"/bios\"", "x86_64", X86, ""),
         VM_X86_64, 0},
        {"memory",
         DESCRIPTOR("\"uefi\"", "\"device\": \"memory\", \"filename\": \"/amdsev\"", "x86_64", X86,
                    "\"amd-sev-snp\""),
         VM_X86_64, 0},
        {"stateless",
         DESCRIPTOR(
             "\"uefi\"",
             "\"device\": \"flash\", \"mode\": \"stateless\", \"executable\": {\"filename\": \"/code\", "
             "\"format\": \"raw\"}",
             "x86_64", X86, ""),
         VM_X86_64, 0},
        {"no variables",
         DESCRIPTOR("\"uefi\"",
                    "\"device\": \"flash\", \"executable\": {\"filename\": \"/code\", \"format\": \"raw\"}",
                    "x86_64", X86, ""),
         VM_X86_64, -1},
        {"format is a number",
         DESCRIPTOR("\"uefi\"",
                    "\"device\": \"flash\", \"executable\": {\"filename\": \"/code\", \"format\": 1}",
                    "x86_64", X86, ""),
         VM_X86_64, -1},
        {"no mapping", "{\"interface-types\": [\"uefi\"], \"targets\": [], \"features\": []}", VM_X86_64, -1},
        {"odd types", "{\"interface-types\": 1, \"mapping\": [], \"targets\": {}, \"features\": null}",
         VM_X86_64, 0},
        {"list", "[]", VM_X86_64, -1},
        {"nothing", "", VM_X86_64, -1},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct vm_firmware_files files = {0};
        struct pi_error err = {0};
        int r = vm_firmware_parse(cases[i].json, strlen(cases[i].json), cases[i].arch, &files, &err);
        if ((r > 0) - (r < 0) != cases[i].fits)
            fail_msg("%s: %d %s", cases[i].why, r, err.text);
        if (r == 1) {
            assert_string_equal(files.code, "/code");
            assert_string_equal(files.code_format, "raw");
            assert_string_equal(files.vars, "/vars");
            assert_string_equal(files.vars_format, "qcow2");
        } else {
            assert_null(files.code);
            assert_int_equal(err.text[0] != '\0', r < 0);
        }
        vm_firmware_done(&files);
    }
}

struct fixture {
    char folder[64];
    char first[80], second[80];
    const char *folders[3];
};

static int setup(void **state)
{
    static struct fixture f;
    fixture_folder(f.folder);
    snprintf(f.first, sizeof f.first, "%s/etc", f.folder);
    snprintf(f.second, sizeof f.second, "%s/usr", f.folder);
    assert_int_equal(mkdir(f.first, 0700) | mkdir(f.second, 0700), 0);
    fixture_write(f.folder, "a.fd", "code");
    fixture_write(f.folder, "b.fd", "code");
    f.folders[0] = f.first;
    f.folders[1] = f.second;
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    fixture_folder_done(f->folder);
    return 0;
}

static void put(const struct fixture *f, const char *folder, const char *name, const char *code)
{
    char json[1024];
    snprintf(json, sizeof json,
             DESCRIPTOR("\"uefi\"", "\"device\": \"flash\", " FILES("%s/%s", "%s/a.fd"), "aarch64",
                        "\"virt-*\"", ""),
             f->folder, code, f->folder);
    fixture_write(folder, name, json);
}

static void finds(const struct fixture *f, const char *code)
{
    struct vm_firmware_files files = {0};
    struct pi_error err = {0};
    int r = vm_firmware_find(VM_AARCH64, f->folders, &files, &err);
    if (!code) {
        assert_true(r < 0);
        assert_int_equal(err.kind, PI_HOST);
        assert_non_null(strstr(err.text, "install qemu-efi-aarch64"));
        return;
    }
    assert_int_equal(r, 0);
    assert_non_null(strstr(files.code, code));
    vm_firmware_done(&files);
}

static void lowest_name_wins_whatever_its_folder(void **state)
{
    struct fixture *f = *state;
    put(f, f->first, "60-a.json", "a.fd");
    put(f, f->second, "50-b.json", "b.fd");
    finds(f, "b.fd");
}

static void earlier_folder_masks_its_namesake(void **state)
{
    struct fixture *f = *state;
    put(f, f->first, "50-x.json", "a.fd");
    put(f, f->second, "50-x.json", "b.fd");
    finds(f, "a.fd");
}

static void empty_file_or_dev_null_hides_its_namesake(void **state)
{
    struct fixture *f = *state;
    char link[96];
    fixture_write(f->first, "50-x.json", "");
    put(f, f->second, "50-x.json", "a.fd");
    snprintf(link, sizeof link, "%s/51-x.json", f->first);
    assert_int_equal(symlink("/dev/null", link), 0);
    put(f, f->second, "51-x.json", "a.fd");
    finds(f, NULL);
    put(f, f->second, "52-x.json", "b.fd");
    finds(f, "b.fd");
}

static void broken_or_uninstalled_descriptor_does_not_hide_the_next(void **state)
{
    struct fixture *f = *state;
    fixture_write(f->first, "10-broken.json", "{");
    put(f, f->first, "20-gone.json", "gone.fd");
    put(f, f->first, "30-not-a-descriptor.txt", "b.fd");
    put(f, f->second, "60-a.json", "a.fd");
    finds(f, "a.fd");
}

static void missing_folders_name_the_package(void **state)
{
    struct fixture *f = *state;
    f->folders[0] = "/nonexistent";
    finds(f, NULL);
}

static void this_hosts_own_descriptors_are_understood(void **state)
{
    (void)state;
    int found = 0;
    for (int arch = 0; arch < VM_ARCHES; arch++) {
        struct vm_firmware_files files = {0};
        struct pi_error err = {0};
        if (vm_firmware_find((enum vm_arch)arch, NULL, &files, &err) < 0) {
            print_message("%s\n", err.text);
            continue;
        }
        found++;
        assert_int_equal(access(files.code, R_OK) | access(files.vars, R_OK), 0);
        assert_null(strstr(files.code, ".ms.fd"));
        vm_firmware_done(&files);
    }
    if (!found)
        skip_because("no firmware is installed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptor_fits_or_does_not),
        cmocka_unit_test_setup_teardown(lowest_name_wins_whatever_its_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(earlier_folder_masks_its_namesake, setup, teardown),
        cmocka_unit_test_setup_teardown(empty_file_or_dev_null_hides_its_namesake, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_or_uninstalled_descriptor_does_not_hide_the_next, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(missing_folders_name_the_package, setup, teardown),
        cmocka_unit_test(this_hosts_own_descriptors_are_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
