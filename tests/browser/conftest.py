"""The fixtures of the tests in a browser: one Chromium and one JupyterLab serve all files of a process."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from browser_fixtures import axe, cache, chromium, notebook, page, windows
from browser_rig import Lab

__all__ = ["axe", "cache", "chromium", "notebook", "page", "windows"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the servers' logs and the stacks of their threads with a failed test."""
    report = yield
    if report.failed:
        for lab in Lab.running:
            lab.stacks()
            report.sections.append((f"The server of {item.name}", lab.log[-20_000:]))
    return report
