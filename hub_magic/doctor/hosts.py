"""Whether the hosts of the cached models answer: asked with `--online` only."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode, urlsplit

from ..cache import list_cache
from ..download.explain import explain_answer, explain_silence
from ..download.uncompressed import named_folder
from ..download.web import RetryPolicy, Web
from ..errors import DownloadError, HandleError, SettingError
from ..handles import Handle, parse_handle
from .finding import Finding
from .surroundings import Surroundings

# Asked where nothing is cached: small, and among the most used.
_USUAL = "https://tfhub.dev/google/nnlm-en-dim50/2"
_AT_ONCE = 8
# A doctor waits for nobody long.
_RETRIES = RetryPolicy(connect=3, read=5, tries=1)


def check_hosts(here: Surroundings) -> Iterator[Finding]:
    """One finding for each host, asked for one of its cached models."""
    try:
        cached = [model.handle for model in list_cache(here.cache).models]
    except SettingError:
        cached = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(_ask, one_for_each_host(cached) or (parse_handle(_USUAL),))


def one_for_each_host(handles: Iterable[str]) -> tuple[Handle, ...]:
    """The first of the handles at each host, in the order of hosts; what is no URL is left out."""
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
    from urllib3.exceptions import HTTPError  # which reading a body raises

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
