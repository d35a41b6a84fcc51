/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/vm/saved.h"
#include "vm_fixture.h"

static struct vm_saved saved_state(char **hardware, size_t count)
{
    return (struct vm_saved){.schema = VM_SAVED_SCHEMA,
                             .qemu_major = 7,
                             .qemu_minor = 2,
                             .qemu_micro = 22,
                             .machine = "pc-q35-7.2",
                             .accel = VM_ACCEL_TCG,
                             .hardware = {hardware, count},
                             .ram = {1 << 20, 1},
                             .template_ram = {1 << 20, 2},
                             .ram_sha256 = "e3b0c442",
                             .disk = {2 << 20, 2}};
}

static void description_comes_back_as_it_was_written(void **state)
{
    (void)state;
    char folder[64], *words[] = {TEXT("-cpu max"), TEXT("-m 512")};
    struct vm_saved saved = saved_state(words, 2), got = {0};
    fixture_folder(folder);
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(vm_saved_read(dir, &got, NULL), -ENOENT);
    assert_int_equal(vm_saved_write(dir, &saved, NULL), 0);
    assert_int_equal(vm_saved_read(dir, &got, NULL), 0);
    assert_int_equal(vm_saved_fits(&saved, &got, NULL), 0);
    assert_string_equal(got.machine, "pc-q35-7.2");
    assert_int_equal(got.vars.bytes, 0);
    vm_saved_done(&got);
    close(dir);
    fixture_folder_done(folder);
}

static void description_that_is_damaged_or_newer_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"{", "is damaged"},
        {"{\"schema\": 1}", "is damaged"},
        {"{\"schema\": 2}", "newer piagent"},
    };
    char folder[64];
    fixture_folder(folder);
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct vm_saved got = {.qemu_major = 9};
        struct pi_error err = {0};
        fixture_write(folder, VM_SAVED_FILE, cases[i].text);
        assert_true(vm_saved_read(dir, &got, &err) < 0);
        assert_int_equal(err.kind, PI_FAILED);
        assert_non_null(strstr(err.text, cases[i].why));
        assert_int_equal(got.qemu_major, 9);
    }
    close(dir);
    fixture_folder_done(folder);
}

static void hardware_is_what_the_guest_sees(void **state)
{
    (void)state;
    char *words[] = {TEXT("qemu"),           TEXT("-S"),      TEXT("-machine"),
                     TEXT("q35,vmport=off"), TEXT("-accel"),  TEXT("tcg,tb-size=64"),
                     TEXT("-cpu"),           TEXT("max"),     TEXT("-chardev"),
                     TEXT("socket,id=a"),    TEXT("-device"), TEXT("virtio-blk-pci,drive=disk")};
    pi_auto_strv struct pi_strv got = {0};
    assert_int_equal(vm_saved_hardware(&(struct pi_strv){words, PI_ARRAY_SIZE(words)}, &got), 0);
    assert_int_equal(got.count, 4);
    assert_string_equal(got.items[0], "-machine ,vmport=off");
    assert_string_equal(got.items[1], "-accel tcg");
    assert_string_equal(got.items[2], "-cpu max");
    assert_string_equal(got.items[3], "-device virtio-blk-pci,drive=disk");
}

/* A card that was plugged in is not in the command line of its QEMU, and RAM from a file is like any other. */
static void saved_state_does_not_depend_on_where_its_ram_came_from_and_when_its_cards_did(void **state)
{
    (void)state;
    char *first[] = {TEXT("-machine"), TEXT("q35,graphics=off,memory-backend=pc.ram"),
                     TEXT("-object"),  TEXT("memory-backend-file,id=pc.ram,size=512M,share=off,mem-path=/a"),
                     TEXT("-device"),  TEXT("pcie-root-port,id=slot0,chassis=1")},
         *later[] = {TEXT("-machine"), TEXT("q35,graphics=off"),
                     TEXT("-device"),  TEXT("pcie-root-port,id=slot0,chassis=1"),
                     TEXT("-device"),  TEXT("virtio-net-pci,netdev=net0,romfile=,bus=slot0")};
    pi_auto_strv struct pi_strv a = {0}, b = {0};
    assert_int_equal(vm_saved_hardware(&(struct pi_strv){first, PI_ARRAY_SIZE(first)}, &a), 0);
    assert_int_equal(vm_saved_hardware(&(struct pi_strv){later, PI_ARRAY_SIZE(later)}, &b), 0);
    assert_int_equal(a.count, 2);
    assert_int_equal(b.count, 2);
    for (size_t i = 0; i < a.count; i++)
        assert_string_equal(a.items[i], b.items[i]);
}

static void first_difference_is_the_reason(void **state)
{
    (void)state;
    char *words[] = {TEXT("-cpu max"), TEXT("-m 512")}, *more[] = {TEXT("-cpu max"), TEXT("-m 1024")};
    const struct vm_saved saved = saved_state(words, 2);
    struct vm_saved now[] = {saved, saved, saved, saved, saved, saved, saved, saved, saved};
    static const char *const why[] = {"RAM is gone",
                                      "RAM is not whole",
                                      "its disk has changed",
                                      "UEFI variables have changed",
                                      "\"-m 512\", and now it would have \"-m 1024\"",
                                      "\"-m 512\", and now it would have \"\"",
                                      "another processor",
                                      "template's RAM has changed since",
                                      "template's RAM is gone"};
    now[0].ram.bytes = 0;
    now[1].ram.bytes--;
    now[2].disk.modified_ns++;
    now[3].vars.bytes = 64;
    now[4].hardware.items = more;
    now[5].hardware.count = 1;
    strcpy(now[6].host_cpu, "another");
    now[7].template_ram.modified_ns++;
    now[8].template_ram.bytes = 0;
    for (size_t i = 0; i < PI_ARRAY_SIZE(now); i++) {
        struct pi_error err = {0};
        assert_true(vm_saved_fits(&saved, &now[i], &err) < 0);
        assert_int_equal(err.kind, PI_CONFLICT);
        assert_non_null(strstr(err.text, why[i]));
    }
    now[0] = saved;
    now[0].ram.modified_ns = 7; /* a copy of the file is as good */
    assert_int_equal(vm_saved_fits(&saved, &now[0], NULL), 0);
}

static void disk_that_became_a_layer_is_the_same_disk(void **state)
{
    (void)state;
    char folder[64], *words[] = {TEXT("-cpu max")};
    struct vm_saved saved = saved_state(words, 1), now = saved;
    struct pi_error err = {0};
    fixture_folder(folder);
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(vm_saved_note_layer(dir, "base-1.qcow2", dir, "overlay", NULL), 0); /* nothing to note */
    assert_int_equal(faccessat(dir, VM_SAVED_FILE, F_OK, 0), -1);
    fixture_write(folder, VM_SAVED_RAM_FILE, "RAM");
    fixture_write(folder, "disk.qcow2", "what was saved");
    fixture_write(folder, "overlay", "nothing yet");
    assert_int_equal(vm_saved_look(dir, "", &saved, NULL), 0);
    assert_int_equal(vm_saved_write(dir, &saved, NULL), 0);
    assert_int_equal(vm_saved_note_layer(dir, "base-1.qcow2", dir, "overlay", NULL), 0);
    struct vm_saved got = {0};
    assert_int_equal(vm_saved_read(dir, &got, NULL), 0);

    /* Whatever step it breaks off at: the name is there, the disk is replaced. */
    assert_int_equal(vm_saved_look(dir, got.layer, &now, NULL), 0);
    assert_int_equal(vm_saved_fits(&got, &now, NULL), 0);
    assert_int_equal(linkat(dir, "disk.qcow2", dir, "base-1.qcow2", 0), 0);
    assert_int_equal(vm_saved_look(dir, got.layer, &now, NULL), 0);
    assert_int_equal(vm_saved_fits(&got, &now, NULL), 0);
    assert_int_equal(renameat(dir, "overlay", dir, "disk.qcow2"), 0);
    assert_int_equal(vm_saved_look(dir, got.layer, &now, NULL), 0);
    assert_int_equal(vm_saved_fits(&got, &now, NULL), 0);

    fixture_write(folder, "base-1.qcow2", "written to");
    assert_int_equal(vm_saved_look(dir, got.layer, &now, NULL), 0);
    assert_true(vm_saved_fits(&got, &now, &err) < 0);
    assert_string_equal(err.text, "its disk has changed since");
    vm_saved_done(&got);
    close(dir);
    fixture_folder_done(folder);
}

static void newer_qemu_loads_a_processor_that_has_a_version(void **state)
{
    (void)state;
    char *max[] = {TEXT("-cpu max,-erms")}, *model[] = {TEXT("-cpu cortex-a57")};
    const struct vm_saved of_max = saved_state(max, 1), of_model = saved_state(model, 1);
    struct pi_error err = {0};
    assert_int_equal(vm_saved_fits_qemu(&of_max, &(struct qmp_version){7, 2, 22}, NULL), 0);
    assert_int_equal(vm_saved_fits_qemu(&of_model, &(struct qmp_version){10, 0, 2}, NULL), 0);
    assert_true(vm_saved_fits_qemu(&of_model, &(struct qmp_version){7, 1, 3}, &err) < 0);
    assert_string_equal(err.text, "QEMU 7.2.22 saved it, and this is 7.1.3");
    assert_true(vm_saved_fits_qemu(&of_max, &(struct qmp_version){10, 0, 2}, &err) < 0);
    assert_non_null(strstr(err.text, "its processor (max,-erms) is another one there"));
}

static void processor_of_the_host_is_its_name_and_all_that_it_can_do(void **state)
{
    (void)state;
    char one[160], same[160], other[160], arm[160];
    vm_saved_host_cpu(
        "processor\t: 0\nmodel name\t: A\nstepping\t: 3\nMHz\t: 1\nflags\t\t: x y\n\nmodel name\t: B\n", one);
    vm_saved_host_cpu("processor\t: 0\nmodel name\t: A\nstepping\t: 3\nMHz\t: 2\nflags\t\t: x y\n", same);
    vm_saved_host_cpu("processor\t: 0\nmodel name\t: A\nstepping\t: 3\nflags\t\t: x\n", other);
    vm_saved_host_cpu("processor\t: 0\nFeatures\t: fp\nCPU part\t: 0xd0c\nCPU revision\t: 1\n", arm);
    assert_string_equal(one, same);
    assert_string_not_equal(one, other);
    assert_memory_equal(one, "A, ", 3);
    assert_memory_equal(arm, "0xd0c, ", 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(description_comes_back_as_it_was_written),
        cmocka_unit_test(description_that_is_damaged_or_newer_is_refused),
        cmocka_unit_test(hardware_is_what_the_guest_sees),
        cmocka_unit_test(saved_state_does_not_depend_on_where_its_ram_came_from_and_when_its_cards_did),
        cmocka_unit_test(first_difference_is_the_reason),
        cmocka_unit_test(disk_that_became_a_layer_is_the_same_disk),
        cmocka_unit_test(newer_qemu_loads_a_processor_that_has_a_version),
        cmocka_unit_test(processor_of_the_host_is_its_name_and_all_that_it_can_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
