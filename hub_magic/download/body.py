"""The bytes of one answer, and what it means when they stop coming."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from .explain import explain_silence

if TYPE_CHECKING:
    import requests


class PassingError(Exception):
    """A failure that another try may not meet.

    Args:
        explain: gives the words for the user, from the number of tries.
        is_answer: whether the host has answered.
        pause: seconds that the host asks to wait.
    """

    def __init__(self, explain: Callable[[int], str], *, is_answer: bool = False, pause: float = 0) -> None:
        super().__init__()
        self.explain = explain
        self.is_answer = is_answer
        self.pause = pause


class Body:
    """The bytes of one answer, from a position on, to `end` where only a part was asked for."""

    def __init__(self, handle: str, answer: requests.Response, position: int, end: int | None = None) -> None:
        self.position = position
        self._end = end
        self._handle = handle
        self._answer = answer
        # `read` waits for all that is asked for, and loses it when the connection drops; urllib3 1
        # has no other.
        self._read: Callable[..., bytes] = getattr(answer.raw, "read1", answer.raw.read)

    def read(self, size: int) -> bytes:
        """Up to `size` bytes as they come; b"" at the end of the answer.

        Raises:
            PassingError: the connection dropped, or gave nothing for too long.
        """
        from urllib3.exceptions import HTTPError

        try:
            data = self._read(size, decode_content=False)
        except (HTTPError, OSError, ValueError) as error:  # ValueError: closed by `abort`
            raise passing_error(self._handle, error) from error
        self.position += len(data)
        return data

    def continues_at(self, position: int) -> bool:
        """Whether the next byte to be read is that one."""
        return position == self.position and position != self._end

    def broken_off(self, why: str) -> PassingError:
        """The failure to raise when it ends too early."""
        return passing_error(self._handle, ConnectionError(why))

    def skip(self, size: int) -> None:
        """Read and forget.

        Raises:
            PassingError: as `read`.
        """
        end = self.position + size
        while self.position < end and self.read(min(1 << 16, end - self.position)):
            pass

    def close(self) -> None:
        """End the connection, unless everything was read: then it is kept for the next request."""
        self._answer.close()

    def abort(self) -> None:
        """Make a `read` that waits in another thread come back at once."""
        # New in urllib3 2.3; before, it waits for its timeout.
        shutdown = getattr(self._answer.raw, "shutdown", None)
        if shutdown is not None:
            with contextlib.suppress(ValueError, RuntimeError, OSError):  # nobody reads any more
                shutdown()


def passing_error(handle: str, error: Exception) -> PassingError:
    """The failure to raise when a host falls silent."""
    return PassingError(lambda tries: explain_silence(handle, error, tries))
