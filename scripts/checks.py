"""The checks, each in the environment it is for; `scripts/test` runs this.

Steps run one after another and show their output as it comes: the tests use every processor themselves. The
environments of later steps are set up meanwhile. Steps that mostly wait for the package index run beside the
others, and show their output at their end.

Standard library only, on any Python from 3.10 on.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from xml.etree import ElementTree as ET

from environments import ENVIRONMENTS, ROOT, SetupError, prepare, say

MAIN = "newest"  # the environment of `scripts/test` without options, and with paths


@dataclass(frozen=True)
class Step:
    """One command of a lane.

    Attributes:
        lane: the name that selects it.
        environment: its environment.
        command: the arguments of `python`.
        runs_beside: whether it runs beside the others.
    """

    lane: str
    environment: str
    command: tuple[str, ...]
    runs_beside: bool = False

    @property
    def is_pytest(self) -> bool:
        """Whether it takes pytest's arguments and counts tests."""
        return "pytest" in self.command

    @property
    def title(self) -> str:
        """The heading of the step."""
        return f"{self.lane}: {' '.join(self.command).removeprefix('-m ')}"


def _tests(marks: str = "", processes: int = (os.cpu_count() or 1) + 1) -> tuple[str, ...]:
    """Return the command of pytest on every processor, and one process more: tests wait often."""
    spread = ("-n", str(processes), "--dist", "loadfile", "--no-loadscope-reorder")
    return ("-m", "pytest", *spread, *(("-m", marks) if marks else ()))


LINT = (
    Step("lint", MAIN, ("-m", "ruff", "check", ".")),
    Step("lint", MAIN, ("-m", "ruff", "format", "--check", ".")),
    Step("lint", MAIN, ("-m", "mypy")),
)
QUICK = (*LINT, Step("quick", MAIN, _tests("not thorough")))
STEPS = (
    *LINT,
    Step("docs", MAIN, ("-m", "mkdocs", "build", "--strict", "--quiet")),
    Step("index", MAIN, _tests("index", 1), runs_beside=True),
    Step("newest", MAIN, _tests("not index")),
    # Tests marked `once` cannot end otherwise with other versions.
    Step("colab", "colab", _tests("not once")),
    Step("py310", "py310", _tests("not once and not tensorflow")),
    Step("lab3", "lab3", ("-m", "pytest", "-m", "ipywidgets7")),
    Step("demo", "demo", ("scripts/demo_session.py", "--check")),
    Step("binder", "binder", ("scripts/binder_session.py",)),
)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a step; `passed` and `failed` count its tests, or the step itself if it has none."""

    title: str
    seconds: float
    passed: int
    failed: int


def main() -> int:
    """Run the steps, print how each ended, and return 1 when any failed."""
    given, rest = _parser().parse_known_args()
    rest = [word for word in rest if word != "--"]
    if rest and not (given.all or given.lane):
        return _pytest_alone(rest)
    steps = STEPS if given.all or given.lane else QUICK
    outcomes = _run_all([step for step in steps if not given.lane or step.lane in given.lane], rest)
    say("")
    for outcome in outcomes:
        verdict = "FAILED" if outcome.failed else "ok    "
        say(f"{verdict} {outcome.seconds:5.0f} s  {outcome.title}")
    failed = sum(outcome.failed for outcome in outcomes)
    say(f"{sum(outcome.passed for outcome in outcomes)} passed, {failed} failed")
    return int(failed > 0)


def _pytest_alone(arguments: list[str]) -> int:
    """Run pytest with these arguments in the main environment, in place of this process."""
    try:
        python = str(prepare(ENVIRONMENTS[MAIN]))
    except SetupError as error:
        sys.exit(str(error))
    os.execve(python, [python, "-m", "pytest", *arguments], _environment(Step("alone", MAIN, ())))


def _run_all(steps: list[Step], pytest_arguments: list[str]) -> list[Outcome]:
    """Run the steps. An environment that cannot be made fails once, and its steps are skipped."""
    outcomes: list[Outcome] = []
    running: list[Future[Outcome]] = []
    with ThreadPoolExecutor(1) as ahead, ThreadPoolExecutor() as beside:
        ready: dict[str, Future[Path]] = {}
        for step in steps:
            if step.environment not in ready:
                ready[step.environment] = ahead.submit(prepare, ENVIRONMENTS[step.environment])
        told: set[str] = set()
        for step in steps:
            started = time.monotonic()
            try:
                python = ready[step.environment].result()
            except SetupError as error:
                if step.environment not in told:
                    say(f"\n=== the environment {step.environment}\n{error}")
                    title = f"set-up of the environment {step.environment}; its steps were skipped"
                    outcomes.append(Outcome(title, time.monotonic() - started, 0, 1))
                told.add(step.environment)
                continue
            if step.environment not in told and (waited := time.monotonic() - started) > 1:
                outcomes.append(Outcome(f"set-up of the environment {step.environment}", waited, 0, 0))
            told.add(step.environment)
            if step.runs_beside:
                running.append(beside.submit(_run, step, python, pytest_arguments))
            else:
                outcomes.append(_run(step, python, pytest_arguments))
    return [*outcomes, *(one.result() for one in running)]


def _run(step: Step, python: Path, pytest_arguments: list[str]) -> Outcome:
    """Run one step, with its output as it comes, or at its end if it runs beside others."""
    started = time.monotonic()
    say(f"\n=== {step.title}{': begun, beside the next steps' if step.runs_beside else ''}")
    command = [str(python), *step.command]
    folder = ENVIRONMENTS[step.environment].path
    results = folder / f"{step.lane}.xml"
    results.unlink(missing_ok=True)
    if step.is_pytest:
        command += [f"--junitxml={results}", *pytest_arguments]
    with ExitStack() as stack:
        log: IO[str] | None = None
        if step.runs_beside:
            log = stack.enter_context((folder / f"{step.lane}.log").open("w+", errors="replace"))
        environment = _environment(step)
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=log, stderr=log, check=False)
        code = done.returncode
        if log:
            log.seek(0)
            say(f"\n=== {step.title}\n{log.read()}")
    passed, failed = _count(results) if step.is_pytest else (int(code == 0), int(code != 0))
    # pytest's 5: it found no test, which is right if the lane has none of the requested tests.
    ok = code == 0 or (code == 5 and bool(pytest_arguments))
    return Outcome(step.title, time.monotonic() - started, passed, failed if ok else max(failed, 1))


def _environment(step: Step) -> dict[str, str]:
    """Return a step's variables: each lane keeps its own last failures and examples of hypothesis."""
    folder = ENVIRONMENTS[step.environment].path / step.lane
    options = f"{os.environ.get('PYTEST_ADDOPTS', '')} -o cache_dir='{folder / 'pytest_cache'}'".strip()
    return {
        **os.environ,
        "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "hypothesis"),
        "PYTEST_ADDOPTS": options,
    }


def _count(results: Path) -> tuple[int, int]:
    """Return how many tests passed and failed, from the file that pytest writes."""
    if not results.is_file():
        return 0, 0
    suites = ET.parse(results).getroot().iter("testsuite")
    passed = failed = 0
    for suite in suites:
        bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        failed += bad
        passed += int(suite.get("tests", 0)) - bad - int(suite.get("skipped", 0))
    return passed, failed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/test",
        usage="scripts/test [--all | --lane NAME] [PATH or pytest option ...]",
        description="Check every layer in some minutes; with --all, run every lane.",
        epilog="Paths and pytest's own options (-k, -x, ...) go straight to pytest in the main environment.",
        allow_abbrev=False,
    )
    parser.add_argument("--all", action="store_true", help="every lane, with every test")
    parser.add_argument(
        "--lane",
        action="append",
        choices=list(dict.fromkeys(step.lane for step in STEPS)),
        help="this lane; may be repeated",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
