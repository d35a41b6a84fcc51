/* SPDX-License-Identifier: MIT */
/*
 * The spec of an instance: everything that is chosen once, when it is created, and kept in its record. It is
 * the same at each start, except the automatic SSH port if another program has taken that meanwhile.
 */
#ifndef PIAGENT_VM_SPEC_H
#define PIAGENT_VM_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/fields.h"
#include "agent/base/random.h"
#include "agent/base/text.h"

enum vm_arch { VM_X86_64, VM_AARCH64, VM_ARCHES };
enum vm_accel { VM_ACCEL_AUTO, VM_ACCEL_KVM, VM_ACCEL_TCG };
enum vm_firmware { VM_FIRMWARE_AUTO, VM_FIRMWARE_BIOS, VM_FIRMWARE_UEFI };

/* QEMU's and Fedora's words for them; each list ends with NULL. */
extern const char *const vm_arch_names[];     /* "x86_64", "aarch64" */
extern const char *const vm_accel_names[];    /* "auto", "kvm", "tcg" */
extern const char *const vm_firmware_names[]; /* "auto", "bios", "uefi" */

/* The packages that hold a program or file that piagent needs, for messages. */
struct vm_packages {
    const char *debian, *fedora;
};

/* This host's own architecture, or VM_ARCHES if it is neither. */
enum vm_arch vm_arch_host(void);

#define VM_CPUS_MAX           64
#define VM_MEMORY_MIB_DEFAULT 1024
#define VM_MEMORY_MIB_MIN     256
#define VM_MEMORY_MIB_MAX     (1024 * 1024)
#define VM_DISK_BYTES_MAX     (16ull << 40)
/* The memory that QEMU takes beside the guest's (vm/host_memory.h): its own, and translated code, which would grow up to 1 GiB
 * by default; a boot fills most of that with code that does not run again. */
#define VM_OWN_MIB  128
#define VM_CODE_MIB 128
/* --memory-max leaves QEMU at least that. */
#define VM_OVERHEAD_MIB (VM_OWN_MIB + VM_CODE_MIB)
/* With less, QEMU would not answer in time. */
#define VM_CPU_QUOTA_MIN   10
#define VM_CPU_QUOTA_MAX   (100 * VM_CPUS_MAX)
#define VM_FORWARDS_MAX    32
#define VM_NETWORKS_MAX    8
#define VM_FLEET_COUNT_MAX 500
#define VM_FLEET_AFTER_MAX 64

/* "ADDRESS:HOSTPORT:GUESTPORT", TCP. The address is an IPv4 address of the host, numeric. */
struct vm_forward {
    char address[16];
    uint16_t host_port;
    uint16_t guest_port;
};

/* Also accepts "HOSTPORT:GUESTPORT", which means 127.0.0.1. PI_USAGE, with the text. */
int vm_forward_parse(const char *text, struct vm_forward *ret, struct pi_error *err);

/* Two listeners can share a port only on different addresses. 0.0.0.0 is every address. */
bool vm_forwards_clash(const struct vm_forward *a, const struct vm_forward *b);

struct vm_image {
    char sha256[65]; /* of the base image in the store */
    char *path;      /* absolute: the base of the overlay, never written */
    char *name;      /* "Fedora-Cloud-Base-Generic-44-1.7.x86_64.qcow2" */
    char *format;    /* "qcow2" or "raw" */
    uint64_t virtual_size_bytes;
    bool verified;
};
extern const struct pi_field vm_image_fields[];

/* The place of an instance in a fleet. */
struct vm_fleet {
    char name[PI_NAME_MAX + 1]; /* "" = it is in none, and the rest is unset */
    char role[PI_NAME_MAX + 1]; /* the entry of the fleet's file that it was made of: "node" */
    uint64_t index,
        count;            /* its number among the instances of the entry, from 1 on, and how many these are */
    struct pi_strv after; /* "server=ready", "db=started": the entries that it starts after */
};
extern const struct pi_field vm_fleet_fields[];

/* The part of it that a request to create an instance may choose, and the parts that the API shows of an instance. */
enum vm_spec_part {
    VM_SPEC_CHOSEN = 1 << 0,
    VM_SPEC_SHOWN = 1 << 1,
    VM_SPEC_LISTED = 1 << 2, /* in a list of many instances */
};

struct vm_spec {
    char name[PI_NAME_MAX + 1];
    char uuid[PI_UUID_LENGTH +
              1]; /* QEMU's -uuid, the guest's product_uuid; "iid-UUID" is cloud-init's instance-id */
    char cloned_from[PI_NAME_MAX + 1]; /* the instance that it is a clone of, which may be gone; "" = none */
    bool template; /* it is made to be saved, and others resume from that: it never runs again */
    char of_template[PI_NAME_MAX +
                     1]; /* the template that its first run resumes from, which may be gone; "" = none */
    enum vm_arch arch;
    uint64_t cpus;
    uint64_t memory_mib;
    uint64_t memory_max_mib;    /* of QEMU as a whole; 0 = no limit */
    uint64_t cpu_quota_percent; /* of one processor's time; 0 = no limit */
    uint64_t disk_bytes;        /* of the overlay; 0 = as large as the image */
    enum vm_accel accel;        /* the user's choice, not what runs */
    enum vm_firmware firmware;
    uint64_t ssh_port;       /* on 127.0.0.1, forwarded to the guest's 22 */
    char *mac;               /* 52:54:00:xx:xx:xx, locally unique */
    struct pi_strv forwards; /* texts for vm_forward_parse() */
    struct pi_strv networks; /* texts for vm_network_use_parse(): in a record each has its address */
    bool isolate;            /* the guest reaches its IMDS and answers to the forwards, nothing else */
    bool ephemeral;          /* it is removed when its first run has ended, and its disk is never flushed */
    struct vm_image image;
    struct pi_strv labels; /* as vm_labels_check() */
    struct vm_fleet fleet;

    char *user;                     /* the login that piagent made */
    char *password_hash;            /* crypt(3), or NULL: no password login */
    struct pi_strv authorized_keys; /* the user's own; piagent's key is in the folder */
    bool has_user_data;             /* the instance's folder has the user's file, as "user-data" */
    char user_data_sha256[65];      /* of that file; "" = none, or an older piagent made the instance */
};

extern const struct pi_field vm_spec_fields[]; /* .parts: enum vm_spec_part; .help is for the API's users */

/* Sets cpus, memory_mib and user to their defaults if they are unset. The default of disk_bytes depends on the image.
 * 0 or -ENOMEM. */
int vm_spec_complete(struct vm_spec *spec);

/* Checks each value against its limits, and the values against each other. PI_USAGE, with the option to
 * change. Values that are chosen after the user's (uuid, mac, ssh_port, the image's size) may be unset. */
int vm_spec_check(const struct vm_spec *spec, struct pi_error *err);

void vm_spec_done(struct vm_spec *spec);

#endif
