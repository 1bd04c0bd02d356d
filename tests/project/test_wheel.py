"""The wheel, installed: everything that is in the repository's package is in it, and it imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from repository import REPOSITORY


def _run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with nothing but the wheel in it, as pip installs it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ("-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder / "dist"))
    _run(sys.executable, *build, str(REPOSITORY), cwd=folder)
    (wheel,) = (folder / "dist").glob("hub_magic-*.whl")
    install = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder / "site"))
    _run(sys.executable, *install, str(wheel), cwd=folder)
    return folder / "site"


def test_every_tracked_file_of_the_package_is_installed(installed: Path) -> None:
    tracked = _run("git", "ls-files", "hub_magic", cwd=REPOSITORY).split()
    assert "hub_magic/py.typed" in tracked
    assert [name for name in tracked if not (installed / name).is_file()] == []


def test_nothing_but_the_package_is_installed(installed: Path) -> None:
    found = sorted(path.name.partition("-")[0] for path in installed.iterdir())
    assert found == ["bin", "hub_magic", "hub_magic"]
    assert [path.name for path in (installed / "bin").iterdir()] == ["hub-magic"]


def test_the_installed_package_imports_and_offers_its_names(installed: Path) -> None:
    # -I keeps this repository, installed editable, out of the way: the path given comes first.
    code = (
        f"import sys; sys.path.insert(0, {str(installed)!r}); import hub_magic, hub_magic.host; "
        "print(hub_magic.__file__); [getattr(hub_magic, name) for name in hub_magic.__all__]"
    )
    assert _run(sys.executable, "-I", "-c", code, cwd=installed.parent).startswith(str(installed))
