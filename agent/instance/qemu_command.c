/* SPDX-License-Identifier: MIT */
#include "agent/instance/qemu_command.h"

#include "agent/base/auto.h"
#include "agent/base/paths.h"
#include "agent/instance/accel.h"
#include "agent/instance/instance.h"
#include "agent/instance/qemu_sockets.h"
#include "agent/instance/state_load.h"
#include "agent/net/net.h"
#include "agent/vm/argv.h"

static int refuse_qemu(enum vm_arch arch, struct pi_error *err)
{
    struct vm_packages packages = vm_qemu_packages(arch);
    return pi_refuse(err, PI_HOST, "%s is not installed: install %s (Debian) or %s (Fedora)",
                     vm_qemu_program(arch), packages.debian, packages.fedora);
}

int qemu_command_build(const struct instance *instance, enum vm_accel accel, bool standalone,
                       struct pi_strv *ret, struct pi_error *err)
{
    const struct vm_spec *spec = &instance->record.spec;
    pi_auto_free char *qemu = NULL;
    struct vm_firmware_files firmware = {0};
    bool uefi = vm_spec_uses_uefi(spec);
    bool template_ram = spec->template || instance->record.identity_due;
    int r = pi_program_find(vm_qemu_program(spec->arch), &qemu, err);
    if (r < 0)
        return refuse_qemu(spec->arch, err);
    if (uefi && (r = vm_firmware_find(spec->arch, NULL, &firmware, err)) < 0)
        return r;
    struct vm_host host = {.qemu = qemu,
                           .folder = instance->folder,
                           .accel = accel,
                           .qmp_fd = qemu_socket_fd(QEMU_SOCKET_QMP),
                           .console_fd = qemu_socket_fd(QEMU_SOCKET_CONSOLE),
                           .agent_fd = qemu_socket_fd(QEMU_SOCKET_GUEST_AGENT),
                           .identity_fd = qemu_socket_fd(QEMU_SOCKET_IDENTITY),
                           .template_hardware = instance->record.template_hardware && !standalone,
                           .template_ram = template_ram && !standalone,
                           .isolator = instance->host->program,
                           .imds_socket = instance->host->imds_socket,
                           .net_fd = NET_FD,
                           .network_fd = QEMU_NETWORK_FD,
                           .firmware = uefi ? &firmware : NULL,
                           .machine = standalone ? NULL : state_load_machine(instance),
                           .standalone = standalone};
    r = vm_argv_build(spec, &host, ret, err);
    vm_firmware_done(&firmware);
    return r;
}

int qemu_command_show(const struct instance *instance, bool standalone, struct pi_strv *ret,
                      struct pi_error *err)
{
    enum vm_accel accel = instance->record.accel;
    int r = vm_state_is_live(instance->record.life.state)
                ? 0
                : accel_choose(instance->host, &instance->record.spec, &accel, err);
    return r < 0 ? r : qemu_command_build(instance, accel, standalone, ret, err);
}
