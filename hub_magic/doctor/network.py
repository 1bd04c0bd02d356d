"""Checks of the network: proxies, certificates, credentials and hosts."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from ..download.messages import explain_answer, explain_silence
from ..download.proxies import SOCKS, has_socks, without_login
from ..download.uncompressed import named_folder
from ..download.web import RetryPolicy, Web
from ..errors import DownloadError, HandleError, SettingError
from ..handles import Handle, parse_handle
from ..store import list_cache, open_store
from .context import Fixes, Surroundings
from .diagnosis import Finding
from .location import better_place

_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
# The readers of each variable.
_FILES = {
    "SSL_CERT_FILE": "tensorflow_hub",
    "REQUESTS_CA_BUNDLE": "hub_magic and google-auth",
    "CURL_CA_BUNDLE": "TensorFlow",
}
_FOLDERS = {"SSL_CERT_DIR": "tensorflow_hub"}
_BEGINNING = b"-----BEGIN "
_LONGEST = 1 << 20


def check_network(here: Surroundings) -> Iterator[Finding]:
    """Yield findings about proxies, then certificates, without asking a host."""
    yield from _proxies(here.env, here.fixes)
    yield from _certificates(here.env, here.fixes, is_late="tensorflow_hub" in here.modules)


def _proxies(env: Mapping[str, str], fixes: Fixes) -> Iterator[Finding]:
    given = [name for low in _PROXIES for name in (low, low.upper()) if env.get(name)]
    faults = [(name, fault) for name in given if (fault := _fault_of_proxy(env[name]))]
    for name, fault in faults:
        yield Finding("proxy", "problem", f"{name} is not a valid proxy address: {fault}", fixes.unset(name))
    doubts = [] if faults else [doubt for name in given if (doubt := _doubt_of_proxy(name, env[name], fixes))]
    yield from doubts
    if not faults and not doubts:
        shown = [f"{name}={without_login(env[name])}" for name in given]
        yield Finding("proxy", "fine", ", ".join(shown) or "none is set")


def _fault_of_proxy(value: str) -> str:
    """Return the fault of a proxy's address, without its login; "" for a usable address."""
    shown = without_login(value)
    if value != value.strip() or any(letter in value for letter in " \"'"):
        return f"{shown!r} contains spaces or quotation marks"
    # All readers take an address without a scheme as http.
    try:
        url = urlsplit(value if "://" in value else f"http://{value}")
        _ = url.port
    except ValueError as error:
        return f"{shown!r}: {error}"
    if url.scheme not in _SCHEMES:
        return f"{shown!r} starts with {url.scheme}://"
    return "" if url.hostname else f"{shown!r} contains no host"


def _doubt_of_proxy(name: str, value: str, fixes: Fixes) -> Finding | None:
    """What tensorflow_hub or requests makes of a usable address that its writer may not have meant."""
    shown = without_login(value)
    scheme = value.partition("://")[0].lower()
    if scheme in SOCKS and not has_socks():
        what = "is ignored" if name.lower() == "all_proxy" else "is spoken to as an http proxy"
        found = f"{name}={shown} needs PySocks, which is not installed: it {what}"
        return Finding("proxy", "warning", found, fixes.install("pysocks"))
    if scheme == "https" and name.lower() != "all_proxy":
        found = f"{name}={shown}: tensorflow_hub speaks to a proxy without TLS, so write http://"
        plain = f"http{value[len(scheme) :]}"
        fix = fixes.set(name, plain) if plain == without_login(plain) else ""
        return Finding("proxy", "warning", found, fix)
    return None


def _certificates(env: Mapping[str, str], fixes: Fixes, *, is_late: bool) -> Iterator[Finding]:
    given = [name for name in (*_FILES, *_FOLDERS) if env.get(name)]
    faults = [(name, fault) for name in given if (fault := _fault_of_trust(name, env[name]))]
    for name, fault in faults:
        reader = _FILES.get(name) or _FOLDERS[name]
        found = f"{name}={env[name]!r}, which {reader} reads, {fault}"
        if is_late and reader == "tensorflow_hub":
            found += "; it was read at import time: restart the kernel after the fix"
        yield Finding("certificates", "problem", found, fixes.unset(name))
    if not faults:
        shown = [f"{name}={env[name]}" for name in given]
        yield Finding("certificates", "fine", ", ".join(shown) or "the default certificates")


def _fault_of_trust(name: str, value: str) -> str:
    path = Path(value)
    if not os.path.lexists(path):
        return "does not exist"
    is_folder = os.path.isdir(path)
    if name in _FOLDERS or is_folder:
        # requests accepts a folder too; OpenSSL and curl want a file here.
        if name not in {*_FOLDERS, "REQUESTS_CA_BUNDLE"}:
            return "is a folder, not a file"
        return "" if is_folder and os.access(path, os.R_OK | os.X_OK) else "is not a readable folder"
    try:
        with path.open("rb") as file:
            return "" if _BEGINNING in file.read(_LONGEST) else "contains no certificate"
    except OSError as error:
        return f"cannot be read ({error.strerror})"


_FILE_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
_NAME = "credentials"
# The kinds of credentials that TensorFlow reads (`google_auth_provider.cc`).
_FOR_TENSORFLOW = ("service_account", "authorized_user")
_BRING_CREDENTIALS = ("colab", "colab-enterprise", "workbench")


def check_credentials(here: Surroundings) -> Iterator[Finding]:
    """Yield whether login to a bucket is possible, and, if `--online`, whether the bucket allows access."""
    needed = open_store(here.cache).is_remote
    yield _credentials(here, needed=needed)
    if needed:
        yield _bucket(here)


def _credentials(here: Surroundings, *, needed: bool) -> Finding:
    named = here.env.get(_FILE_VARIABLE, "")
    if named:
        return _named_file(here, named, needed=needed)
    path = _well_known(here.env)
    if os.path.isfile(path):
        return Finding(_NAME, "fine", f"a gcloud login in {path}")
    if not needed:
        return Finding(_NAME, "fine", "none, and none is needed: the cache is not in a bucket")
    if here.runtime.host in _BRING_CREDENTIALS and here.fixes.in_notebook:
        fix = "from google.colab import auth; auth.authenticate_user()"
        return Finding(_NAME, "warning", "none in a file; this computer may provide them, or log in", fix)
    fix = here.fixes.run("gcloud auth application-default login")
    return Finding(_NAME, "warning", "none in a file, and only Google Cloud's computers provide them", fix)


def _named_file(here: Surroundings, path: str, *, needed: bool) -> Finding:
    without = here.fixes.unset(_FILE_VARIABLE)
    try:
        kind = str(json.loads(Path(path).read_text(encoding="utf-8"))["type"])
    except OSError as error:
        found = f"{_FILE_VARIABLE} names {path}, which cannot be read ({error.strerror})"
        return Finding(_NAME, "problem", found, without)
    except (ValueError, KeyError, TypeError):  # no JSON, or not of this kind
        return Finding(_NAME, "problem", f"{_FILE_VARIABLE} names {path}, which is not a key file", without)
    if needed and kind not in _FOR_TENSORFLOW:
        found = f"{path} is of type {kind}, which TensorFlow cannot read"
        return Finding(_NAME, "problem", found, without)
    return Finding(_NAME, "fine", f"{kind.replace('_', ' ')} in {path}")


def _well_known(env: Mapping[str, str]) -> Path:
    """Return the file in which gcloud keeps a login: `google/auth/_cloud_sdk.py`."""
    folder = env.get("CLOUDSDK_CONFIG", "")
    if not folder and os.name == "nt":
        folder = os.path.join(env.get("APPDATA", ""), "gcloud")
    folder = folder or os.path.expanduser("~/.config/gcloud")  # Path raises where there is no home directory
    return Path(folder, "application_default_credentials.json")


def _bucket(here: Surroundings) -> Finding:
    name, location = "bucket", here.cache
    if not here.is_online:
        found = f"{location} was not checked; --online checks it"
        return Finding(name, "unknown", found, here.fixes.ask_others())
    from ..gcs import check_bucket

    try:
        access = check_bucket(location, runtime=here.runtime)
    except SettingError as error:
        return Finding(name, "problem", str(error), here.fixes.cache_at(better_place(location)))
    if access.refusal:
        return Finding(name, "problem", access.refusal, here.fixes.cache_at(better_place(location)))
    found = f"{location} can be listed, read and written by {access.identity}"
    return Finding(
        name, "fine", f"{found}; the worker reads it as {access.reader}" if access.reader else found
    )


# The model to request if nothing is cached: small, and among the most used.
_USUAL = "https://tfhub.dev/google/nnlm-en-dim50/2"
_AT_ONCE = 8
# Short timeouts: a doctor waits for nobody long.
_RETRIES = RetryPolicy(connect=3, read=5, tries=1)


def check_hosts(here: Surroundings) -> Iterator[Finding]:
    """Yield one finding for each host, which is asked for one of its cached models."""
    try:
        cached = [model.handle for model in list_cache(here.cache).models]
    except SettingError:
        cached = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(_ask, one_for_each_host(cached) or (parse_handle(_USUAL),))


def one_for_each_host(handles: Iterable[str]) -> tuple[Handle, ...]:
    """Return the first of the handles at each host, in the order of hosts, without those that are no URLs."""
    found: dict[str, Handle] = {}
    for text in sorted(handles):
        try:
            handle = parse_handle(text)
        except HandleError:
            continue
        if handle.kind == "http":
            found.setdefault(_host(handle), handle)
    return tuple(found[host] for host in sorted(found))


def _host(handle: Handle) -> str:
    return urlsplit(handle.text).netloc.rpartition("@")[2].lower()


def _ask(handle: Handle) -> Finding:
    import requests
    from urllib3.exceptions import HTTPError  # raised while a body is read

    name = f"host {_host(handle)}"
    web = Web(_RETRIES, connections=1)
    mark = "&" if urlsplit(handle.text).query else "?"
    began = time.monotonic()
    try:
        answer = web.get(f"{handle.text}{mark}{urlencode({'tf-hub-format': 'compressed'})}")
        with answer:
            first = answer.raw.read(1)
            took = time.monotonic() - began
            rest = answer.raw.read(1 << 12) if answer.status_code >= 400 else b""
    except (requests.RequestException, HTTPError, OSError) as error:
        return Finding(name, "problem", explain_silence(handle.text, error, 1))
    finally:
        web.close()
    if answer.status_code >= 400:
        words = explain_answer(handle.text, answer.url, answer.status_code, first + rest)
        return Finding(name, "problem", words)
    return Finding(
        name, "fine", f"the first byte of {handle} came after {took:.2f} s; {_uncompressed(handle)}"
    )


def _uncompressed(handle: Handle) -> str:
    try:
        return f"uncompressed is offered in {named_folder(handle, _RETRIES)}"
    except DownloadError:
        return "uncompressed is not offered"
