"""Messages about downloads that fail: what happened, and what to do next."""

from __future__ import annotations

import errno
import os
import re
import ssl
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..cache import CachedModel
from ..cache.layout import GRAPHS
from ..errors import DamagedEntryError, DownloadError, HubMagicError, NotCachedError
from ..handles import Handle
from ..store import list_cache
from .failures import AddressError, AnswerError, unreached

if TYPE_CHECKING:
    import requests

# Deleted for good on 2024-03-18. Source: the README of tensorflow/tfhub.dev, "Unmigrated model assets".
_WITHDRAWN = (
    "inaturalist/vision/embedder/inaturalist_V2",
    *(f"nvidia/unet/industrial/class_{number}" for number in range(1, 11)),
    *(f"silero/silero-stt/{language}" for language in ("de", "en", "es")),
    "svampeatlas/vision/classifier/fungi_mobile_V1",
    "svampeatlas/vision/embedder/fungi_V2",
)
_HUB_HOSTS = frozenset({"tfhub.dev", "www.tfhub.dev", "kaggle.com", "www.kaggle.com"})
_LATER = "Try again later; cached models load without the host."
_PAGE = re.compile(rb"\s*(<!doctype html|<html|<head|<!--)", re.IGNORECASE)


def refusal(url: str, answer: requests.Response, body: bytes) -> DownloadError:
    """The failure of a request that is refused.

    Args:
        url: the URL asked for.
        answer: the host's.
        body: the beginning of the answer.
    """
    status = answer.status_code
    text = explain_answer(url, answer.url, status, body)
    return AnswerError(text, answer.url, status, answer.reason or "", dict(answer.headers))


def silence(url: str, error: BaseException, tries: int) -> DownloadError:
    """The failure of a connection that did not come about, or broke off and could not be resumed.

    Args:
        url: the URL asked for.
        error: what was raised.
        tries: how often in a row.
    """
    text = explain_silence(url, error, tries)
    answer = getattr(error, "response", None)
    if answer is not None:  # a redirect to where nothing is
        kind = (
            AddressError
            if any(isinstance(cause, ValueError) for cause in _causes(error)[1:])
            else AnswerError
        )
        return kind(text, answer.url, answer.status_code, answer.reason or "", dict(answer.headers))
    return unreached(text, _causes(error))


def explain_answer(url: str, final_url: str, status: int, body: bytes) -> str:
    """Words for an answer that is a refusal.

    Args:
        url: the URL asked for.
        final_url: where redirects led.
        status: the HTTP status.
        body: the beginning of the answer.
    """
    host = _host(final_url)
    said = _own_words(body)
    words = f": {said}" if said else ""
    if status in {404, 410}:
        return f"{host} has no model at {url} ({status}{words}). {_why_missing(url)}"
    if status in {401, 403}:
        return f"{host} refuses {url} ({status}{words}). {_why_refused(said)}"
    if status == 407:
        return f"The proxy requires a username and password ({status}). Set HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT."
    if status == 429:
        return f"{host} received too many requests from this address ({status}). {_LATER}"
    if status >= 500:
        return f"{host} has a server error ({status}{words}). {_LATER}"
    return f"{host} answers {url} with status {status}{words}. Open the handle in a browser and check it."


# Kinds of errors, as requests, urllib3, ssl and socket name them, and the words for each.
_SILENCES = (
    (
        "SSLCertVerificationError",
        (
            "The certificate of {host} is not trusted ({reason}). "
            "If your network has a certificate of its own, set SSL_CERT_FILE to its file."
        ),
    ),
    (
        "InvalidProxyURL",
        "The proxy's address {reason}. Correct HTTPS_PROXY and HTTP_PROXY: http://NAME:PASSWORD@HOST:PORT.",
    ),
    (
        "ProxyError",
        (
            "The proxy could not connect to {host} ({reason}). "
            "Check HTTPS_PROXY and HTTP_PROXY, or add the host to NO_PROXY."
        ),
    ),
    (
        "gaierror|NameResolutionError",
        (
            "The name {host} cannot be resolved. Check the handle's spelling and the network; "
            "in a Kaggle notebook, turn Internet on in the settings."
        ),
    ),
    (
        "ConnectionRefusedError",
        "{host} refused the connection. Check the handle's host and port, or try again later.",
    ),
    (
        r"TooManyRedirects|InvalidSchema|InvalidURL|MissingSchema|Location\w+Error|^ValueError|^Unicode",
        "{url} redirects to an address that cannot be downloaded ({reason}). Check the handle.",
    ),
    (
        "Timeout",
        (
            "{host} stopped responding ({times}). Check the network, or give a slow host more time: "
            "%hub_cache --fetch {url} --timeout 600, or the variable HUB_MAGIC_TIMEOUT=600."
        ),
    ),
    ("", "The connection to {host} was lost ({times}; {reason}). Try again later."),
)


def explain_silence(url: str, error: BaseException, tries: int) -> str:
    """Words for a connection that did not come about, or broke off and could not be resumed.

    Args:
        url: the URL asked for.
        error: what was raised.
        tries: how often in a row.
    """
    if "TLS CA certificate bundle" in str(error):  # words of requests, which has no class for it
        return f"{error}. Correct REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE, or remove it."
    causes = _causes(error)
    kinds = " ".join(type(cause).__name__ for cause in causes)
    words = next(words for kind, words in _SILENCES if re.search(kind, kinds))
    return words.format(
        host=_host(getattr(getattr(error, "request", None), "url", None) or url),  # redirects lead elsewhere
        url=url,
        reason=getattr(causes[-1], "verify_message", "") or _short(causes[-1]),
        times=f"{tries} attempts" if tries > 1 else "1 attempt",
    )


def is_about_certificate(error: BaseException) -> bool:
    """Whether a connection failed because the host's certificate is not trusted."""
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error))


def explain_content(url: str, final_url: str, head: bytes) -> str:
    """Words for an answer that is no archive.

    Args:
        url: the URL asked for.
        final_url: where redirects led.
        head: the beginning of the answer.
    """
    host = _host(final_url)
    if "tfhub-redirect=true" in final_url:
        return f"{url} was never moved to Kaggle and no longer exists. {_FIND}"
    if _PAGE.match(head):
        where = host if host == _host(url) else f"{_host(url)} redirects to {host}, which"
        return (
            f"{where} returned a web page instead of the model's archive. If it is a login page of a network "
            f"or proxy, log in with a browser; else check the handle {url}."
        )
    if not head:
        return f"{host} returned an empty response for {url}. {_LATER}"
    return f"{host} returned something that is not a tar archive for {url}. Check the handle."


def explain_disk(path: str, error: OSError) -> str:
    """Words for a disk that refuses to be written.

    Args:
        path: the cache.
        error: what the system said.
    """
    if error.errno in {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}:
        return no_space(path, error.strerror or "no space left")
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        owner = owner_of(path)
        whose = f", owned by {owner}" if owner else ""
        at = f" ({error.filename})" if error.filename else ""
        return (
            f"Cannot write to {path}{at}: {error.strerror}{whose}. "
            "Use your own directory: %hub_cache ~/.cache/tfhub_modules"
        )
    where = f"{error.filename} in the cache {path}" if error.filename else f"the cache {path}"
    return f"Cannot use {where}: {error.strerror or error}. Choose another with %hub_cache LOCATION."


def no_space(path: str, why: str) -> str:
    """Words for a disk that cannot take the model."""
    return f"Not enough disk space at {path}: {why}. Free space, or set another cache."


def owner_of(path: str) -> str:
    """Who owns the nearest existing folder, when it is somebody else; else ""."""
    place = Path(path)
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        if not hasattr(os, "getuid") or place.stat().st_uid == os.getuid():
            return ""
        return place.owner()
    except (KeyError, OSError):  # a user id without a name, as in many containers
        return "another user"


_FIND = "Look for its successor at https://www.kaggle.com/models."


def _why_missing(url: str) -> str:
    path = urlsplit(url).path.strip("/")
    if any(path == name or path.startswith(f"{name}/") for name in _WITHDRAWN):
        return f"It was withdrawn from tfhub.dev in March 2024 and is no longer available. {_FIND}"
    if _host(url) in _HUB_HOSTS:
        return f"Check publisher, name and version, or whether its publisher has withdrawn it. {_FIND}"
    return "Check publisher, name and version."


def _why_refused(said: str) -> str:
    if "Signature" in said or "Expired" in said:
        return (
            "The host's signed download link is invalid or expired; "
            f"this is a problem on the host's side. {_LATER}"
        )
    return (
        "Gated models need you to accept the terms on the model's page, private ones an account. "
        "For a public model, try again later."
    )


def _own_words(body: bytes) -> str:
    """The code and message of a bucket's XML error, on one line; else ""."""
    text = body.decode(errors="replace")
    found = [re.search(rf"<{tag}>([^<]*)</{tag}>", text) for tag in ("Code", "Message")]
    words = " - ".join(" ".join(match[1].split())[:200] for match in found if match)
    return "".join(letter for letter in words if letter.isprintable())


def _causes(error: BaseException) -> list[BaseException]:
    """The error and all that it was made of, the innermost last; requests and urllib3 nest in three ways."""
    found: list[BaseException] = []
    pending = [error]
    for current in pending:  # grows while it is read
        if current not in found:
            found.append(current)
            inner = (*current.args, getattr(current, "reason", None), current.__cause__, current.__context__)
            pending += [cause for cause in inner if isinstance(cause, BaseException)]
    return found


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 100 else text[:97] + "..."


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or url
    except ValueError:  # where a redirect led
        return url


_MOST_SHOWN = 3
_ALIKE = 0.5  # of difflib's measure: 1 is the same text
_REMEDY = "Leave offline mode with %hub_mode compressed"


def offline_error(handle: Handle, cache: str, damage: str | None) -> HubMagicError:
    """Why a handle cannot be loaded while only cached models may be.

    Args:
        handle: the handle asked for.
        cache: the cache, a directory.
        damage: why the cached copy cannot be whole; None when there is none.
    """
    if damage:
        return DamagedEntryError(
            f"The cached copy of {handle} is damaged ({damage}), and offline mode is on. "
            f"{_REMEDY} to have it downloaded again."
        )
    models = [model for model in list_cache(cache).models if model.handle]
    alike = similar(handle, models)
    if alike:
        cached = f"Cached under similar names: {', '.join(alike)}"
    else:
        cached = f"None of its {len(models)} models has a similar name" if models else "The cache is empty"
    return NotCachedError(
        f"{handle} is not in the cache {cache}, and offline mode is on. {cached}. {_REMEDY}."
    )


def similar(handle: Handle, models: list[CachedModel]) -> list[str]:
    """The handles of the cached models whose names are most like it, the nearest first."""
    names = {_name(model.publisher, model.name, model.version): model.handle for model in models}
    wanted = _name(handle.publisher, handle.name, handle.version)
    return [names[name] for name in get_close_matches(wanted, names, _MOST_SHOWN, _ALIKE)]


def _name(publisher: str, name: str, version: str) -> str:
    return f"{publisher}/{name}/{version}".lower()


_ARCHIVES = (".tar.gz", ".tgz", ".tar")
_SLIPPED_SCHEME = re.compile(r"(?P<scheme>https?)(:/|//|:|/)(?P<rest>[^/].*)", re.IGNORECASE)
_HOST = re.compile(r"[\w-]+(\.[\w-]+)*\.[A-Za-z]{2,}(:\d+)?/.+|localhost(:\d+)?/.+")
_PUBLISHED = re.compile(r"[\w-][\w.-]*(/[\w.-]+)+")


def explain_path(text: str) -> str:
    """Say what to type instead of a path that leads to no model, in one line; "" where nothing is to be said.

    Args:
        text: the handle, as the user gave it.
    """
    path = Path(text)
    try:
        if path.is_dir():
            return _explain_folder(path)
        if path.is_file():
            return _explain_file(text, path)
        return _explain_missing_path(text)
    except (OSError, ValueError, RuntimeError):  # a name too long, or no text that a path can be
        return ""


def models_below(folder: Path) -> list[str]:
    """The folders in this one that hold a model, by name."""
    inner = [path for path in folder.iterdir() if any((path / marker).is_file() for marker in GRAPHS)]
    return sorted(path.name for path in inner)


def _explain_folder(path: Path) -> str:
    found = models_below(path)
    if not found:
        return ""
    if len(found) == 1:
        return f"The model is one folder down. Load {str(path / found[0])!r}."
    shown = ", ".join(repr(str(path / name)) for name in found[:_MOST_SHOWN])
    return f"{len(found)} models are one folder down. Load one of them: {shown}."


def _explain_file(text: str, path: Path) -> str:
    if path.name in GRAPHS:
        return f"{text!r} is a file of a model. Load its folder, {str(path.parent)!r}."
    if path.name.endswith(_ARCHIVES):
        return (
            f"{text!r} is an archive. Add it to the cache under a URL, and load that URL: "
            f"%hub_cache --add https://HOST/PUBLISHER/MODEL/VERSION {_quoted(text)}"
        )
    return ""


def _explain_missing_path(text: str) -> str:
    if text.strip() != text:
        return f"The handle has blanks at its ends. Use {text.strip()!r}."
    home = str(Path(text).expanduser()) if text.startswith("~") else text
    if home != text and Path(home).exists():
        return f"'~' is not expanded here. Use {home!r}."
    if slip := _SLIPPED_SCHEME.fullmatch(text):
        return f"{text!r} is not a URL. Use {slip['scheme'].lower()}://{slip['rest']}."
    example = "https://HOST/PUBLISHER/MODEL/VERSION"
    is_local = text.startswith((".", "/", "~")) or "\\" in text or text.endswith(_ARCHIVES)
    if is_local or "://" in text:
        return (
            "" if "://" in text else f"{text!r} does not exist. The current directory is {str(Path.cwd())!r}."
        )
    if _HOST.fullmatch(text):
        example = f"https://{text}"
    elif _PUBLISHED.fullmatch(text):
        example = f"https://tfhub.dev/{text}"
    return f"{text!r} is not a local path. Use the full URL, e.g. {example}."


def _quoted(text: str) -> str:
    return f'"{text}"' if " " in text else text


def add_line(error: Exception, line: str) -> None:
    """Add a line to an error's text; its class and all else stay."""
    if line and len(error.args) == 1 and isinstance(error.args[0], str) and line not in error.args[0]:
        error.args = (f"{error.args[0]}\n{line}",)
