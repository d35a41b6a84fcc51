/* SPDX-License-Identifier: MIT */
/* What the checks have in common: how they say what they found. Inside this folder, and for its tests. */
#ifndef PIAGENT_DOCTOR_CHECK_H
#define PIAGENT_DOCTOR_CHECK_H

#include <limits.h>

#include "agent/base/buf.h"
#include "agent/doctor/examine.h"
#include "agent/vm/spec.h"

/* arg is the check's own, from the table (enum vm_arch, mostly). ret comes with id, group and what; a check
 * that says nothing does not apply. */
typedef void doctor_check_fn(const struct doctor_host *host, int arg, struct doctor_finding *ret);

doctor_check_fn doctor_check_qemu, doctor_check_emulation, doctor_check_qemu_net, doctor_check_qemu_img,
    doctor_check_bios, doctor_check_uefi;                                          /* check_qemu.c */
doctor_check_fn doctor_check_kvm;                                                  /* check_kvm.c */
doctor_check_fn doctor_check_program;                                              /* check_programs.c */
doctor_check_fn doctor_check_disk, doctor_check_memory, doctor_check_limits;       /* check_room.c */
doctor_check_fn doctor_check_folder, doctor_check_runtime, doctor_check_config;    /* check_folders.c */
doctor_check_fn doctor_check_keys, doctor_check_ports, doctor_check_fedora;        /* check_reach.c */
doctor_check_fn doctor_check_agent, doctor_check_user_manager, doctor_check_clock; /* check_session.c */

/* enum for doctor_check_program's arg, doctor_check_folder's and doctor_check_disk's. */
enum { DOCTOR_SSH, DOCTOR_SSH_KEYGEN, DOCTOR_COPY, DOCTOR_GPG, DOCTOR_CLOUD_INIT };
enum { DOCTOR_INSTANCES, DOCTOR_IMAGES, DOCTOR_CONFIG };

/* The verdict and its text (cleaned); works is set where it is DOCTOR_OK. */
void doctor_say(struct doctor_finding *ret, enum doctor_verdict verdict, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What would mend it. */
void doctor_mend(struct doctor_finding *ret, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The command that installs it on this host's distribution (os-release(5)); both names where it is another.
 */
void doctor_mend_install(const struct doctor_host *host, struct vm_packages packages,
                         struct doctor_finding *ret);

/* The same of a program that failed. Where it is there (path is not NULL) it is slow or broken, and
 * installing it again is no cure for that: the command to look at, its path with those arguments. */
void doctor_mend_program(const struct doctor_host *host, const char *path, const char *arguments,
                         struct vm_packages packages, struct doctor_finding *ret);

/* "sudo " where this user is not root. */
const char *doctor_sudo(void);

/* This user's name; "$USER" and false where the host knows none. */
bool doctor_user(char ret[64]);

/* FAIL where it is about this host's own architecture, else WARN. */
enum doctor_verdict doctor_lacking(enum vm_arch arch);

/* host->root before path. */
void doctor_path(const struct doctor_host *host, const char *path, char ret[PATH_MAX]);

/* Adds the file's text to ret, which is never left without any; false where it cannot be read. */
bool doctor_read(const struct doctor_host *host, const char *path, struct pi_buf *ret);

/* Runs a program for a short time: 0 with its first line in ret (cleaned), or negative: PI_HOST where it is
 * not installed. A program that fails says why. */
int doctor_ask(const char *const *argv, struct pi_buf *output, char line[256], struct pi_error *err);

/* What is known of /dev/kvm, and what it means (pure). */
struct doctor_kvm {
    bool container;    /* this host is one */
    bool virtual;      /* or a virtual machine */
    bool capable;      /* the processor says that it can */
    char module[16];   /* which would make /dev/kvm: "kvm_intel"; "" = none */
    int open_errno;    /* 0 = it opens */
    bool in_group;     /* this user is in its group, if not yet in this session */
    char group[33];    /* of the device */
    bool ran;          /* a small guest ran on it */
    char failure[256]; /* why not */
    bool distrusted;   /* a real one did not in this boot of the host */
};
void doctor_judge_kvm(const struct doctor_kvm *kvm, const char *marker, struct doctor_finding *ret);

/* A guest of a few instructions on the KVM device: it writes to a port and halts (x86_64), or stores where no
 * memory is (aarch64). In a process of its own, for at most timeout_ms. 0, or why it does not run. */
int doctor_kvm_trial(const char *device, unsigned timeout_ms, struct pi_error *err);

/* What is known of a file system, and what it means (pure). */
struct doctor_space {
    const char *path;
    long type;                        /* statfs(2)'s f_type */
    uint64_t free_bytes, free_inodes; /* free_inodes UINT64_MAX = it has no such limit */
    bool dense;                       /* a file with a hole takes the hole's room */
};
void doctor_judge_space(const struct doctor_space *space, struct doctor_finding *ret);

/* The same for memory, in bytes; overcommit is vm.overcommit_memory, 2 = what is promised must be there. */
struct doctor_memory {
    uint64_t total, available, swap;
    int overcommit;
};
void doctor_judge_memory(const struct doctor_memory *memory, struct doctor_finding *ret);

/* And for what one process and one user may have at once. */
void doctor_judge_limits(uint64_t files, uint64_t processes, struct doctor_finding *ret);

#endif
