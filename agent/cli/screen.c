#include "agent/cli/screen.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/base/buf.h"
#include "agent/base/clock.h"
#include "agent/base/fs.h"
#include "agent/cli/colour.h"

#define SILENCE_MAX_MS 30000

void cli_screen_init(struct cli_screen *screen)
{
    *screen = (struct cli_screen){.redraws = cli_is_terminal(STDERR_FILENO), .spoken_ms = pi_monotonic_ms()};
}

unsigned cli_screen_width(const struct cli_screen *screen)
{
    struct winsize size;
    if (!screen->redraws)
        return 200;
    /* One less than there is: a character in the last column would wrap on some terminals. */
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col - 1u : 79u;
}

void cli_screen_clear(struct cli_screen *screen)
{
    if (screen->drawn)
        pi_write_all(STDERR_FILENO, "\r\033[K", 4);
    screen->drawn = false;
}

void cli_screen_line(struct cli_screen *screen, const char *format, ...)
{
    pi_auto_buf struct pi_buf line = {0};
    char *formatted = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&formatted, format, args);
    va_end(args);
    if (n < 0)
        return;
    cli_screen_clear(screen);
    if (pi_buf_printf(&line, "%s%s", formatted, screen->hidden ? "\r\n" : "\n") == 0)
        pi_write_all(STDERR_FILENO, line.data, line.size);
    free(formatted);
    screen->spoken_ms = pi_monotonic_ms();
}

void cli_screen_status(struct cli_screen *screen, const char *text)
{
    pi_auto_buf struct pi_buf line = {0};
    if (screen->hidden)
        return;
    if (!screen->redraws) {
        if (pi_monotonic_ms() - screen->spoken_ms >= SILENCE_MAX_MS)
            cli_screen_line(screen, "%s", text);
        return;
    }
    if (pi_buf_printf(&line, "\r%s\033[K", text) == 0)
        pi_write_all(STDERR_FILENO, line.data, line.size);
    screen->drawn = true;
}
