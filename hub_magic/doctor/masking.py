"""Text without what belongs to its author alone: home folders, account names, secrets."""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Mapping
from contextlib import suppress

_RULES = (
    # The login in a URL, whatever it looks like: up to the last @ before the path ends.
    (r"(?<=://)[^\s/?#]*@", "<login>@"),
    (r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)*", "<account>"),
    # Values of variables and query parameters whose name says that they are secret.
    (
        r"(?i)((?:^|[?&;\s\"'_-])[\w-]*(?:token|key|secret|password|passwd|signature|credential|auth|sig)=)[^\s&;,\"']+",
        r"\1<secret>",
    ),
    (r"(?i)\b(bearer|basic)\s+[\w.~+/-]{8,}=*", r"\1 <secret>"),
    # Google's, Hugging Face's, GitHub's and OpenAI's tokens, JSON web tokens.
    (r"\b(?:ya29\.|AIza|hf_|gh[opsu]_|github_pat_|sk-|eyJ)[\w.~+/-]{8,}", "<secret>"),
    # Folders that are called like their owners.
    (r"(?i)((?:/home|/users|/var/home|[a-z]:\\users)[/\\])[^/\\\s\"':,;()]+", r"\1<user>"),
)


def mask(text: str, *, env: Mapping[str, str] | None = None) -> str:
    """The text with the author's own left out.

    Args:
        text: what is to be shown to others.
        env: the environment, which knows the author; `os.environ` when None.
    """
    env = os.environ if env is None else env
    for home in _homes(env):
        text = re.sub(rf"{re.escape(home)}(?![\w.-])", "~", text)
    for pattern, instead in _RULES:
        text = re.sub(pattern, instead, text)
    for name, instead in _names(env):
        text = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", instead, text)
    return text


def _homes(env: Mapping[str, str]) -> list[str]:
    homes = {env.get("HOME", ""), env.get("USERPROFILE", ""), os.path.expanduser("~")}  # noqa: PTH111
    homes |= {os.path.realpath(home) for home in homes if home}
    return sorted((home for home in homes if len(home) > 1), key=len, reverse=True)


def _names(env: Mapping[str, str]) -> list[tuple[str, str]]:
    """Names of the author and of the machine, which say who that is."""
    names = {env.get(name, "") for name in ("USER", "LOGNAME", "USERNAME", "JUPYTERHUB_USER")}
    with suppress(KeyError, OSError):  # a user id without a name, as in many containers
        names.add(getpass.getuser())
    host = socket.gethostname()
    found = [(name, "<user>") for name in names] + [
        (host, "<machine>"),
        (host.partition(".")[0], "<machine>"),
    ]
    # What is shorter is a part of ordinary words.
    return sorted(((name, instead) for name, instead in found if len(name) > 2), key=lambda one: -len(one[0]))
