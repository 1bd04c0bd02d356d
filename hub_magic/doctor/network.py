"""Variables that lead a download through a proxy, or tell it which certificates to trust."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from .finding import Finding
from .fixes import Fixes
from .surroundings import Surroundings

_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
# Who reads each.
_FILES = {
    "SSL_CERT_FILE": "tensorflow_hub",
    "REQUESTS_CA_BUNDLE": "hub_magic and google-auth",
    "CURL_CA_BUNDLE": "TensorFlow",
}
_FOLDERS = {"SSL_CERT_DIR": "tensorflow_hub"}
_BEGINNING = b"-----BEGIN "
_LONGEST = 1 << 20


def check_network(here: Surroundings) -> Iterator[Finding]:
    """Proxies, then certificates; no host is asked."""
    yield from _proxies(here.env, here.fixes)
    yield from _certificates(here.env, here.fixes, is_late="tensorflow_hub" in here.modules)


def _proxies(env: Mapping[str, str], fixes: Fixes) -> Iterator[Finding]:
    given = [name for low in _PROXIES for name in (low, low.upper()) if env.get(name)]
    faults = [(name, fault) for name in given if (fault := _fault_of_proxy(env[name]))]
    for name, fault in faults:
        yield Finding("proxy", "problem", f"{name} is no proxy's address: {fault}", fixes.unset(name))
    if not faults:
        shown = [f"{name}={without_login(env[name])}" for name in given]
        yield Finding("proxy", "fine", ", ".join(shown) or "none is set")


def without_login(url: str) -> str:
    """A URL without the name and password in it."""
    before, at, host = url.rpartition("@")
    scheme = before.partition("://")[0] + "://" if "://" in before else ""
    return f"{scheme}***@{host}" if at else url


def _fault_of_proxy(value: str) -> str:
    """What is wrong with a proxy's address, without its login; "" for a usable one."""
    shown = without_login(value)
    if value != value.strip() or any(letter in value for letter in " \"'"):
        return f"there are blanks or quotation marks in {shown!r}"
    # Without a scheme, all who read it take http.
    try:
        url = urlsplit(value if "://" in value else f"http://{value}")
        _ = url.port
    except ValueError as error:
        return f"{shown!r}: {error}"
    if url.scheme not in _SCHEMES:
        return f"{shown!r} starts with {url.scheme}://"
    return "" if url.hostname else f"{shown!r} names no host"


def _certificates(env: Mapping[str, str], fixes: Fixes, *, is_late: bool) -> Iterator[Finding]:
    given = [name for name in (*_FILES, *_FOLDERS) if env.get(name)]
    faults = [(name, fault) for name in given if (fault := _fault_of_trust(name, env[name]))]
    for name, fault in faults:
        reader = _FILES.get(name) or _FOLDERS[name]
        found = f"{name}={env[name]!r}, which {reader} reads, {fault}"
        if is_late and reader == "tensorflow_hub":
            found += "; it was read at the import: restart the kernel after the fix"
        yield Finding("certificates", "problem", found, fixes.unset(name))
    if not faults:
        shown = [f"{name}={env[name]}" for name in given]
        yield Finding("certificates", "fine", ", ".join(shown) or "the usual ones")


def _fault_of_trust(name: str, value: str) -> str:
    path = Path(value)
    if not os.path.lexists(path):
        return "is not there"
    is_folder = os.path.isdir(path)  # noqa: PTH112 - Path raises where it may not look
    if name in _FOLDERS or is_folder:
        # requests takes a folder, too; OpenSSL and curl want a file here.
        if name not in {*_FOLDERS, "REQUESTS_CA_BUNDLE"}:
            return "is a folder, not a file"
        return "" if is_folder and os.access(path, os.R_OK | os.X_OK) else "is no folder that can be read"
    try:
        with path.open("rb") as file:
            return "" if _BEGINNING in file.read(_LONGEST) else "holds no certificate"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
