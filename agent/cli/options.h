/*
 * Commands and their options as tables: one table drives parsing and --help (and, one day, man pages and
 * completions). Pure functions but for cli_help's output buffer.
 *
 * Options are written --name VALUE, --name=VALUE, -n VALUE, -nVALUE, and flags may be joined (-df). They may
 * stand anywhere up to "--", or up to the first operand where the command passes the rest on (ssh).
 */
#ifndef PIAGENT_CLI_OPTIONS_H
#define PIAGENT_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"

enum cli_type {
    CLI_FLAG,     /* bool */
    CLI_STRING,   /* const char *, into argv */
    CLI_NUMBER,   /* uint64_t within min..max */
    CLI_SIZE,     /* uint64_t, bytes (pi_size_parse) */
    CLI_DURATION, /* uint64_t, milliseconds (pi_duration_parse) */
    CLI_LIST,     /* struct pi_strv: may be given several times */
};

struct cli_option {
    const char *name; /* "ssh-key", without dashes */
    char letter;      /* 'd', or 0 */
    enum cli_type type;
    const char *argument; /* what --help calls its value: "FILE"; NULL for flags */
    const char *help;
    size_t offset;     /* of its member in the command's values */
    uint64_t min, max; /* CLI_NUMBER */
};

struct cli_command;

/* What a command is called with. */
struct cli_call {
    const struct cli_command *command;
    const void *values; /* the command's own struct, zeroed where an option was not given */
    char **operands;    /* ends with NULL */
    unsigned count;
};

struct cli_command {
    const char *name;                 /* "ps", "image fetch" */
    const char *operands;             /* "NAME [-- COMMAND...]", or NULL */
    const char *summary;              /* one line */
    const char *details;              /* more lines for --help, or NULL */
    const char *example;              /* one command line */
    const struct cli_option *options; /* ends with {0}; NULL = none but --help */
    size_t values_size;
    unsigned min_operands, max_operands;
    bool passes_rest; /* what follows the first operand is not for us to read */

    /* The exit code (0 and up), or negative with err filled: its kind is then the exit code. */
    int (*run)(const struct cli_call *call, struct pi_error *err);
};

/* The operands that a parse leaves. */
struct cli_operands {
    char **items; /* ends with NULL: the front of argv */
    unsigned count;
    bool help; /* --help was there: nothing else was checked */
};

/*
 * Parses argv, what follows the command's name up to a NULL; argv is changed. values is zeroed memory of
 * command->values_size; what it owns then (lists) is freed by cli_values_done(), also after a failure.
 * PI_USAGE names the option and the nearest known one.
 */
int cli_parse(const struct cli_command *command, char **argv, void *values, struct cli_operands *ret,
              struct pi_error *err);
void cli_values_done(const struct cli_command *command, void *values);

/* The text of "piagent COMMAND --help". 0 or -ENOMEM. */
int cli_help(const struct cli_command *command, struct pi_buf *ret);

#endif
