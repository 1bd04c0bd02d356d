"""The HTTP client: requests, which treats redirects, proxies and certificates as people expect."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import requests
    from requests.adapters import HTTPAdapter

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
        import requests

        self._timeout = (retries.connect, retries.read)
        self._verify = checks_certificates()
        self._session = requests.Session()
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
    if text.isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
        now = parsedate_to_datetime(answer.headers.get("Date", ""))
        return max(0.0, (moment - now).total_seconds())
    except (ValueError, TypeError):  # neither a number nor two dates
        return 0.0
