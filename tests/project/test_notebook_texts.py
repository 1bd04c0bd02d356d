"""What every notebook has: badges that lead to it where it has an address, a cell that installs, and no outputs."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from urllib.parse import quote

import pytest
from kernel import Kernel
from repository import REPOSITORY

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
FOUND = re.search(
    r'^repository = "https://github\.com/(.+)"$', (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE
)
ON_GITHUB = FOUND[1] if FOUND else ""

sys.path.append(str(REPOSITORY / "scripts"))
address_lines = importlib.import_module("address_lines")

LESSONS = [path for path in NOTEBOOKS if not path.name.startswith("quickstart.")]

# What pip needs to know where there is no network: hatchling is installed already, and so is what hub_magic needs.
ALONE = {"PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PYTHONPATH": ""}

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path: Path, kind: str) -> list[dict]:
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


def sources(path: Path, kind: str) -> list[str]:
    return ["".join(cell["source"]) for cell in cells(path, kind)]


@every_notebook
def test_notebooks_have_no_outputs(path: Path) -> None:
    code = cells(path, "code")
    assert [cell["source"] for cell in code if cell["outputs"] or cell["execution_count"]] == []


@every_notebook
def test_badges_open_their_own_notebook(path: Path) -> None:
    place = path.relative_to(REPOSITORY).as_posix()
    found = re.findall(r"\[!\[[^]]+\]\([^)]+\)\]\(([^)]+)\)", sources(path, "markdown")[0])
    wanted = [
        f"https://colab.research.google.com/github/{ON_GITHUB}/blob/main/{place}",
        f"https://mybinder.org/v2/gh/{ON_GITHUB}/main?labpath={quote(place, safe='')}",
    ]
    assert found == (wanted if ON_GITHUB else [])


def test_notebooks_begin_with_the_same_cell() -> None:
    (first,) = {sources(path, "code")[0] for path in NOTEBOOKS}
    assert re.findall(r"https?://\S+", first) == ([f"https://github.com/{ON_GITHUB}"] if ON_GITHUB else [])


def test_lessons_take_their_models_from_the_same_host() -> None:
    found = {one for path in LESSONS for one in sources(path, "code") if "make_models" in one}
    assert len(found) == 1
    assert all(any("make_models" in one for one in sources(path, "code")) for path in LESSONS)


@pytest.mark.kernel
def test_first_cell_says_nothing_where_hub_magic_is_installed(tmp_path: Path) -> None:
    with Kernel(tmp_path) as kernel:
        done = kernel.ok(sources(NOTEBOOKS[0], "code")[0])
    assert done.messages == [one for one in done.messages if one["msg_type"] in {"status", "execute_input"}]


@pytest.mark.kernel
def test_first_cell_installs_the_copy_of_the_repository_that_the_notebook_is_in(tmp_path: Path) -> None:
    copied = _copy(tmp_path / "a copy")
    with _kernel_without_hub_magic(tmp_path) as kernel:
        kernel.ok(f"%cd -q {copied / 'notebooks'}")
        kernel.ok(sources(NOTEBOOKS[0], "code")[0])
        kernel.ok("%load_ext hub_magic\nimport hub_magic, demo_models")
        assert str(tmp_path / "colab") in kernel.value("hub_magic.__file__")
        assert str(copied) in kernel.value("demo_models.__file__")


@pytest.mark.kernel
@pytest.mark.skipif(bool(ON_GITHUB), reason="With an address, the first cell clones the repository.")
def test_first_cell_outside_a_copy_prints_one_line_whose_command_works(tmp_path: Path) -> None:
    with _kernel_without_hub_magic(tmp_path) as kernel:
        shown = kernel.ok(sources(NOTEBOOKS[0], "code")[0]).stdout
        assert shown.count("\n") == 1
        assert "scripts/build" in shown
        beside = tmp_path / "kernel" / "work"
        make = [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--wheel-dir",
            beside,
            _copy(tmp_path / "copy"),
        ]
        subprocess.run(make, env={**os.environ, **ALONE}, check=True)
        shutil.copy(REPOSITORY / "notebooks" / "demo_models.py", beside)
        kernel.ok(shown[shown.index("%pip") :])
        kernel.ok("%load_ext hub_magic\nimport hub_magic, demo_models")
        assert str(tmp_path / "colab") in kernel.value("hub_magic.__file__")


@pytest.mark.kernel
def test_first_cell_with_an_address_brings_hub_magic_and_the_models(tmp_path: Path) -> None:
    """As on Colab: a Python without hub_magic, a notebook without its folder, and a restart of the kernel."""
    if shutil.which("git") is None:
        pytest.skip("The notebooks are cloned with git, which is not here.")
    published = _publish(tmp_path / "published")
    repository = ON_GITHUB or "somebody/hub_magic"
    (first,) = address_lines.FIRST_CELL.write([sources(NOTEBOOKS[0], "code")[0]], repository)
    elsewhere = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{published.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": f"https://github.com/{repository}",
    }
    for _ in range(2):
        with _kernel_without_hub_magic(tmp_path, **elsewhere) as kernel:
            kernel.ok(first)
            kernel.ok("%load_ext hub_magic\nimport hub_magic, demo_models")
            assert str(tmp_path / "colab") in kernel.value("hub_magic.__file__")


def _kernel_without_hub_magic(folder: Path, **env: str) -> Kernel:
    """A kernel in folder/kernel, whose Python is in folder/colab."""
    python = folder / "colab" / "bin" / "python"
    if not python.exists():
        _python_without_hub_magic(folder / "colab")
    kernel = Kernel(folder / "kernel", **ALONE, **env)
    kernel.manager.kernel_spec.argv[0] = str(python)
    return kernel


def _copy(folder: Path) -> Path:
    """What the notebooks need of the working tree."""
    folder.mkdir()
    for name in ("hub_magic", "notebooks"):
        shutil.copytree(
            REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "hub_models*")
        )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, folder)
    return folder


def _publish(folder: Path) -> Path:
    """What is in the working tree, as a repository to clone."""
    _copy(folder)
    who = ("-c", "user.name=hub_magic", "-c", "user.email=hub_magic@host.test", "-c", "commit.gpgsign=false")
    for command in (("init", "--quiet"), ("add", "."), (*who, "commit", "--quiet", "--message", "All")):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def _python_without_hub_magic(folder: Path) -> None:
    """A new environment that finds this one's packages, but not what is installed editable in it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    ask = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip()
    # A line of a .pth file adds a folder, whose own .pth files are not heeded.
    Path(site, "packages.pth").write_text(sysconfig.get_path("purelib") + os.linesep)
