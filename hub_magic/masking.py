"""Secrets in URLs: a login before the host, and query parameters that are keys or signatures.

Messages, tables, JSON and rows of the browser go through `mask_secrets`. Only requests, and the files that
tensorflow_hub reads, contain the URL as the user wrote it.
"""

from __future__ import annotations

import re

# The login: up to the last @ before the path.
_LOGIN = re.compile(r"(?<=://)[^\s/?#]*@")
# A password with characters that end a host's name: what follows the colon is no port.
_ODD_LOGIN = re.compile(r"(?<=://)[^\s/?#@:]*:(?![0-9]*(?:[/?#\s]|$))[^\s\"'<>]*@")
# Names of parameters, in any case: those that say "secret", and the families with which Google, Amazon and
# Microsoft sign URLs.
_FAMILIES = r"x-(?:goog|amz|ms)-[\w.%~-]*"
_WORDS = (
    r"[\w.%~\[\]-]*?(?:token|key|keyid|accessid|secret|password|passwd|pwd|pass|signature|sig|sas|credentials?|"
    r"auth|authorization|jwt|session|sessionid)(?:\]|%5d)?"
)
_PARAMETER = re.compile(
    rf"([?&;#](?:amp;)?(?:{_FAMILIES}|{_WORDS})=)[^\s&;#\"'<>]+",
    re.IGNORECASE,
)


def mask_secrets(text: str) -> str:
    """Return the text with logins and secret parameters of its URLs replaced.

    >>> mask_secrets("http://me:word@host/model?token=abc&format=tar")
    'http://<login>@host/model?token=<secret>&format=tar'
    """
    if "://" in text and "@" in text:
        text = _LOGIN.sub("<login>@", _ODD_LOGIN.sub("<login>@", text))
    return _PARAMETER.sub(r"\1<secret>", text) if "=" in text else text


def has_secrets(text: str) -> bool:
    """Return whether a text contains a URL with a login or a secret parameter."""
    return mask_secrets(text) != text
