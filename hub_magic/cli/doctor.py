"""The doctor for a shell: from parsed arguments to the checks."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable

from ..doctor import Diagnosis, Report, diagnose
from ..doctor.fixes import Fixes
from ..facts import Fact


def examine(arguments: Namespace, _show: Callable[[Fact], object]) -> Diagnosis | Report:
    """`doctor`, with `--online` and `--report`; what it says to run are lines for a shell."""
    fixes = Fixes(in_notebook=False, cache=arguments.cache or "")
    diagnosis = diagnose(online=arguments.online, fixes=fixes)
    return diagnosis.report() if arguments.report else diagnosis
