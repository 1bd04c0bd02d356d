"""Whether the process that holds a lock can still be at work."""

from __future__ import annotations

import os
import socket
import sys
from typing import Literal

from .layout import Holder

HolderState = Literal["alive", "dead", "elsewhere"]


def holder_state(holder: Holder) -> HolderState:
    """Whether the holder is a living process of this machine, a dead one, or on another machine.

    A process id may have been given to somebody else since, so "alive" means only that it cannot be told
    to be dead; and a container may carry another's host name, so whoever acts on "dead" also looks whether
    the download still grows.
    """
    if holder.host != socket.gethostname():
        return "elsewhere"
    return "alive" if is_running(holder.pid) else "dead"


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
    return True


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
