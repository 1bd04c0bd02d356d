"""The context of the checks, read once, and the lines that fix what they find."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from ..locations import absolute
from ..runtime import Runtime
from ..settings import (
    CACHE_VARIABLE,
    KERAS_VARIABLE,
    MODE_FORMATS,
    MODE_VARIABLE,
    OFFLINE_VARIABLE,
    read_cache,
)

# Characters that IPython leaves alone: it splits a line at quotation marks, and fills in $NAME and {NAME}.
_PLAIN = r"[\w/.~:@%+=, -]+"


@dataclass(frozen=True, slots=True)
class Fixes:
    """The lines that fix problems, for the place where the diagnosis is read.

    Attributes:
        in_notebook: whether lines go into a cell, where the magics are loaded; else into a shell.
        cache: the cache that the command line names with `--cache`; "" for the current one.
    """

    in_notebook: bool
    cache: str = ""

    def install(self, *words: str) -> str:
        """Return the line that installs these requirements, with pip's options."""
        pip = "%pip" if self.in_notebook else f"{shlex.quote(sys.executable)} -m pip"
        return " ".join((pip, "install", *(f'"{word}"' if _is_special(word) else word for word in words)))

    def run(self, line: str) -> str:
        """Return a line that runs a line of a shell."""
        return f"!{line}" if self.in_notebook else line

    def set(self, name: str, value: str) -> str:
        """Return the line that sets a variable."""
        if self.in_notebook:
            return f"import os; os.environ[{name!r}] = {value!r}"
        return f"export {name}={shlex.quote(value)}"

    def unset(self, name: str) -> str:
        """Return the line that removes a variable."""
        return f"import os; del os.environ[{name!r}]" if self.in_notebook else f"unset {name}"

    def rename(self, old: str, new: str) -> str:
        """Return the line that renames a misspelt variable."""
        if self.in_notebook:
            return f"import os; os.environ[{new!r}] = os.environ.pop({old!r})"
        return f'export {new}="${old}"; unset {old}'

    def mode(self, mode: str) -> str:
        """Return the line that sets the mode."""
        if self.in_notebook:
            return f"%hub_mode {mode}"
        return (
            f"export {OFFLINE_VARIABLE}=1"
            if mode == "offline"
            else f"export {MODE_VARIABLE}={MODE_FORMATS[mode]}"
        )

    def cache_at(self, location: str, *, moving: bool = False) -> str:
        """Return the line that sets another location for the cache.

        Args:
            location: the new location.
            moving: whether cached models shall move too, which a notebook does at once.
        """
        if self.in_notebook:
            if not re.fullmatch(_PLAIN, location):
                return f"import hub_magic; hub_magic.set_cache({location!r})"
            return f"%hub_cache {'--move-to ' if moving else ''}{_word(location)}"
        path = os.path.expanduser(location)  # the shell would expand it
        return f"export {CACHE_VARIABLE}={shlex.quote(path)}"

    def care(self, verb: str, *words: str) -> str:
        """Return the line that runs a verb of the cache: "repair", "prune --duplicates"."""
        rest = "".join(f" {_word(word) if self.in_notebook else shlex.quote(word)}" for word in words)
        if self.in_notebook:
            return f"%hub_cache --{verb}{rest}"
        return self._command(f"{verb}{rest}")

    def ask_others(self) -> str:
        """Return the line that runs the doctor again, with hosts and buckets."""
        return "%hub_doctor --online" if self.in_notebook else self._command("doctor --online")

    def legacy_keras(self) -> str:
        """Return the line that makes tf.keras Keras 2."""
        return "%hub_mode --legacy-keras" if self.in_notebook else f"export {KERAS_VARIABLE}=1"

    def _command(self, words: str) -> str:
        command = "hub-magic" if shutil.which("hub-magic") else f"{shlex.quote(sys.executable)} -m hub_magic"
        return f"{command} {words}{f' --cache {shlex.quote(self.cache)}' if self.cache else ''}"


def _is_special(word: str) -> bool:
    """Return whether a shell would interpret some characters of a requirement."""
    return any(letter in word for letter in "<>~*")


def _word(text: str) -> str:
    """Return a word for a magic's line, which IPython splits at blanks outside quotes."""
    return f'"{text}"' if " " in text else text


@dataclass(frozen=True)
class Surroundings:
    """The context of the checks.

    Attributes:
        env: the environment.
        modules: the imported modules.
        version_of: the version of an installed package; None when it is not installed.
        runtime: where the kernel runs.
        fixes: the lines that fix problems.
        root: the file system's root, with `etc`, `proc` and `usr` in it.
        is_online: whether hosts and buckets may be asked.
    """

    env: Mapping[str, str]
    modules: Mapping[str, ModuleType]
    version_of: Callable[[str], str | None]
    runtime: Runtime
    fixes: Fixes
    root: Path
    is_online: bool

    @property
    def cache(self) -> str:
        """The cache that tensorflow_hub will use."""
        return absolute(read_cache(env=self.env).value)
