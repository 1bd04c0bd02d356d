"""The scripts on a fresh machine: which Python they take, from where they can be called, what they install."""

from __future__ import annotations

import os
import shutil
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


def test_failing_or_old_pythons_are_skipped(tmp_path: Path) -> None:
    _python(tmp_path / "bin" / "python3", "echo 'pyenv: python3: command not found' >&2; exit 127")
    _python(tmp_path / "bin" / "python", "exit 1")  # what an old one answers to the question for its version
    _python(tmp_path / "pyenv/versions/3.12.1/bin/python", f'exec {sys.executable} "$@"')
    done = _with_python(tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, str(sys.version_info[:2]))


def test_missing_python_is_reported_in_one_line(tmp_path: Path) -> None:
    done = _with_python(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("No Python 3.10 or later was found")
    assert done.stderr.count("\n") == 1


def test_commands_work_from_any_folder(tmp_path: Path) -> None:
    command = [str(SCRIPTS / "test"), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "--lane" in done.stdout


@pytest.mark.parametrize("script", ["test", "demo"])
def test_help_answers_before_anything_is_installed(script: str, tmp_path: Path) -> None:
    copy = _copy_of_scripts(tmp_path)
    done = _run_script(copy / script, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"usage: scripts/{script}" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pyproject.toml", "scripts"]


# ---------------------------------------------------------------- environments


def _copy_of_scripts(folder: Path) -> Path:
    """A repository with nothing but its scripts, in which no environment is."""
    shutil.copytree(SCRIPTS, folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    return folder / "scripts"


def _run_script(script: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **variables}
    return subprocess.run([str(script), *arguments], env=env, capture_output=True, text=True, check=False)


def _stand_in(folder: Path, version: str, *, complete: bool) -> None:
    """A Python that says it has this version, and runs scripts; with or without what makes environments."""
    lines = f"echo {version}; {'echo complete' if complete else 'exit 1'}"
    asked = f'case "$2" in *ensurepip*) {lines}; exit;; esac'
    _python(folder / "bin" / "python3", f'{asked}\nexec {sys.executable} "$@"')


def _choose(folder: Path) -> subprocess.CompletedProcess[str]:
    """Ask environments.py for a Python on a machine that has only the Pythons in the folder."""
    code = (
        f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); sys.executable = 'nothing'; import environments as e\n"
        "try: print(e._choose(e.ENVIRONMENTS['demo'])[0])\n"
        "except e.SetupError as error: sys.exit(str(error))"
    )
    env = {"PATH": str(folder / "bin"), "PYENV_ROOT": str(folder / "pyenv")}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("version", "complete", "told"),
    [
        ("3.14", True, "TensorFlow has no release for Python 3.14. Install one of Python 3.10 to 3.13"),
        ("3.15", False, "TensorFlow has no release for Python 3.15. Install one of Python 3.10 to 3.13"),
        (
            "3.11",
            False,
            "Python 3.11 lacks the modules venv and ensurepip. Install them (on Debian and Ubuntu",
        ),
        ("3.9", True, "No Python 3.10 to 3.13 was found on PATH or in pyenv. Install one and try again."),
    ],
)
def test_unsuitable_python_is_reported_in_one_line(
    version: str, complete: bool, told: str, tmp_path: Path
) -> None:
    _stand_in(tmp_path, version, complete=complete)
    done = _choose(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(told)
    assert done.stderr.count("\n") == 1


def test_newest_python_that_fits_is_chosen(tmp_path: Path) -> None:
    _stand_in(tmp_path, "3.11", complete=True)
    assert _choose(tmp_path).stdout == "3.11\n"


def test_environment_that_cannot_be_made_fails_once(tmp_path: Path) -> None:
    """The steps of lint and of the tests share one environment, whose folder is in the way."""
    copy = _copy_of_scripts(tmp_path)
    (tmp_path / "constraints").mkdir()
    (tmp_path / "constraints" / "newest.txt").write_text("")
    (tmp_path / ".lanes" / "newest").mkdir(parents=True)
    done = _run_script(copy / "test")
    assert done.returncode == 1
    assert done.stdout.count("was not made by this script. Remove it, or move it away") == 1
    assert done.stdout.count("FAILED") == 1
    assert done.stdout.splitlines()[-1] == "0 passed, 1 failed"


@pytest.mark.index
def test_pins_that_do_not_fit_are_left_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project without dependencies, held to a version that no index has."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import environments

    monkeypatch.setattr(environments, "ROOT", tmp_path)
    (tmp_path / "constraints").mkdir()
    (tmp_path / "constraints" / "none.txt").write_text("pip==0.0.1.dev0\n")
    (tmp_path / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "nothing"\nversion = "0"\n[tool.hatch.build.targets.wheel]\nbypass-selection = true\n'
    )
    said: list[str] = []
    monkeypatch.setattr(environments, "say", said.append)
    wanted = environments.Environment("none", "venv", "3.12", "none", (), tensorflow=False)
    monkeypatch.setattr(environments, "find_python", lambda _version: sys.executable)
    python = environments.prepare(wanted)
    told = [line for line in said if "does not fit" in line]
    assert told == ["constraints/none.txt does not fit this Python; trying without it."]
    version = [str(python), "-m", "pip", "--version"]
    assert subprocess.run(version, capture_output=True, check=True).returncode == 0
    said.clear()
    assert environments.prepare(wanted) == python
    assert said == []
