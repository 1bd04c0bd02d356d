"""Failures of a download: each is a `DownloadError`, and what tensorflow_hub raises in the same case.

Code that catches what plain `hub.load` raises works with the extension too: `URLError` from a host that is
not reached, `HTTPError` with its `code` from a refusal, `OSError` from bytes that are no archive,
`ValueError` from an archive with links. Every message is one line, and every failure can be pickled.
"""

from __future__ import annotations

import errno
import io
import sys
from collections.abc import Mapping
from email.message import Message
from functools import cache
from http.client import RemoteDisconnected
from typing import Any
from urllib.error import HTTPError, URLError

from ..errors import DownloadError
from ..masking import mask_secrets

_PLAIN_MODULES = frozenset({"builtins", "socket", "ssl", "http.client"})


class TwofoldError(DownloadError):
    """A `DownloadError` of a second kind.

    Args:
        text: the message.
        facts: what the second kind tells beside it.
    """

    def __init_subclass__(cls) -> None:
        cls.__name__ = (
            DownloadError.__name__
        )  # the name that users see and look up; pickle asks for __qualname__

    def __init__(self, text: str, *facts: Any) -> None:
        text = mask_secrets(text)
        Exception.__init__(self, text)
        self._facts = (text, *facts)

    def __str__(self) -> str:
        return str(self._facts[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._facts


class UnreachedError(TwofoldError, URLError):
    """A host that is not reached, or that breaks off.

    Args:
        text: the message.
        reason: the system's error, or words for it.
    """

    def __init__(self, text: str, reason: BaseException | str) -> None:
        URLError.__init__(self, reason)
        super().__init__(text, reason)
        self.args = (str(self),)


class SilentError(UnreachedError, TimeoutError):
    """A host that gives nothing for too long."""


class DroppedError(UnreachedError, RemoteDisconnected):
    """A host that ends the connection."""

    line = ""


class AnswerError(TwofoldError, HTTPError):
    """An answer that is a refusal.

    Args:
        text: the message.
        url: what was asked.
        code: the answer's status.
        reason: the status in words.
        headers: of the answer.
    """

    def __init__(
        self, text: str, url: str, code: int, reason: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        message = Message()
        for name, value in (headers or {}).items():
            message[name] = value
        HTTPError.__init__(self, url, code, reason, message, io.BytesIO())
        super().__init__(text, url, code, reason, dict(headers or {}))
        self.args = (str(self),)


class AddressError(AnswerError, ValueError):
    """A redirect to what is no address."""


class NoModelError(TwofoldError, OSError):
    """Bytes that are no archive, or not an intact one."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.args = (str(self),)


class UnsafeModelError(TwofoldError, ValueError):
    """An archive with what no model needs, or an answer outside TensorFlow Hub's protocol."""


class DiskError(TwofoldError, OSError):
    """A disk that refuses the model.

    Args:
        text: the message.
        number: the system's `errno`; 0 where it has none.
        reason: the system's words.
        filename: what the error is about; "" where nothing is named.
    """

    def __init__(self, text: str, number: int = 0, reason: str = "", filename: str = "") -> None:
        OSError.__init__(self, number, reason, filename or None)
        super().__init__(text, number, reason, filename)
        self.args = (str(self),)


# What TensorFlow's file system makes of an errno (`IOErrorToCode` in errors.cc), by the names of `tf.errors`.
_TENSORFLOW_KINDS = {
    **dict.fromkeys((errno.EPERM, errno.EACCES, errno.EROFS), "PermissionDeniedError"),
    **dict.fromkeys((errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)), "ResourceExhaustedError"),
    **dict.fromkeys((errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY), "FailedPreconditionError"),
    **dict.fromkeys((errno.ENOENT, errno.ENODEV), "NotFoundError"),
    **dict.fromkeys((errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ), "InvalidArgumentError"),
}


def disk_error(text: str, number: int = 0, reason: str = "", filename: str = "") -> DownloadError:
    """Return a failure of the disk; where TensorFlow is imported, it is one of `tf.errors`, too.

    Args:
        text: the message.
        number: the system's `errno`; 0 where it has none.
        reason: the system's words.
        filename: what the error is about; "" where nothing is named.
    """
    errors = getattr(sys.modules.get("tensorflow"), "errors", None)
    kind = getattr(errors, _TENSORFLOW_KINDS.get(number, ""), None)
    if kind is None:
        return DiskError(text, number, reason, filename)
    failure = _disk_error_and(kind)(text, number, reason, filename)
    vars(failure).update(vars(kind(None, None, text)))  # such as its code
    return failure


@cache
def _disk_error_and(kind: type[Exception]) -> type[DiskError]:
    # The class has no name in a module, so pickle is told to make it anew.
    return type("DiskError", (DiskError, kind), {"__reduce__": lambda self: (disk_error, self._facts)})


def unreached(text: str, causes: list[BaseException]) -> DownloadError:
    """The failure of a connection.

    Args:
        text: the message.
        causes: the error and what caused it, the innermost last.
    """
    for cause in reversed(causes):
        # Errors of requests and urllib3 refer to connections, which cannot be pickled.
        if isinstance(cause, OSError) and type(cause).__module__ in _PLAIN_MODULES:
            if isinstance(cause, TimeoutError):
                return SilentError(text, cause)
            is_dropped = isinstance(cause, (ConnectionResetError, ConnectionAbortedError, BrokenPipeError))
            return DroppedError(text, cause) if is_dropped else UnreachedError(text, cause)
    return UnreachedError(text, str(causes[-1]))
