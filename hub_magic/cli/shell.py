"""Commands for the shell alone: the mode, printed as lines to run, and the doctor."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass

from ..cache.scan import free_space
from ..commands.line import DoctorLine, ModeLine
from ..commands.verbs import location, scan_with_bar
from ..doctor import Diagnosis, Report, diagnose
from ..doctor.context import Fixes
from ..facts import Fact
from ..loading import choose_mode
from ..quantities import size
from ..runtime import detect_runtime
from ..settings import (
    KERAS_VARIABLE,
    MODE_VARIABLE,
    OFFLINE_VARIABLE,
    ModeSetting,
    parse_mode,
    read_mode,
    set_mode,
)


@dataclass(frozen=True, slots=True)
class ShellLines(Fact):
    """The lines that make a setting in a shell: `eval "$(hub-magic mode offline)"`.

    Attributes:
        mode: the mode that they set; "" if they set none.
        reason: why `auto` chose it; else "".
        lines: the lines, for a POSIX shell.
    """

    mode: str
    reason: str
    lines: tuple[str, ...]

    def __str__(self) -> str:
        comment = (f"# {self.mode}: {self.reason}",) if self.reason else ()
        return "\n".join((*comment, *self.lines))


@dataclass(frozen=True, slots=True)
class CacheSize(Fact):
    """How much a cache takes.

    Attributes:
        location: the cache.
        models: how many models are cached.
        bytes: how many bytes they take.
    """

    location: str
    models: int
    bytes: int

    def __str__(self) -> str:
        return size(self.bytes)


def measure(location: str) -> CacheSize:
    """Return how much a cache takes (`size`)."""
    scan = scan_with_bar(location)
    return CacheSize(location, len(scan.models), scan.size)


def show_mode(line: ModeLine) -> ModeSetting | ShellLines:
    """Return the current mode (`mode`), or the lines that set it (`mode MODE`, `mode --legacy-keras`)."""
    keras = (f"export {KERAS_VARIABLE}=1",) if line.legacy_keras else ()
    if not line.mode:
        return ShellLines("", "", keras) if keras else read_mode()
    mode, reason = parse_mode(line.mode), ""
    if mode == "auto":
        mode, reason = choose_mode(detect_runtime(), location(), free_space(location()))
    env = dict(os.environ)
    set_mode(mode, env=env)
    lines = [f"export {MODE_VARIABLE}={shlex.quote(env[MODE_VARIABLE])}"]
    if OFFLINE_VARIABLE in env:
        lines.append(f"export {OFFLINE_VARIABLE}={env[OFFLINE_VARIABLE]}")
    elif OFFLINE_VARIABLE in os.environ:
        lines.append(f"unset {OFFLINE_VARIABLE}")
    return ShellLines(mode, reason, (*lines, *keras))


def examine(line: DoctorLine, cache: str) -> Diagnosis | Report:
    """Return the diagnosis (`doctor`, with `--online` and `--report`); its fixes are lines for a shell."""
    fixes = Fixes(in_notebook=False, cache=cache)
    diagnosis = diagnose(online=line.online, fixes=fixes)
    return diagnosis.report() if line.report else diagnosis
