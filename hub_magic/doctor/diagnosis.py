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

State = Literal["problem", "warning", "unknown", "fine"]


@dataclass(frozen=True, slots=True)
class Finding(Fact):
    """What one check found.

    Attributes:
        name: what was checked.
        state: "problem": something does not work; "warning": something will go wrong, or is not what it
            seems; "unknown": it was not asked, or cannot be told from here.
        found: what is there, in words.
        fix: a line to run, in a cell or in a shell, wherever the check was made; "" where there is none.
    """

    name: str
    state: State
    found: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Report(Fact):
    """A diagnosis as text to be shown to others.

    Attributes:
        text: Markdown, without names of accounts, home folders and secrets.
    """

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Diagnosis(Fact):
    """Everything that was checked.

    Attributes:
        findings: in the order of the checks.
    """

    findings: tuple[Finding, ...]
    derived: ClassVar[tuple[str, ...]] = ("problems", "warnings")

    @property
    def problems(self) -> tuple[Finding, ...]:
        """What does not work."""
        return self.of("problem")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What will go wrong sooner or later, or is not what it seems."""
        return self.of("warning")

    def of(self, state: State) -> tuple[Finding, ...]:
        """The findings of this state."""
        return tuple(finding for finding in self.findings if finding.state == state)

    def report(self) -> Report:
        """The same as text to paste where others read it."""
        return report_on(self.findings)


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
    homes = {env.get("HOME", ""), env.get("USERPROFILE", ""), os.path.expanduser("~")}
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


_ORDER = ("problem", "warning", "unknown", "fine")


def report_on(findings: Sequence[Finding]) -> Report:
    """The findings as text without names of accounts, home folders and secrets; what is wrong comes first."""
    ordered = sorted(findings, key=lambda one: _ORDER.index(one.state))
    lines = [f"- **{one.state}** {one.name}: {_readable(one.found)}{_fix(one)}" for one in ordered]
    return Report(mask("\n".join(("### hub_magic doctor", "", *lines))))


def _fix(finding: Finding) -> str:
    # A longer fence than any in the text, as Markdown has it.
    fence = "`" * (1 + max(map(len, re.findall("`+", finding.fix)), default=0))
    return f"\n  fix: {fence}{finding.fix}{fence}" if finding.fix else ""


def _readable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
