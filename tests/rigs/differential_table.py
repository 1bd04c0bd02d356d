"""The table at the end of a run: how many situations ended equal, better, and different on purpose.

Tests note their verdict with pytest's `record_property("differential", [name, verdict, why it differs, why there are
more requests])`, which reaches the process that prints.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

PROPERTY = "differential"
VERDICTS = ("equal", "better", "different on purpose")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table, if differential tests ran."""
    verdicts: Counter[str] = Counter()
    reasons: defaultdict[str, list[str]] = defaultdict(list)
    asked: defaultdict[str, list[str]] = defaultdict(list)
    for report in _reports(terminalreporter, "passed"):
        for name, value in report.user_properties:
            if name == PROPERTY:
                situation, verdict, differs, requests = value
                verdicts[verdict] += 1
                if differs:
                    reasons[differs].append(situation)
                if requests:
                    asked[requests].append(situation)
    known = [report for report in _reports(terminalreporter, "xfailed") if f"/{PROPERTY}/" in report.nodeid]
    failed = [report for report in _reports(terminalreporter, "failed") if f"/{PROPERTY}/" in report.nodeid]
    total = sum(verdicts.values()) + len(known) + len(failed)
    if not total:
        return
    terminalreporter.section("plain tensorflow_hub and the extension")
    terminalreporter.line(f"{total:4} situations")
    for verdict in VERDICTS:
        terminalreporter.line(f"{verdicts[verdict]:4} {verdict}")
    terminalreporter.line(f"{len(known):4} worse, by defects that are known")
    terminalreporter.line(f"{len(failed):4} failed")
    for title, found in (("Different on purpose", reasons), ("More requests than plain", asked)):
        for why, names in sorted(found.items()):
            terminalreporter.line(f"{title}: {why} ({len(names)})")
            for name in names:
                terminalreporter.line(f"     {name}")


def _reports(terminalreporter: Any, outcome: str) -> list[Any]:
    return list(terminalreporter.stats.get(outcome, []))
