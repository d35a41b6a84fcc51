/* SPDX-License-Identifier: MIT */
/*
 * One instance in the agent: its record, its QEMU, its logs, and what is under way. Events of all kinds come
 * in through instance_feed(), pass the state function (vm/life.h), and leave as actions.
 *
 *   instance.c  its life: events in, actions out         launch.c  from record to running QEMU
 *   create.c    image, disk and keys, by workers         adopt.c   finding it again after the agent's restart
 *   seed.c      its seed, and the key to it
 *   monitor.c   what QEMU says: handshake, events         guest.c   what the guest says: seed, reports
 *   store.c     its folder, and what waits until it is written
 *   boots.c     how long its boot may take                trouble.c a boot that goes no further
 *   silence.c   a guest that is up and does not report
 *   journal.c   its events, for followers and the record  view.c    as the API shows it
 *   clock.c     its clock, after it stood still           network.c an isolated one's network
 */
#ifndef PIAGENT_INSTANCE_INSTANCE_H
#define PIAGENT_INSTANCE_INSTANCE_H

#include <limits.h>

#include "agent/api/server.h"
#include "agent/api/types.h"
#include "agent/instance/host.h"
#include "agent/loop/budget.h"
#include "agent/loop/channel.h"
#include "agent/loop/logfile.h"
#include "agent/loop/qmp_link.h"
#include "agent/loop/worker_process.h"
#include "agent/vm/boot_times.h"
#include "agent/vm/landmark.h"
#include "agent/vm/life.h"
#include "agent/vm/record.h"
#include "imds/registry.h"
#include "imds/server.h"
#include "qmp/guest_agent.h"

/* What goes on when the folder is as it is to be; result is negative where that failed, with why. */
typedef void (*instance_then_fn)(struct instance *instance, int result, const struct pi_error *why);

/*
 * The folder is written by a thread of libuv's pool: one write at a time, the newest state only. What may
 * only happen when the state that it comes from is on disk waits here: actions, events, answers to requests,
 * and the next step of a creation or a start.
 */
struct instance_store {
    uv_work_t request;
    bool busy;   /* a thread is at work: text and failure are its */
    bool wanted; /* the record has changed since it was last given to a thread */
    bool fresh;  /* nothing of the folder is written yet, not even that it is there */
    enum { STORE_KEPT, STORE_TO_GO, STORE_GOING, STORE_GONE } removal;
    struct pi_buf user_data; /* the user's own, of a fresh one */
    char *text;              /* of the record */
    int result;              /* of the newest write, with why */
    struct pi_error failure;
    unsigned due; /* enum vm_action */
    instance_then_fn then;
    STAILQ_HEAD(, answer) answers;
};

struct instance {
    struct instance_host *host;
    struct vm_record record;
    int dir_fd;    /* -1 = its folder cannot be opened */
    char *folder;  /* absolute */
    unsigned refs; /* the agent's own, and one a stream that reads it */
    bool broken;   /* its record cannot be read: it can only be removed */
    LIST_ENTRY(instance) entry;

    struct logfile journal, console_log;
    struct pi_buf journal_tail; /* what could not be written to the journal: its continuation */
    uint64_t journal_told;      /* the offset up to which it may be read */
    struct instance_store store;
    bool unsaved;             /* the record as it is could not be written */
    bool detached;            /* it is in no list any more */
    struct timer *save_timer; /* tries both again */
    uint64_t next_seq, told_seq;
    struct api_event image; /* the image's progress while it is fetched */
    uint64_t image_version; /* counts its changes; 0 = none */

    /* while it is being created */
    struct api_create request;
    struct worker *worker;
    struct pi_error failure;  /* why that failed */
    struct api_call *remover; /* is answered when it is removed; NULL = none */

    /* while QEMU runs */
    struct pi_child child; /* waits to become QEMU until the record tells of it */
    int pidfd;             /* negative: none, or the errno for which it could not be had */
    struct watch *exit_watch;
    struct qmp_link *qmp;
    struct channel *console;
    struct channel *guest_agent;    /* its channel, read at all times as well; NULL = none */
    struct guest_clock guest_clock; /* what is being said there */
    struct timer *clock_timer;
    uint64_t paused_ms, stood_ms;        /* CLOCK_BOOTTIME of the pause; how long the guest stood still */
    int64_t clock_off_ms;                /* its clock less the host's, as far as known, and not set right */
    bool adopting;                       /* QMP is being asked whether this is the same machine */
    bool unwatched;                      /* since its boot: a reset may have been missed */
    STAILQ_HEAD(, waiting_call) waiting; /* requests that wait for the end of that */
    struct timer *resend_timer, *rung_timer, *sign_timer, *link_timer, *room_timer, *ghost_timer;
    int network_pidfd; /* of an isolated machine; negative: none that is known */
    struct watch *network_watch;
    struct timer *network_timer; /* set while it is seen whether the network ended alone */
    bool network_gone;
    struct timer *launch_timer; /* set while a start waits for the network of the QEMU before */
    uint64_t ended_ms;          /* CLOCK_MONOTONIC of the last QEMU's end; 0 = none that was seen */
    uint64_t powerdown_since_ms, last_sign_ms; /* CLOCK_MONOTONIC */
    uint64_t signed_ms;                        /* CLOCK_REALTIME of the guest's last sign of life */
    unsigned powerdowns_sent;
    enum vm_rung armed_rung;               /* the one whose time runs */
    char monitor_why[128];                 /* what is wrong with QEMU's monitor; "" where it answers */
    bool monitor_told;                     /* its loss was */
    bool console_told;                     /* so was the console's */
    bool signal_told;                      /* and that QEMU cannot be signalled */
    uint64_t link_since_ms, link_delay_ms; /* when the monitor was connected to; before it is again */
    uint64_t room_tried_ms, room_delay_ms; /* the same for going on after a full disk */
    uint64_t reset_ms;                     /* the newest reset, as one or more events */
    uint64_t disk_noted_ms;                /* one line tells a burst of failed requests */
    struct budget events_budget;           /* a hostile QEMU may send them without end */
    bool sign_seen;                        /* since QEMU's start */
    bool boot_told;                        /* the first one since QEMU's start */
    struct vm_landmarks landmarks;         /* what the console has shown of this boot */
    struct timer *trouble_timer;           /* set while nothing follows landmarks.trouble */
    bool stuck;                            /* that was told, and is the life's reason */
    bool slept;                            /* its guest was suspended since QEMU's start */
    bool begins_again;                     /* the reset that follows is of instance_begin_again() */
    struct vm_boot boot;                   /* its milestones so far */
    bool boot_news;                        /* the last event was one */
    uint64_t boot_event;                   /* seq of the event with which the boot began; 0 = none */
    uint64_t user_data_mark;               /* tells one user-data from another */
    struct budget reports_budget;          /* a guest may not write the journal as fast as it can */

    struct timer *silence_timer; /* looks for a guest of which nothing is heard */
    struct watch *look_watch;    /* set while its SSH server is awaited, at look_fd */
    int look_fd;
    uint64_t look_delay_ms;
    uint64_t heard_ms, printed_ms; /* CLOCK_MONOTONIC; see vm_silence */
    bool heard_report;             /* one came since this agent runs */
};

#define INSTANCE_STEP_MS          10000 /* for quit, and for each signal */
#define INSTANCE_RESEND_MS        3000
#define INSTANCE_POWERDOWN_MS     90000
#define INSTANCE_POWERDOWN_CAP_MS 600000
#define INSTANCE_SIGN_MS          30000
#define INSTANCE_QMP_MS           20000
#define INSTANCE_SAVE_MS          5000
#define INSTANCE_NETWORK_MS       10000 /* for its end, after its QEMU's */
#define INSTANCE_CONSOLE_MS       10000 /* before its console is tried again */

/* instance.c */
/* An instance in the agent's list, its folder open; one that was there before is listed also where its folder
 * or its logs cannot be opened, which is logged. Takes over *record on success. */
int instance_new(struct instance_host *host, struct vm_record *record, struct instance **ret,
                 struct pi_error *err);
void instance_ref(struct instance *instance);
void instance_unref(struct instance *instance);
/* Takes it out of the list; its memory goes with the last reference. Running QEMUs run on. */
void instance_detach(struct instance *instance);
void instance_feed(struct instance *instance, const struct vm_event *event);
/* The same, with the reason for the event. */
void instance_feed_because(struct instance *instance, const struct vm_event *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for a request: 0, or 1 if what it asks for is so already; PI_CONFLICT where the state does not
 * allow it, with what to do instead; of a start also what instance_check_files() finds. */
int instance_request(struct instance *instance, enum vm_event_type type, struct pi_error *err);
/* Carries out actions of the state function, in their order. */
void instance_carry_out(struct instance *instance, unsigned actions);
/* The guest showed that it lives. */
void instance_sign(struct instance *instance);
/* Whether a start under TCG may replace the one that runs under KVM. */
bool instance_may_fall_back(const struct instance *instance);
/* Stops what belongs to the agent and not to QEMU: sockets, timers, watches. */
void instance_let_go(struct instance *instance);

/* store.c */
/* Writes the record; where that fails (a full disk), says so once and tries again until it is written. */
void instance_save(struct instance *instance);
/* That will come: what is told until then waits for it. */
void instance_expect_save(struct instance *instance);
bool instance_is_saving(const struct instance *instance);
void instance_save_later(struct instance *instance);
/* As instance_save(), and then goes on with a next step, which deals with a failure itself. */
void instance_save_then(struct instance *instance, instance_then_fn then);
/* Carries the actions out when what was to be saved before is. */
void instance_when_saved(struct instance *instance, unsigned actions);
/* Forgets the actions and the next step that wait. */
void instance_forget_plans(struct instance *instance);
/* Answers a request with how the instance is, when that is saved; already: api_instance.already. */
void instance_answer(struct instance *instance, struct api_call *call, unsigned status, bool already);
/* Answers those that wait with an error instead; of a machine that was detached, it forgets them. */
void instance_refuse_waiting(struct instance *instance, const struct pi_error *err);
/* Removes its folder, all of it or nothing; meanwhile, and afterwards, nothing is saved. */
void instance_discard(struct instance *instance, instance_then_fn then);
/* Whether that was asked for, and has not failed. */
bool instance_is_going(const struct instance *instance);

/* create.c */
int instance_create(struct instance_host *host, struct api_create *request, struct instance **ret,
                    struct pi_error *err);
bool instance_is_being_created(const struct instance *instance);
/* What the state function says of a creation (enum vm_action): what waits until the record is written; the end of
 * that writing; and its end, by a failure or, where reason is NULL, by request. */
void creation_carry_out(struct instance *instance, unsigned actions);
void creation_saved(struct instance *instance, int result, const struct pi_error *why);
void creation_undo(struct instance *instance, enum pi_kind kind, const char *reason);
/* Gives up its creation; those who follow it are told why when it is gone. */
void instance_undo_creation(struct instance *instance, const char *why);
/* Removes all of it from the disk, or nothing, and answers the call; it must not be running. What creates it
 * is stopped. */
void instance_remove(struct instance *instance, struct api_call *call);

/* adoption.c */
/* Reads the instance's folder of that name, adds it to the host's instances, and takes over its QEMU if one runs.
 * What cannot be read is added as broken; what was never whole is removed. Both are logged. */
void instance_adopt(struct instance_host *host, const char *name);
/* The process of a QEMU that runs from the machine's folder, found by its command line, without the record; 0
 * where there is none, negative where that cannot be told. */
pid_t instance_find_qemu(const char *folder, struct pi_error *err);

/* launch.c */
/* Prepares all that QEMU needs, and its process (.child), which waits: first the record is to tell of it. */
int instance_launch(struct instance *instance, struct pi_error *err);
/* Starts QEMU with stopped vCPUs in that process and connects to it. On failure there may be a QEMU to be
 * ended (.pidfd), whose end comes by itself (.exit_watch). */
int instance_run_child(struct instance *instance, struct pi_error *err);
/* Connects to a QEMU that runs: QMP, console, its end. One that is taken over (.adopting) may have no
 * console.
 */
int instance_connect(struct instance *instance, struct pi_error *err);
/* Connects to the console of a QEMU that has its monitor; where that fails, says so once and tries again. */
void instance_connect_console(struct instance *instance);
/* What a start reads must be there: the disk and UEFI variables (PI_NOT_FOUND, PI_FAILED), and the image,
 * which must be the file that was checked (PI_NOT_FOUND, PI_UNVERIFIED). */
int instance_check_files(const struct instance *instance, struct pi_error *err);
/* QEMU's argv as a start would use it now, or one that a person's shell can run: vm_host.standalone. */
int instance_argv(struct instance *instance, bool standalone, struct pi_strv *ret, struct pi_error *err);
/* PI_HOST if the name is too long for QEMU's sockets in the runtime folder. */
int instance_check_sockets(const struct instance *instance, struct pi_error *err);
/* Where a socket of QEMU's is to be connected to: at its name in the runtime folder, or, where that was taken
 * away, at the descriptor by which QEMU has the socket's file open. */
enum instance_socket { INSTANCE_QMP, INSTANCE_CONSOLE, INSTANCE_GUEST_AGENT, INSTANCE_SOCKETS };
struct instance_place {
    char folder[PATH_MAX];
    char name[96];
};
void instance_find_socket(const struct instance *instance, enum instance_socket which,
                          struct instance_place *ret);
void instance_clean_sockets(struct instance *instance);
/* Keeps only the end of what QEMU has printed, where that has become more than 1 MiB. */
void instance_trim_log(struct instance *instance);
/* What the guest said in its last boot is no longer so. */
void instance_forget_boot(struct instance *instance);
/* Its guest begins at its firmware: how is "started", "reset" or "rebooted". */
void instance_tell_boot(struct instance *instance, const char *how);

/* Keeps for the next agent what the console has hinted at (vm_record), where that has changed. */
void instance_keep_hints(struct instance *instance);

/* ports.c */
/* The user's own ports must be free; the automatic one for SSH moves where another program has taken it. */
int instance_check_ports(struct instance *instance, struct pi_error *err);
/* Whether the ports of an isolated machine may still be held by the network of its last QEMU, which ends
 * right after that. */
bool instance_network_lingers(const struct instance *instance);

/* seed.c */
/* Makes new keys, serves the seed under them, and writes for QEMU where it is. */
int instance_make_seed(struct instance *instance, struct pi_error *err);
/* Serves it under the keys that the guest of a QEMU that runs knows; under new ones, which it does not know,
 * where the old ones may have leaked: instance_lost_seed_port(). */
int instance_take_over_seed(struct instance *instance, struct pi_error *err);
/* Nothing is served under its keys any more. */
void instance_withdraw_seed(struct instance *instance);
/* Whether its guest has booted successfully: if so, its secrets are not served any more. What cannot be
 * served anew is withdrawn. */
int instance_set_booted(struct instance *instance, bool booted, struct pi_error *err);
/* Whether its guest looks for the seed at a port that another program took while no agent ran. */
bool instance_lost_seed_port(const struct instance *instance);

/* monitor.c */
/* QEMU's monitor is gone, or not to be believed: it is closed. One that starts is ended for it; any other
 * keeps its guest, and is connected to again, later each time. why is told; a reason of -ECONNRESET may be
 * the end of QEMU itself. */
void instance_lose_monitor(struct instance *instance, int reason, const char *why);
/* Whether QEMU can be asked now, and has proven to be this instance's. */
bool instance_has_monitor(const struct instance *instance);
/* Whether QEMU is being asked if it is this instance's: then the call is kept, and handed to fn when that is
 * decided, one way or the other. */
bool instance_await_monitor(struct instance *instance, struct api_call *call,
                            void (*fn)(struct instance *instance, struct api_call *call));
void instance_ask_cont(struct instance *instance);
/* The guest has booted anew, and QEMU's event was not heard: what the event would have done. */
void instance_missed_reset(struct instance *instance);
/* Goes on after a full disk when there is room, or looks again later. */
void instance_look_for_room(void *instance);
/* To what is missing of its monitor and its console. */
void instance_reconnect(void *instance);
/* Connects to QEMU's QMP and proves that it is this instance's machine; then VM_EVENT_LAUNCHED comes, or
 * VM_EVENT_ADOPTED where .adopting is set. */
int instance_connect_qmp(struct instance *instance, struct pi_error *err);

/* network.c */
/* From now on the end of an isolated machine's network is noticed, and told unless its QEMU ends as well. */
void instance_watch_network(struct instance *instance);
void instance_network_alone(void *instance);
void instance_leave_network(struct instance *instance);

/* milestones.c */
/* Takes an event of the journal in, also one of an earlier agent. */
void boots_note(struct instance *instance, const struct api_event *event);
/* The same for one that happens now: api_event.left_ms. Keeps the boot where it has become ready. */
uint64_t boots_left_ms(struct instance *instance, const struct api_event *event);

/* trouble.c */
/* After each output of the console. Where nothing follows the trouble that it shows, the boot is told to be
 * stuck. */
void trouble_heard(struct instance *instance);
/* The guest showed by something else than its console that its boot goes on. */
void trouble_over(struct instance *instance);
/* The boot has died. Begins it again, and tells that, where a race in QEMU is to blame, its guest was never
 * up before, and that was not tried yet in this run; else false. */
bool instance_begin_again(struct instance *instance);
/* Whether its reason is a panic of its kernel, told by QEMU or by its console. */
bool instance_has_panicked(const struct instance *instance);

/* silence.c */
/* Something of its boot was heard: from now on the silence counts. */
void silence_begin(struct instance *instance);
/* The same for a report, which takes back that it is silent. */
void silence_over(struct instance *instance);
void silence_stop(struct instance *instance);

/* guest.c: callbacks of the IMDS */
extern const struct imds_handler instance_imds_handler;
/* The reboot that its cloud-init had announced does not come: its boot is over (record.held_result). */
void guest_stays(struct instance *instance);

/* clock.c */
void instance_connect_guest_agent(struct instance *instance);
/* Has the guest agent set the clock right where it is off; stood_ms: how long the guest stood still, 0 =
 * unknown. */
void instance_check_clock(struct instance *instance, uint64_t stood_ms);
/* Whether its guest runs now. */
bool instance_runs(const struct instance *instance);
/* After each change of state. */
void instance_note_pause(struct instance *instance, bool stood_still);

/* journal.c */
int journal_open(struct instance *instance, struct pi_error *err);
/* Writes what could not be written before. False where it still cannot. */
bool journal_flush(struct instance *instance);
/* Completes the event (seq, both clocks) and writes it; it is told at once, unless the record is to be
 * written first. Strings are borrowed. */
void journal_add(struct instance *instance, struct api_event *event);
/* Shows all events to those who follow them. */
void journal_tell(struct instance *instance);
void journal_note(struct instance *instance, const char *format, ...) __attribute__((format(printf, 2, 3)));
void journal_progress(struct instance *instance, const struct api_event *image);
/* A stream of its events after seq since. */
int journal_stream(struct instance *instance, uint64_t since, bool follow, struct api_stream *ret,
                   struct pi_error *err);
/* A stream of what its console said: so many bytes before the end and of these so many lines (UINT64_MAX:
 * all), and whether it begins with a whole line. */
struct console_part {
    uint64_t tail, last_lines;
    bool lines, follow;
};
int console_stream(struct instance *instance, const struct console_part *part, struct api_stream *ret,
                   struct pi_error *err);

/* view.c */
/* As the API shows it, all of it or in a list of machines. New reference or NULL. */
json_t *instance_view(const struct instance *instance);
json_t *instance_summary(const struct instance *instance);

#endif
