/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli/commands/command_table.h"
#include "agent/cli/terminal/words.h"
#include "agent/seed/password.h"

struct hash_options {
    char *method;
};

static int run_hash(const struct cli_call *call, struct pi_error *err)
{
    const struct hash_options *options = call->values;
    enum seed_hash_method method = SEED_YESCRYPT;
    char password[SEED_PASSWORD_MAX + 1], hash[SEED_HASH_MAX + 1];
    int r = options->method ? seed_hash_method_parse(options->method, &method, err) : 0;
    if (r < 0)
        return pi_context(err, r, "--method");
    r = seed_password_prompt(STDIN_FILENO, "Password", password, err);
    if (r == 0)
        r = seed_password_hash(method, password, hash, err);
    explicit_bzero(password, sizeof password);
    if (r == 0)
        puts(hash);
    return r;
}

static const struct cli_option hash_table[] = {
    {.name = "method",
     .letter = 'm',
     CLI_MEMBER(CLI_STRING, hash_options, method),
     .kind = CLI_WORD,
     .words = cli_words_hash_method,
     .argument = "METHOD",
     .help = "yescrypt or sha512 (default: yescrypt)"},
    {0},
};

const struct cli_command cli_command_hash_password = {
    .name = "hash-password",
    .summary = "hashes a password for a guest",
    .details = "Asks for it on the terminal, or reads one line of standard input.",
    .example = "piagent hash-password --method sha512",
    .options = hash_table,
    .values_size = sizeof(struct hash_options),
    .site = CLI_HERE,
    .run = run_hash,
};
