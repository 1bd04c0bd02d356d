"""Connections to hosts: what is sent, to whom, through which proxy, and how long an answer is waited for.

The path of a URL is sent as it stands, as urllib sends it: requests and urllib3 would take `/./` out of a
signed address. A login is sent to the host that it belongs to and nowhere else; cookies are not kept.
"""

from __future__ import annotations

import base64
import contextlib
import netrc
import os
import re
import ssl
import string
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from ..settings import read_timeout
from .proxies import Route, routes_to

if TYPE_CHECKING:
    import requests
    from requests.adapters import HTTPAdapter

# tensorflow_hub's own variable; it accepts no other spelling of yes (`resolver.py`).
_CERTIFICATES_VARIABLE = "TFHUB_DISABLE_CERT_VALIDATION"

# The archive's bytes are wanted as they are stored, as tensorflow_hub asks for them: with another
# `Accept-Encoding` a bucket may unpack them on the way.
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "hub_magic", "Accept": "*/*"}
# Carries the path to our connections, which take it out again; it is never sent.
_TARGET = "X-Hub-Magic-Target"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# As urllib's `HTTPRedirectHandler` has them.
_MOST_REDIRECTS = 10
_MOST_VISITS = 4  # of one URL
_SHORT_BODY = 1 << 16  # bytes of a redirect that are read to keep its connection


@dataclass(frozen=True)
class RetryPolicy:
    """How long to wait for a host, and how often to try again.

    Attributes:
        connect: seconds for a connection to come about, at the first try.
        read: seconds without a byte after which a connection is given up, at the first try.
        tries: how often in a row without a byte of progress.
        pause: seconds before the second try; each further pause is twice as long.
        longest: the longest pause in seconds, whatever the host asks for.
        growth: each try waits twice as long as the one before, up to so many times the first.
    """

    connect: float = 15
    read: float = 30
    tries: int = 6
    pause: float = 0.5
    longest: float = 60
    growth: float = 4

    def timeouts(self, failures: int) -> tuple[float, float]:
        """Seconds for a connection and for a byte, after so many failures in a row."""
        factor = min(2.0**failures, self.growth)
        return self.connect * factor, self.read * factor


def retry_policy(seconds: float | None = None) -> RetryPolicy:
    """The usual policy, whose first try waits so many seconds for a byte.

    Args:
        seconds: those of HUB_MAGIC_TIMEOUT when None, or the usual ones.

    Raises:
        SettingError: HUB_MAGIC_TIMEOUT cannot be used.
    """
    seconds = read_timeout() if seconds is None else seconds
    return RetryPolicy() if seconds is None else RetryPolicy(connect=min(15, seconds), read=seconds)


def checks_certificates() -> bool:
    """Whether certificates are checked, which TFHUB_DISABLE_CERT_VALIDATION can turn off."""
    return os.environ.get(_CERTIFICATES_VARIABLE) != "true"


class Web:
    """Connections to hosts, kept open between requests.

    Args:
        retries: how long to wait.
        connections: at most so many at a time to one host.

    Attributes:
        failures: how often in a row a request has failed: the next one waits longer.
    """

    def __init__(self, retries: RetryPolicy, *, connections: int) -> None:
        self.failures = 0
        self._retries = retries
        checks = checks_certificates()
        self._verify: bool | str = (_bundle() or True) if checks else False
        self._adapter = _system_trust(verify=checks, connections=connections)
        self._routes: dict[tuple[str, str], list[Route]] = {}

    def get(
        self, url: str, *, follow: bool = True, login: bool = True, headers: Mapping[str, str] | None = None
    ) -> requests.Response:
        """Ask for a URL, and give back the answer with its body unread.

        The answer's `url` is where redirects led, and `history` has the redirects.

        Args:
            url: what to ask for.
            follow: whether redirects are followed; else one is the answer.
            login: whether the host may get the login that the URL or the user's netrc file has for it.
            headers: further headers.

        Raises:
            requests.RequestException: there is no answer.
            OSError: the certificates named in the environment cannot be read.
        """
        from requests.exceptions import TooManyRedirects

        home = url
        history: list[requests.Response] = []
        visits: Counter[str] = Counter()
        secret = _url_login(url) or (_netrc_login(url) if login else "")
        while True:
            if not _is_same_origin(home, url):
                secret = ""  # for good: another host chose the way back
            authorization = _url_login(url) or secret
            sent = {**(headers or {}), **({"Authorization": authorization} if authorization else {})}
            answer = self._send(url, sent)
            answer.history = list(history)
            if not follow or answer.status_code not in _REDIRECTS or "Location" not in answer.headers:
                return answer
            history.append(answer)
            _finish(answer)
            url = _redirected(url, answer)
            if visits[url] >= _MOST_VISITS or len(visits) >= _MOST_REDIRECTS:
                raise TooManyRedirects(f"{len(history)} redirects in a row", response=answer)
            visits[url] += 1

    def close(self) -> None:
        """End every connection that is not in use."""
        self._adapter.close()

    def _send(self, url: str, headers: dict[str, str]) -> requests.Response:
        """Send one request, by the first way that leads anywhere."""
        import requests
        from urllib3.exceptions import HTTPError

        parts = urlsplit(url)
        place = parts.netloc.rpartition("@")[2]
        key = (parts.scheme, place)
        try:
            routes = self._routes.get(key) or list(routes_to(url))
        except ValueError as error:
            raise requests.exceptions.InvalidProxyURL(str(error)) from error
        self._routes[key] = routes
        given = {**_HEADERS, **headers, _TARGET: _target(url)}
        failure: requests.RequestException | None = None
        for route in tuple(routes):
            try:
                asked = requests.Request("GET", f"{parts.scheme}://{place}/", headers=given).prepare()
                answer = self._adapter.send(
                    asked,
                    stream=True,
                    timeout=self._retries.timeouts(self.failures),
                    verify=self._verify,
                    proxies={parts.scheme: route.proxy} if route.proxy else {},
                )
            except requests.exceptions.ConnectionError as error:
                failure = error
                if route.note and isinstance(error, requests.exceptions.ProxyError):
                    failure = requests.exceptions.ProxyError(route.note)
                continue
            except requests.RequestException:
                raise
            except (
                HTTPError,
                ValueError,
            ) as error:  # requests lets some errors through, such as a label too long
                raise requests.exceptions.InvalidURL(str(error)) from error
            answer.url = url
            routes[:] = [route]
            return answer
        assert failure is not None  # noqa: S101 - there is a route, and each returns or fails
        raise failure


def keeps_login(answer: requests.Response) -> bool:
    """Whether every host on the way to an answer was the first one."""
    way = [*(redirect.url for redirect in answer.history), answer.url]
    return all(_is_same_origin(way[0], url) for url in way)


def _target(url: str) -> str:
    """The path and query of a URL as they stand; what HTTP cannot carry, such as a blank, is encoded."""
    rest = url.partition("://")[2]
    target = rest[len(re.match(r"[^/?#]*", rest)[0]) :].partition("#")[0]  # type: ignore[index]  # matches anything
    return quote(target if target.startswith("/") else f"/{target}", safe=string.punctuation)


def _redirected(url: str, answer: requests.Response) -> str:
    """Where a redirect leads, by urllib's rules (`HTTPRedirectHandler`)."""
    from requests.exceptions import InvalidSchema, InvalidURL

    # urllib, too, has a header's bytes as letters of Latin-1.
    location = quote(
        answer.headers["Location"], safe=string.punctuation, encoding="iso-8859-1", errors="replace"
    )
    try:
        target = urljoin(url, location)
        parts = urlsplit(target)
        _ = parts.port
    except ValueError as error:
        raise InvalidURL(f"{location[:200]!r}: {error}", response=answer) from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InvalidSchema(f"{target[:200]!r} is no http address", response=answer)
    return target


def _finish(answer: requests.Response) -> None:
    """Read a redirect's short body, so that its connection is kept for the next request."""
    from urllib3.exceptions import HTTPError

    with contextlib.suppress(HTTPError, OSError, ValueError):
        if int(answer.headers.get("Content-Length", _SHORT_BODY)) < _SHORT_BODY:
            answer.raw.read(_SHORT_BODY)
    answer.close()


def _is_same_origin(one: str, other: str) -> bool:
    """Whether two URLs are of one host and port; http may become https at the usual ports."""
    a, b = urlsplit(one), urlsplit(other)
    if (a.scheme, a.hostname, a.port) == (b.scheme, b.hostname, b.port):
        return True
    is_upgrade = (a.scheme, b.scheme) == ("http", "https") and a.port in {None, 80} and b.port in {None, 443}
    usual = {"http": 80, "https": 443}
    same_port = a.scheme == b.scheme and (a.port or usual.get(a.scheme)) == (b.port or usual.get(b.scheme))
    return a.hostname == b.hostname and (is_upgrade or same_port)


def _url_login(url: str) -> str:
    """The login that stands in a URL, as the header that carries it; "" when there is none."""
    login, at, _ = urlsplit(url).netloc.rpartition("@")
    name, _, password = login.partition(":")
    return _basic(unquote(name), unquote(password)) if at else ""


def _netrc_login(url: str) -> str:
    """The login that the user's netrc file has for this very host; its `default` is for nobody here."""
    host = urlsplit(url).hostname or ""
    paths = [os.environ["NETRC"]] if os.environ.get("NETRC") else ["~/.netrc", "~/_netrc"]
    for path in paths:
        place = Path(path)
        with contextlib.suppress(OSError, RuntimeError):
            place = place.expanduser()
        try:
            entries = netrc.netrc(str(place)).hosts
        except (OSError, ValueError, netrc.NetrcParseError):
            continue
        for name, (user, account, password) in entries.items():
            if name.lower() == host and name != "default" and (user or account):
                return _basic(user or account or "", password or "")
        return ""
    return ""


def _basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def _bundle() -> str:
    """The certificates that the environment names for requests; "" where it names none that can be used.

    tensorflow_hub does not read these variables, so a file that is missing or empty must not end a download.
    The doctor has a finding about it.
    """
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        path = os.environ.get(name, "")
        if path:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(
                    **{"capath" if os.path.isdir(path) else "cafile": path}
                )
            except (OSError, ValueError):
                return ""
            return path
    return ""


def _system_trust(*, verify: bool, connections: int) -> HTTPAdapter:
    """An adapter that trusts the machine's certificates, too, as tensorflow_hub does; requests has a list.

    The default certificates are those of SSL_CERT_FILE and SSL_CERT_DIR, too.
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
            _send_targets(self.poolmanager)

        def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
            return _send_targets(super().proxy_manager_for(proxy, ssl_context=context, **options))

    return SystemTrust(pool_maxsize=connections)


def _send_targets(manager: Any) -> Any:
    """Let a manager's connections send a URL's path as it stands."""
    pools = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {scheme: _with_targets(pool) for scheme, pool in pools.items()}
    return manager


@lru_cache(maxsize=16)
def _with_targets(pool: Any) -> Any:
    """A class of connection pools whose connections take the path from a header of ours."""
    if getattr(pool, "sends_targets", False):
        return pool

    class Connection(pool.ConnectionCls):  # type: ignore[misc]  # each kind of pool has its own
        def request(self, method: str, url: str, *args: Any, **options: Any) -> Any:
            headers = dict(options.pop("headers", None) or {})
            target = headers.pop(_TARGET, "")
            if target:  # a proxy is sent the host as well
                url = target if url.startswith("/") else url.rstrip("/") + target
            return super().request(method, url, *args, headers=headers, **options)

    return type(pool.__name__, (pool,), {"ConnectionCls": Connection, "sends_targets": True})
