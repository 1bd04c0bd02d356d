"""A diagnosis as Markdown, for an issue."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .finding import Finding, Report
from .masking import mask

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
