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

/* True if fd is a terminal that can do more than print lines: TERM is set, and not "dumb". */
bool cli_is_terminal(int fd);

/* True if the locale of the environment (locale(7)) writes UTF-8. */
bool cli_is_utf8(void);

/* The columns that text for people may take on fd: the terminal's, up to 110; 80 if fd is no terminal. */
unsigned cli_text_width(int fd);

/* True if colours are wanted on fd: it is such a terminal, and NO_COLOR is unset or empty
 * (https://no-color.org). */
bool cli_colours(int fd);

/* The sequence (ECMA-48, SGR) that begins the colour, or "" if fd gets no colours. libsmartcols takes it as a
 * colour, too. */
const char *cli_colour(int fd, enum cli_colour colour);

#endif
