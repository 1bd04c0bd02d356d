"""Request an archive from its host, whole or in part, and recognise it when it is requested again."""

from __future__ import annotations

import contextlib
import os
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import DownloadError
from ..quantities import size
from ..small_files import OddFileError, parse_number
from .decode import read_digests
from .messages import explain_answer, explain_silence, is_about_certificate

if TYPE_CHECKING:
    import requests
    from requests.adapters import HTTPAdapter


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


# tensorflow_hub's own variable; it accepts no other spelling of yes (`resolver.py`).
_CERTIFICATES_VARIABLE = "TFHUB_DISABLE_CERT_VALIDATION"

# The archive's bytes are wanted as they are stored, as tensorflow_hub asks for them: with another
# `Accept-Encoding` a bucket may unpack them on the way.
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "hub_magic"}


@dataclass(frozen=True)
class RetryPolicy:
    """How long to wait for a host, and how often to try again.

    Attributes:
        connect: seconds for a connection to come about.
        read: seconds without a byte after which a connection is given up.
        tries: how often in a row without a byte of progress.
        pause: seconds before the second try; each further pause is twice as long.
        longest: the longest pause in seconds, whatever the host asks for.
    """

    connect: float = 15
    read: float = 30
    tries: int = 6
    pause: float = 0.5
    longest: float = 60


def checks_certificates() -> bool:
    """Whether certificates are checked, which TFHUB_DISABLE_CERT_VALIDATION can turn off."""
    return os.environ.get(_CERTIFICATES_VARIABLE) != "true"


class Web:
    """Connections to hosts, kept open between requests."""

    def __init__(self, retries: RetryPolicy, *, connections: int) -> None:
        self._timeout = (retries.connect, retries.read)
        self._verify = checks_certificates()
        self._session = _strict_session()
        self._session.headers.update(_HEADERS)
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, _system_trust(verify=self._verify, connections=connections))

    def get(self, url: str, **headers: str) -> requests.Response:
        """Ask for a URL, and give back the answer with its body unread.

        Raises:
            requests.RequestException: there is no answer.
            OSError: the certificates named in the environment cannot be read.
        """
        # `verify` given with the request, because REQUESTS_CA_BUNDLE would overrule the session's own.
        return self._session.get(
            url, headers=headers, stream=True, timeout=self._timeout, verify=self._verify
        )

    def get_unredirected(self, url: str) -> requests.Response:
        """The same, with a redirect as the answer instead of what it leads to."""
        return self._session.get(
            url, stream=True, timeout=self._timeout, verify=self._verify, allow_redirects=False
        )

    def close(self) -> None:
        """End every connection that is not in use."""
        self._session.close()


def _strict_session() -> requests.Session:
    """Return a session that ends the connection before it reports a redirect to something that is no URL."""
    import requests
    from requests.exceptions import InvalidURL

    class StrictSession(requests.Session):
        def get_redirect_target(self, resp: requests.Response) -> str | None:
            try:
                target = super().get_redirect_target(resp)
                _ = urlsplit(target or "").port
            except ValueError as error:
                resp.close()
                raise InvalidURL(str(error), response=resp) from error
            return target

    return StrictSession()


def _system_trust(*, verify: bool, connections: int) -> HTTPAdapter:
    """An adapter that trusts the machine's certificates, too, as tensorflow_hub does; requests has a list.

    The default certificates are those of SSL_CERT_FILE and SSL_CERT_DIR, too; REQUESTS_CA_BUNDLE is read by
    requests.
    """
    from requests.adapters import HTTPAdapter
    from urllib3.util.ssl_ import create_urllib3_context

    context = create_urllib3_context()  # how host names are compared depends on urllib3's version
    context.load_default_certs()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE

    class SystemTrust(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            super().init_poolmanager(*args, ssl_context=context, **options)

        def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
            return super().proxy_manager_for(proxy, ssl_context=context, **options)

    return SystemTrust(pool_maxsize=connections)


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
        from urllib3.exceptions import HTTPError

        try:
            return self._web.get(url, **headers)
        # Most errors of requests are OSErrors, too; a Location that is no URL gives others.
        except (OSError, ValueError, HTTPError, HTTPException) as error:
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
        digests=read_digests(headers),
    )


def _beginning(answer: requests.Response) -> bytes:
    """The first bytes of a refusal; b"" when they do not come."""
    from urllib3.exceptions import HTTPError

    try:
        return bytes(answer.raw.read(1 << 14, decode_content=True))
    except (HTTPError, OSError):
        return b""
