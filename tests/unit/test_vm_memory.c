/* SPDX-License-Identifier: MIT */
/* Specs, records, command lines and firmware when memory runs out. */
#include "memory_fixture.h"

#include "agent/base/auto.h"
#include "agent/vm/argv.h"
#include "agent/vm/record.h"
#include "vm_fixture.h"

static const char record_text[] =
    "{\"schema\": 1, \"state\": \"running\", \"reason\": \"\", \"failed_modules\": [\"a/b\"], \"spec\": {\"name\": "
    "\"pi-1\", \"arch\": \"aarch64\", \"mac\": \"52:54:00:12:34:56\", \"user\": \"pi\", \"forwards\": "
    "[\"8080:80\", \"8081:81\"], \"authorized_keys\": [\"ssh-ed25519 AAAA\"], \"image\": {\"path\": \"/base\", "
    "\"name\": \"x.qcow2\", \"format\": \"qcow2\"}}}";

#define DESCRIPTOR(code)                                                                                               \
    "{\"interface-types\": [\"uefi\"], \"mapping\": {\"device\": \"flash\", \"executable\": {\"filename\": \"" code    \
    "\", \"format\": \"raw\"}, \"nvram-template\": {\"filename\": \"/dev/null\", \"format\": \"raw\"}}, \"targets\": " \
    "[{\"architecture\": \"x86_64\", \"machines\": [\"pc-q35-*\"]}], \"features\": []}"

static struct {
    char path[64];
    int fd;
} folder;

static int record_is_parsed(struct pi_error *err)
{
    struct vm_record record;
    memory_mark(&record, sizeof record);
    int r = vm_record_parse(record_text, sizeof record_text - 1, &record, err);
    if (r < 0) {
        memory_promise(memory_untouched(&record, sizeof record));
        return r;
    }
    memory_promise(record.spec.forwards.count == 2 && record.failed_modules.count == 1);
    vm_record_done(&record);
    return 0;
}

static int record_is_saved(struct pi_error *err)
{
    struct vm_record record = {.spec = fixture_spec(VM_X86_64), .life.state = VM_READY, .key = "0123"},
                     again = {0};
    int r = vm_record_save(folder.fd, &record, err);
    if (r == 0)
        r = vm_record_load(folder.fd, &again, err);
    memory_promise(r < 0 || strcmp(again.spec.image.path, "/base.qcow2") == 0);
    vm_record_done(&again);
    return r;
}

static int command_is_built(struct pi_error *err)
{
    static char *forwards[] = {TEXT("8080:80"), TEXT("0.0.0.0:8081:81"), NULL};
    struct vm_firmware_files firmware = {TEXT("/code"), TEXT("raw"), TEXT("/vars"), TEXT("raw")};
    const struct vm_host host = {.qemu = "/qemu",
                                 .folder = "/a,b",
                                 .accel = VM_ACCEL_TCG,
                                 .qmp_fd = 3,
                                 .console_fd = 4,
                                 .agent_fd = 5,
                                 .firmware = &firmware};
    struct vm_spec spec = fixture_spec(VM_AARCH64);
    spec.forwards = (struct pi_strv){.items = forwards, .count = 2};
    struct pi_strv argv;
    memory_mark(&argv, sizeof argv);
    int r = vm_argv_build(&spec, &host, &argv, err);
    if (r < 0) {
        memory_promise(memory_untouched(&argv, sizeof argv));
        return r;
    }
    static size_t whole; /* of the first, with memory */
    whole = whole ? whole : argv.count;
    memory_promise(argv.count == whole);
    pi_strv_done(&argv);
    return 0;
}

static int firmware_is_found(struct pi_error *err)
{
    const char *const folders[] = {"/nonexistent", folder.path, NULL};
    struct vm_firmware_files files;
    memory_mark(&files, sizeof files);
    int r = vm_firmware_find(VM_X86_64, folders, &files, err);
    if (r < 0) {
        memory_promise(memory_untouched(&files, sizeof files));
        return r;
    }
    memory_promise(!strcmp(files.code, "/dev/zero"));
    vm_firmware_done(&files);
    return 0;
}

static void every_failing_allocation_is_survived(void **state)
{
    static const struct memory_operation operations[] = {
        MEMORY_OPERATION(record_is_parsed, .parses = true),
        MEMORY_OPERATION(record_is_saved, .parses = true),
        MEMORY_OPERATION(command_is_built),
        MEMORY_OPERATION(firmware_is_found, .parses = true),
    };
    (void)state;
    memory_check(operations, PI_ARRAY_SIZE(operations));
}

static int setup(void **state)
{
    (void)state;
    fixture_folder(folder.path);
    folder.fd = pi_dir_open(folder.path, NULL);
    fixture_write(folder.path, "30-first.json", DESCRIPTOR("/dev/zero"));
    fixture_write(folder.path, "40-second.json", DESCRIPTOR("/dev/null"));
    return folder.fd < 0;
}

static int teardown(void **state)
{
    (void)state;
    close(folder.fd);
    fixture_folder_done(folder.path);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
