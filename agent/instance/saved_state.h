/* SPDX-License-Identifier: MIT */
/*
 * The saved state of an instance: QEMU is asked, step by step, to write it into a file (state_save.h, snapshot_save.h) or to
 * load it from there (state_load.h). Which of disk and saved state counts, the life says (vm/life.h); what a state needs,
 * vm/saved.h.
 *
 * QEMU gets the file as a descriptor over its monitor, because its sandbox lets it start no program: by getfd and "fd:NAME",
 * or, from 9.1 on, where that is deprecated for files (docs/about/deprecated.rst), by add-fd and "file:/dev/fdset/NUMBER".
 * The file is the same. It is a stream, and no mapped-ram, because that takes longer (tests/bench/README.md).
 */
#ifndef PIAGENT_INSTANCE_SAVED_STATE_H
#define PIAGENT_INSTANCE_SAVED_STATE_H

#include <stdbool.h>

#include "agent/base/error.h"
#include "agent/vm/saved.h"
#include "qmp/commands.h"

struct instance;
struct state_proof;
struct timer;

/* How the steps go on after an answer of QEMU's. */
enum saved_taken {
    TAKEN_NEXT,  /* with the next step */
    TAKEN_AGAIN, /* with the same one, after a while */
    TAKEN_FAILED /* not at all: err says why */
};

/* One command to QEMU, and what is done with its answer; or the end of the table. */
struct saved_step {
    enum qmp_command command; /* QMP_COMMANDS: the end of the table */
    json_t *(*arguments)(const struct instance *instance);
    bool may_be_refused;
    enum saved_taken (*take)(struct instance *instance, const json_t *data, struct pi_error *err);
    void (*end)(struct instance *instance); /* of the end: goes on from there */
};

struct saved_state {
    const struct saved_step *step; /* that QEMU is asked for now; NULL: none */
    struct timer *timer;           /* asks the same again */
    int fd;                        /* of the file of the RAM, for QEMU; -1 */
    bool by_fdset;                 /* this QEMU gets it by add-fd */
    int dir_fd;                    /* of the folder that a save writes to; -1 */
    char node[32];                 /* QEMU's name of the disk that the guest writes to */
    bool keeping;              /* a thread makes a state durable, perhaps one that does not count any more */
    struct state_proof *proof; /* a thread reads the file that is to be loaded; NULL: none does */
    struct vm_saved saved;     /* the state that is being saved or loaded */
};

/* 0 or -ENOMEM. */
int saved_state_init(struct instance *instance);
void saved_state_reset(struct instance *instance);
void saved_state_done(struct instance *instance);

/* VM_DO_DROP_STATE. */
void saved_state_drop(struct instance *instance);
/* Removes what an agent that was killed left of saved states that do not count. */
void saved_state_sweep(const struct instance *instance);

/* Whether the guest's RAM is the file VM_TEMPLATE_RAM_FILE, which QEMU leaves out of the state: it is a template, or resumes
 * from one and does not know yet who it is. */
bool saved_state_has_template_ram(const struct instance *instance);

/* For saves and loads. */

void saved_state_begin(struct instance *instance, const struct saved_step *steps);
/* VM_EVENT_STATE_FAILED, with the reason. */
void saved_state_failed(struct instance *instance, const char *why);
/* Adds what the state has to find under KVM: the host's processor. */
int saved_state_add_host(enum vm_accel accel, struct vm_saved *ret, struct pi_error *err);
/* The answer to QMP_QUERY_VERSION, which tells how this QEMU wants its file. */
int saved_state_note_qemu(struct instance *instance, const json_t *data, struct qmp_version *ret,
                          struct pi_error *err);
/* For QMP_GETFD, which becomes QMP_ADD_FD, and for QMP_MIGRATE and QMP_MIGRATE_INCOMING. */
json_t *saved_step_file(const struct instance *instance);
json_t *saved_step_uri(const struct instance *instance);
/* For QMP_REMOVE_FD, before the file is passed, because an earlier try may have broken off, and before the guest goes on. */
json_t *saved_step_fdset(const struct instance *instance);
/* For migrate-set-capabilities. */
json_t *saved_step_capabilities(const struct instance *instance);
/* The answer to a query-migrate. */
enum saved_taken saved_step_migrated(struct instance *instance, const json_t *data, struct pi_error *err);

#endif
