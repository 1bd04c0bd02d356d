"""A handle: the URL or path that names a model, as user code gives it to `hub.load`.

tensorflow_hub hashes the raw text, so two spellings of one model are two cache entries; `canonical` is their
common spelling.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from .errors import HandleError
from .masking import has_secrets, mask_secrets

Kind = Literal["http", "gs", "path", "other"]

_ARCHIVE = re.compile(r"\.(tar\.gz|tgz|tar)$")
_KAGGLE_HOSTS = frozenset({"kaggle.com", "www.kaggle.com"})


@dataclass(frozen=True)
class Handle:
    """A parsed handle.

    Attributes:
        text: the handle as given; the cache's folder name depends on every character of it.
        kind: the kind of address: over HTTP, in a bucket, a path, or another scheme.
        publisher: the model's publisher ("google"); the host if the URL names none.
        name: the model's name without publisher and version ("imagenet/mobilenet_v2/classification").
        version: the version as written ("5"), or "" if the handle names none.

    Example:
        >>> parse_handle("https://tfhub.dev/google/nnlm-en-dim50/2").version
        '2'
    """

    text: str
    kind: Kind
    publisher: str
    name: str
    version: str

    @cached_property
    def folder(self) -> str:
        """The entry's folder name in a cache: 40 hexadecimal digits.

        Source: `tensorflow_hub/compressed_module_resolver.py`, `_module_dir`.
        """
        return hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    @cached_property
    def canonical(self) -> str:
        """The common spelling of all handles that name this model.

        Scheme, host case, `www.`, a trailing slash and Kaggle's long form make no difference. A tfhub.dev
        handle keeps its own spelling: its text does not tell which Kaggle model replaced it.
        """
        if self.kind != "http":
            return self.text.rstrip("/") or "/"
        url = urlsplit(self.text)
        if _is_kaggle(url):
            publisher, *rest = _kaggle_parts(url)
            return "https://kaggle.com/models/" + "/".join([publisher, *(part.lower() for part in rest)])
        host = _host(url).lower().removeprefix("www.")
        query = f"?{url.query}" if url.query else ""
        return f"https://{host}{url.path.rstrip('/')}{query}"

    def __str__(self) -> str:
        return self.text


def parse_handle(text: str) -> Handle:
    """Return a handle, parsed.

    Raises:
        HandleError: the text is empty, contains blanks or control characters, or is a URL without a host.

    Example:
        >>> parse_handle("https://tfhub.dev/google/nnlm-en-dim50/2").publisher
        'google'
    """
    if not text:
        raise HandleError("The handle is empty. Give the model's URL or path, as for hub.load.")
    if not text.isprintable() or text != text.strip():
        raise HandleError(f"The handle {text!r} contains spaces or control characters. Remove them.")
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", text)
    if scheme is None:
        return _from_parts(text, "path", "", [part for part in re.split(r"[/\\]", text) if part])
    url = _parse_url(text, scheme[1])
    parts = [part for part in url.path.split("/") if part]
    if scheme[1] == "gs":
        return _from_parts(text, "gs", url.netloc, parts)
    if _is_kaggle(url):
        publisher, model, _framework, variation, *version = [*_kaggle_parts(url), "", "", ""][:5]
        name = "/".join(part for part in (model, variation) if part)
        return Handle(text, "http", publisher or _host(url), name, "".join(version))
    if len(parts) > 1:
        return _from_parts(text, "http", parts[0], parts[1:])
    return _from_parts(text, "http", _host(url), parts)


def _host(url: SplitResult) -> str:
    """Return host and port of a URL, without a login."""
    return url.netloc.rpartition("@")[2]


def _parse_url(text: str, scheme: str) -> SplitResult:
    if scheme not in {"http", "https", "gs"}:
        raise HandleError(
            f"The handle {text!r} starts with {scheme}://. Handles start with https://, http:// or gs://, "
            "or are paths."
        )
    if " " in text:
        raise HandleError(f"The handle {text!r} contains a space. Write it as %20, or remove it.")
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError as error:
        why = "" if has_secrets(text) else f": {error}"  # the error quotes parts of the login
        raise HandleError(f"The handle {text!r} is not a URL{why}. Check its spelling.") from error
    if not url.hostname:
        raise HandleError(
            f"The handle {text!r} contains no host. Write https://HOST/PUBLISHER/MODEL/VERSION."
        )
    return url


def _from_parts(text: str, kind: Kind, publisher: str, parts: list[str]) -> Handle:
    """Return a handle with its version split off: the last part, if it is a number and not the only part."""
    version = ""
    if len(parts) > 1 and parts[-1].isdecimal():
        *parts, version = parts
    shown = parts if kind == "http" else parts[-1:]
    return Handle(text, kind, publisher, _ARCHIVE.sub("", "/".join(shown)) or mask_secrets(text), version)


def _is_kaggle(url: SplitResult) -> bool:
    return url.path.startswith("/models/") and (url.hostname or "") in _KAGGLE_HOSTS


def _kaggle_parts(url: SplitResult) -> list[str]:
    """Return publisher, model, framework, variation and version of a Kaggle URL in either form.

    Source of the forms: the resolver patched into Kaggle's images, `kaggle_module_resolver.py`:
    `/models/OWNER/MODEL/FRAMEWORK/VARIATION/VERSION` and the same with `frameworks`, `variations` and
    `versions` before the last three.
    """
    parts = [part for part in url.path.split("/") if part][1:]
    if len(parts) > 2 and parts[2].lower() == "frameworks":
        parts = parts[:2] + parts[3::2]
    return parts or [_host(url)]
