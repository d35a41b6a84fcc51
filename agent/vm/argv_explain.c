/* SPDX-License-Identifier: MIT */
#include "agent/vm/argv_explain.h"

#include <stdbool.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/vm/argv.h"

#define PROGRAM    "the program"
#define CLOSED     "what it may not do"
#define MACHINE    "the machine"
#define FIRMWARE   "the firmware"
#define DISK       "the disk"
#define RANDOMNESS "randomness"
#define NETWORK    "the network"
#define CONSOLE    "the console"
#define CONTROL    "how piagent controls it"

/* In the order in which they are told. Of several that match the first counts. */
static const struct reason {
    const char *option;
    const char *part; /* of its value; NULL = any */
    const char *group, *why;
} reasons[] = {
    {"isolated", NULL, PROGRAM,
     "piagent itself, beside QEMU: an isolated guest's network, which knows its seed, SSH and the forwards"},
    {"--", NULL, PROGRAM, "what follows is QEMU's own: the emulator for this architecture"},
    {"", NULL, PROGRAM, "the emulator for this architecture"},
    {"-name", NULL, PROGRAM, "the machine's name, in lists of processes and threads"},

    {"-nodefaults", NULL, CLOSED, "no device but those below: no floppy, no parallel port, no display"},
    {"-no-user-config", NULL, CLOSED, "no configuration of the user's or the system's changes what is here"},
    {"-sandbox", NULL, CLOSED,
     "seccomp: QEMU starts no program, changes no user, and makes no obsolete system call"},
    {"-display", NULL, CLOSED, "no window, and no VNC"},

    {"-uuid", NULL, MACHINE,
     "by this a new agent knows its QEMU again; cloud-init's instance-id comes of it"},
    {"-machine", NULL, MACHINE,
     "the board; graphics=off: the BIOS and boot loaders speak on the serial console; with UEFI, which of the images below are its two flash chips (code, vars)"},
    {"-accel", NULL, MACHINE,
     "kvm: the host's processor runs the guest; tcg: it is emulated (tb-size: memory for translated code)"},
    {"-cpu", NULL, MACHINE, "the processor that the guest sees: host with KVM, else what TCG emulates well"},
    {"-smp", NULL, MACHINE, "how many processors (--cpus)"},
    {"-m", NULL, MACHINE, "how much memory (--memory)"},
    {"-rtc", NULL, MACHINE, "its clock begins at this host's time, in UTC"},
    {"-action", "shutdown=poweroff", MACHINE,
     "a panic is left to the guest's own setting; its poweroff ends QEMU"},
    {"-action", NULL, MACHINE,
     "a panic is left to the guest's own setting; after its poweroff QEMU stays to be asked, until quit"},
    {"-device", "pvpanic", MACHINE, "through this the guest's kernel tells that it panicked"},
    {"-smbios", "/" VM_BOARD_FILE, MACHINE,
     "the mainboard's serial number, which the guest's root alone reads, holds the address for reports, with its key"},
    {"-smbios", NULL, MACHINE,
     "the serial number holds the address of cloud-init's seed, with its key: in a file, which no list of "
     "processes shows"},

    {"-blockdev", "node-name=code", FIRMWARE, "UEFI's code, read-only, as this host's packages have it"},
    {"-blockdev", "node-name=vars", FIRMWARE, "UEFI's variables, this machine's own"},

    {"-blockdev", "node-name=disk", DISK,
     "what this machine has written, over the image that it came from; formats are named, never guessed"},
    {"-device", "virtio-blk", DISK, "the guest sees it as /dev/vda, and boots from it"},

    {"-object", "rng", RANDOMNESS, "from this host's getrandom(2)"},
    {"-device", "virtio-rng", RANDOMNESS,
     "the guest's kernel has randomness early, and does not wait for it"},

    {"-netdev", "user,", NETWORK,
     "QEMU's user network: the guest reaches out; hostfwd: what reaches in, SSH and each --forward"},
    {"-netdev", "socket,", NETWORK,
     "isolated: only to piagent's process beside it, by a socket it was given"},
    {"-device", "virtio-net", NETWORK,
     "the guest's network card; no boot ROM, as nothing is to be booted from the network"},

    {"-chardev", "id=console", CONSOLE,
     "the agent's socket for it: piagent console and logs read from there"},
    {"-serial", "mon:stdio", CONSOLE,
     "the guest's first serial port is this terminal; QEMU's monitor is behind Ctrl-A: Ctrl-A X ends QEMU"},
    {"-serial", NULL, CONSOLE, "the guest's first serial port (ttyS0, ttyAMA0)"},

    {"-chardev", "id=qmp", CONTROL, "the agent's socket for QEMU's monitor"},
    {"-chardev", "null,id=agent", CONTROL, "nobody speaks to the guest agent"},
    {"-chardev", "id=agent", CONTROL,
     "the agent's socket for a guest agent in the guest, which sets its clock"},
    {"-device", "virtio-serial", CONTROL, "the bus of that channel"},
    {"-device", "virtserialport", CONTROL,
     "the channel, by the name under which qemu-guest-agent looks for it"},
    {"-mon", NULL, CONTROL, "QEMU's machine protocol (QMP): powerdown, pause, reset, quit, and what happens"},
    {"-S", NULL, CONTROL, "nothing runs before the agent has shaken hands and says so"},
};

/* An option and what belongs to it: the words up to the next that begins with '-'. */
static size_t length_at(const struct pi_strv *argv, size_t first)
{
    size_t end = first + 1;
    while (end < argv->count && argv->items[end][0] != '-')
        end++;
    return end - first;
}

static bool matches(const struct reason *reason, char *const *words, size_t count)
{
    if (words[0][0] != '-') /* a program: piagent's "isolated", or QEMU */
        return !strcmp(reason->option, count > 1 ? words[1] : "");
    return !strcmp(reason->option, words[0]) &&
           (!reason->part || (count > 1 && strstr(words[1], reason->part)));
}

/* Its index, or the number of reasons where there is none. */
static size_t find(char *const *words, size_t count)
{
    size_t i = 0;
    while (i < PI_ARRAY_SIZE(reasons) && !matches(&reasons[i], words, count))
        i++;
    return i;
}

static int add(json_t *list, const struct reason *reason, char *const *words, size_t count)
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
            if (find(argv->items + at, count) == told && add(list, reason, argv->items + at, count) < 0)
                return NULL;
        }
    }
    return json_incref(list);
}
