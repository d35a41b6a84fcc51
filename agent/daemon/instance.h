/*
 * One instance in the agent: its record, its QEMU, its logs, and what is under way. Events of all kinds come
 * in through instance_feed(), pass the state function (vm/life.h), and leave as actions.
 *
 *   instance.c  its life: events in, actions out         launch.c  from record to running QEMU
 *   create.c    image, disk and keys, by workers         adopt.c   finding it again after the agent's restart
 *   monitor.c   what QEMU says: handshake, events         guest.c   what the guest says: seed, reports
 *   journal.c   its events, for followers and the record  view.c    as the API shows it
 */
#ifndef PIAGENT_DAEMON_INSTANCE_H
#define PIAGENT_DAEMON_INSTANCE_H

#include "agent/daemon/agent.h"
#include "agent/daemon/console.h"
#include "agent/daemon/logfile.h"
#include "agent/daemon/qmp_link.h"
#include "agent/daemon/worker.h"
#include "agent/vm/life.h"
#include "agent/vm/record.h"

struct instance {
    struct agent *agent;
    struct vm_record record;
    int dir_fd;
    char *folder;  /* absolute */
    unsigned refs; /* the agent's own, and one a stream that reads it */
    bool broken;   /* its record cannot be read: it can only be removed */
    bool ghost;    /* its creation failed: there for its followers only */
    LIST_ENTRY(instance) entry;

    struct logfile journal, console_log;
    uint64_t next_seq;
    struct api_event image; /* the image's progress while it is fetched */
    uint64_t image_version; /* counts its changes; 0 = none */

    /* while it is being created */
    struct api_create request;
    struct worker *worker;

    /* while QEMU runs */
    int pidfd;
    struct watch *exit_watch;
    struct qmp_link *qmp;
    struct console *console;
    bool adopting; /* QMP is being asked whether this is the same machine */
    struct timer *resend_timer, *rung_timer, *sign_timer, *link_timer, *ghost_timer;
    uint64_t
        powerdown_ms; /* how long the guest may take; 0 = the default, counted from its last sign of life */
    uint64_t powerdown_since_ms, last_sign_ms; /* CLOCK_MONOTONIC */
    unsigned powerdowns_sent;
    bool sign_seen;          /* since QEMU's start */
    unsigned reports_budget; /* a guest may not write the journal as fast as it can */
    uint64_t reports_refilled_ms;
};

#define INSTANCE_RUNG_MS          10000 /* for quit, and for each signal */
#define INSTANCE_RESEND_MS        3000
#define INSTANCE_POWERDOWN_MS     90000
#define INSTANCE_POWERDOWN_CAP_MS 600000
#define INSTANCE_SIGN_MS          30000
#define INSTANCE_QMP_MS           20000

/* instance.c */
/* An instance in the agent's list, its folder open. Takes over *record on success. */
int instance_new(struct agent *agent, struct vm_record *record, struct instance **ret, struct pi_error *err);
void instance_ref(struct instance *instance);
void instance_unref(struct instance *instance);
/* Takes it out of the list; its memory goes with the last reference. Running QEMUs run on. */
void instance_detach(struct instance *instance);
void instance_feed(struct instance *instance, const struct vm_event *event);
/* The same for a request: PI_CONFLICT where the state does not allow it, with what to do instead. */
int instance_request(struct instance *instance, enum vm_event_type type, struct pi_error *err);
/* The reason that the next change of state carries; cleaned. */
void instance_set_reason(struct instance *instance, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void instance_save(struct instance *instance);
/* The guest showed that it lives. */
void instance_sign(struct instance *instance);
/* Whether a start under TCG may replace the one that runs under KVM. */
bool instance_may_fall_back(const struct instance *instance);
/* Stops what belongs to the agent and not to QEMU: sockets, timers, watches. */
void instance_let_go(struct instance *instance);

/* create.c */
int instance_create(struct agent *agent, struct api_create *request, struct instance **ret,
                    struct pi_error *err);
/* Removes all of it from the disk; it must not be running. What creates it is stopped. */
int instance_remove(struct instance *instance, struct pi_error *err);

/* launch.c */
/* Starts QEMU with stopped vCPUs and connects to it. On failure nothing is left of it. */
int instance_launch(struct instance *instance, struct pi_error *err);
/* Connects to a QEMU that runs: QMP, console, its end. */
int instance_connect(struct instance *instance, struct pi_error *err);
/* Serves its seed. */
int instance_serve_seed(struct instance *instance, struct pi_error *err);
/* The user's own ports must be free; the automatic one for SSH moves where another program has taken it. */
int instance_check_ports(struct instance *instance, struct pi_error *err);
/* QEMU's argv as a start would use it now. */
int instance_argv(struct instance *instance, struct pi_strv *ret, struct pi_error *err);
void instance_clean_sockets(struct instance *instance);
/* What the guest said in its last boot is no longer so. */
void instance_forget_boot(struct instance *instance);

/* monitor.c */
/* Connects to QEMU's QMP and proves that it is this instance's machine; then VM_EVENT_LAUNCHED comes, or
 * VM_EVENT_ADOPTED where .adopting is set. */
int instance_connect_qmp(struct instance *instance, struct pi_error *err);

/* guest.c: callbacks of the IMDS */
extern const struct imds_handler instance_imds_handler;

/* journal.c */
int journal_open(struct instance *instance, struct pi_error *err);
/* Completes the event (seq, both clocks), writes it and wakes its followers. Strings are borrowed. */
void journal_add(struct instance *instance, struct api_event *event);
void journal_note(struct instance *instance, const char *format, ...) __attribute__((format(printf, 2, 3)));
void journal_progress(struct instance *instance, const struct api_event *image);
/* A stream of its events after seq since. */
int journal_stream(struct instance *instance, uint64_t since, bool follow, struct api_stream *ret,
                   struct pi_error *err);
int console_stream(struct instance *instance, uint64_t tail, bool follow, struct api_stream *ret,
                   struct pi_error *err);

/* view.c */
/* As the API shows it. New reference or NULL. */
json_t *instance_view(const struct instance *instance);

#endif
