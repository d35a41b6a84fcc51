/* SPDX-License-Identifier: MIT */
/*
 * Shows progress on standard error. On a terminal the status is redrawn. Elsewhere each step is a line when it begins; when no
 * line was written for 5 s, the status becomes one, and then again every 30 s until the next step.
 */
#ifndef PIAGENT_CLI_SCREEN_H
#define PIAGENT_CLI_SCREEN_H

#include <stdbool.h>
#include <stdint.h>

#define CLI_SCREEN_LINES_MAX 128

struct cli_screen {
    bool redraws;                           /* standard error is a terminal that can */
    unsigned drawn;                         /* status lines that stand there */
    uint16_t columns[CLI_SCREEN_LINES_MAX]; /* the width of each */
    bool hidden;                            /* nothing is drawn: the guest's console has the terminal */
    bool silent;                            /* nothing is said at all: the events go to standard output */
    uint64_t spoken_ms;                     /* when the last line was written */
    bool status_told;                       /* that line was the status */
    bool calm;                              /* the status is shown on a terminal only */
};

/* If SIGCONT is blocked, the status is drawn anew below the lines that a shell wrote while this process was
 * stopped. */
void cli_screen_init(struct cli_screen *screen);

/* A line that stays. */
void cli_screen_line(struct cli_screen *screen, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Tells if the status becomes a line now, on an output that cannot redraw it. */
bool cli_screen_is_due(const struct cli_screen *screen, uint64_t now_ms);

/* Shows the status, one line or several: redraws it, or writes it if it is due. */
void cli_screen_status(struct cli_screen *screen, const char *text);

/* Takes the status line away. */
void cli_screen_clear(struct cli_screen *screen);

/* The lines that a status may take: up to CLI_SCREEN_LINES_MAX. */
unsigned cli_screen_height(const struct cli_screen *screen);

/* The columns that a status line may take. */
unsigned cli_screen_width(const struct cli_screen *screen);

#endif
