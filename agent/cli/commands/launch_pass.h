/* SPDX-License-Identifier: MIT */
/* Creates or starts many instances, as many at a time as their hosts can carry, and waits for them. */
#ifndef PIAGENT_CLI_LAUNCH_PASS_H
#define PIAGENT_CLI_LAUNCH_PASS_H

#include "agent/base/random.h"
#include "agent/cli/client/wait.h"

/* The user sets the pace by two options. */
struct cli_pace {
    uint64_t parallel; /* boots at a time on a host; 0 = as many as the host can carry */
    bool overcommit;   /* memory is not checked */
};

/* Their options: rows of a command's table. values_ has the member struct cli_pace pace. when_: "with -d: ", or "". */
#define CLI_PACE_OPTIONS(values_, when_)                                                                                           \
    {.name = "parallel",                                                                                                           \
     CLI_MEMBER(CLI_NUMBER, values_, pace.parallel),                                                                               \
     .argument = "N",                                                                                                              \
     .min = 1,                                                                                                                     \
     .max = 500,                                                                                                                   \
     .help = when_                                                                                                                 \
     "how many boot at a time on a host (default: one for each processor if they are emulated, four under KVM, six that resume)"}, \
    {                                                                                                                              \
        .name = "overcommit", CLI_MEMBER(CLI_FLAG, values_, pace.overcommit),                                                      \
        .help = when_ "even if the instances may take more memory than their host has",                                            \
    }

enum cli_launch_state {
    CLI_LAUNCH_WAITS,
    CLI_LAUNCH_BEGUN, /* it is being created, or it boots */
    CLI_LAUNCH_DONE,
    CLI_LAUNCH_FAILED,
    CLI_LAUNCH_HELD, /* it is after one that failed */
};

struct cli_launch_host {
    struct cli_agent *agent; /* connected; borrowed */
    const char *text;        /* how messages name it; borrowed */
    struct api_agent told;   /* private: free it with cli_launch_host_done() */
    bool looked;             /* private: told is as it was when the last boot began or ended */
    bool full;               /* private: the next start has to wait for another one's end */
};
void cli_launch_host_done(struct cli_launch_host *host);

/* All is borrowed. */
struct cli_launch_item {
    const char *name;
    const struct vm_fleet *place; /* in its fleet: after holds among the items of one fleet */
    struct cli_launch_host *host;
    const json_t *body; /* of the request that creates it; NULL: it is there */
    struct api_instance *
        made; /* it was asked for already: the answer, which is taken; or NULL. It may be gone again by now */
    bool first;          /* is created before the others: it has an address of its own choice */
    bool start;          /* has to be started; false: it is being started already */
    uint64_t memory_mib; /* that it may take, with QEMU's own */
    const char *arch;    /* NULL = its host's */
    bool emulated;       /* whatever its host can do */
    bool resumes;        /* it goes on from a saved state, which takes less than a boot */
    enum cli_launch_state state;
    unsigned load;                 /* private: of its boot; of one that resumes, until it knows who it is */
    char uuid[PI_UUID_LENGTH + 1]; /* set when it is begun */
};

struct cli_launch_pass {
    struct cli_launch_item *items;
    size_t count;
    struct cli_pace pace;
    bool cold;            /* saved states are dropped */
    struct cli_wait wait; /* .made: the items are created; else they are started */
    const char *command;  /* that goes on where this one ends: "piagent up" */
    int code;             /* private: of the first failure that no wait has told */
};

/*
 * Creates or starts each item that waits, and waits for it. A failure of one is told at once, and the others go on, except
 * those that are after it. An instance that another command makes or starts at the same time is waited for like the others. The
 * exit code of the first failure; after an interrupt 128 and the signal's number; or negative with err filled.
 */
int cli_launch_pass(struct cli_launch_pass *pass, struct pi_error *err);

#endif
