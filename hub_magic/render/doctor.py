"""A diagnosis in words: problems first, each with its fix below."""

from __future__ import annotations

import html

from ..doctor.diagnosis import Diagnosis, Finding, Report, State
from ..quantities import plural
from .tables import html_lines, plain

_LONGEST = 4000  # long enough for any fix: a truncated line cannot be run
_STATES: tuple[State, ...] = ("problem", "warning", "unknown", "fine")


def diagnosis_text(diagnosis: Diagnosis) -> str:
    """Return a diagnosis as text."""
    found = [finding for state in _STATES for finding in diagnosis.of(state)]
    return "\n".join((_summary(diagnosis), "", *(line for finding in found for line in _lines(finding))))


def diagnosis_html(diagnosis: Diagnosis) -> str:
    """Return a diagnosis as HTML, with the findings that are fine folded."""
    wrong = [finding for state in _STATES[:3] for finding in diagnosis.of(state)]
    fine = diagnosis.of("fine")
    folded = f"<details><summary>{len(fine)} fine</summary>{_table(fine)}</details>" if fine else ""
    return f"<div>{html_lines([_summary(diagnosis)])}</div>{_table(wrong) if wrong else ''}{folded}"


def report_text(report: Report) -> str:
    """Return a report as text, to be copied."""
    return report.text


def report_html(report: Report) -> str:
    """Return a report as HTML, to be copied."""
    return f'<pre style="white-space:pre-wrap">{html.escape(report.text)}</pre>'


def _summary(diagnosis: Diagnosis) -> str:
    unknown = diagnosis.of("unknown")
    counts = [plural(len(diagnosis.problems), "problem"), plural(len(diagnosis.warnings), "warning")]
    counts += [f"{len(unknown)} not known"] if unknown else []
    return f"{', '.join(counts)}; {len(diagnosis.of('fine'))} fine."


def _lines(finding: Finding) -> tuple[str, ...]:
    first = f"{finding.state:8} {finding.name}: {plain(finding.found, _LONGEST)}"
    return (first, f"         fix: {plain(finding.fix, _LONGEST)}") if finding.fix else (first,)


def _table(findings: list[Finding] | tuple[Finding, ...]) -> str:
    rows = "".join(
        "<tr>"
        + "".join(
            f'<td style="text-align:left;overflow-wrap:anywhere">{cell}</td>'
            for cell in (
                finding.state,
                _cell(finding.name),
                _cell(finding.found),
                f"<code>{_cell(finding.fix)}</code>" if finding.fix else "",
            )
        )
        + "</tr>"
        for finding in findings
    )
    head = "".join(
        f'<th scope="col" style="text-align:left">{word}</th>' for word in ("State", "Check", "Found", "Fix")
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _cell(text: str) -> str:
    return html.escape(plain(text, _LONGEST))
