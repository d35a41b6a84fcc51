/* SPDX-License-Identifier: MIT */
/* "completion" prints a shell's script; "__complete" is what the scripts call, "__pages" what the build does.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/cli/commands.h"
#include "agent/cli/complete.h"
#include "agent/cli/man.h"
#include "agent/cli/words.h"

/* bash breaks words at '=' and ':' too: they are put together again here, and what it has already is taken
 * off the answers. A path is left to readline, which knows how to quote it. */
static const char bash_script[] =
    "# bash completion for piagent: piagent completion bash\n"
    "_piagent()\n"
    "{\n"
    "  local i rest line=${COMP_LINE:0:COMP_POINT} words=() reply candidate prefix=''\n"
    "  for ((i = 0; i <= COMP_CWORD; i++)); do\n"
    "    rest=${line#\"${line%%[![:blank:]]*}\"}\n"
    "    [[ $rest == \"$line\" && $i -gt 0 ]] || words+=('')\n"
    "    if ((i < COMP_CWORD)); then\n"
    "      words[${#words[@]}-1]+=${COMP_WORDS[i]}\n"
    "      line=${rest#\"${COMP_WORDS[i]}\"}\n"
    "    else\n"
    "      words[${#words[@]}-1]+=$rest\n"
    "    fi\n"
    "  done\n"
    "  local word=${words[${#words[@]}-1]}\n"
    "  [[ $word != *[=:]* ]] || prefix=${word%\"${word##*[=:]}\"}\n"
    "  COMPREPLY=()\n"
    "  compopt +o default\n"
    "  mapfile -t reply < <(\"${words[0]}\" __complete -- \"${words[@]:1}\" 2>/dev/null)\n"
    "  for candidate in \"${reply[@]}\"; do\n"
    "    candidate=${candidate%%$'\\t'*}\n"
    "    case $candidate in\n"
    "      :files) ((${#COMPREPLY[@]})) || compopt -o default ;;\n"
    "      :folders) compopt -o dirnames ;;\n"
    "      *)\n"
    "        COMPREPLY+=(\"${candidate#\"$prefix\"}\")\n"
    "        [[ $candidate != *: ]] || compopt -o nospace\n"
    "        ;;\n"
    "    esac\n"
    "  done\n"
    "}\n"
    "complete -F _piagent piagent\n";

static const char zsh_script[] =
    "#compdef piagent\n"
    "# zsh completion for piagent: piagent completion zsh\n"
    "_piagent()\n"
    "{\n"
    "  local line value before\n"
    "  local -a candidates places\n"
    "  local files=''\n"
    "  before=''\n"
    "  [[ $PREFIX != --*=* ]] || before=${PREFIX%%=*}=\n"
    "  for line in \"${(@f)$(${(Q)words[1]} __complete -- \"${(@Q)words[2,CURRENT-1]}\" \"${(Q)PREFIX}\" 2>/dev/null)}\"; do\n"
    "    case $line in\n"
    "      '') ;;\n"
    "      :files) files=_files ;;\n"
    "      :folders) files='_files -/' ;;\n"
    "      *)\n"
    "        value=${${line%%$'\\t'*}#$before}\n"
    "        if [[ $value == *: ]]; then\n"
    "          places+=(\"$value\")\n"
    "        elif [[ $line == *$'\\t'* ]]; then\n"
    "          candidates+=(\"${value//:/\\\\:}:${line#*$'\\t'}\")\n"
    "        else\n"
    "          candidates+=(\"${value//:/\\\\:}\")\n"
    "        fi\n"
    "        ;;\n"
    "    esac\n"
    "  done\n"
    "  [[ -z $before ]] || compset -P '*='\n"
    "  local result=1\n"
    "  ((!$#candidates)) || { _describe -V piagent candidates && result=0 }\n"
    "  ((!$#places)) || { compadd -S '' -a places && result=0 }\n"
    "  [[ -z $files ]] || { ${=files} && result=0 }\n"
    "  return result\n"
    "}\n"
    "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then\n"
    "  _piagent \"$@\"\n"
    "else\n"
    "  compdef _piagent piagent\n"
    "fi\n";

static const char fish_script[] =
    "# fish completion for piagent: piagent completion fish\n"
    "function __piagent_complete\n"
    "    set -l words (commandline -opc)\n"
    "    set -l word (commandline -ct)\n"
    "    for line in ($words[1] __complete -- $words[2..-1] \"$word\" 2>/dev/null)\n"
    "        switch $line\n"
    "            case :files :folders\n"
    "                set -l before (string match -r '^--[^=]*=' -- $word)\n"
    "                set -l paths (__fish_complete_path (string replace -r '^--[^=]*=' '' -- \"$word\"))\n"
    "                test $line = :files; or set paths (string match -r '.*/$' -- $paths)\n"
    "                string replace -r '^' -- \"$before\" $paths\n"
    "            case '*'\n"
    "                echo $line\n"
    "        end\n"
    "    end\n"
    "end\n"
    "complete -c piagent -f -a '(__piagent_complete)'\n";

static const struct {
    const char *shell, *script;
    const char *folder, *file; /* below the prefix, where the shell finds it by itself */
} shells[] = {
    {"bash", bash_script, "share/bash-completion/completions", "piagent"},
    {"zsh", zsh_script, "share/zsh/site-functions", "_piagent"},
    {"fish", fish_script, "share/fish/vendor_completions.d", "piagent.fish"},
};

static int run_completion(const struct cli_call *call, struct pi_error *err)
{
    (void)err;
    for (size_t i = 0; i < PI_ARRAY_SIZE(shells); i++)
        if (!strcmp(shells[i].shell, call->operands[0]))
            fputs(shells[i].script, stdout);
    return PI_OK;
}

static int run_complete(const struct cli_call *call, struct pi_error *err)
{
    pi_auto_buf struct pi_buf lines = {0};
    const char *const nothing[] = {"", NULL};
    const char *const *words = call->count ? (const char *const *)call->operands : nothing;
    if (cli_complete(cli_commands, words, cli_names, &lines) < 0)
        return pi_fail(err, ENOMEM, "completion");
    fputs(lines.data ? lines.data : "", stdout);
    return PI_OK;
}

/* A file FOLDER/NAME below the folder that the build asked for. */
static int page(const char *top, const char *folder, const char *name, const char *content,
                struct pi_error *err)
{
    pi_auto_free char *path = NULL;
    if (asprintf(&path, "%s/%s", top, folder) < 0)
        return pi_fail(err, ENOMEM, "%s", name);
    int r = pi_dir_make(path, err);
    pi_auto_close int dir = r == 0 ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (r < 0 || dir < 0)
        return r < 0 ? r : pi_fail(err, errno, "%s", path);
    return pi_file_write(dir, name, content, strlen(content), 0644, err);
}

static int command_page(const char *top, const struct cli_command *command, const char *date,
                        struct pi_error *err)
{
    pi_auto_buf struct pi_buf text = {0};
    char name[64] = "piagent", file[72];
    if (command)
        cli_man_name(command, name);
    if ((command ? cli_man_command(command, date, &text) : cli_man_main(cli_commands, date, &text)) < 0)
        return pi_fail(err, ENOMEM, "%s", name);
    snprintf(file, sizeof file, "%s.1", name);
    return page(top, "share/man/man1", file, text.data, err);
}

static int topic_page(const char *top, const struct cli_topic *topic, const char *date, struct pi_error *err)
{
    pi_auto_buf struct pi_buf text = {0};
    char file[72];
    if (cli_man_topic(topic, date, &text) < 0)
        return pi_fail(err, ENOMEM, "%s", topic->name);
    snprintf(file, sizeof file, "piagent-%s.7", topic->name);
    return page(top, "share/man/man7", file, text.data, err);
}

/* The same bytes for the same source: https://reproducible-builds.org/specs/source-date-epoch/ */
static void page_date(char ret[64])
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    time_t now = epoch ? (time_t)strtoll(epoch, NULL, 10) : time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(ret, 64, "%B %-d, %Y", &utc);
}

static int run_pages(const struct cli_call *call, struct pi_error *err)
{
    const char *top = call->operands[0];
    char date[64];
    page_date(date);
    int r = command_page(top, NULL, date, err);
    for (const struct cli_command *const *c = cli_commands; r == 0 && *c; c++)
        if (!cli_is_hidden(*c))
            r = command_page(top, *c, date, err);
    for (const struct cli_topic *topic = cli_topics; r == 0 && topic->name; topic++)
        r = topic_page(top, topic, date, err);
    for (size_t i = 0; r == 0 && i < PI_ARRAY_SIZE(shells); i++)
        r = page(top, shells[i].folder, shells[i].file, shells[i].script, err);
    return r;
}

const struct cli_command cli_command_completion = {
    .name = "completion",
    .operands = "SHELL",
    .summary = "prints a script with which a shell completes piagent's command lines",
    .details =
        "SHELL is bash, zsh or fish. An installed piagent has it where the shell looks by itself; else:\n\n"
        "bash: source <(piagent completion bash), in ~/.bashrc.\n\n"
        "zsh: source <(piagent completion zsh), in ~/.zshrc, after compinit.\n\n"
        "fish: piagent completion fish > ~/.config/fish/completions/piagent.fish.",
    .example = "piagent completion bash",
    .min_operands = 1,
    .max_operands = 1,
    .operand = CLI_WORD,
    .words = cli_words_shell,
    .run = run_completion,
};
const struct cli_command cli_command__complete = {
    .name = "__complete",
    .operands = "-- WORD...",
    .summary = "prints what may come next on a command line, for the scripts of piagent completion",
    .example = "piagent __complete -- ima",
    .max_operands = 4096,
    .operand = CLI_TEXT,
    .run = run_complete,
};
const struct cli_command cli_command__pages = {
    .name = "__pages",
    .operands = "FOLDER",
    .summary = "writes the man pages and the completions as they are installed, for the build",
    .example = "piagent __pages build/pages",
    .min_operands = 1,
    .max_operands = 1,
    .operand = CLI_FOLDER,
    .run = run_pages,
};
