/* SPDX-License-Identifier: MIT */
/* Helpers of the checks: how they report a finding. For this folder and its tests alone. */
#ifndef PIAGENT_DOCTOR_CHECK_H
#define PIAGENT_DOCTOR_CHECK_H

#include <limits.h>

#include "agent/base/buf.h"
#include "agent/doctor/examine.h"
#include "agent/vm/spec.h"
#include "agent/vm/subnet.h"

/* The table gives each check its arg, mostly an enum vm_arch. ret comes with id, group and what. A check that
 * leaves the verdict as it is does not apply here. */
typedef void doctor_check_fn(const struct doctor_host *host, int arg, struct doctor_finding *ret);

doctor_check_fn doctor_check_qemu, doctor_check_emulation, doctor_check_qemu_net, doctor_check_qemu_img,
    doctor_check_bios, doctor_check_uefi;                                          /* check_qemu.c */
doctor_check_fn doctor_check_kvm;                                                  /* check_kvm.c */
doctor_check_fn doctor_check_program;                                              /* check_programs.c */
doctor_check_fn doctor_check_disk, doctor_check_memory, doctor_check_limits;       /* check_room.c */
doctor_check_fn doctor_check_folder, doctor_check_runtime, doctor_check_config;    /* check_folders.c */
doctor_check_fn doctor_check_networks, doctor_check_bridges;                       /* check_networks.c */
doctor_check_fn doctor_check_keys, doctor_check_ports, doctor_check_fedora;        /* check_reach.c */
doctor_check_fn doctor_check_agent, doctor_check_user_manager, doctor_check_clock; /* check_session.c */

/* The arg of doctor_check_program(); of doctor_check_folder() and doctor_check_disk(). */
enum { DOCTOR_SSH, DOCTOR_COPY, DOCTOR_GPG, DOCTOR_CLOUD_INIT };
enum { DOCTOR_INSTANCES, DOCTOR_IMAGES, DOCTOR_CONFIG };

/* Sets the verdict and its text, which it cleans. Sets works if the verdict is DOCTOR_OK. */
void doctor_say(struct doctor_finding *ret, enum doctor_verdict verdict, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Sets the remedy. */
void doctor_mend(struct doctor_finding *ret, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Sets as remedy the command that installs the packages on this host's distribution (os-release(5)). On a
 * distribution that piagent does not know, it names both packages. */
void doctor_mend_install(const struct doctor_host *host, struct vm_packages packages,
                         struct doctor_finding *ret);

/* The same for a program that failed. If it is installed (path is not NULL), it is slow or broken, and
 * installing it again would not help: the remedy is then to run it with these arguments and look. */
void doctor_mend_program(const struct doctor_host *host, const char *path, const char *arguments,
                         struct vm_packages packages, struct doctor_finding *ret);

/* "sudo ", or "" for root. */
const char *doctor_sudo(void);

/* This user's name; or "$USER" and false if the host knows no name. */
bool doctor_user(char ret[64]);

/* DOCTOR_FAIL for this host's own architecture, else DOCTOR_WARN. */
enum doctor_verdict doctor_lacking(enum vm_arch arch);

/* Puts host->root before path. */
void doctor_path(const struct doctor_host *host, const char *path, char ret[PATH_MAX]);

/* Adds the file's text to ret; false if it cannot be read. ret->data is a string in both cases. */
bool doctor_read(const struct doctor_host *host, const char *path, struct pi_buf *ret);

/* Runs a program, at most DOCTOR_LIMIT_MS long. 0 with its first line, cleaned, in line; PI_HOST if it is not
 * installed; PI_FAILED with what it said if it fails. */
int doctor_ask(const char *const *argv, struct pi_buf *output, char line[256], struct pi_error *err);

/* networks as in struct doctor_host; used are the host's own subnets. */
void doctor_judge_networks(const json_t *networks, const struct vm_subnet *used, size_t count,
                           struct doctor_finding *ret);

/* The facts about /dev/kvm. doctor_judge_kvm() turns them into a finding, and is pure. */
struct doctor_kvm {
    bool container;    /* this host is a container */
    bool virtual;      /* this host is a virtual machine */
    bool capable;      /* the processor has the feature */
    char module[16];   /* the kernel module that makes /dev/kvm: "kvm_intel"; "" = none */
    int open_errno;    /* 0 = the device opens */
    bool in_group;     /* this user is in its group, but perhaps not yet in this session */
    char group[33];    /* of the device */
    bool ran;          /* a small guest ran on it */
    char failure[256]; /* why none ran */
    bool distrusted;   /* a real guest failed on it since this host booted */
};
void doctor_judge_kvm(const struct doctor_kvm *kvm, const char *marker, struct doctor_finding *ret);

/* Runs a guest of a few instructions on the KVM device, in a process of its own, for at most timeout_ms. The
 * guest writes to a port and halts (x86_64), or stores to an address without memory (aarch64). 0, or the
 * reason why it does not run. */
int doctor_kvm_trial(const char *device, unsigned timeout_ms, struct pi_error *err);

/* The facts about a file system. doctor_judge_space() is pure. */
struct doctor_space {
    const char *path;
    long type;                        /* statfs(2)'s f_type */
    uint64_t free_bytes, free_inodes; /* free_inodes UINT64_MAX = it has no such limit */
    bool dense;                       /* it stores holes of files as zeros */
};
void doctor_judge_space(const struct doctor_space *space, struct doctor_finding *ret);

/* The facts about memory, in bytes. */
struct doctor_memory {
    uint64_t total, available, swap;
    uint64_t promised; /* of what is available, to instances that run */
    int overcommit;    /* vm.overcommit_memory; 2 = the kernel promises no more than it has */
    bool merges;       /* KSM runs: the kernel keeps equal pages of instances once */
};
void doctor_judge_memory(const struct doctor_memory *memory, struct doctor_finding *ret);

/* files: the descriptors that one process may have; processes: the tasks that this user may have. */
void doctor_judge_limits(uint64_t files, uint64_t processes, struct doctor_finding *ret);

#endif
