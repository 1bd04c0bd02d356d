"""Completion in shells: `eval "$(hub-magic completion bash)"` in the shell's start-up file."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..commands.completion import candidates
from ..commands.options import option
from .parser import CACHE, COMMANDS, JSON

# bash takes a colon for the end of a word, so what stands before the last one is cut off its answers.
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
    """Print what may complete a command line, one candidate in a line; nothing where only paths may."""
    line = words[0] if words else ""
    *before, word = [*line.split(), ""] if line.endswith(" ") or not line else line.split()
    for candidate in line_candidates(before[1:], word):
        sys.stdout.write(f"{candidate}\n")
    return 0


def line_candidates(before: Sequence[str], word: str) -> list[str]:
    """What may complete a word after `hub-magic` and the words before it."""
    if not before:
        names = [*(command.name for command in COMMANDS), "serve", "completion", "--help"]
        return [name for name in names if name.startswith(word)]
    command = next((command for command in COMMANDS if command.name == before[0]), None)
    if command is None:
        return [shell for shell in SCRIPTS if before == ["completion"] and shell.startswith(word)]
    return candidates((*command.arguments, CACHE, JSON, _HELP), before[1:], word)[0]
