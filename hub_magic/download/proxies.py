"""Choose the proxy for a URL, as urllib does, by which tensorflow_hub downloads.

urllib asks `<scheme>_proxy` and `no_proxy` and ignores `ALL_PROXY`; to an https URL it goes with CONNECT in
clear, whatever scheme the proxy's address names (`ProxyHandler.proxy_open`, `Request.set_proxy`). More is
tried only where it does not fail what urllib reaches: TLS to a proxy that speaks it, SOCKS where PySocks is
installed, `ALL_PROXY`, and blocks of addresses in `no_proxy`.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import quote, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

SOCKS = ("socks4", "socks4a", "socks5", "socks5h")
_HANDSHAKE = 3  # seconds in which a proxy must answer in TLS
_NO_SOCKS = "a SOCKS proxy needs PySocks, which is not installed: %pip install pysocks"


@dataclass(frozen=True)
class ProxyAddress:
    """A proxy's address, in any form that urllib takes.

    Attributes:
        scheme: in lower case; "" where none is given.
        login: NAME:PASSWORD, quoted; "" where none is given.
        place: HOST:PORT.
    """

    scheme: str
    login: str
    place: str

    def url(self, scheme: str) -> str:
        """The address with this scheme, as requests takes it."""
        return f"{scheme}://{self.login + '@' if self.login else ''}{self.place}"


@dataclass(frozen=True)
class Route:
    """A way to a host.

    Attributes:
        proxy: the proxy's URL; "" for the direct way.
        note: what to say when the proxy fails; "" for nothing special.
    """

    proxy: str = ""
    note: str = ""


def has_socks() -> bool:
    """Whether requests can go through a SOCKS proxy."""
    return find_spec("socks") is not None


def parse_proxy(text: str) -> ProxyAddress:
    """The parts of a proxy's address.

    Raises:
        ValueError: there is no host, or no usable port.
    """
    found = re.fullmatch(r"(?:([^/:@]+):(?=/))?(.*)", text.strip(), re.DOTALL)
    scheme, rest = (found[1] or "", found[2]) if found else ("", text)
    if scheme and not rest.startswith("//"):
        raise ValueError(f"{without_login(text)!r} names no host")
    rest = rest.removeprefix("//")
    end = rest.find("/", max(rest.find("@"), 0))  # a password may hold a slash
    login, _, place = (rest if end < 0 else rest[:end]).rpartition("@")
    place = unquote(place)
    parts = urlsplit(f"//{place}")
    if not parts.hostname or parts.port == 0 or re.search(r"[\s\"'\\]", place):
        raise ValueError(f"{without_login(text)!r} names no host")
    name, colon, password = login.partition(":")
    login = quote(unquote(name), safe="") + (colon and f":{quote(unquote(password), safe='')}")
    return ProxyAddress(scheme.lower(), login, place)


def routes_to(url: str) -> tuple[Route, ...]:
    """The ways to a URL, each of which is tried where the one before it leads nowhere.

    Raises:
        ValueError: the proxy's address cannot be used.
    """
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    proxies = getproxies()
    if place and proxy_bypass(place):
        return (Route(),)
    is_listed = _is_in_block(parts.hostname or "", proxies.get("no", ""))
    if named := proxies.get(parts.scheme, "").strip():
        ways = _with_port(_as_urllib(parse_proxy(named)), parts.scheme)
        return (Route(), *ways) if is_listed else ways
    return (Route(),) if is_listed else (*_for_everything(proxies.get("all", "")), Route())


def _for_everything(text: str) -> tuple[Route, ...]:
    """The way through the proxy of `ALL_PROXY`; none where it cannot be used."""
    try:
        address = parse_proxy(text)
    except ValueError:
        return ()
    is_usable = address.scheme in {"", "http", "https"} or (address.scheme in SOCKS and has_socks())
    return (_as_urllib(address),) if is_usable else ()


def _as_urllib(address: ProxyAddress) -> Route:
    if address.scheme in SOCKS and has_socks():
        return Route(address.url(address.scheme))
    if address.scheme == "https" and _speaks_tls(address.place):
        return Route(address.url("https"))
    return Route(address.url("http"), _NO_SOCKS if address.scheme.startswith("socks") else "")


def _with_port(route: Route, scheme: str) -> tuple[Route, ...]:
    """The ways through a proxy whose address may name no port: urllib takes the port of what it asks for."""
    parts = urlsplit(route.proxy)
    if scheme != "https" or parts.scheme != "http" or parts.port:
        return (route,)
    return Route(f"{route.proxy}:443", route.note), Route(f"{route.proxy}:80", route.note)


def _speaks_tls(place: str) -> bool:
    """Whether TLS comes about with this proxy; whether its certificate is trusted is not asked."""
    parts = urlsplit(f"//{place}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((parts.hostname, parts.port or 443), _HANDSHAKE) as connection,
            context.wrap_socket(connection, server_hostname=parts.hostname),
        ):
            return True
    except (OSError, ValueError):
        return False


def _is_in_block(host: str, listed: str) -> bool:
    """Whether `no_proxy` has a block of addresses, such as 10.0.0.0/8, that a host's address is in."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    for one in listed.split(","):
        try:
            if "/" in one and address in ipaddress.ip_network(one.strip(), strict=False):
                return True
        except ValueError:  # no block
            continue
    return False


def without_login(address: str) -> str:
    """Return a proxy's address without its name and password, also where it has no scheme."""
    before, at, place = address.rpartition("@")
    scheme = f"{before.partition('://')[0]}://" if "://" in before else ""
    return f"{scheme}***@{place}" if at else address
