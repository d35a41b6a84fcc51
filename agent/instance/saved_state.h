/* SPDX-License-Identifier: MIT */
/*
 * The saved state of an instance: QEMU is asked, step by step, to write it into a file (state_save.h) or to load it from
 * there (state_load.h). It goes through a descriptor that QEMU gets over its monitor (getfd), because its sandbox lets it
 * start no program. Which of disk and saved state counts, the life says (vm/life.h); what a state needs, vm/saved.h.
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

/* What comes of an answer. */
enum saved_taken {
    TAKEN_NEXT,  /* the next step */
    TAKEN_AGAIN, /* the same one, after a while */
    TAKEN_FAILED /* err says why */
};

struct saved_step {
    enum qmp_command command; /* QMP_COMMANDS: the end of the table */
    json_t *(*arguments)(const struct instance *instance);
    bool gets_fd, may_be_refused;
    enum saved_taken (*take)(struct instance *instance, const json_t *data, struct pi_error *err);
    void (*end)(struct instance *instance); /* of the end */
};

struct saved_state {
    const struct saved_step *step; /* that QEMU is asked for now; NULL: none */
    struct timer *timer;           /* asks the same again */
    int fd;                        /* of the file of the RAM, while QEMU may use it; -1 */
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

/* Whether it has the RAM of a template, its own or one that it resumes from: a file, which is not in the stream. */
bool saved_state_has_template_ram(const struct instance *instance);

/* For saves and loads. */

void saved_state_begin(struct instance *instance, const struct saved_step *steps);
/* VM_EVENT_STATE_FAILED, with the reason. */
void saved_state_failed(struct instance *instance, const char *why);
/* Adds what the state has to find under KVM: the host's processor. */
int saved_state_add_host(enum vm_accel accel, struct vm_saved *ret, struct pi_error *err);
/* Arguments for getfd, and for migrate and migrate-incoming. */
json_t *saved_step_fd_name(const struct instance *instance);
json_t *saved_step_fd_uri(const struct instance *instance);
/* For migrate-set-capabilities. */
json_t *saved_step_capabilities(const struct instance *instance);
/* The end of a query-migrate. */
enum saved_taken saved_step_migrated(struct instance *instance, const json_t *data, struct pi_error *err);

#endif
