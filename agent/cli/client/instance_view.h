/* SPDX-License-Identifier: MIT */
/*
 * The command line's knowledge of an instance while it follows its events, and the lines that tell it. Pure:
 * events and the time in, text out.
 */
#ifndef PIAGENT_CLI_INSTANCE_VIEW_H
#define PIAGENT_CLI_INSTANCE_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/api/types.h"
#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/cli/terminal/colour.h"
#include "agent/image/progress.h"

struct cli_view {
    char name[PI_NAME_MAX + 1];
    uint64_t seq; /* of the newest event; give it to "since" */
    enum vm_state state;
    bool template;
    /* Made by a command that makes all before it starts the first: run --count, up, clone. */
    bool one_of_many;
    /* Monotonic: it was just made, and that command may be about to start it until then; 0 = no. */
    uint64_t start_due_ms;
    char state_word[32]; /* its word, also if this version does not know it */
    char reason[512];    /* told with the state */
    char doing[192];     /* the present activity, for the status line */
    uint64_t doing_ms;   /* monotonic: since when */
    char step[96];       /* the step of the boot that the last line told, "" before the first */
    uint64_t step_ms;    /* monotonic: since when */
    uint64_t left_ms;    /* about how long until it is ready, counted from left_at_ms; 0 = not known */
    uint64_t left_at_ms;
    uint64_t since_ms; /* monotonic: when the boot began, before it the request; or the stop */
    bool seeded;       /* the guest asked for its seed in this boot */
    bool finished;     /* modules-final finished in this boot */
    bool
        reachable; /* it has resumed from its template, and knows who it is: its SSH server answers before it is ready */
    bool silent; /* the guest is up, and its cloud-init does not report */
    bool stuck;  /* the console alone shows the trouble: it is not certain */
    char trouble
        [320]; /* the kernel panicked, or the boot is stuck, and the guest has shown no sign of life since */
    char stage[64]; /* the last stage of cloud-init that was told */
    bool fetching;  /* image is being fetched: */
    struct image_progress image;
    struct pi_error error; /* kind other than PI_OK: it failed, and the instance is gone */
};

enum cli_tell {
    CLI_TELL_NOTHING, /* the status line is enough */
    CLI_TELL_STEP,    /* a line, if no status line can be drawn */
    CLI_TELL_ALWAYS,  /* a line that stays */
};

/* Begins a view with the agent's answer; now_* are the two clocks. */
void cli_view_init(struct cli_view *view, const struct api_instance *instance, uint64_t now_monotonic_ms,
                   uint64_t now_realtime_ms);

/* Updates the view with the event. Appends the text to tell, without the instance's name, to line. */
enum cli_tell cli_view_event(struct cli_view *view, const struct api_event *event, struct pi_buf *line);

/* The time has passed: a start that is due does not stay so. */
void cli_view_look(struct cli_view *view, uint64_t now_monotonic_ms);

/* The status line, at most width columns. */
int cli_view_render(const struct cli_view *view, uint64_t now_monotonic_ms, unsigned width,
                    struct pi_buf *ret);

/* If and how a boot came to its end, as the agent says. */
enum cli_up {
    CLI_NOT_UP, /* it goes on, or another boot follows: cloud-init has announced a reboot */
    CLI_UP_READY,
    CLI_UP_FAILED, /* a module of cloud-init failed */
    CLI_UP_SILENT, /* cloud-init does not report */
};
enum cli_up cli_instance_up(const struct api_instance *instance);

/* True if the events say that the boot came to its end. The agent knows better: cli_follow_up(). */
bool cli_view_is_up(const struct cli_view *view);

/* True if the guest of an instance that was just made has not run: nothing is lost if it is removed. */
bool cli_state_is_before_boot(enum vm_state state);

/* True if no QEMU runs and none is being started: the instance is stopped, failed, lost or gone. */
bool cli_state_is_over(enum vm_state state);

/* True if it was just made, and the command that made it, with others, may be about to start it. Commands that need a guest wait for
 * that. */
bool cli_instance_may_start(const struct api_instance *instance, uint64_t now_realtime_ms);

/* CLI_PLAIN if it is neither good nor bad (stopped), or not known. */
enum cli_colour cli_state_colour(enum vm_state state);

/* The state in an instance's JSON object, as the agent gives it. */
enum vm_state cli_json_state(const json_t *instance);
bool cli_json_is_template(const json_t *instance);
/* A start that is due goes on. */
bool cli_view_is_over(const struct cli_view *view);

#endif
