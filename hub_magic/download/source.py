"""One archive at its host: asked for whole or in part, and known again when it is asked for once more."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import DownloadError
from .body import Body, PassingError, passing_error
from .digests import read_digests
from .explain import explain_answer, explain_silence, is_about_certificate
from .web import Web, is_passing, requested_pause

if TYPE_CHECKING:
    import requests

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
        digests: names and values of the digests it gives: "md5", "crc32c".
    """

    url: str
    size: int | None
    etag: str
    modified: str
    has_ranges: bool
    digests: tuple[tuple[str, bytes], ...]

    @property
    def validator(self) -> str:
        """What `If-Range` can be asked with: a strong ETag, else the time of the last change."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified


class Source:
    """An archive at its host.

    Args:
        handle: what the user calls it, for messages.
        url: where to ask for it.
        web: the connections.
    """

    def __init__(self, handle: str, url: str, web: Web) -> None:
        self.facts: Facts | None = None
        self._handle = handle
        self._url = url
        self._web = web

    def open(self, start: int = 0, end: int | None = None) -> Body:
        """Ask for the bytes from `start` up to `end`, or to the archive's end; the first time for all of it.

        Raises:
            PassingError: another try may succeed.
            RestartError: it is not the archive that it was, or its parts cannot be had.
            DownloadError: the host refuses.
        """
        facts = self.facts
        if facts is None:
            answer = self._ask(self._url, {})
            self._check_status(answer)
            self.facts = _read_facts(answer)
            return Body(self._handle, answer, 0)
        headers = {"Range": f"bytes={start}-{'' if end is None else end - 1}"}
        if facts.validator:
            headers["If-Range"] = facts.validator
        answer = self._ask(facts.url, headers)
        if answer.status_code in _MAY_BE_EXPIRED and facts.url != self._url:
            answer.close()
            answer = self._ask(self._url, headers)
        return self._continued(facts, answer, start, end)

    def _ask(self, url: str, headers: dict[str, str]) -> requests.Response:
        from requests.exceptions import ConnectionError as NoConnectionError
        from requests.exceptions import Timeout

        try:
            return self._web.get(url, **headers)
        except OSError as error:  # all errors of requests are OSErrors, too
            if isinstance(error, (NoConnectionError, Timeout)) and not is_about_certificate(error):
                raise passing_error(self._handle, error) from error
            raise DownloadError(explain_silence(self._handle, error, 1)) from error

    def _check_status(self, answer: requests.Response) -> None:
        status = answer.status_code
        if status in {200, 206}:
            return
        with answer:
            words = explain_answer(self._handle, answer.url, status, _beginning(answer))
        if is_passing(status):
            raise PassingError(lambda _: words, is_answer=True, pause=requested_pause(answer))
        raise DownloadError(words)

    def _continued(self, facts: Facts, answer: requests.Response, start: int, end: int | None) -> Body:
        """The answer to a request for a part, after making sure that it is a part of the same archive."""
        status = answer.status_code
        if status == 416:
            answer.close()
            raise RestartError(
                f"it is shorter than the {facts.size:,} bytes announced" if facts.size else _CHANGED
            )
        try:
            self._check_status(answer)
        except DownloadError as error:  # as with an address that is good for one request
            raise RestartError(f"the host does not go on with it ({status})") from error
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
                raise passing_error(self._handle, ConnectionError("the host gives no parts"))
            # The host knows no ranges: what is there already goes by once more.
            body = Body(self._handle, answer, 0)
            body.skip(start)
            return body
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != start or found[2] not in {"*", str(facts.size or found[2])}:
            answer.close()
            raise RestartError(f"its part from byte {start:,} is answered with another")
        return Body(self._handle, answer, start, end)


_CHANGED = "it changed at the host in the meantime"


def _read_facts(answer: requests.Response) -> Facts:
    headers = answer.headers
    length = headers.get("Content-Length", "")
    return Facts(
        url=answer.url,
        size=int(length) if length.isdecimal() and answer.status_code == 200 else None,
        etag=headers.get("ETag", ""),
        modified=headers.get("Last-Modified", ""),
        has_ranges=headers.get("Accept-Ranges", "").lower() == "bytes",
        digests=read_digests(headers),
    )


def _beginning(answer: requests.Response) -> bytes:
    """The first bytes of a refusal; b"" when they do not come."""
    from urllib3.exceptions import HTTPError

    try:
        return bytes(answer.raw.read(1 << 14, decode_content=True))
    except (HTTPError, OSError):
        return b""
