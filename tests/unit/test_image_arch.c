/* SPDX-License-Identifier: MIT */
/* Partitions that tell an architecture, and partitions that do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/image/arch.h"

#define SECTOR 512u

static const uint8_t esp[16] = {0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11,
                                0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b};
static const uint8_t root_x86_64[16] = {0xe3, 0xbc, 0x68, 0x4f, 0xcd, 0xe8, 0xb1, 0x4d,
                                        0x96, 0xe7, 0xfb, 0xca, 0xf9, 0x84, 0xb7, 0x09};
static const uint8_t root_aarch64[16] = {0x45, 0xb0, 0x21, 0xb9, 0xf0, 0x1d, 0xc3, 0x41,
                                         0xaf, 0x44, 0x4c, 0x6f, 0x28, 0x0d, 0x3f, 0xae};
static const uint8_t bios_boot[16] = "Hah!IdontNeedEFI"; /* as GRUB chose it */
static const uint8_t linux_data[16] = {0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47,
                                       0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4};

static void make_table(uint8_t disk[8 * SECTOR], const uint8_t *first, const uint8_t *second)
{
    uint8_t *entries = disk + 2 * (size_t)SECTOR;
    memset(disk, 0, 8 * (size_t)SECTOR);
    memcpy(disk + SECTOR, "EFI PART", 8);
    disk[SECTOR + 72] = 2;
    disk[SECTOR + 80] = 16;
    disk[SECTOR + 84] = 128;
    memcpy(entries, first, 16);
    entries[33] = 8; /* LBA 2048 */
    memcpy(entries + 128, second, 16);
    entries[128 + 33] = 16;
}

static void the_types_of_partitions_name_architectures(void **state)
{
    (void)state;
    uint8_t disk[8 * SECTOR];
    const struct {
        const uint8_t *first, *second;
        unsigned arches;
    } cases[] = {
        {root_x86_64, linux_data, IMAGE_ARCH_X86_64},
        {linux_data, root_aarch64, IMAGE_ARCH_AARCH64},
        {bios_boot, esp, IMAGE_ARCH_X86_64},
        {root_x86_64, root_aarch64, IMAGE_ARCH_X86_64 | IMAGE_ARCH_AARCH64},
        {esp, linux_data, 0},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        make_table(disk, cases[i].first, cases[i].second);
        struct image_partitions found = image_partitions_read(disk, sizeof disk);
        assert_int_equal(found.arches, cases[i].arches);
        uint64_t offset = cases[i].first == esp ? 1 << 20 : cases[i].second == esp ? 2 << 20 : 0;
        assert_int_equal(found.esp_offset, offset);
    }
}

static void a_damaged_table_names_none_and_nothing_beyond_the_bytes_is_read(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t value;
    } changes[] = {{0, 'X'}, {76, 0xff}, {73, 1}, {80, 0}, {84, 16}, {87, 0xff}};
    uint8_t good[8 * SECTOR], disk[8 * SECTOR];
    make_table(good, root_x86_64, esp);
    for (size_t i = 0; i < PI_ARRAY_SIZE(changes); i++) {
        memcpy(disk, good, sizeof disk);
        disk[SECTOR + changes[i].at] = changes[i].value;
        struct image_partitions found = image_partitions_read(disk, sizeof disk);
        assert_int_equal(found.arches | found.esp_offset, 0);
    }
    memset(good + SECTOR + 80, 0xff, 4); /* entries without end */
    assert_int_equal(image_partitions_read(good, sizeof good).arches, IMAGE_ARCH_X86_64);
    memset(good + 2 * (size_t)SECTOR + 128 + 32, 0xff, 8); /* which begin beyond any disk */
    assert_int_equal(image_partitions_read(good, sizeof good).esp_offset, 0);
    for (size_t size = 0; size < 3 * (size_t)SECTOR; size++) { /* for AddressSanitizer */
        pi_auto_free uint8_t *cut = malloc(size ? size : 1);
        assert_non_null(cut);
        memcpy(cut, good, size);
        (void)image_partitions_read(cut, size);
    }
}

static void a_boot_loader_is_a_files_entry_in_a_folder(void **state)
{
    (void)state;
    uint8_t partition[4 * SECTOR] = {0};
    assert_int_equal(image_esp_arches(partition, sizeof partition), 0);
    memcpy(partition + SECTOR + 64, "BOOTAA64EFI\x20", 12);
    assert_int_equal(image_esp_arches(partition, sizeof partition), IMAGE_ARCH_AARCH64);
    memcpy(partition + sizeof partition - 32, "BOOTX64 EFI\x20", 12);
    assert_int_equal(image_esp_arches(partition, sizeof partition), IMAGE_ARCH_AARCH64 | IMAGE_ARCH_X86_64);
    assert_int_equal(image_esp_arches(partition, sizeof partition - 1), IMAGE_ARCH_AARCH64);
    partition[SECTOR + 64 + 11] = 0x10;      /* a folder of that name */
    partition[sizeof partition - 32] = 0xe5; /* a file that was removed */
    assert_int_equal(image_esp_arches(partition, sizeof partition), 0);
    memcpy(partition + SECTOR + 7, "BOOTX64 EFI\x20", 12); /* some file's content */
    assert_int_equal(image_esp_arches(partition, sizeof partition), 0);
}

static void fedoras_names_tell_the_architecture(void **state)
{
    (void)state;
    struct pi_error err;
    assert_int_equal(image_arch_check_name("Fedora-Cloud-Base-Generic-44-1.7.aarch64.qcow2", "aarch64", &err),
                     0);
    assert_int_equal(image_arch_check_name("my-aarch64.qcow2", "x86_64", &err), 0);
    assert_true(image_arch_check_name("Fedora-Cloud-Base-Generic-44-1.7.aarch64.qcow2", "x86_64", &err) < 0);
    assert_int_equal(err.kind, PI_USAGE);
    assert_non_null(strstr(err.text, "--arch aarch64"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_types_of_partitions_name_architectures),
        cmocka_unit_test(a_damaged_table_names_none_and_nothing_beyond_the_bytes_is_read),
        cmocka_unit_test(a_boot_loader_is_a_files_entry_in_a_folder),
        cmocka_unit_test(fedoras_names_tell_the_architecture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
