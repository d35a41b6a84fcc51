/* SPDX-License-Identifier: MIT */
/*
 * An instance's record: what must survive the agent. One JSON file, written durably at each change, 0600.
 *
 * The instance's folder:
 *   record.json                     this
 *   disk.qcow2, vars.qcow2          the overlay; UEFI's variables
 *   smbios.bin, smbios-board.bin    where the guest finds its seed and reports
 *   user-data                       the user's own file
 *   ssh_key[.pub]                   piagent's login key
 *   ssh_host_ed25519_key[.pub]      the guest's host key
 *   known_hosts, journal.jsonl, console.log, qemu.log
 */
#ifndef PIAGENT_VM_RECORD_H
#define PIAGENT_VM_RECORD_H

#include "agent/base/proc.h"
#include "agent/vm/life.h"
#include "agent/vm/spec.h"
#include "imds/report.h"

#define VM_RECORD_FILE "record.json"
/* 2 where the spec has .isolate: a version that does not know it must not start the machine without. */
#define VM_RECORD_SCHEMA 2
#define VM_RECORD_MAX    ((size_t)1 << 20)

struct vm_record {
    uint64_t schema;
    struct vm_spec spec;

    struct vm_life life;
    bool booted; /* its guest has become ready once: later boots do less, and are served less */
    uint64_t powerdown_ms, step_ms; /* of a stop: api_stop */

    char key[33];        /* of its seed, a new one at each start: 128 random bits, hexadecimal */
    char report_key[33]; /* the same for its reports; "" = made by a version that had none: its guest reports
                            under key */
    uint64_t imds_port;  /* where its guest looks for the seed; 0 = isolated, never started, or started by a
                            version that did not keep it */
    enum vm_accel accel; /* what this run uses: KVM or TCG; AUTO when it never ran */
    uint64_t pid, start_ticks; /* with boot_id: struct pi_identity of its QEMU; 0 when none */
    char boot_id[PI_BOOT_ID_LENGTH + 1];

    uint64_t created_ms, started_ms, ready_ms, stopped_ms; /* CLOCK_REALTIME; 0 = never */
    uint64_t boot_ms;          /* the same: the beginning of its newest boot; ready_ms is of that boot, too */
    char cloud_init_stage[64]; /* the last that the guest reported */
    enum imds_result cloud_init_result; /* of the boot */
    enum imds_result
        held_result;   /* the same, of a boot that is over but for the reboot that cloud-init announced */
    char silence[160]; /* it is up, and cloud-init does not report: why that may be; "" = not (yet) so */
    bool power_change; /* in this boot cloud-init has announced that it reboots, or powers off */
    bool disk_full, cloud_init_died;   /* of struct vm_landmarks */
    struct pi_strv failed_modules;     /* "modules-final/config-scripts-user", at most 32 */
    struct pi_strv user_data_problems; /* what the guest's cloud-init found wrong with it, at most 8 */
};

/* Reads the text of a record; unknown keys, of a later version with the same schema, are passed over.
 * -EBADMSG, -EPROTONOSUPPORT and -ENOMEM as below. */
int vm_record_parse(const char *json, size_t size, struct vm_record *ret, struct pi_error *err);

/* Reads the record in the folder. -ENOENT where there is none; -EBADMSG for one that cannot be read (why in
 * err); -EPROTONOSUPPORT for a newer schema; -ENOMEM, which says nothing about the record. */
int vm_record_load(int dir_fd, struct vm_record *ret, struct pi_error *err);
int vm_record_save(int dir_fd, const struct vm_record *record, struct pi_error *err);
/* Its text, the caller's to free; NULL without memory. */
char *vm_record_render(const struct vm_record *record);
void vm_record_done(struct vm_record *record);

#endif
