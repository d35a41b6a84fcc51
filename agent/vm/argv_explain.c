/* SPDX-License-Identifier: MIT */
#include "agent/vm/argv_explain.h"

#include <stdbool.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/vm/argv.h"

#define PROGRAM    "the program"
#define CLOSED     "restrictions"
#define HARDWARE   "the hardware"
#define FIRMWARE   "the firmware"
#define DISK       "the disk"
#define RANDOMNESS "randomness"
#define NETWORK    "the network"
#define CONSOLE    "the console"
#define CONTROL    "how piagent controls it"

/* In the order of the output. If several match an option, the first one counts. */
static const struct reason {
    const char *option;
    const char *part; /* of its value; NULL = any */
    const char *group, *why;
} reasons[] = {
    {"isolated", NULL, PROGRAM,
     "piagent itself: the network of an isolated guest, which lets it reach its seed and answer to SSH and the forwards"},
    {"bridged", NULL, PROGRAM,
     "piagent itself: it opens a tap device for each bridge, with qemu-bridge-helper, and then becomes the program that follows"},
    {"--", "/piagent", PROGRAM, "piagent once more, for the next purpose"},
    {"--", NULL, PROGRAM, "QEMU's own command line follows: the emulator for this architecture"},
    {"", NULL, PROGRAM, "the emulator for this architecture"},
    {"-name", NULL, PROGRAM, "the instance's name, for lists of processes and threads"},

    {"-nodefaults", NULL, CLOSED, "only the devices below: no floppy, no parallel port, no display"},
    {"-no-user-config", NULL, CLOSED, "QEMU reads no configuration file of the user or the system"},
    {"-sandbox", NULL, CLOSED,
     "seccomp: QEMU starts no program, changes no user, and makes no obsolete system call"},
    {"-display", NULL, CLOSED, "no window, and no VNC"},

    {"-uuid", NULL, HARDWARE,
     "a new agent recognizes its QEMU by it; cloud-init's instance-id is made of it"},
    {"-machine", NULL, HARDWARE,
     "the board; graphics=off: the BIOS and boot loaders use the serial console; with UEFI, pflash0 and pflash1 name its two flash chips below (code, vars)"},
    {"-accel", NULL, HARDWARE,
     "kvm: the host's processor runs the guest; tcg: it is emulated (tb-size: memory for translated code)"},
    {"-cpu", NULL, HARDWARE,
     "the processor that the guest sees: host with KVM, else one that TCG emulates well"},
    {"-smp", NULL, HARDWARE, "how many processors (--cpus)"},
    {"-m", NULL, HARDWARE, "how much memory (--memory)"},
    {"-object", VM_MEMORY_FILE, HARDWARE,
     "the memory is a file: a template's own (share=on), or a private view of its template's (share=off)"},
    {"-device", "pcie-root-port", HARDWARE,
     "an empty slot, into which the card of a network can be plugged while the guest runs"},
    {"-rtc", NULL, HARDWARE, "the guest's clock starts at this host's time, in UTC"},
    {"-action", "shutdown=poweroff", HARDWARE,
     "after a panic the guest's own setting decides; its poweroff ends QEMU"},
    {"-action", NULL, HARDWARE,
     "after a panic the guest's own setting decides; after its poweroff QEMU waits until the agent says quit"},
    {"-device", "pvpanic", HARDWARE, "the guest's kernel tells QEMU by this device that it panicked"},
    {"-device", "virtio-balloon", HARDWARE,
     "memory that the guest freed goes back to this host; none is ever taken from the guest"},
    {"-smbios", "/" VM_BOARD_FILE, HARDWARE,
     "the mainboard's serial number, which only root in the guest can read, holds the address for reports, with its key"},
    {"-smbios", NULL, HARDWARE,
     "the serial number holds the address of cloud-init's seed, with its key: in a file, so that no list of "
     "processes shows it"},

    {"-blockdev", "node-name=code", FIRMWARE, "UEFI's code, read-only, from this host's packages"},
    {"-blockdev", "node-name=vars", FIRMWARE, "UEFI's variables, of this instance alone"},
    {"-boot", NULL, FIRMWARE, "UEFI boots at once, and does not wait for somebody who wants its menu"},

    {"-blockdev", "node-name=disk", DISK,
     "the blocks that this instance has written, over its image; formats are named, never guessed; cache.no-flush: they do not have to survive a crash of this host (--ephemeral)"},
    {"-device", "virtio-blk", DISK, "the guest sees the disk as /dev/vda, and boots from it"},

    {"-object", "rng", RANDOMNESS, "from this host's getrandom(2)"},
    {"-device", "virtio-rng", RANDOMNESS,
     "the guest's kernel gets randomness early, and need not wait for it"},

    {"-netdev", "restrict=on", NETWORK,
     "in place of a network that instances share, which needs the agent: the guest has the card, and reaches nobody by it"},
    {"-netdev", "dgram,", NETWORK,
     "a network that instances share (--network): frames go to its switch and come from it by two sockets, in the network's folder, which QEMU has open"},
    {"-netdev", "tap,", NETWORK,
     "a bridge of this host (--network bridge=BR): a tap device that is plugged into it"},
    {"-netdev", "user,", NETWORK,
     "QEMU's user network: the guest can connect to other hosts; hostfwd: others can connect to SSH and each --forward"},
    {"-netdev", "socket,", NETWORK, "isolated: a socket to piagent's process beside QEMU, and nothing else"},
    {"-device", "virtio-net", NETWORK,
     "a network card of the guest's; no boot ROM, because it never boots from the network"},

    {"-chardev", "id=console", CONSOLE,
     "the agent's socket for the console: piagent console and piagent logs show it"},
    {"-serial", "mon:stdio", CONSOLE,
     "the guest's first serial port is this terminal; QEMU's monitor is behind Ctrl-A: Ctrl-A X ends QEMU"},
    {"-serial", NULL, CONSOLE, "the guest's first serial port (ttyS0, ttyAMA0)"},

    {"-chardev", "id=qmp", CONTROL, "the agent's socket for QEMU's monitor"},
    {"-chardev", "null,id=agent", CONTROL, "nobody talks to the guest agent"},
    {"-chardev", "id=agent", CONTROL, "the agent's socket for the guest agent, which sets the guest's clock"},
    {"-chardev", "null,id=identity", CONTROL, "nobody tells the guest who it is"},
    {"-chardev", "id=identity", CONTROL,
     "the agent's socket, over which a guest that resumes from a template is told who it is"},
    {"-device", VM_IDENTITY_PORT, CONTROL, "the channel for that, with the name that the guest looks for"},
    {"-device", "virtio-serial", CONTROL, "the bus of the guest agent's channel"},
    {"-device", "virtserialport", CONTROL, "the channel, with the name that qemu-guest-agent looks for"},
    {"-mon", NULL, CONTROL, "QEMU's machine protocol (QMP): powerdown, pause, reset, quit, and events"},
    {"-S", NULL, CONTROL, "the guest does not run before the agent says so"},
    {"-incoming", NULL, CONTROL,
     "the saved state comes over the monitor, after the agent has looked at this QEMU"},
};

/* The words of an option: up to the next word that begins with '-'. */
static size_t length_at(const struct pi_strv *argv, size_t first)
{
    size_t end = first + 1;
    while (end < argv->count && argv->items[end][0] != '-')
        end++;
    return end - first;
}

static bool reason_matches(const struct reason *reason, char *const *words, size_t count)
{
    if (words[0][0] != '-') /* a program: piagent's "isolated", or QEMU */
        return !strcmp(reason->option, count > 1 ? words[1] : "");
    return !strcmp(reason->option, words[0]) &&
           (!reason->part || (count > 1 && strstr(words[1], reason->part)));
}

/* The index of the option's reason, or the number of reasons if there is none. */
static size_t find_reason(char *const *words, size_t count)
{
    size_t i = 0;
    while (i < PI_ARRAY_SIZE(reasons) && !reason_matches(&reasons[i], words, count))
        i++;
    return i;
}

static int add_option(json_t *list, const struct reason *reason, char *const *words, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, json_string(words[i]));
    return json_array_append_new(
        list, reason ? json_pack("{s:s,s:s,s:o}", "group", reason->group, "why", reason->why, "words", array)
                     : json_pack("{s:s,s:o}", "group", "other", "words", array));
}

json_t *vm_argv_explain(const struct pi_strv *argv)
{
    json_auto_t *list = json_array();
    for (size_t told = 0; told <= PI_ARRAY_SIZE(reasons); told++) {
        const struct reason *reason = told < PI_ARRAY_SIZE(reasons) ? &reasons[told] : NULL;
        for (size_t at = 0, count; at < argv->count; at += count) {
            count = length_at(argv, at);
            if (find_reason(argv->items + at, count) == told &&
                add_option(list, reason, argv->items + at, count) < 0)
                return NULL;
        }
    }
    return json_incref(list);
}
