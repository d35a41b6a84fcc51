/* SPDX-License-Identifier: MIT */
#include "agent/vm/spec.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "agent/vm/label.h"
#include "agent/vm/subnet.h"

#define DEFAULT_USER "fedora"
#define DEFAULT_CPUS 2

const char *const vm_arch_names[] = {"x86_64", "aarch64", NULL};
const char *const vm_accel_names[] = {"auto", "kvm", "tcg", NULL};
const char *const vm_firmware_names[] = {"auto", "bios", "uefi", NULL};

const struct pi_field vm_image_fields[] = {
    PI_FIELD(vm_image, sha256, PI_FIELD_TEXT),
    PI_FIELD(vm_image, path, PI_FIELD_STRING),
    PI_FIELD(vm_image, name, PI_FIELD_STRING),
    PI_FIELD(vm_image, format, PI_FIELD_STRING),
    PI_FIELD(vm_image, virtual_size_bytes, PI_FIELD_U64),
    PI_FIELD(vm_image, verified, PI_FIELD_BOOL),
    {0},
};

/* useradd(8): a lower case letter or '_' first, then also digits and '-', 32 characters at most. */
static bool is_user_name(const char *s)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyz_";
    size_t length = strspn(s, "abcdefghijklmnopqrstuvwxyz_0123456789-");
    return length >= 1 && length <= 32 && s[length] == '\0' && strchr(first, s[0]);
}

static int check_user(const char *user, struct pi_error *err)
{
    return is_user_name(user)
               ? 0
               : pi_refuse(
                     err, PI_USAGE,
                     "--user %.64s: a user name has 1 to 32 of a-z, 0-9, '_' and '-', and begins with a letter or '_'",
                     user);
}

static int spec_check_forward(const char *text, struct pi_error *err)
{
    struct vm_forward forward;
    return vm_forward_parse(text, &forward, err);
}

#define FLEET_NUMBER .required = true, .min = 1, .max = VM_FLEET_COUNT_MAX
const struct pi_field vm_fleet_fields[] = {
    PI_FIELD(vm_fleet, name, PI_FIELD_TEXT, .required = true),
    PI_FIELD(vm_fleet, role, PI_FIELD_TEXT, .required = true,
             .help = "the entry of the fleet's file that it was made of"),
    PI_FIELD(vm_fleet, index, PI_FIELD_U64, FLEET_NUMBER, .help = "within the entry"),
    PI_FIELD(vm_fleet, count, PI_FIELD_U64, FLEET_NUMBER, .help = "of the entry"),
    PI_FIELD(vm_fleet, after, PI_FIELD_STRV, .max = VM_FLEET_AFTER_MAX,
             .help = "the entries that it starts after, each like \"server=ready\" or \"db=started\""),
    {0},
};

#define CHOSEN .parts = VM_SPEC_CHOSEN
#define SHOWN  .parts = VM_SPEC_SHOWN
#define BOTH   .parts = VM_SPEC_CHOSEN | VM_SPEC_SHOWN
#define LISTED .parts = VM_SPEC_CHOSEN | VM_SPEC_SHOWN | VM_SPEC_LISTED

const struct pi_field vm_spec_fields[] = {
    PI_FIELD(vm_spec, name, PI_FIELD_TEXT, .required = true),
    PI_FIELD(vm_spec, uuid, PI_FIELD_TEXT, SHOWN),
    PI_FIELD(vm_spec, cloned_from, PI_FIELD_TEXT, SHOWN,
             .help = "the instance that it is a clone of, which may be gone; absent: it is none"),
    PI_FIELD(vm_spec, template, PI_FIELD_BOOL, LISTED,
             .help = "it is made to be saved, and others resume from that; it never runs again"),
    PI_FIELD(vm_spec, of_template, PI_FIELD_TEXT, LISTED,
             .help =
                 "the template that its first run resumes from, which may be gone; absent: it is of none"),
    PI_ENUM(vm_spec, arch, vm_arch, CHOSEN, .required = true, .help = "default: the host's"),
    PI_FIELD(vm_spec, cpus, PI_FIELD_U64, LISTED, .help = "default: 2"),
    PI_FIELD(vm_spec, memory_mib, PI_FIELD_U64, LISTED, .help = "default: 1024"),
    PI_FIELD(vm_spec, memory_max_mib, PI_FIELD_U64, BOTH, .help = "of QEMU as a whole; default: no limit"),
    PI_FIELD(vm_spec, cpu_quota_percent, PI_FIELD_U64, BOTH,
             .help = "of one processor's time; default: no limit"),
    PI_FIELD(vm_spec, disk_bytes, PI_FIELD_U64, BOTH, .help = "default: the image's own size"),
    PI_ENUM(vm_spec, accel, vm_accel, CHOSEN, .help = "default: auto"),
    PI_ENUM(vm_spec, firmware, vm_firmware, CHOSEN, .help = "default: auto"),
    PI_FIELD(vm_spec, ssh_port, PI_FIELD_U64, .max = UINT16_MAX, .parts = VM_SPEC_SHOWN | VM_SPEC_LISTED,
             .help = "on 127.0.0.1"),
    PI_FIELD(vm_spec, mac, PI_FIELD_STRING),
    PI_FIELD(vm_spec, forwards, PI_FIELD_STRV, BOTH, .check = spec_check_forward,
             .help = "TCP over IPv4, each like \"127.0.0.1:8080:80\""),
    PI_FIELD(
        vm_spec, networks, PI_FIELD_STRV, LISTED,
        .help =
            "each like \"lab\", \"lab,ip=10.77.0.5\" or \"bridge=br0\"; when it is shown, an instance's address in each network is there"),
    PI_FIELD(vm_spec, isolate, PI_FIELD_BOOL, BOTH,
             .help = "the guest reaches its IMDS and answers to the forwards, nothing else"),
    PI_FIELD(vm_spec, ephemeral, PI_FIELD_BOOL, LISTED,
             .help = "it is removed when its first run has ended, however it ends"),
    PI_FIELD(vm_spec, image, PI_FIELD_STRUCT, .nested = vm_image_fields),
    PI_FIELD(vm_spec, labels, PI_FIELD_STRV, LISTED, .help = "each like \"rack=b2\""),
    PI_FIELD(vm_spec, fleet, PI_FIELD_STRUCT, LISTED, .nested = vm_fleet_fields, .zero_is_none = true,
             .help = "its place in a fleet; absent: it is in none"),
    PI_FIELD(vm_spec, user, PI_FIELD_STRING, BOTH, .check = check_user, .help = "default: fedora"),
    PI_FIELD(vm_spec, password_hash, PI_FIELD_STRING, CHOSEN, .help = "crypt(3); absent: no password"),
    PI_FIELD(vm_spec, authorized_keys, PI_FIELD_STRV),
    PI_FIELD(vm_spec, has_user_data, PI_FIELD_BOOL),
    PI_FIELD(vm_spec, user_data_sha256, PI_FIELD_TEXT, SHOWN, .help = "of the user's own file; absent: none"),
    {0},
};

int vm_spec_complete(struct vm_spec *spec)
{
    spec->cpus = spec->cpus ? spec->cpus : DEFAULT_CPUS;
    spec->memory_mib = spec->memory_mib ? spec->memory_mib : VM_MEMORY_MIB_DEFAULT;
    spec->user = spec->user ? spec->user : strdup(DEFAULT_USER);
    return spec->user ? 0 : -ENOMEM;
}

enum vm_arch vm_arch_host(void)
{
    struct utsname host;
    int arch = 0;
    if (uname(&host) < 0)
        return VM_ARCHES;
    while (arch < VM_ARCHES && strcmp(host.machine, vm_arch_names[arch]) != 0)
        arch++;
    return (enum vm_arch)arch;
}

/* Other programs forward UDP and IPv6. A user who writes them is told that piagent does not. */
static int refuse_forward(const char *text, struct pi_error *err)
{
    if (strcasestr(text, "udp"))
        return pi_refuse(err, PI_USAGE, "--forward %.64s: UDP cannot be forwarded, only TCP", text);
    if (strcasestr(text, "tcp"))
        return pi_refuse(err, PI_USAGE, "--forward %.64s: leave 'tcp' out: every forward is TCP", text);
    if (strchr(text, '[') || strstr(text, "::"))
        return pi_refuse(
            err, PI_USAGE,
            "--forward %.64s: IPv6 cannot be forwarded: name an IPv4 address, 127.0.0.1 for this "
            "host alone or 0.0.0.0 for every host that can reach this one",
            text);
    return pi_refuse(
        err, PI_USAGE,
        "--forward %.64s is not ADDRESS:HOSTPORT:GUESTPORT or HOSTPORT:GUESTPORT, with a numeric IPv4 address of this host and ports from 1 to 65535",
        text);
}

int vm_forward_parse(const char *text, struct vm_forward *ret, struct pi_error *err)
{
    /* Larger than the longest valid text, so that cutting cannot make an invalid text valid. */
    char whole[64], address[16] = "", host[8], guest[8], extra;
    uint64_t host_port, guest_port;
    struct in_addr numeric;
    bool short_form = strchr(text, ':') == strrchr(text, ':');
    snprintf(whole, sizeof whole, "%s%s", short_form ? "127.0.0.1:" : "", text);
    if (sscanf(whole, "%15[^:]:%7[^:]:%7[^:]%c", address, host, guest, &extra) != 3 ||
        inet_pton(AF_INET, address, &numeric) != 1 ||
        pi_number_parse(host, 1, UINT16_MAX, &host_port, NULL) < 0 ||
        pi_number_parse(guest, 1, UINT16_MAX, &guest_port, NULL) < 0)
        return refuse_forward(text, err);
    *ret = (struct vm_forward){.host_port = (uint16_t)host_port, .guest_port = (uint16_t)guest_port};
    memcpy(ret->address, address, sizeof ret->address);
    return 0;
}

bool vm_forwards_clash(const struct vm_forward *a, const struct vm_forward *b)
{
    static const char any[] = "0.0.0.0";
    return a->host_port == b->host_port &&
           (!strcmp(a->address, b->address) || !strcmp(a->address, any) || !strcmp(b->address, any));
}

static int spec_check_forwards(const struct vm_spec *spec, struct pi_error *err)
{
    struct vm_forward all[VM_FORWARDS_MAX + 1] = {
        {.address = "127.0.0.1", .host_port = (uint16_t)spec->ssh_port, .guest_port = 22}};
    if (spec->forwards.count > VM_FORWARDS_MAX)
        return pi_refuse(err, PI_USAGE, "--forward was given %zu times: at most %d are possible",
                         spec->forwards.count, VM_FORWARDS_MAX);
    for (size_t i = 1; i <= spec->forwards.count; i++) {
        int r = vm_forward_parse(spec->forwards.items[i - 1], &all[i], err);
        if (r < 0)
            return r;
        for (size_t j = 0; j < i; j++)
            if (vm_forwards_clash(&all[i], &all[j]))
                return pi_refuse(err, PI_USAGE,
                                 "--forward %s: port %u is forwarded already (%s): choose another",
                                 spec->forwards.items[i - 1], all[i].host_port,
                                 j ? spec->forwards.items[j - 1] : "it is the SSH port");
    }
    return 0;
}

static int spec_check_networks(const struct vm_spec *spec, struct pi_error *err)
{
    struct vm_network_use all[VM_NETWORKS_MAX];
    if (spec->networks.count > VM_NETWORKS_MAX)
        return pi_refuse(err, PI_USAGE, "--network was given %zu times: at most %d are possible",
                         spec->networks.count, VM_NETWORKS_MAX);
    for (size_t i = 0; i < spec->networks.count; i++) {
        int r = vm_network_use_parse(spec->networks.items[i], &all[i], err);
        if (r < 0)
            return r;
        for (size_t j = 0; j < i; j++)
            if (all[i].bridge == all[j].bridge && !strcmp(all[i].name, all[j].name))
                return pi_refuse(err, PI_USAGE, "--network %s: an instance is in a network once",
                                 spec->networks.items[i]);
    }
    return 0;
}

static int spec_check_sizes(const struct vm_spec *spec, struct pi_error *err)
{
    char disk[32], image[32];
    if (spec->cpus < 1 || spec->cpus > VM_CPUS_MAX)
        return pi_refuse(err, PI_USAGE, "--cpus %" PRIu64 " is not from 1 to %d", spec->cpus, VM_CPUS_MAX);
    if (spec->memory_mib < VM_MEMORY_MIB_MIN || spec->memory_mib > VM_MEMORY_MIB_MAX)
        return pi_refuse(err, PI_USAGE, "--memory of %" PRIu64 " MiB is not from %d MiB to %d MiB",
                         spec->memory_mib, VM_MEMORY_MIB_MIN, VM_MEMORY_MIB_MAX);
    if (spec->disk_bytes > VM_DISK_BYTES_MAX)
        return pi_refuse(err, PI_USAGE, "--disk %s is larger than %s", pi_size_format(spec->disk_bytes, disk),
                         pi_size_format(VM_DISK_BYTES_MAX, image));
    if (spec->disk_bytes && spec->disk_bytes < spec->image.virtual_size_bytes)
        return pi_refuse(
            err, PI_USAGE, "--disk %s is smaller than the image, which has %s: choose at least that",
            pi_size_format(spec->disk_bytes, disk), pi_size_format(spec->image.virtual_size_bytes, image));
    return 0;
}

static int spec_check_limits(const struct vm_spec *spec, struct pi_error *err)
{
    uint64_t needed = spec->memory_mib + VM_OVERHEAD_MIB;
    if (spec->memory_max_mib &&
        (spec->memory_max_mib < needed || spec->memory_max_mib > VM_MEMORY_MIB_MAX + VM_OVERHEAD_MIB))
        return pi_refuse(err, PI_USAGE,
                         "--memory-max of %" PRIu64 " MiB is not from %" PRIu64
                         " MiB (--memory, and %d MiB for QEMU itself) to %d MiB",
                         spec->memory_max_mib, needed, VM_OVERHEAD_MIB, VM_MEMORY_MIB_MAX + VM_OVERHEAD_MIB);
    if (spec->cpu_quota_percent &&
        (spec->cpu_quota_percent < VM_CPU_QUOTA_MIN || spec->cpu_quota_percent > VM_CPU_QUOTA_MAX))
        return pi_refuse(err, PI_USAGE,
                         "--cpu-quota %" PRIu64 " is not from %d to %d: 100 is the time of one processor",
                         spec->cpu_quota_percent, VM_CPU_QUOTA_MIN, VM_CPU_QUOTA_MAX);
    return 0;
}

/* crypt(5): printable ASCII without space, and none of ":;*!\". */
static bool is_password_hash(const char *s)
{
    size_t length = strcspn(s, ":;*!\\");
    for (size_t i = 0; i < length; i++)
        if (s[i] <= ' ' || s[i] > '~')
            return false;
    return s[0] == '$' && s[length] == '\0';
}

/* groups: the number of hexadecimal digits in each, ended by 0. */
static bool is_hex_groups(const char *s, const uint8_t *groups, char separator)
{
    for (; *groups; groups++) {
        char group[16];
        snprintf(group, sizeof group, "%.*s", *groups, s);
        if (!pi_is_hex(group, *groups) || s[*groups] != (groups[1] ? separator : '\0'))
            return false;
        s += *groups + 1;
    }
    return true;
}

static int spec_check_identity(const struct vm_spec *spec, struct pi_error *err)
{
    static const uint8_t uuid[] = {8, 4, 4, 4, 12, 0}, mac[] = {2, 2, 2, 2, 2, 2, 0};
    if (spec->uuid[0] && !is_hex_groups(spec->uuid, uuid, '-'))
        return pi_refuse(err, PI_USAGE, "%s is not a UUID", spec->uuid);
    /* IEEE 802: the lowest bit of the first byte marks a group's address. */
    if (spec->mac && (!is_hex_groups(spec->mac, mac, ':') || strchr("13579bdfBDF", spec->mac[1])))
        return pi_refuse(err, PI_USAGE, "%.32s is not the MAC address of one network card", spec->mac);
    if (spec->ssh_port > UINT16_MAX)
        return pi_refuse(err, PI_USAGE, "SSH port %" PRIu64 " is not from 1 to 65535", spec->ssh_port);
    int r = spec->user ? check_user(spec->user, err) : 0;
    if (r < 0)
        return r;
    if (spec->password_hash && !is_password_hash(spec->password_hash))
        return pi_refuse(err, PI_USAGE,
                         "the password hash is not one of crypt(5): make it with 'piagent hash-password'");
    return 0;
}

static int check_after(const struct vm_fleet *fleet, struct pi_error *err)
{
    for (size_t i = 0; i < fleet->after.count; i++) {
        char entry[PI_NAME_MAX + 1];
        const char *text = fleet->after.items[i], *sign = strchr(text, '=');
        size_t length = sign ? (size_t)(sign - text) : 0;
        snprintf(entry, sizeof entry, "%.*s", (int)(length <= PI_NAME_MAX ? length : 0), text);
        if (!sign || pi_name_check(entry, NULL) < 0 ||
            (strcmp(sign, "=ready") != 0 && strcmp(sign, "=started") != 0))
            return pi_refuse(err, PI_USAGE, "fleet %s: after '%.80s' is not ENTRY=ready or ENTRY=started",
                             fleet->name, text);
    }
    return 0;
}

static int spec_check_fleet(const struct vm_fleet *fleet, struct pi_error *err)
{
    if (!fleet->name[0] && !fleet->role[0] && !fleet->count)
        return 0;
    int r = pi_name_check(fleet->name, err);
    if (r < 0)
        return pi_context(err, r, "the fleet's name");
    if ((r = pi_name_check(fleet->role, err)) < 0)
        return pi_context(err, r, "the role in fleet %s", fleet->name);
    if (fleet->count < 1 || fleet->count > VM_FLEET_COUNT_MAX)
        return pi_refuse(err, PI_USAGE, "fleet %s: a count of %" PRIu64 " is not from 1 to %d", fleet->name,
                         fleet->count, VM_FLEET_COUNT_MAX);
    if (fleet->index < 1 || fleet->index > fleet->count)
        return pi_refuse(err, PI_USAGE, "fleet %s: index %" PRIu64 " is not from 1 to the count, %" PRIu64,
                         fleet->name, fleet->index, fleet->count);
    return check_after(fleet, err);
}

int vm_spec_check(const struct vm_spec *spec, struct pi_error *err)
{
    int r = pi_name_check(spec->name, err);
    if (r == 0)
        r = spec_check_sizes(spec, err);
    if (r == 0)
        r = spec_check_limits(spec, err);
    if (r == 0)
        r = spec_check_identity(spec, err);
    if (r == 0)
        r = spec_check_forwards(spec, err);
    if (r == 0)
        r = spec_check_networks(spec, err);
    if (r == 0)
        r = vm_labels_check(&spec->labels, err);
    if (r == 0)
        r = spec_check_fleet(&spec->fleet, err);
    if (r == 0 && spec->template &&
        (spec->networks.count || spec->forwards.count || spec->isolate || spec->ephemeral ||
         spec->fleet.name[0]))
        r = pi_refuse(
            err, PI_USAGE,
            "a template has no forwards and networks (its instances choose these), is in no fleet, and is neither isolated nor ephemeral");
    if (r == 0 && spec->arch == VM_AARCH64 && spec->firmware == VM_FIRMWARE_BIOS)
        r = pi_refuse(err, PI_USAGE, "--firmware bios: an aarch64 instance boots with UEFI only");
    return r;
}

void vm_spec_done(struct vm_spec *spec)
{
    pi_fields_done(vm_spec_fields, spec);
}
