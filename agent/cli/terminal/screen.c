/* SPDX-License-Identifier: MIT */
#include "agent/cli/terminal/screen.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/fs.h"
#include "agent/cli/terminal/bar.h"
#include "agent/cli/terminal/colour.h"
#include "agent/cli/terminal/host_hint.h"

#define FIRST_STATUS_MS 5000
#define NEXT_STATUS_MS  30000

void cli_screen_init(struct cli_screen *screen)
{
    *screen = (struct cli_screen){.redraws = cli_is_terminal(STDERR_FILENO), .spoken_ms = pi_monotonic_ms()};
}

unsigned cli_screen_width(const struct cli_screen *screen)
{
    struct winsize size;
    if (!screen->redraws)
        return 200;
    /* One column less than there are: a character in the last one would wrap on some terminals. */
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1u : 79u;
}

unsigned cli_screen_height(const struct cli_screen *screen)
{
    struct winsize size;
    if (!screen->redraws)
        return CLI_SCREEN_LINES_MAX;
    unsigned rows = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 1 ? size.ws_row - 1u : 23u;
    return rows < CLI_SCREEN_LINES_MAX ? rows : CLI_SCREEN_LINES_MAX;
}

/* Forgets the status if this process was stopped meanwhile: a shell has written below it, and must not be
 * overwritten. */
static void forget_after_stop(struct cli_screen *screen)
{
    sigset_t resumed;
    sigemptyset(&resumed);
    sigaddset(&resumed, SIGCONT);
    if (sigtimedwait(&resumed, NULL, &(struct timespec){0}) == SIGCONT)
        screen->drawn = 0;
}

/* A terminal that became narrower has wrapped the lines that no longer fit. */
static unsigned rows_drawn(const struct cli_screen *screen)
{
    unsigned width = cli_screen_width(screen) + 1, rows = 0;
    for (unsigned i = 0; i < screen->drawn; i++)
        rows += screen->columns[i] > width ? (screen->columns[i] + width - 1) / width : 1;
    return rows;
}

/* Moves to the first column of the first status line, and clears the old lines. */
static int add_home(struct cli_screen *screen, struct pi_buf *ret)
{
    int r = pi_buf_puts(ret, "\r");
    for (unsigned i = 1, rows = rows_drawn(screen); r == 0 && i < rows; i++)
        r = pi_buf_puts(ret, "\033[K\033[A");
    screen->drawn = 0;
    return r;
}

void cli_screen_clear(struct cli_screen *screen)
{
    pi_auto_buf struct pi_buf text = {0};
    forget_after_stop(screen);
    if (screen->drawn && add_home(screen, &text) == 0 && pi_buf_puts(&text, "\033[K") == 0)
        pi_write_all(STDERR_FILENO, text.data, text.size);
}

void cli_screen_line(struct cli_screen *screen, const char *format, ...)
{
    pi_auto_buf struct pi_buf line = {0}, hint = {0};
    char *formatted = NULL;
    if (screen->silent)
        return;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&formatted, format, args);
    va_end(args);
    if (n < 0)
        return;
    cli_screen_clear(screen);
    const char *text = cli_host_hint(formatted, cli_host_chosen(), &hint);
    if (pi_buf_printf(&line, "%s%s", text, screen->hidden ? "\r\n" : "\n") == 0)
        pi_write_all(STDERR_FILENO, line.data, line.size);
    free(formatted);
    screen->spoken_ms = pi_monotonic_ms();
    screen->status_told = false;
}

bool cli_screen_is_due(const struct cli_screen *screen, uint64_t now_ms)
{
    uint64_t pause_ms = screen->status_told ? NEXT_STATUS_MS : FIRST_STATUS_MS;
    return !screen->calm && now_ms - screen->spoken_ms >= pause_ms;
}

static void break_silence(struct cli_screen *screen, const char *text)
{
    if (!cli_screen_is_due(screen, pi_monotonic_ms()))
        return;
    cli_screen_line(screen, "%s", text);
    screen->status_told = true;
}

void cli_screen_status(struct cli_screen *screen, const char *text)
{
    pi_auto_buf struct pi_buf shown = {0};
    if (screen->hidden || screen->silent)
        return;
    if (!screen->redraws) {
        break_silence(screen, text);
        return;
    }
    forget_after_stop(screen);
    unsigned lines = 0;
    int r = add_home(screen, &shown);
    for (const char *at = text, *end; r == 0 && at && lines < CLI_SCREEN_LINES_MAX;
         at = *end ? end + 1 : NULL, lines++) {
        end = strchrnul(at, '\n');
        screen->columns[lines] = (uint16_t)cli_columns(at);
        r = pi_buf_printf(&shown, "%s%.*s\033[K", lines ? "\n" : "", (int)(end - at), at);
    }
    if (r == 0)
        pi_write_all(STDERR_FILENO, shown.data, shown.size);
    screen->drawn = lines;
}
