/* SPDX-License-Identifier: MIT */
/* The disks and the command line against the real qemu-img and QEMU: each instance is built, answers on QMP
 * and ends. No guest runs. Skipped where a program is missing. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/base/paths.h"
#include "agent/base/proc.h"
#include "agent/vm/argv.h"
#include "agent/vm/host_port.h"
#include "skip.h"
#include "vm_fixture.h"

#define PATIENCE_MS 30000

struct fixture {
    char folder[64];
    char base[80];
};

static bool is_installed(const char *program)
{
    pi_auto_free char *path = NULL;
    return pi_program_find(program, &path, NULL) == 0;
}

static int setup(void **state)
{
    static struct fixture f;
    fixture_folder(f.folder);
    snprintf(f.base, sizeof f.base, "%s/base.qcow2", f.folder);
    *state = &f;
    if (is_installed("qemu-img"))
        assert_int_equal(
            pi_run((const char *const[]){"qemu-img", "create", "-q", "-f", "qcow2", f.base, "64M", NULL},
                   NULL, NULL, NULL),
            0);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    fixture_folder_done(f->folder);
    return 0;
}

static void needs(const char *program)
{
    if (!is_installed(program))
        skip_because("%s is not installed", program);
}

static void succeeds(int r, const struct pi_error *err)
{
    if (r < 0)
        fail_msg("%s", err->text);
}

static void overlay_names_its_base_and_the_bases_format(void **state)
{
    struct fixture *f = *state;
    needs("qemu-img");
    char disk[128];
    struct pi_error err = {0};
    struct vm_spec spec = fixture_spec(VM_X86_64);
    spec.image.path = f->base;
    spec.disk_bytes = 1 << 30;
    succeeds(vm_disk_prepare(&spec, f->folder, &err), &err);

    snprintf(disk, sizeof disk, "%s/" VM_DISK_FILE, f->folder);
    pi_auto_buf struct pi_buf output = {0};
    succeeds(
        pi_run((const char *const[]){"qemu-img", "info", "--output=json", disk, NULL}, &output, NULL, &err),
        &err);
    json_auto_t *info = pi_json_parse(output.data, output.size, &err);
    assert_non_null(info);
    assert_int_equal(json_integer_value(json_object_get(info, "virtual-size")), 1 << 30);
    assert_string_equal(json_string_value(json_object_get(info, "format")), "qcow2");
    assert_string_equal(json_string_value(json_object_get(info, "backing-filename")), f->base);
    assert_string_equal(json_string_value(json_object_get(info, "backing-filename-format")), "qcow2");
}

static void disk_smaller_than_its_image_is_refused_with_both_sizes(void **state)
{
    struct fixture *f = *state;
    struct pi_error err = {0};
    struct vm_spec spec = fixture_spec(VM_X86_64);
    spec.disk_bytes = 32 << 20;
    assert_true(vm_disk_prepare(&spec, f->folder, &err) < 0);
    assert_int_equal(err.kind, PI_USAGE);
    assert_non_null(strstr(err.text, "32 MiB"));
    assert_non_null(strstr(err.text, "64 MiB"));
}

static void missing_base_is_named(void **state)
{
    struct fixture *f = *state;
    needs("qemu-img");
    struct pi_error err = {0};
    struct vm_spec spec = fixture_spec(VM_X86_64);
    spec.image.path = TEXT("/nonexistent.qcow2");
    assert_true(vm_disk_prepare(&spec, f->folder, &err) < 0);
    assert_non_null(strstr(err.text, "/nonexistent.qcow2"));
}

/* A listening socket, as the agent makes it, and a connection to it. */
static int listener(const char *folder, const char *name, int *ret_client)
{
    struct sockaddr_un at;
    assert_int_equal(pi_socket_address(folder, name, &at, NULL), 0);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *ret_client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(connect(*ret_client, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

/* Reads until a line with the part is there; fails at the end of the stream, or when patience is over. */
static void expect(int fd, struct pi_buf *input, const char *part)
{
    char chunk[4096];
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    while (!input->data || !strstr(input->data, part)) {
        if (poll(&ready, 1, PATIENCE_MS) != 1)
            fail_msg("no '%s' in time", part);
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n <= 0)
            fail_msg("QEMU ended instead of saying '%s'", part);
        assert_int_equal(pi_buf_add(input, chunk, (size_t)n), 0);
    }
}

static void say(int fd, const char *command)
{
    assert_int_equal(pi_write_all(fd, command, strlen(command)), 0);
}

/* Starts QEMU with what vm_argv_build() makes of it, speaks QMP, and sees it end as asked. */
static void instance_answers(const struct fixture *f, const struct pi_strv *argv)
{
    pi_auto_close int qmp = -1, console = -1, agent = -1, pidfd = -1;
    pi_auto_close int qmp_listener = listener(f->folder, "qmp.sock", &qmp);
    pi_auto_close int console_listener = listener(f->folder, "console.sock", &console);
    pi_auto_close int agent_listener = listener(f->folder, "agent.sock", &agent);
    const int fds[] = {-1, -1, STDERR_FILENO, qmp_listener, console_listener, agent_listener};
    const struct pi_spawn how = {
        .argv = (const char *const *)argv->items, .fds = fds, .fd_count = PI_ARRAY_SIZE(fds)};
    pid_t pid;
    struct pi_error err = {0};
    succeeds(pi_spawn(&how, &pid, &pidfd, &err), &err);
    /* So that an early end of QEMU is the end of the stream here too. */
    close(pi_steal_fd(&qmp_listener));
    close(pi_steal_fd(&console_listener));
    close(pi_steal_fd(&agent_listener));

    pi_auto_buf struct pi_buf input = {0};
    expect(qmp, &input, "\"QMP\"");
    say(qmp,
        "{\"execute\": \"qmp_capabilities\"}{\"execute\": \"query-status\"}{\"execute\": \"query-uuid\"}");
    expect(qmp, &input, "\"prelaunch\"");
    expect(qmp, &input, FIXTURE_UUID);
    say(qmp, "{\"execute\": \"quit\"}");
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    int in_time = poll(&ended, 1, PATIENCE_MS), code = -1;
    if (in_time != 1)
        pi_signal(pidfd, SIGKILL);
    char text[64];
    while (pi_reap(pidfd, &code, text, sizeof text) == -EAGAIN)
        poll(&ended, 1, -1);
    assert_int_equal(in_time, 1);
    assert_int_equal(code, 0);
}

/* SMBIOS 3, 6.1.3: a structure without a string ends with two bytes more than its length. */
static void write_structure(const struct fixture *f, const char *file, char type, char length)
{
    struct pi_error err = {0};
    const char structure[32] = {type, length, 0, type};
    char path[128];
    snprintf(path, sizeof path, "%s/%s", f->folder, file);
    succeeds(pi_file_write(AT_FDCWD, path, structure, (size_t)length + 2, 0600, &err), &err);
}

static void build_and_start(const struct fixture *f, enum vm_arch arch, enum vm_firmware firmware)
{
    needs("qemu-img");
    needs(vm_qemu_program(arch));
    struct vm_spec spec = fixture_spec(arch);
    struct vm_firmware_files files = {0};
    struct pi_error err = {0};
    uint16_t port;
    pi_auto_free char *qemu = NULL;
    pi_auto_strv struct pi_strv argv = {0};
    assert_int_equal(vm_port_pick(NULL, NULL, &port, NULL), 0);
    spec.ssh_port = port;
    spec.firmware = (int)firmware;
    spec.memory_mib = VM_MEMORY_MIB_MIN;
    spec.image.path = (char *)f->base;
    assert_int_equal(pi_program_find(vm_qemu_program(arch), &qemu, NULL), 0);
    if (vm_spec_uses_uefi(&spec) && vm_firmware_find(arch, NULL, &files, &err) < 0) {
        skip_because("%s", err.text);
    }
    succeeds(vm_disk_prepare(&spec, f->folder, &err), &err);
    if (files.code)
        succeeds(vm_vars_prepare(&files, f->folder, &err), &err);

    write_structure(f, VM_SMBIOS_FILE, 1, 27);
    write_structure(f, VM_BOARD_FILE, 2, 15);

    const struct vm_host host = {.qemu = qemu,
                                 .folder = f->folder,
                                 .accel = VM_ACCEL_TCG,
                                 .qmp_fd = 3,
                                 .console_fd = 4,
                                 .agent_fd = 5,
                                 .firmware = files.code ? &files : NULL};
    succeeds(vm_argv_build(&spec, &host, &argv, &err), &err);
    vm_firmware_done(&files);
    instance_answers(f, &argv);
}

static void x86_64_with_bios_is_accepted(void **state)
{
    build_and_start(*state, VM_X86_64, VM_FIRMWARE_AUTO);
}

static void x86_64_with_uefi_is_accepted(void **state)
{
    build_and_start(*state, VM_X86_64, VM_FIRMWARE_UEFI);
}

static void aarch64_is_accepted(void **state)
{
    build_and_start(*state, VM_AARCH64, VM_FIRMWARE_AUTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(overlay_names_its_base_and_the_bases_format, setup, teardown),
        cmocka_unit_test_setup_teardown(disk_smaller_than_its_image_is_refused_with_both_sizes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(missing_base_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(x86_64_with_bios_is_accepted, setup, teardown),
        cmocka_unit_test_setup_teardown(x86_64_with_uefi_is_accepted, setup, teardown),
        cmocka_unit_test_setup_teardown(aarch64_is_accepted, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
