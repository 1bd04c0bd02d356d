"""Request an archive from its host, whole or in part, and recognise it when it is requested again."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import TYPE_CHECKING

from ..errors import DownloadError
from ..quantities import size
from ..small_files import OddFileError, parse_number
from .decode import read_digests
from .messages import is_about_certificate, refusal, silence
from .web import RetryPolicy as RetryPolicy  # noqa: PLC0414 - with the rest of what makes a request
from .web import Web, keeps_login

if TYPE_CHECKING:
    import requests


class PassingError(Exception):
    """A failure that another try may not meet.

    Args:
        failure: makes what the user gets, from the number of tries.
        is_answer: whether the host has answered.
        pause: seconds that the host asks to wait.
    """

    def __init__(
        self, failure: Callable[[int], DownloadError], *, is_answer: bool = False, pause: float = 0
    ) -> None:
        super().__init__()
        self.failure = failure
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
    return PassingError(lambda tries: silence(handle, error, tries))


def is_passing(status: int) -> bool:
    """Whether a status says that another try may succeed."""
    return status in {408, 429} or status >= 500


def requested_pause(answer: requests.Response) -> float:
    """Seconds that the host asks to wait; 0 when it does not say."""
    text = answer.headers.get("Retry-After", "").strip()
    try:
        if text.isdecimal():
            return float(parse_number(text))
        moment = parsedate_to_datetime(text)
        now = parsedate_to_datetime(answer.headers.get("Date", ""))
        return max(0.0, (moment - now).total_seconds())
    except (OddFileError, ValueError, TypeError, OverflowError, IndexError):  # neither a number nor two dates
        return 0.0


# What a host says of an address that it signed for a while.
_MAY_BE_EXPIRED = frozenset({400, 401, 403, 404, 410})


class RestartError(Exception):
    """What was received so far cannot be continued; the download has to begin anew."""


@dataclass(frozen=True)
class Facts:
    """What the host says of an archive.

    Attributes:
        url: where redirects led.
        size: in bytes; None when it does not say.
        etag: its version; "" when it does not say.
        modified: the text of `Last-Modified`, or "".
        has_ranges: whether parts can be asked for.
        may_be_cut: whether nothing but the connection's end tells that all of it has come.
        keeps_login: whether every host on the way was the handle's own.
        digests: names and values of the digests it gives: "md5", "crc32c".
    """

    url: str
    size: int | None
    etag: str
    modified: str
    has_ranges: bool
    may_be_cut: bool
    keeps_login: bool
    digests: tuple[tuple[str, bytes], ...]

    @property
    def validator(self) -> str:
        """What `If-Range` can be asked with: a strong ETag, else the time of the last change."""
        return _validator(self.etag, self.modified)


@dataclass(frozen=True)
class Kept:
    """What an earlier download has left.

    Attributes:
        count: bytes, from the archive's first on.
        size: of the whole archive.
        etag: the archive's version; "" when the host does not say.
        modified: the text of `Last-Modified`, or "".
        digests: names and values of the digests that the host gave.
    """

    count: int
    size: int
    etag: str
    modified: str
    digests: tuple[tuple[str, bytes], ...]

    @property
    def validator(self) -> str:
        """What `If-Range` can be asked with: a strong ETag, else the time of the last change."""
        return _validator(self.etag, self.modified)


def _validator(etag: str, modified: str) -> str:
    return etag if etag and not etag.startswith("W/") else modified


class Source:
    """An archive at its host.

    Args:
        handle: what the user calls it, for messages.
        url: where to ask for it.
        web: the connections.
        kept: what an earlier download has left of it.
    """

    def __init__(self, handle: str, url: str, web: Web, kept: Kept | None = None) -> None:
        self.facts: Facts | None = None
        self._kept = kept
        self._handle = handle
        self._url = url
        self._web = web

    def open(self, start: int = 0, end: int | None = None) -> Body:
        """Ask for the bytes from `start` up to `end`, or to the archive's end.

        The first time it is what is not kept, or all of it where the kept bytes are of no use.

        Raises:
            PassingError: another try may succeed.
            RestartError: it is not the archive that it was, or its parts cannot be had.
            DownloadError: the host refuses.
        """
        facts = self.facts
        if facts is None:
            if self._kept and (body := self._rest_of(self._kept)):
                return body
            answer = self._ask(self._url, {})
            self._check_status(answer)
            self.facts = _read_facts(answer)
            return Body(self._handle, answer, 0)
        headers = {"Range": f"bytes={start}-{'' if end is None else end - 1}"}
        if facts.validator:
            headers["If-Range"] = facts.validator
        answer = self._ask(facts.url, headers, login=facts.keeps_login)
        if answer.status_code in _MAY_BE_EXPIRED and facts.url != self._url:
            answer.close()
            answer = self._ask(self._url, headers)
        return self._continued(facts, answer, start, end)

    def _rest_of(self, kept: Kept) -> Body | None:
        """The answer to a request for what is not kept, or for all of another archive; None to ask anew."""
        answer = self._ask(self._url, {"Range": f"bytes={kept.count}-", "If-Range": kept.validator})
        if answer.status_code == 416:
            answer.close()
            return None
        self._check_status(answer)
        now = _read_facts(answer)
        if answer.status_code == 200:
            self.facts = now
            return Body(self._handle, answer, 0)
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("Content-Range", ""))
        is_same = now.etag == kept.etag if kept.etag else now.modified == kept.modified
        if found is None or (int(found[1]), int(found[2])) != (kept.count, kept.size) or not is_same:
            answer.close()
            return None
        self.facts = replace(now, size=kept.size, digests=kept.digests, has_ranges=True, may_be_cut=False)
        return Body(self._handle, answer, kept.count)

    def _ask(self, url: str, headers: dict[str, str], *, login: bool = True) -> requests.Response:
        from requests.exceptions import ConnectionError as NoConnectionError
        from requests.exceptions import Timeout
        from urllib3.exceptions import HTTPError

        try:
            return self._web.get(url, login=login, headers=headers)
        # Most errors of requests are OSErrors, too; a Location that is no URL gives others.
        except (OSError, ValueError, HTTPError, HTTPException) as error:
            if isinstance(error, (NoConnectionError, Timeout)) and not is_about_certificate(error):
                raise passing_error(self._handle, error) from error
            raise silence(self._handle, error, 1) from error

    def _check_status(self, answer: requests.Response) -> None:
        status = answer.status_code
        if status in {200, 206}:
            return
        with answer:
            failure = refusal(self._handle, answer, _beginning(answer))
        if is_passing(status):
            raise PassingError(lambda _: failure, is_answer=True, pause=requested_pause(answer))
        raise failure

    def _continued(self, facts: Facts, answer: requests.Response, start: int, end: int | None) -> Body:
        """The answer to a request for a part, after making sure that it is a part of the same archive."""
        status = answer.status_code
        if status == 416:
            answer.close()
            raise RestartError(
                f"it is shorter than the {size(facts.size)} announced" if facts.size else _CHANGED
            )
        try:
            self._check_status(answer)
        except DownloadError as error:  # as with an address that is good for one request
            raise RestartError(f"the host does not resume it ({status})") from error
        now = _read_facts(answer)
        if facts.etag != now.etag or (not facts.etag and facts.modified != now.modified):
            answer.close()
            raise RestartError(_CHANGED)
        if status == 200:
            if now.size != facts.size:
                answer.close()
                raise RestartError(_CHANGED)
            if end is not None:  # another connection may have all of it on its way
                answer.close()
                raise passing_error(self._handle, ConnectionError("the host does not send parts"))
            # The host knows no ranges: what is there already goes by once more.
            body = Body(self._handle, answer, 0)
            body.skip(start)
            return body
        found = re.fullmatch(
            r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", answer.headers.get("Content-Range", "")
        )
        if found is None or int(found[1]) != start or found[2] not in {"*", str(facts.size or found[2])}:
            answer.close()
            raise RestartError(f"the host sent a different part than requested (from byte {start:,})")
        return Body(self._handle, answer, start, end)


_CHANGED = "it changed at the host in the meantime"


_LONGEST_TAG = 1024  # characters; an ETag is stored with the model, and sent back


def _read_facts(answer: requests.Response) -> Facts:
    headers = answer.headers
    try:
        length = parse_number(headers.get("Content-Length", "").strip())
    except OddFileError:
        length = None
    etag = headers.get("ETag", "")
    return Facts(
        url=answer.url,
        size=length if answer.status_code == 200 else None,
        etag=etag if len(etag) <= _LONGEST_TAG and etag.isprintable() else "",
        modified=headers.get("Last-Modified", ""),
        has_ranges=headers.get("Accept-Ranges", "").lower() == "bytes",
        may_be_cut=length is None and "chunked" not in headers.get("Transfer-Encoding", "").lower(),
        keeps_login=keeps_login(answer),
        digests=read_digests(headers),
    )


def _beginning(answer: requests.Response) -> bytes:
    """The first bytes of a refusal; b"" when they do not come."""
    from urllib3.exceptions import HTTPError

    try:
        return bytes(answer.raw.read(1 << 14, decode_content=True))
    except (HTTPError, OSError):
        return b""
