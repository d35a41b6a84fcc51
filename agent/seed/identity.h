/* SPDX-License-Identifier: MIT */
/*
 * An instance that resumes from a template goes on as the template's guest, which takes itself for the template. It is told
 * who it is over a port of QEMU's. A boot hook of the template's seed starts the program that waits there. The
 * program is in /run, so that no later boot has it.
 *
 * From the host come lines, which the guest trusts. One of JSON is the identity, as often as the host likes. "kept"
 * says that the host has it on record that the guest took it, and that it is the guest's turn to set itself up
 * (instance/set_up.h); it may come twice. The JSON brings the code that does the work, so that a newer piagent tells
 * more to an old template. (The program of templates that were made before there were turns sets the guest up as soon
 * as it has answered.)
 *
 * The guest answers with lines, which nobody has to believe: "did PART" for each part, "done" (again for each time
 * that it is told the same identity), "failed WHY", or "again" for a line that is not JSON.
 *
 * All that two instances of one template share and must not (tests/harness/twins.py compares it in guests that run):
 *
 *   before the answer
 *     the kernel's random numbers           mixed first of all, by RNDADDENTROPY and RNDRESEEDCRNG: without the second call
 *                                           the next numbers are those of the template
 *     the saved seed of random numbers      written anew: /var/lib/systemd/random-seed
 *     the clock                             set
 *     host name                             the kernel's, /etc/hostname, /etc/hosts
 *     machine-id                            the files of systemd and D-Bus
 *     serial numbers, UUID, instance-id     files are mounted over those in /sys/class/dmi/id, so that cloud-init finds the
 *                                           instance's own seed, and reports to its own address. The next reboot has the real
 *                                           ones. /sys/firmware/dmi/tables has the template's until then
 *     the login keys of the template        taken out of authorized_keys; the instance's are put in
 *     SSH host keys                         removed; the instance's own is put in. sshd starts anew
 *     addresses in networks                 by the network's hook (network_hook.h); the cards and MACs are the instance's own
 *     the keys of TCP Fast Open             made anew
 *     random numbers in services            they are restarted, without waiting for their ends. systemd's own, which ask the
 *                                           kernel for each number, are restarted later
 *   after "kept"
 *     the boot loader's seed of random numbers   systemd writes it anew
 *     what journald and systemd keep of the machine-id
 *     passwords, accounts, user-data        cloud-init's stages are run as for a new instance
 *     names in systemd's own services       they are restarted
 *   only by a reboot
 *     boot_id, the kernel's addresses (KASLR) and its secrets for sequence numbers and hash tables, the InvocationIDs of
 *     services that are not restarted
 *   never
 *     the first card's MAC (each has a network of its own behind it), UUIDs of file systems, what else the template's
 *     user-data has put on the disk
 */
#ifndef PIAGENT_SEED_IDENTITY_H
#define PIAGENT_SEED_IDENTITY_H

#include <stdint.h>

#include "agent/base/buf.h"

struct seed_spec;

/* The boot hook of a template's seed. port is the name of the virtio port. user, as seed_user_check(): a first login of it later
 * need not wait for its session manager. 0 or -ENOMEM. */
int seed_identity_hook(const char *port, const char *user, struct pi_buf *ret);

#define SEED_ENTROPY_SIZE 256

/* All pointers are borrowed for the call. */
struct seed_identity {
    const struct seed_spec *seed; /* with .machine_id; its user-data and fleet come by the seed itself */
    const char *uuid;
    const char *serial, *reports; /* in SMBIOS: the system's serial number and the board's */
    uint64_t now_ms;              /* CLOCK_REALTIME */
    uint8_t entropy[SEED_ENTROPY_SIZE];
};

/* The line that tells a guest who it is. 0 or -ENOMEM. */
int seed_identity_line(const struct seed_identity *identity, struct pi_buf *ret);

#define SEED_IDENTITY_KEPT "kept\n"

#endif
