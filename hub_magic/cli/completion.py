"""Completion in shells: `eval "$(hub-magic completion bash)"` in the shell's start-up file."""

from __future__ import annotations

from collections.abc import Sequence

from ..commands.completion import candidates
from ..commands.options import option
from .parser import CACHE, COMMANDS, FOR_SHELL, JSON, arguments_of
from .process import write_out

# bash ends a word at a colon, so the script removes the text before the last colon from the answers.
_BASH = """\
_hub_magic() {
    local line="${COMP_LINE:0:COMP_POINT}" IFS=$'\\n'
    local word="${line##* }"
    local before="${word%"${word##*:}"}"
    local found=($(hub-magic complete "$line" 2>/dev/null))
    COMPREPLY=("${found[@]#"$before"}")
}
complete -o default -F _hub_magic hub-magic
"""
_ZSH = """\
_hub_magic() {
    local found=(${(f)"$(hub-magic complete "${words[1,CURRENT-1]} $PREFIX" 2>/dev/null)"})
    if (( $#found )); then compadd -- $found; else _files; fi
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _hub_magic hub-magic
"""
SCRIPTS = {"bash": _BASH, "zsh": _ZSH}

_HELP = option("--help", action="store_true")


def print_candidates(words: Sequence[str]) -> int:
    """Print the candidates for the end of a command line, one per line; none where only paths fit."""
    line = words[0] if words else ""
    *before, word = [*line.split(), ""] if line.endswith(" ") or not line else line.split()
    for candidate in line_candidates(before[1:], word):
        write_out(f"{candidate}\n")
    return 0


def line_candidates(before: Sequence[str], word: str) -> list[str]:
    """Return the candidates for a word after `hub-magic` and the words before it."""
    if not before:
        names = [
            *(command.name for command in COMMANDS),
            *FOR_SHELL,
            "serve",
            "completion",
            "--help",
            "--version",
        ]
        return [name for name in names if name.startswith(word)]
    command = next((command for command in COMMANDS if command.name == before[0]), None)
    if before[0] in FOR_SHELL:
        return candidates((CACHE, JSON, _HELP), before[1:], word)[0]
    if command is None:
        return [shell for shell in SCRIPTS if before == ["completion"] and shell.startswith(word)]
    return candidates((*arguments_of(command), _HELP), before[1:], word)[0]
