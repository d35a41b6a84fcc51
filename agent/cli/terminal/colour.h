/* SPDX-License-Identifier: MIT */
/*
 * Colours: the one place that decides whether there are any, and which. Never anything but colour and weight,
 * and never the only thing that tells something: output without them says the same.
 *
 *     printf("%s%s%s\n", cli_colour(STDOUT_FILENO, CLI_GREEN), text, cli_colour(STDOUT_FILENO, CLI_PLAIN));
 */
#ifndef PIAGENT_CLI_COLOUR_H
#define PIAGENT_CLI_COLOUR_H

#include <stdbool.h>

enum cli_colour {
    CLI_PLAIN, /* ends any of the others */
    CLI_BOLD,
    CLI_DIM,
    CLI_RED,
    CLI_GREEN,
    CLI_YELLOW,
    CLI_BLUE,
    CLI_BOLD_RED,
};

/* Whether fd is a terminal that can do more than print lines: TERM is set, and not "dumb". */
bool cli_is_terminal(int fd);

/* Whether the locale of the environment (locale(7)) writes UTF-8. */
bool cli_is_utf8(void);

/* The columns that text for people may take there: the terminal's, up to 110; 80 where it is none. */
unsigned cli_text_width(int fd);

/* Whether colours are wanted on fd: such a terminal, and no NO_COLOR that is not empty
 * (https://no-color.org).
 */
bool cli_colours(int fd);

/* The sequence (ECMA-48, SGR) that begins the colour, or "" where fd is to have none. libsmartcols takes it
 * as a colour, too. */
const char *cli_colour(int fd, enum cli_colour colour);

#endif
