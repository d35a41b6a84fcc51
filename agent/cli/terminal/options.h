/* SPDX-License-Identifier: MIT */
/*
 * Commands and their options as tables: one table drives parsing, --help (help.h), the man pages (man.h) and
 * the shells' completions (complete.h). A new command is one new struct. Pure functions.
 *
 * Options are written --name VALUE, --name=VALUE, -n VALUE, -nVALUE, and flags may be joined (-df). They are
 * read anywhere up to "--", or up to the first operand if the command passes the rest on (ssh).
 */
#ifndef PIAGENT_CLI_OPTIONS_H
#define PIAGENT_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"
#include "agent/base/offset.h"

#define CLI_NEVER UINT64_MAX

enum cli_type {
    CLI_FLAG,     /* bool */
    CLI_STRING,   /* char *, into argv */
    CLI_CHOICE,   /* an enum that counts from 0: the index of the value in words */
    CLI_NUMBER,   /* uint64_t within min..max */
    CLI_SIZE,     /* uint64_t, bytes, not 0 (pi_size_parse) */
    CLI_MIB,      /* the same in mebibytes, rounded down */
    CLI_DURATION, /* uint64_t, milliseconds, not 0 (pi_duration_parse) */
    CLI_LIMIT,    /* the same, or "none" or 0, which are CLI_NEVER */
    CLI_LIST,     /* struct pi_strv: may be given several times */
};

/* The kind of an operand, or of the value of a CLI_STRING, CLI_CHOICE or CLI_LIST: it decides what a shell offers. Every
 * one has a kind (a test checks the tables). */
enum cli_kind {
    CLI_NOT_SAID,
    CLI_TEXT,         /* only the user knows it: nothing is offered */
    CLI_WORD,         /* one of words: others are refused, with the nearest */
    CLI_FILE,         /* a path */
    CLI_FOLDER,       /* a path of a folder */
    CLI_IMAGE,        /* fedora, fedora:44, a URL or a file */
    CLI_STORED_IMAGE, /* one that is in the store, by its file name */
    CLI_MACHINE,      /* the name of an instance */
    CLI_MACHINE_LIVE, /* of one that runs */
    CLI_MACHINE_OVER, /* of one that does not */
    CLI_TEMPLATE,     /* the name of a template */
    CLI_NETWORK,      /* the name of a network that instances share */
    CLI_FLEET,        /* a fleet that an instance is of */
    CLI_LABEL,        /* KEY=VALUE that an instance has */
    CLI_PLACE,        /* a file of this host's, or NAME:PATH in an instance */
    CLI_COMMAND,      /* a command of piagent's */
};

struct cli_option {
    const char *name; /* "ssh-key", without dashes */
    char letter;      /* 'd', or 0 */
    enum cli_type type;
    const char *argument; /* its value's name in --help: "FILE"; NULL for flags */
    const char *help;
    /* the heading above it in --help and the man page, told with its first option; or NULL */
    const char *group;
    enum cli_kind kind;
    const char *const *words; /* CLI_WORD: ends with NULL */
    size_t offset;            /* of its member in the command's values */
    uint64_t min, max;        /* CLI_NUMBER */
    bool names;               /* it stands for the operands: --all. A CLI_FLAG, CLI_STRING or CLI_LIST */
};

/* The type of an option, and the member of struct values_ that it sets. A member of another C type does not
 * compile. */
#define CLI_MEMBER(type_, values_, member) \
    .type = type_, .offset = PI_OFFSET(values_, member, CLI_POINTER_##type_)
#define CLI_POINTER_CLI_FLAG     bool *
#define CLI_POINTER_CLI_STRING   char **
#define CLI_POINTER_CLI_NUMBER   uint64_t *
#define CLI_POINTER_CLI_SIZE     uint64_t *
#define CLI_POINTER_CLI_MIB      uint64_t *
#define CLI_POINTER_CLI_DURATION uint64_t *
#define CLI_POINTER_CLI_LIMIT    uint64_t *
#define CLI_POINTER_CLI_LIST     struct pi_strv *

/* The same for a CLI_CHOICE among the words of enum enum_. */
#define CLI_ENUM(values_, member, enum_)                          \
    .type = CLI_CHOICE, .kind = CLI_WORD, .words = enum_##_names, \
    .offset = PI_OFFSET(values_, member, enum enum_ *)

struct cli_command;

/* A call of a command: its options' values and its operands. */
struct cli_call {
    const struct cli_command *command;
    const void *values; /* the command's own struct; zero for each option that was not given */
    char **operands;    /* ends with NULL */
    unsigned count;
};

/* What a command does if --host names another host. */
enum cli_site {
    CLI_ASKS,  /* it asks the agent of that host */
    CLI_THERE, /* it looks at that host itself: it runs there */
    CLI_HERE,  /* it has nothing to do with an agent: it runs here all the same */
};

struct cli_command {
    const char *name;                 /* "ps", "image fetch" */
    const char *operands;             /* "NAME [-- COMMAND...]", or NULL */
    const char *summary;              /* one line */
    const char *details;              /* more for --help, or NULL: paragraphs with "\n\n" between them */
    const char *example;              /* one command line */
    const struct cli_option *options; /* ends with {0}; NULL = none but --help */
    size_t values_size;
    unsigned min_operands, max_operands;
    enum cli_kind operand;    /* of each operand; of the first, if the rest is passed on */
    const char *const *words; /* CLI_WORD: ends with NULL */
    const char *surplus;      /* the answer to an operand too many: what to write instead; or NULL */
    enum cli_site site;
    bool makes_rest;  /* the operands after the first are names of what it makes, which nobody can offer */
    bool passes_rest; /* the words after the first operand are not options */
    bool destructive; /* it loses data for good, or serves secrets again: never suggested by a guess */

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
 * Parses argv, the words after the command's name up to a NULL; changes argv. values is zeroed memory of
 * command->values_size; free its lists with cli_values_done(), also after a failure. PI_USAGE names the
 * option and the nearest known one.
 */
int cli_parse(const struct cli_command *command, char **argv, void *values, struct cli_operands *ret,
              struct pi_error *err);
void cli_values_done(const struct cli_command *command, void *values);

/* True for a command for piagent's own use: "__complete". No help mentions it. */
bool cli_is_hidden(const struct cli_command *command);

/* The table, also of a command without options (empty), and the option that all of them have. */
const struct cli_option *cli_options(const struct cli_command *command);
extern const struct cli_option cli_option_help;

/* The option of that name (without dashes, of that length) or letter, also by the words of other tools
 * (foreign.h); NULL if there is none. */
const struct cli_option *cli_option_named(const struct cli_command *command, const char *name, size_t length);
const struct cli_option *cli_option_lettered(const struct cli_command *command, char letter);

/* Finds the index of text among words, also by the name that other tools use (foreign.h). Refuses (PI_USAGE) any
 * other text, and names all the words and the nearest. */
int cli_find_word(const char *text, const char *const *words, unsigned *ret, struct pi_error *err);

/* "--help" or "-h". */
bool cli_is_help(const char *word);

#endif
