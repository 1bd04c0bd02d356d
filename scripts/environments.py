"""The environments of the scripts: made when missing, renewed when their ingredients have changed.

`python scripts/environments.py run NAME ARGUMENTS...` makes NAME ready and then runs its Python.

Standard library only: it is the first script to run on a fresh computer, on any Python from 3.10 on.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.13", "3.12", "3.11", "3.10")
OLDEST = "3.10.0"  # the oldest version that the constraints are for
# pip's words if no versions fit together.
UNRESOLVED = ("ResolutionImpossible", "No matching distribution found", "resolution-too-deep")


@dataclass(frozen=True)
class Environment:
    """A virtual environment, with this project in it, editable.

    Attributes:
        name: its name in the scripts.
        folder: its folder, relative to the repository.
        python: its Python's version; another version is used if that is missing.
        constraints: the name of the file in `constraints` with its versions.
        groups: dependency groups of pyproject.toml.
        project: whether it has this project.
        tensorflow: whether it has the extra of that name.
        pins: additional requirements.
        file: a file of additional requirements, relative to the repository.
        without: distributions that are uninstalled at the end.
    """

    name: str
    folder: str
    python: str
    constraints: str
    groups: tuple[str, ...]
    project: bool = True
    tensorflow: bool = True
    pins: tuple[str, ...] = ()
    file: str = ""
    without: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The environment's folder."""
        return ROOT / self.folder

    @property
    def executable(self) -> Path:
        """The environment's Python."""
        return self.path / "bin" / "python"

    @property
    def log(self) -> Path:
        """The output of venv and pip."""
        return self.path / "install.log"

    @property
    def constraints_file(self) -> Path:
        """The file with the versions."""
        return ROOT / "constraints" / f"{self.constraints}.txt"

    @property
    def requirements(self) -> tuple[str, ...]:
        """The requirements that pip installs, besides pip itself."""
        source = ".[tensorflow]" if self.tensorflow else "."
        project = ("--editable", source) if self.project else ()
        groups = (option for group in self.groups for option in ("--group", group))
        file = ("--requirement", self.file) if self.file else ()
        return (*project, *groups, *self.pins, *file)


ENVIRONMENTS = {
    environment.name: environment
    for environment in (
        Environment("demo", ".venv", "3.13", "newest", ("demo",)),
        # Without setuptools, so that the fix for the missing pkg_resources is shown for real.
        Environment(
            "newest",
            ".lanes/newest",
            "3.12",
            "newest",
            ("test", "lint", "browser", "demo", "docs"),
            without=("setuptools",),
        ),
        # Colab's versions, as far as they matter to a notebook extension.
        Environment(
            "colab",
            ".lanes/colab",
            "3.13",
            "colab",
            ("test", "demo"),
            pins=(
                "ipykernel==6.17.1",
                "ipython==7.34.0",
                "ipywidgets==7.7.1",
                "setuptools==75.2.0",
                "tensorflow==2.20.0",
                "tensorflow-hub==0.16.1",
                "tf-keras==2.20.1",
            ),
        ),
        Environment("py310", ".lanes/py310", "3.10", "newest", ("test",), tensorflow=False),
        # A browser on Colab's kernel and widgets; a later JupyterLab for these does not install here.
        Environment(
            "lab3",
            ".lanes/lab3",
            "3.13",
            "lab3",
            ("test",),
            tensorflow=False,
            pins=(
                "ipykernel==6.17.1",
                "ipython==7.34.0",
                "ipywidgets==7.7.1",
                "jupyterlab==3.5.3",
                "jupyterlab-widgets<2",
                "playwright>=1.45",
                "setuptools==75.2.0",
            ),
        ),
        # Binder's result for the folder `binder`, on the JupyterLab of its image.
        Environment(
            "binder",
            ".lanes/binder",
            "3.12",
            "newest",
            (),
            tensorflow=False,
            pins=("jupyterlab",),
            file="binder/requirements.txt",
        ),
        # Separate versions, so that no competitor limits those of the lane newest.
        Environment("benchmark", ".lanes/benchmark", "3.12", "benchmark", ("test", "browser", "benchmark")),
        Environment("build", ".lanes/build", "3.12", "newest", ("build",), project=False, tensorflow=False),
    )
}


class SetupError(Exception):
    """An environment cannot be made. The text says why, and what to do.

    Attributes:
        output: the output of the failed command.
    """

    def __init__(self, text: str, output: str = "") -> None:
        super().__init__(text)
        self.output = output


def prepare(environment: Environment) -> Path:
    """Make the environment ready and return its Python. This is fast if nothing has changed.

    Raises:
        SetupError: no Python fits, or its packages cannot be installed.
    """
    stamp = environment.path / "made_of.txt"
    made_of = _made_of(environment)
    usable = environment.executable.exists() and stamp.is_file()
    present, _, recorded = stamp.read_text().partition(" ") if usable else ("", "", "")
    # An environment on a substitute is checked again: its own Python may have been installed since.
    python, interpreter = (present, "") if present == environment.python else _choose(environment)
    if python != environment.python:
        say(f"Python {environment.python} was not found; the environment {environment.name} uses {python}.")
    if (present, recorded) == (python, made_of):
        return environment.executable
    say(f"Setting up {environment.folder} on Python {python}; the first time this takes a few minutes.")
    started = time.monotonic()
    stamp.unlink(missing_ok=True)  # an interrupted environment is made anew the next time
    if present != python:
        _create(environment, interpreter)
    _install(environment)
    stamp.write_text(f"{python} {made_of}")
    say(f"{environment.folder} is ready after {time.monotonic() - started:.0f} s.")
    return environment.executable


def find_python(version: str) -> str | None:
    """Return a Python of that version ("3.12") that runs and can make environments."""
    for candidate in _candidates(version):
        if _probe(candidate) == (version, True):
            return candidate
    return None


def _probe(candidate: str) -> tuple[str, bool]:
    """Return a Python's version ("" if it does not run), and whether it can make environments."""
    code = (
        "import sys; print('%d.%d' % sys.version_info[:2], flush=True)\n"
        "import ensurepip, venv; print('complete')"
    )
    try:
        found = subprocess.run([candidate, "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return "", False
    version, _, rest = found.stdout.partition("\n")
    return version, found.returncode == 0 and rest.strip() == "complete"


def _candidates(version: str) -> Iterator[str]:
    yield sys.executable
    for name in (f"python{version}", "python3", "python"):
        if found := shutil.which(name):
            yield found
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    for folder in sorted(pyenv.glob(f"versions/{version}.*"), reverse=True):
        yield str(folder / "bin" / "python")


def _choose(environment: Environment) -> tuple[str, str]:
    """Return the version and the path of the environment's Python, or of the newest that was found.

    Raises:
        SetupError: there is no Python.
    """
    for version in (environment.python, *PYTHONS):
        if found := find_python(version):
            return version, found
    oldest, newest = PYTHONS[-1], PYTHONS[0]
    seen = {_probe(candidate)[0] for version in PYTHONS for candidate in _candidates(version)}
    if incomplete := sorted(seen & set(PYTHONS)):
        packages = ", ".join(f"python{version}-venv" for version in incomplete)
        raise SetupError(
            f"Python {', '.join(incomplete)} lacks the modules venv and ensurepip. "
            f"Install them (on Debian and Ubuntu: python3-venv, or {packages}) and try again."
        )
    if newer := sorted(version for version in seen if _number(version) > _number(newest)):
        raise SetupError(
            f"TensorFlow has no release for Python {', '.join(newer)}. "
            f"Install one of Python {oldest} to {newest} beside it and try again. "
            "The extension without TensorFlow installs there: pip install ."
        )
    raise SetupError(
        f"No Python {oldest} to {newest} was found on PATH or in pyenv. Install one and try again."
    )


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part)


def _made_of(environment: Environment) -> str:
    """Return a digest of everything that decides what is in the environment."""
    parts = (
        (ROOT / "pyproject.toml").read_bytes(),
        environment.constraints_file.read_bytes(),
        repr(environment).encode(),
        (ROOT / environment.file).read_bytes() if environment.file else b"",
    )
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _create(environment: Environment, interpreter: str) -> None:
    """Make an empty environment in place of an existing one."""
    folder, log = environment.path, environment.log
    if folder.exists() and not log.exists():
        raise SetupError(f"{folder} was not made by this script. Remove it, or move it away, and try again.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run_logged(interpreter, "-m", "venv", str(folder), log=log)


def _install(environment: Environment) -> None:
    """Install what the environment is made of, and remove the rest."""
    python, log = environment.executable, environment.log
    held = ("--constraint", str(environment.constraints_file))
    held_to_build = ("--build-constraint", str(environment.constraints_file))
    try:
        # pip itself first: --group and --build-constraint came with pip 25.
        pip(python, "install", "pip", *held, log=log)
        pip(python, "install", *environment.requirements, *held, *held_to_build, log=log)
    except SetupError as error:
        if not any(sign in error.output for sign in UNRESOLVED):
            raise
        say(f"constraints/{environment.constraints}.txt does not fit this Python; trying without it.")
        pip(python, "install", "--upgrade", "pip", log=log)
        pip(python, "install", *environment.requirements, log=log)
    if environment.without:
        pip(python, "uninstall", "--yes", *environment.without, log=log)


def pip(python: Path, verb: str, *arguments: str, log: Path) -> None:
    """Run pip; see `run_logged`."""
    quiet = ("--no-input", "--disable-pip-version-check")
    run_logged(str(python), "-m", "pip", *quiet, verb, *arguments, log=log)


def run_logged(*command: str, log: Path) -> None:
    """Run a command with its output in the log, and show downloads.

    Raises:
        SetupError: the command failed.
    """
    with (
        log.open("a") as file,
        subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        lines = []
        for line in process.stdout or ():
            file.write(line)
            lines.append(line)
            if found := re.match(r"\s*(Downloading \S+ \(.*\)|Installing collected packages)", line):
                _show(found[1])
        _show("")
    if process.returncode:
        told = [line for line in lines if "is ignored: it is neither a file" not in line]
        end = "".join(told[-20:])
        raise SetupError(f"{end}This failed, see {log}: {' '.join(command)}", "".join(lines))


def _show(text: str) -> None:
    """Write a line that the next line replaces, if the terminal can."""
    if sys.stdout.isatty():
        print(f"\r\033[K{text[:78]}", end="", flush=True)


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def main(arguments: list[str]) -> None:
    """Run the command line at the top of this file."""
    match arguments:
        case ["run", name, *rest] if name in ENVIRONMENTS:
            try:
                python = str(prepare(ENVIRONMENTS[name]))
            except SetupError as error:
                sys.exit(str(error))
            os.execv(python, [python, *rest])
        case _:
            sys.exit(f"{__doc__}\nNAME is one of {', '.join(ENVIRONMENTS)}.")


if __name__ == "__main__":
    main(sys.argv[1:])
