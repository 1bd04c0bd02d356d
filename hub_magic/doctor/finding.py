"""What a check gives: what was found, whether it is fine, and the line that mends it."""

from __future__ import annotations

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
        from .report import report_on

        return report_on(self.findings)
