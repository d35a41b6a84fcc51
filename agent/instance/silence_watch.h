/* SPDX-License-Identifier: MIT */
/*
 * A guest of which nothing is heard any more although its boot is not over (vm/silence.h). piagent connects
 * to its SSH port. If a server answers, the guest is up and its cloud-init does not report; or the reboot
 * that its cloud-init had announced does not come.
 */
#ifndef PIAGENT_INSTANCE_SILENCE_WATCH_H
#define PIAGENT_INSTANCE_SILENCE_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct instance;
struct timer;
struct watch;

struct silence_watch {
    struct timer *timer;      /* looks for a guest of which nothing is heard */
    struct watch *look_watch; /* set while its SSH server is awaited, at look_fd */
    int look_fd;
    uint64_t look_delay_ms;
    uint64_t heard_ms, printed_ms; /* CLOCK_MONOTONIC; see vm_silence */
    bool heard_report;             /* one came since this agent runs */
};

void silence_init(struct instance *instance);
void silence_reset(struct instance *instance);
void silence_done(struct instance *instance);

/* Something of its boot was heard: from now on the silence counts. */
void silence_begin(struct instance *instance);
/* The console has printed. */
void silence_note_print(struct instance *instance);
/* A report came: the guest is not silent, and if that was told, it is taken back. */
void silence_over(struct instance *instance);

#endif
