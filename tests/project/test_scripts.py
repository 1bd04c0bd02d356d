"""The scripts on a fresh machine: which Python they take, from where they can be called, what they install."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from repository import REPOSITORY

SCRIPTS = REPOSITORY / "scripts"


def _python(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def _with_python(folder: Path) -> subprocess.CompletedProcess[str]:
    """Call `with-python` on a machine that has only the Pythons in the folder."""
    env = {"PATH": str(folder / "bin"), "PYENV_ROOT": str(folder / "pyenv")}
    command = ["/bin/sh", str(SCRIPTS / "with-python"), "-c", "import sys; print(sys.version_info[:2])"]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_pythons_that_fail_or_are_too_old_are_passed_over(tmp_path: Path) -> None:
    _python(tmp_path / "bin" / "python3", "echo 'pyenv: python3: command not found' >&2; exit 127")
    _python(tmp_path / "bin" / "python", "exit 1")  # what an old one answers to the question for its version
    _python(tmp_path / "pyenv/versions/3.12.1/bin/python", f'exec {sys.executable} "$@"')
    done = _with_python(tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, str(sys.version_info[:2]))


def test_no_python_is_told_in_one_line(tmp_path: Path) -> None:
    done = _with_python(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("No Python 3.10 or later was found")
    assert done.stderr.count("\n") == 1


def test_commands_work_from_any_folder(tmp_path: Path) -> None:
    command = [str(SCRIPTS / "test"), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "--lane" in done.stdout


@pytest.mark.parametrize("path", sorted((REPOSITORY / "constraints").iterdir()), ids=lambda path: path.name)
def test_constraints_hold_names_and_versions_only(path: Path) -> None:
    held = re.compile(r'[a-z0-9-]+==[0-9][0-9a-z.+!]*(; python_version == "3\.1\d")?')
    lines = path.read_text().splitlines()
    assert [line for line in lines if not held.fullmatch(line)] == []
