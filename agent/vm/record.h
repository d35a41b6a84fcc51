/* SPDX-License-Identifier: MIT */
/*
 * An instance's record: everything about it that must survive the agent. One JSON file, 0600, written durably
 * at each change.
 *
 * The instance's folder:
 *   record.json                     this
 *   disk.qcow2, vars.qcow2          the overlay; UEFI's variables
 *   base-1.qcow2, base-2.qcow2 ...  the layers below the overlay that it shares with clones: hard links, so that the
 *                                   last instance that has one removes it. base-1 stands on the image
 *   smbios.bin, smbios-board.bin    tell the guest the addresses of its seed and for reports
 *   user-data                       the user's own file
 *   ssh_key[.pub]                   piagent's login key
 *   ssh_host_ed25519_key[.pub]      the guest's host key
 *   saved-ram, saved.json           of a saved instance: its state (vm/saved.h)
 *   snapshots                       (vm/snapshot_folder.h)
 *   template-ram                    the RAM of a template, which is saved beside the stream; of an instance that is to
 *                                   resume from it, a link to that
 *   ssh_settings                    the command line's (cli/client/ssh_options.h)
 *   known_hosts, journal.jsonl, console.log, qemu.log
 */
#ifndef PIAGENT_VM_RECORD_H
#define PIAGENT_VM_RECORD_H

#include "agent/base/proc.h"
#include "agent/vm/life.h"
#include "agent/vm/spec.h"
#include "imds/report.h"

#define VM_RECORD_FILE      "record.json"
#define VM_USER_DATA_FILE   "user-data"
#define VM_SSH_KEY_FILE     "ssh_key"
#define VM_HOST_KEY_FILE    "ssh_host_ed25519_key"
#define VM_KNOWN_HOSTS_FILE "known_hosts"
/* 2 if the spec has .isolate: a piagent that does not know .isolate must not start the instance. 3 while it has a saved
 * state: a piagent that knows none would boot its disk. 4 while it has the hardware of templates. */
#define VM_RECORD_SCHEMA 4
#define VM_RECORD_MAX    ((size_t)1 << 20)

#define VM_FAILED_MODULES_MAX     32
#define VM_USER_DATA_PROBLEMS_MAX 8

struct vm_record {
    uint64_t schema;
    struct vm_spec spec;

    struct vm_life life;
    bool booted; /* its guest has been ready once: later boots do less, and get a seed without secrets */
    bool
        id_on_board; /* its guest reads its instance-id off its board (seed/documents.h), so that a clone of its disk notices
                         that it is another instance; false = an older piagent made it */
    bool
        template_hardware; /* it runs, or was saved, on the hardware of templates (vm/argv.h); false from its next boot of the
                               disk on, unless it is a template */
    bool
        identity_due; /* it is to resume, or has resumed, from its template's saved state, and its guest still takes
                               itself for the template */
    bool
        set_up_due; /* then it has taken its identity, and waits until it may be set up (instance/set_up.h) */
    uint64_t powerdown_ms, step_ms; /* of a stop: api_stop */

    char key[33];        /* of its seed; new at each start: 128 random bits, hexadecimal */
    char report_key[33]; /* of its reports; "" = an older piagent made it, and its guest reports under key */
    /* Of an instance of a fleet; "" = it is in none. */
    char peers_key[33];   /* of the list of its peers; the same for its whole life */
    char join_secret[65]; /* the same in all instances of the fleet: 256 random bits, hexadecimal */
    uint64_t
        imds_port; /* the port of its seed; 0 = isolated, never started, or started by an older piagent */
    enum vm_accel accel;       /* of this run: KVM or TCG; AUTO if it never ran */
    uint64_t pid, start_ticks; /* with boot_id: struct pi_identity of its QEMU; 0 = none */
    char boot_id[PI_BOOT_ID_LENGTH + 1];
    uint64_t saved_bytes; /* of its saved state; 0 = it has none */
    char snapshot[PI_NAME_MAX +
                  1];  /* that its disk has come of; of a snapshot's record: its parent; "" = none */
    uint64_t taken_ms; /* of a snapshot's record: when it was made, CLOCK_REALTIME */

    uint64_t created_ms, started_ms, ready_ms, stopped_ms; /* CLOCK_REALTIME; 0 = never */
    uint64_t boot_ms;          /* CLOCK_REALTIME: the start of its newest boot, which ready_ms belongs to */
    char cloud_init_stage[64]; /* the latest one that the guest reported */
    enum imds_result cloud_init_result; /* of the boot */
    enum imds_result
        held_result;   /* the same, if cloud-init has finished and announced a reboot that has not come yet */
    char silence[160]; /* why its guest, which is up, may not report; "" = it reports, or is not up */
    bool power_change; /* cloud-init has announced in this boot that it will reboot or power off */
    bool disk_full, cloud_init_died;   /* of struct vm_landmarks */
    struct pi_strv failed_modules;     /* "modules-final/config-scripts-user" */
    struct pi_strv user_data_problems; /* what the guest's cloud-init found wrong with it */
};

/* Reads the text of a record. Ignores unknown keys, which a newer piagent with the same schema may have
 * written. -EBADMSG, -EPROTONOSUPPORT and -ENOMEM as below. */
int vm_record_parse(const char *json, size_t size, struct vm_record *ret, struct pi_error *err);

/* Reads the record in the folder. -ENOENT if there is none; -EBADMSG, with the reason, if it is invalid;
 * -EPROTONOSUPPORT if its schema is newer; -ENOMEM, which says nothing about the record. */
int vm_record_load(int dir_fd, struct vm_record *ret, struct pi_error *err);
int vm_record_save(int dir_fd, const struct vm_record *record, struct pi_error *err);
/* The record as text, which the caller frees; NULL without memory. */
char *vm_record_render(const struct vm_record *record);
void vm_record_done(struct vm_record *record);

#endif
