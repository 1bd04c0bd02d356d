"""Whether the process that holds a lock can still be at work."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Literal

from .layout import Holder

HolderState = Literal["alive", "dead", "elsewhere"]


# Seconds by which a process may seem to be younger than what it wrote: the system keeps the time since boot.
_CLOCK_SLACK = 5


def holder_state(holder: Holder, written: float | None = None) -> HolderState:
    """Whether the holder is a living process of this machine, a dead one, or on another machine.

    "alive" means only that it cannot be told to be dead; and a container may carry another's host name, so
    whoever acts on "dead" also looks whether the download still grows.

    Args:
        holder: who wrote the lock.
        written: when, in seconds since the epoch: a process that began later was given the holder's id after
            its end, as after a restart of the machine.
    """
    if holder.host != socket.gethostname():
        return "elsewhere"
    if not is_running(holder.pid):
        return "dead"
    began = _began(holder.pid)
    if began is not None and written is not None and began > written + _CLOCK_SLACK:
        return "dead"
    return "alive"


def is_running(pid: int) -> bool:
    """Whether this machine has a process with that id, ours or not."""
    if pid <= 0:
        return False
    if sys.platform == "win32":
        return _is_running_on_windows(pid)
    try:
        os.kill(pid, 0)  # signal 0 is never delivered
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    except OverflowError:  # larger than any process id
        return False
    # A process that nobody has waited for yet answers signals, but has ended: in a container without an init
    # process a killed kernel may stay so for ever.
    facts = _linux_facts(pid)
    return not facts or facts[0] not in {"Z", "X"}


def _began(pid: int) -> float | None:
    """When a process began, in seconds since the epoch; None where that is not to be had."""
    facts = _linux_facts(pid)
    if not facts:
        return None
    try:
        boot = Path("/proc/stat").read_text(encoding="ascii").partition("\nbtime ")[2].split()[0]
    except (OSError, IndexError):
        return None
    return float(boot) + float(facts[19]) / os.sysconf("SC_CLK_TCK")


def _linux_facts(pid: int) -> list[str]:
    """What Linux tells of a process from its state on: `man proc`, /proc/PID/stat, field 3."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _is_running_on_windows(pid: int) -> bool:
    # os.kill would end the process there; a handle that can be opened and waited for tells the same.
    import ctypes  # only there

    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]
    handle = kernel.OpenProcess(0x0010_0000, False, pid)  # SYNCHRONIZE
    if not handle:
        return bool(ctypes.get_last_error() == 5)  # type: ignore[attr-defined,unused-ignore]  # ERROR_ACCESS_DENIED
    try:
        return bool(kernel.WaitForSingleObject(handle, 0) == 0x102)  # WAIT_TIMEOUT: still running
    finally:
        kernel.CloseHandle(handle)
