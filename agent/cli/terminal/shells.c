/* SPDX-License-Identifier: MIT */
#include "agent/cli/terminal/shells.h"

#include <stddef.h>

/* bash breaks words at '=' and ':', too: the script puts them together again, and removes from the answers
 * the part that bash has already. readline completes paths: it knows how to quote them. */
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

const struct cli_shell cli_shells[] = {
    {"bash", bash_script, "share/bash-completion/completions", "piagent"},
    {"zsh", zsh_script, "share/zsh/site-functions", "_piagent"},
    {"fish", fish_script, "share/fish/vendor_completions.d", "piagent.fish"},
    {0},
};
