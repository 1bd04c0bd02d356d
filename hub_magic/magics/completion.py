"""TAB after our magics: options, modes, cached handles and paths."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.error import TryNext

from ..commands.options import MAGICS

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

# At the beginning of a line or after `name =`, with and without per cents.
_LINE = r"(?:[^=%]*=\s*)?%{0,2}(?P<name>NAMES)[ \t]+(?P<rest>.*)"


def install_completion(shell: InteractiveShell) -> Callable[[], None]:
    """Complete the lines of our magics; the function given back undoes it."""
    pattern = re.compile(_LINE.replace("NAMES", "|".join(MAGICS)))

    def complete(_shell: InteractiveShell, event: Any) -> list[str]:
        return _complete(pattern, event)

    shell.set_hook("complete_command", complete, re_key=pattern.pattern)

    def undo() -> None:
        # IPython has no way of its own to take a hook back.
        shell.strdispatchers["complete_command"].regexs.pop(pattern, None)

    return undo


def _complete(pattern: re.Pattern[str], event: Any) -> list[str]:
    """What may stand for the event's symbol, which IPython cuts at colons and the like."""
    from ..commands.completion import candidates

    line = pattern.match(event.text_until_cursor)
    if line is None:
        raise TryNext
    *before, word = re.split(r"[ \t]+", line["rest"])
    found, takes_paths = candidates(MAGICS[line["name"]], before, word)
    if takes_paths:
        found += _paths(word)
    cut = len(word) - len(event.symbol)
    if not found or cut < 0 or not word.endswith(event.symbol):
        raise TryNext
    return [one[cut:] for one in found]


def _paths(word: str) -> list[str]:
    """The paths that begin with this word, folders with a slash at the end; `~` stays as it was written."""
    folder, name = os.path.split(word)
    try:
        with os.scandir(Path(folder or ".").expanduser()) as found:
            items = sorted(
                (item.name, item.is_dir())
                for item in found
                if item.name.startswith(name) and (name or not item.name.startswith("."))
            )
    except (OSError, RuntimeError):  # no such folder, or no such user's home
        return []
    before = word[: len(word) - len(name)]
    return [f"{before}{item}{'/' if is_folder else ''}" for item, is_folder in items if " " not in item]
