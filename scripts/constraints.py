"""Write constraints/*.txt anew: the newest versions that pip finds, for each Python.

`scripts/with-python scripts/constraints.py`, then `scripts/test`. A line without a marker holds for every
Python; where they differ, each version has the Python it is for.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path

from environments import ENVIRONMENTS, PYTHONS, ROOT, Environment, find_python, pip, run_logged, say


def main() -> None:
    """Resolve the widest environment of each file on every Python, and write the file."""
    for name in sorted({environment.constraints for environment in ENVIRONMENTS.values()}):
        using = [environment for environment in ENVIRONMENTS.values() if environment.constraints == name]
        widest = max(using, key=lambda environment: len(environment.groups))
        resolved = {python: _resolve(widest, python) for python in reversed(PYTHONS)}
        packages = sorted(set().union(*resolved.values()))
        lines = [line for package in packages for line in _held(package, resolved)]
        (ROOT / "constraints" / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))


def _resolve(environment: Environment, python: str) -> dict[str, str]:
    """The name and the version of each distribution that pip would install on that Python."""
    interpreter = find_python(python)
    if interpreter is None:
        sys.exit(f"Python {python} is not at hand; the constraints are written for {', '.join(PYTHONS)}.")
    say(f"Resolving {environment.name} on Python {python}.")
    with tempfile.TemporaryDirectory() as folder:
        log, report = Path(folder, "log.txt"), Path(folder, "report.json")
        run_logged(interpreter, "-m", "venv", f"{folder}/venv", log=log)
        executable = Path(folder, "venv/bin/python")
        pip(executable, "install", "--upgrade", "pip", log=log)
        dry = ("--dry-run", "--ignore-installed", "--report", str(report))
        pip(executable, "install", *dry, "pip", *environment.requirements, log=log)
        found = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    versions = {re.sub(r"[-_.]+", "-", item["name"]).lower(): item["version"] for item in found}
    return {name: version for name, version in versions.items() if name != "hub-magic"}


def _held(package: str, resolved: dict[str, dict[str, str]]) -> list[str]:
    """The lines that hold a package at its versions."""
    versions = {python: found[package] for python, found in resolved.items() if package in found}
    if len(set(versions.values())) == 1:
        return [f"{package}=={next(iter(versions.values()))}"]
    return [f'{package}=={version}; python_version == "{python}"' for python, version in versions.items()]


if __name__ == "__main__":
    main()
