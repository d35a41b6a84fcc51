/* SPDX-License-Identifier: MIT */
#include "agent/cli/terminal/colour.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/base/auto.h"

bool cli_is_terminal(int fd)
{
    const char *term = getenv("TERM");
    return isatty(fd) && term && *term && strcmp(term, "dumb") != 0;
}

bool cli_is_utf8(void)
{
    locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
    bool utf8 = locale && !strcmp(nl_langinfo_l(CODESET, locale), "UTF-8");
    if (locale)
        freelocale(locale);
    return utf8;
}

unsigned cli_text_width(int fd)
{
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) < 0 || !size.ws_col)
        return 80;
    return size.ws_col < 110 ? size.ws_col : 110;
}

bool cli_colours(int fd)
{
    const char *no_color = getenv("NO_COLOR");
    return cli_is_terminal(fd) && !(no_color && no_color[0]);
}

const char *cli_colour(int fd, enum cli_colour colour)
{
    static const char *const sequences[] = {
        [CLI_PLAIN] = "\033[0m", [CLI_BOLD] = "\033[1m",        [CLI_DIM] = "\033[2m",
        [CLI_RED] = "\033[31m",  [CLI_GREEN] = "\033[32m",      [CLI_YELLOW] = "\033[33m",
        [CLI_BLUE] = "\033[34m", [CLI_BOLD_RED] = "\033[1;31m",
    };
    return cli_colours(fd) ? sequences[colour] : "";
}
