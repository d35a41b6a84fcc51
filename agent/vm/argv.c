/* SPDX-License-Identifier: MIT */
#include "agent/vm/argv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/vm/host_memory.h"
#include "agent/vm/subnet.h"

static const struct {
    const char *program;
    struct vm_packages packages;
    const char *machine;
    const char *cpu[VM_ACCEL_TCG + 1];
    const char *ram; /* what QEMU calls the RAM in a saved state */
} arches[VM_ARCHES] = {
    /* TCG goes round once for each byte or word of "rep movs" and "rep stos". Without erms and fsrm, and on an AMD processor of
     * this family, Linux and glibc copy and clear memory by loops of larger moves. */
    [VM_X86_64] = {"qemu-system-x86_64",
                   {"qemu-system-x86", "qemu-system-x86-core"},
                   "q35,graphics=off", /* SeaBIOS and its clients then use the serial console */
                   {[VM_ACCEL_KVM] = "host", [VM_ACCEL_TCG] = "max,-erms,-fsrm,family=6,model=6"},
                   "pc.ram"},
    /* cortex-a72 is the Raspberry Pi 4's core. It has no pointer authentication, which is slow to emulate.
     * gic-version=max: the default, version 2, allows only 8 CPUs. */
    [VM_AARCH64] = {"qemu-system-aarch64",
                    {"qemu-system-arm", "qemu-system-aarch64-core"},
                    "virt,gic-version=max",
                    {[VM_ACCEL_KVM] = "host", [VM_ACCEL_TCG] = "cortex-a72"},
                    "mach-virt.ram"},
};

const char *vm_qemu_program(enum vm_arch arch)
{
    return arches[arch].program;
}

struct vm_packages vm_qemu_packages(enum vm_arch arch)
{
    return arches[arch].packages;
}

bool vm_spec_uses_uefi(const struct vm_spec *spec)
{
    return spec->arch == VM_AARCH64 || spec->firmware == VM_FIRMWARE_UEFI;
}

/* A flush of the guest's ends in QEMU. Of each node, because QEMU passes a flush on to the next one. */
#define NO_FLUSH ",cache.no-flush=on"

/* An argv under construction. After the first failure nothing more is added. */
struct building {
    struct pi_strv argv;
    int r;
};

static void argv_add(struct building *b, const char *option, const char *value)
{
    if (b->r == 0)
        b->r = pi_strv_add(&b->argv, option);
    if (b->r == 0 && value)
        b->r = pi_strv_add(&b->argv, value);
}

__attribute__((format(printf, 3, 4))) static void argv_addf(struct building *b, const char *option,
                                                            const char *format, ...)
{
    pi_auto_free char *value = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&value, format, args) < 0)
        b->r = -ENOMEM;
    va_end(args);
    argv_add(b, option, value);
}

char *vm_path_escape(const char *folder, const char *name)
{
    char *value = malloc(2 * (strlen(folder) + strlen(name)) + 2), *out = value;
    const char *const parts[] = {folder, *name ? "/" : "", name};
    for (size_t i = 0; value && i < PI_ARRAY_SIZE(parts); i++) {
        for (const char *s = parts[i]; *s; s++) {
            if (*s == ',')
                *out++ = ',';
            *out++ = *s;
        }
    }
    if (value)
        *out = '\0';
    return value;
}

/* Adds a file and the format over it. Both are named, so that QEMU never guesses. */
static void add_image(struct building *b, const char *node, const char *format, const char *folder,
                      const char *name, const char *options)
{
    pi_auto_free char *path = vm_path_escape(folder, name);
    if (!path)
        b->r = -ENOMEM;
    argv_addf(b, "-blockdev", "driver=file,node-name=%s-file,filename=%s%s", node, path, options);
    argv_addf(b, "-blockdev", "driver=%s,node-name=%s,file=%s-file%s", format, node, node, options);
}

/* Only what a template itself writes goes into the file. */
static void add_template_ram(struct building *b, const struct vm_spec *spec, const struct vm_host *host)
{
    pi_auto_free char *path = vm_path_escape(host->folder, VM_TEMPLATE_RAM_FILE);
    if (!path)
        b->r = -ENOMEM;
    argv_addf(b, "-object", VM_MEMORY_FILE "id=%s,size=%" PRIu64 "M,share=%s,mem-path=%s",
              arches[spec->arch].ram, spec->memory_mib, spec->template ? "on" : "off", path);
}

static void add_machine(struct building *b, const struct vm_spec *spec, const struct vm_host *host)
{
    const struct vm_firmware_files *uefi = host->firmware;
    argv_addf(b, "-name", "guest=%s,debug-threads=on", spec->name);
    argv_add(b, "-uuid", spec->uuid);
    const char *machine = arches[spec->arch].machine;
    argv_addf(b, "-machine", "%s%s%s%s%s", host->machine ? host->machine : "",
              host->machine ? strchr(machine, ',') : machine, uefi ? ",pflash0=code,pflash1=vars" : "",
              host->template_ram ? VM_MEMORY_BACKEND : "", host->template_ram ? arches[spec->arch].ram : "");
    if (host->template_ram)
        add_template_ram(b, spec, host);
    /* TCG uses a thread for each CPU by default, unless the guest's memory order is stronger than this
     * host's. */
    if (host->accel == VM_ACCEL_TCG)
        argv_addf(b, "-accel", "tcg,tb-size=%" PRIu64, vm_code_mib(spec));
    else
        argv_add(b, "-accel", vm_accel_names[host->accel]);
    argv_add(b, "-cpu", arches[spec->arch].cpu[host->accel]);
    argv_addf(b, "-smp", "%" PRIu64, spec->cpus);
    argv_addf(b, "-m", "%" PRIu64 "M", spec->memory_mib);
    argv_add(b, "-rtc", "base=utc");
    if (uefi) {
        add_image(b, "code", uefi->code_format, uefi->code, "", ",read-only=on");
        add_image(b, "vars", "qcow2", host->folder, VM_VARS_FILE, spec->ephemeral ? NO_FLUSH : "");
        /* Else UEFI waits five seconds for somebody who wants its menu. It reads the time only if the menu is on. */
        argv_add(b, "-boot", "menu=on,splash-time=0");
    }
    /* The serial numbers hold the keys. In files, they do not show in the list of processes. */
    pi_auto_free char *system = vm_path_escape(host->folder, VM_SMBIOS_FILE);
    pi_auto_free char *board = vm_path_escape(host->folder, VM_BOARD_FILE);
    if (!system || !board)
        b->r = -ENOMEM;
    argv_addf(b, "-smbios", "file=%s", system);
    argv_addf(b, "-smbios", "file=%s", board);
}

/* Adds the console, the monitor and the guest agent: sockets of the agent, or the terminal. The devices and
 * their places are the same for both, because a guest names its network card after its place. */
static void add_channels(struct building *b, const struct vm_host *host)
{
    if (host->standalone) {
        argv_add(b, "-serial", "mon:stdio");
        argv_add(b, "-chardev", "null,id=agent");
        if (host->template_hardware)
            argv_add(b, "-chardev", "null,id=identity");
    } else {
        argv_addf(b, "-chardev", "socket,id=console,fd=%d,server=on,wait=off", host->console_fd);
        argv_add(b, "-serial", "chardev:console");
        argv_addf(b, "-chardev", "socket,id=qmp,fd=%d,server=on,wait=off", host->qmp_fd);
        argv_add(b, "-mon", "chardev=qmp,mode=control");
        argv_addf(b, "-chardev", "socket,id=agent,fd=%d,server=on,wait=off", host->agent_fd);
        if (host->template_hardware)
            argv_addf(b, "-chardev", "socket,id=identity,fd=%d,server=on,wait=off", host->identity_fd);
    }
    /* If the guest has qemu-guest-agent, it finds its channel by this name. */
    argv_add(b, "-device", "virtio-serial-pci");
    argv_add(b, "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0");
    if (host->template_hardware)
        argv_add(b, "-device", "virtserialport,chardev=identity,name=" VM_IDENTITY_PORT);
}

static void add_devices(struct building *b, const struct vm_spec *spec, const struct vm_host *host)
{
    add_image(b, VM_DISK_NODE, "qcow2", host->folder, VM_DISK_FILE,
              spec->ephemeral ? ",discard=unmap" NO_FLUSH : ",discard=unmap");
    argv_add(b, "-device", "virtio-blk-pci,drive=disk,bootindex=0");
    /* If UEFI finds a source of randomness, an aarch64 kernel takes a KASLR seed from it, and isolates its
     * page tables from processes. Then every system call flushes the emulated TLB, and the boot takes much
     * longer. */
    if (spec->arch != VM_AARCH64 || host->accel == VM_ACCEL_KVM) {
        argv_add(b, "-object", "rng-builtin,id=rng");
        argv_add(b, "-device", "virtio-rng-pci,rng=rng");
    }
    /* QEMU reports a panic, and the guest's own setting decides: a dump, a restart, or its last words on
     * screen. After the guest's poweroff QEMU stays until it is told to quit. So an agent that was away sees
     * that the guest is off, and not only that QEMU is gone. */
    argv_add(b, "-device", "pvpanic-pci");
    argv_addf(b, "-action", "panic=none,shutdown=%s", host->standalone ? "poweroff" : "pause");
    add_channels(b, host);
}

/* Adds the program beside QEMU that is an isolated guest's network (agent/net). QEMU's own argv follows. */
static void add_isolator(struct building *b, const struct vm_spec *spec, const struct vm_host *host)
{
    argv_add(b, host->isolator, "isolated");
    argv_addf(b, host->imds_socket, "127.0.0.1:%" PRIu64 ":22", spec->ssh_port);
    for (size_t i = 0; i < spec->forwards.count; i++)
        argv_add(b, spec->forwards.items[i], NULL);
    argv_add(b, "--", NULL);
}

/* Adds the program that opens a tap device for each bridge and then becomes what follows (agent/net/bridged.h). */
static void add_bridger(struct building *b, const struct vm_spec *spec, const struct vm_host *host)
{
    struct vm_network_use use;
    bool any = false;
    for (size_t i = 0; i < spec->networks.count; i++) {
        if (vm_network_use_parse(spec->networks.items[i], &use, NULL) < 0 || !use.bridge)
            continue;
        if (!any)
            argv_add(b, host->isolator, "bridged");
        any = true;
        pi_auto_free char *word = NULL;
        if (asprintf(&word, "%d=%s", host->network_fd + (int)i, use.name) < 0)
            b->r = -ENOMEM;
        else
            argv_add(b, word, NULL);
    }
    if (any)
        argv_add(b, "--", NULL);
}

/* IPv4 only: otherwise QEMU announces an IPv6 router to the guest even if this host has no IPv6. */
static void add_user_network(struct building *b, const struct vm_spec *spec)
{
    pi_auto_buf struct pi_buf net = {0};
    int r = pi_buf_printf(&net, "user,id=net,ipv6=off,hostfwd=tcp:127.0.0.1:%" PRIu64 "-:22", spec->ssh_port);
    for (size_t i = 0; r == 0 && i < spec->forwards.count; i++) {
        struct vm_forward forward;
        if ((r = vm_forward_parse(spec->forwards.items[i], &forward, NULL)) == 0)
            r = pi_buf_printf(&net, ",hostfwd=tcp:%s:%u-:%u", forward.address, forward.host_port,
                              forward.guest_port);
    }
    if (r < 0)
        b->r = r;
    argv_add(b, "-netdev", net.data);
}

static void add_network(struct building *b, const struct vm_spec *spec, const struct vm_host *host)
{
    if (spec->isolate)
        argv_addf(b, "-netdev", "socket,id=net,fd=%d", host->net_fd);
    else
        add_user_network(b, spec);
    /* No boot ROM: with one, UEFI and SeaBIOS try the network if the disk does not boot. */
    argv_addf(b, "-device", "virtio-net-pci,netdev=net,mac=%s,romfile=", spec->mac);
}

char *vm_card_properties(const struct vm_spec *spec, size_t index, bool template_hardware)
{
    char mac[VM_MAC_TEXT_SIZE], slot[32] = "", *text;
    struct vm_network_use use;
    struct in_addr address;
    if (vm_network_use_parse(spec->networks.items[index], &use, NULL) < 0 ||
        (!use.bridge && inet_pton(AF_INET, use.address, &address) != 1))
        return NULL;
    if (use.bridge)
        vm_bridge_mac(spec->uuid, index, mac);
    else
        vm_subnet_mac(address, mac);
    if (template_hardware)
        snprintf(slot, sizeof slot, ",bus=" VM_SLOT, index);
    return asprintf(&text, "virtio-net-pci,netdev=net%zu,mac=%s,romfile=%s", index, mac, slot) < 0 ? NULL
                                                                                                   : text;
}

static void add_card(struct building *b, const struct vm_spec *spec, const struct vm_host *host, size_t index)
{
    pi_auto_free char *properties = vm_card_properties(spec, index, host->template_hardware);
    if (properties)
        argv_add(b, "-device", properties);
    else
        b->r = -EINVAL;
}

/* QEMU binds the first socket anew, and sends each frame to the second one's path: whoever listens there, now or later, is
 * its switch. The path through the descriptor is short enough for every name. A command for a shell has no switch: its
 * cards are there, and nobody hears them. */
static void add_shared_network(struct building *b, const struct vm_spec *spec, const struct vm_host *host,
                               size_t index)
{
    struct vm_network_use use;
    int fd = host->network_fd + (int)index;
    if (vm_network_use_parse(spec->networks.items[index], &use, NULL) < 0) {
        b->r = -EINVAL;
        return;
    }
    if (host->standalone)
        argv_addf(b, "-netdev", "user,id=net%zu,ipv6=off,restrict=on", index);
    else if (use.bridge)
        argv_addf(b, "-netdev", "tap,id=net%zu,fd=%d", index, fd);
    else
        argv_addf(b, "-netdev",
                  "dgram,id=net%zu,local.type=unix,local.path=/proc/self/fd/%d/%s.qemu,remote.type=unix,"
                  "remote.path=/proc/self/fd/%d/%s.in",
                  index, fd, spec->name, fd, spec->name);
    if (!host->template_ram)
        add_card(b, spec, host, index);
}

static void add_shared_networks(struct building *b, const struct vm_spec *spec, const struct vm_host *host)
{
    for (size_t i = 0; i < spec->networks.count; i++)
        add_shared_network(b, spec, host, i);
}

static void add_slots(struct building *b)
{
    for (size_t i = 0; i < VM_NETWORKS_MAX; i++)
        argv_addf(b, "-device", "pcie-root-port,id=" VM_SLOT ",chassis=%zu", i, i + 1);
}

int vm_argv_build(const struct vm_spec *spec, const struct vm_host *host, struct pi_strv *ret,
                  struct pi_error *err)
{
    int r = vm_spec_check(spec, err);
    if (r < 0)
        return r;
    if (!spec->uuid[0] || !spec->mac || !spec->ssh_port)
        return pi_refuse(err, PI_FAILED, "%s has no %s yet", spec->name,
                         !spec->uuid[0] ? "uuid"
                         : !spec->mac   ? "MAC address"
                                        : "SSH port");

    static const char *const fixed[] = {
        "-nodefaults", "-no-user-config",
        "-sandbox",    "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        "-display",    "none",
    };
    struct building b = {0};
    if (!host->standalone)
        add_bridger(&b, spec, host);
    if (spec->isolate)
        add_isolator(&b, spec, host);
    argv_add(&b, host->qemu, NULL);
    for (size_t i = 0; i < PI_ARRAY_SIZE(fixed); i++)
        argv_add(&b, fixed[i], NULL);
    if (!host->standalone)
        argv_add(&b, "-S", NULL); /* the guest does not run before QMP is ready */
    if (host->machine)
        argv_add(&b, "-incoming", "defer");
    add_machine(&b, spec, host);
    add_devices(&b, spec, host);
    add_network(&b, spec, host);
    if (!host->template_hardware)
        add_shared_networks(&b, spec, host);
    if (host->template_hardware) {
        add_slots(&b);
        add_shared_networks(&b, spec, host);
    } else {
        /* The last device, so that the others keep their places. It never takes memory from the guest: it tells QEMU which of it
         * is free. */
        argv_add(&b, "-device", "virtio-balloon-pci,free-page-reporting=on");
    }
    if (b.r < 0) {
        pi_strv_done(&b.argv);
        return pi_fail(err, -b.r, "QEMU's command line");
    }
    *ret = b.argv;
    return 0;
}
