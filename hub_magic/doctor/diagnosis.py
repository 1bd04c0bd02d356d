"""A finding, the diagnosis that collects findings, and the report that hides secrets."""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Literal

from ..facts import Fact
from ..masking import mask_secrets

State = Literal["problem", "warning", "unknown", "fine"]


@dataclass(frozen=True, slots=True)
class Finding(Fact):
    """The result of one check.

    Attributes:
        name: the subject of the check.
        state: "problem": something does not work; "warning": something will go wrong, or is not what it
            seems; "unknown": it was not checked, or cannot be known here.
        found: the result, in words.
        fix: a line to run, in a cell or in a shell, as the reader needs it; "" if there is none.

    Example:
        >>> {finding.state for finding in diagnose().findings} <= {"problem", "warning", "unknown", "fine"}
        True
    """

    name: str
    state: State
    found: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Report(Fact):
    """A diagnosis as text to show to others.

    Attributes:
        text: Markdown, without names of accounts, home folders and secrets.
    """

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Diagnosis(Fact):
    """The findings of all checks.

    Attributes:
        findings: the findings, in the order of the checks.

    Example:
        >>> [finding.name for finding in diagnose().findings if finding.name == "models"]
        ['models']
    """

    findings: tuple[Finding, ...]
    derived: ClassVar[tuple[str, ...]] = ("problems", "warnings")

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The findings about what does not work."""
        return self.of("problem")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings about what will go wrong sooner or later, or is not what it seems."""
        return self.of("warning")

    def of(self, state: State) -> tuple[Finding, ...]:
        """Return the findings of this state."""
        return tuple(finding for finding in self.findings if finding.state == state)

    def report(self) -> Report:
        """Return the findings as text to paste where others read it."""
        return report_on(self.findings)


_RULES = (
    (r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)*", "<account>"),
    # Values of variables and query parameters with names that say "secret".
    (
        r"(?i)((?:^|[?&;\s\"'_-])[\w-]*(?:token|key|secret|password|passwd|signature|credential|auth|sig)=)[^\s&;,\"']+",
        r"\1<secret>",
    ),
    (r"(?i)\b(bearer|basic)\s+[\w.~+/-]{8,}=*", r"\1 <secret>"),
    # Tokens of Google, Hugging Face, GitHub and OpenAI, and JSON web tokens.
    (r"\b(?:ya29\.|AIza|hf_|gh[opsu]_|github_pat_|sk-|eyJ)[\w.~+/-]{8,}", "<secret>"),
    # Folders named after their owners.
    (r"(?i)((?:/home|/users|/var/home|[a-z]:\\users)[/\\])[^/\\\s\"':,;()]+", r"\1<user>"),
)


def mask(text: str, *, env: Mapping[str, str] | None = None) -> str:
    """Return the text without the author's personal data.

    Args:
        text: the text to show to others.
        env: the environment, which names the author; `os.environ` when None.
    """
    env = os.environ if env is None else env
    for home in _homes(env):
        text = re.sub(rf"{re.escape(home)}(?![\w.-])", "~", text)
    text = mask_secrets(text)
    for pattern, instead in _RULES:
        text = re.sub(pattern, instead, text)
    for name, instead in _names(env):
        text = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", instead, text)
    return text


def _homes(env: Mapping[str, str]) -> list[str]:
    homes = {env.get("HOME", ""), env.get("USERPROFILE", ""), os.path.expanduser("~")}
    homes |= {os.path.realpath(home) for home in homes if home}
    return sorted((home for home in homes if len(home) > 1), key=len, reverse=True)


def _names(env: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return names that identify the author and the computer, with their replacements."""
    names = {env.get(name, "") for name in ("USER", "LOGNAME", "USERNAME", "JUPYTERHUB_USER")}
    with suppress(KeyError, OSError):  # a user id without a name, as in many containers
        names.add(getpass.getuser())
    host = socket.gethostname()
    found = [(name, "<user>") for name in names] + [
        (host, "<machine>"),
        (host.partition(".")[0], "<machine>"),
    ]
    # Shorter names are parts of ordinary words.
    return sorted(((name, instead) for name, instead in found if len(name) > 2), key=lambda one: -len(one[0]))


_ORDER = ("problem", "warning", "unknown", "fine")


def report_on(findings: Sequence[Finding]) -> Report:
    """Return the findings as text without names of accounts, home folders and secrets, problems first."""
    ordered = sorted(findings, key=lambda one: _ORDER.index(one.state))
    lines = [f"- **{one.state}** {one.name}: {_readable(one.found)}{_fix(one)}" for one in ordered]
    return Report(mask("\n".join(("### hub_magic doctor", "", *lines))))


def _fix(finding: Finding) -> str:
    # Markdown needs a longer fence than any in the text.
    fence = "`" * (1 + max(map(len, re.findall("`+", finding.fix)), default=0))
    return f"\n  fix: {fence}{finding.fix}{fence}" if finding.fix else ""


def _readable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
