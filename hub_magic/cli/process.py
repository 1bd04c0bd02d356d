"""The process of a command: its output in any locale, and its end by a signal."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, NoReturn

from ..masking import mask_secrets


class OutputError(Exception):
    """The standard output cannot be written; the text says why."""


class TerminatedError(KeyboardInterrupt):
    """A signal asks the process to end. Whatever cleans up after Ctrl-C does so after the signal."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.status = 128 + number


def write_out(text: str) -> None:
    """Write to the standard output. A reader that is gone, as after `head`, stops neither work nor status.

    Characters that the locale cannot write are escaped.

    Raises:
        OutputError: the standard output is closed, or its disk is full.
    """
    stream = sys.stdout
    if stream is None:
        raise OutputError("it is closed")
    try:
        stream.write(_encodable(mask_secrets(text), stream))
        stream.flush()
    except BrokenPipeError:
        _silence(stream)
    except (OSError, ValueError) as error:
        _silence(stream)
        raise OutputError(getattr(error, "strerror", None) or str(error)) from error


def write_error(line: str) -> None:
    """Write a line to the standard error; nothing where that cannot be written."""
    stream = sys.stderr
    if stream is None:
        return
    with suppress(OSError, ValueError):
        stream.write(_encodable(f"{line}\n", stream))
        stream.flush()


def _encodable(text: str, stream: IO[Any]) -> str:
    """Return the text as the stream can write it, with all other characters as escapes."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        return text.encode(encoding, "backslashreplace").decode(encoding)
    except LookupError:
        return text.encode("ascii", "backslashreplace").decode("ascii")


def _silence(stream: IO[Any]) -> None:
    """Keep Python from writing what is left once more at its end, and from printing an error about it."""
    with suppress(OSError, ValueError, AttributeError):
        number = os.open(os.devnull, os.O_WRONLY)
        os.dup2(number, stream.fileno())
        os.close(number)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into `TerminatedError` inside a `with`; a second one ends the process at once.

    A signal that the caller ignores, as `nohup` does, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    caught = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]

    def end(number: int, _frame: object) -> NoReturn:
        for one in caught:
            signal.signal(one, signal.SIG_DFL)
        raise TerminatedError(number)

    for number in caught:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in caught:
            signal.signal(number, signal.SIG_DFL)
