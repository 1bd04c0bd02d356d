"""The demo, as a user runs it: the models, the notebook headless, the notebook in JupyterLab."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from repository import REPOSITORY

NOTEBOOK = REPOSITORY / "notebooks" / "quickstart.ipynb"

pytestmark = [pytest.mark.tensorflow, pytest.mark.thorough]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the demo keeps its models, its copies and its caches."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def shown(folder: Path) -> str:
    """What `scripts/demo --check` prints; it must have gone well."""
    done = subprocess.run([*_session(folder), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _session(folder: Path) -> list[str]:
    # scripts/demo comes to this in an environment of its own; here it runs in the one under test.
    return [sys.executable, str(REPOSITORY / "scripts" / "demo_session.py"), "--folder", str(folder)]


def test_notebook_has_no_outputs() -> None:
    code = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert [cell["source"] for cell in code if cell["outputs"] or cell["execution_count"]] == []


def test_demo_reads_unseen_digits(shown: str) -> None:
    found = [float(percent) for percent in re.findall(r"([\d.]+)% of 450 unseen digits", shown)]
    assert len(found) == 2
    assert min(found) >= 95


def test_demo_loads_a_second_time_without_a_request(shown: str) -> None:
    first, second = re.findall(
        r"model = hub.load\(.*/demo/digits/1\"\)(?s:.*?)\[requests to the host: (\d+)\]", shown
    )
    assert int(first) > 0
    assert int(second) == 0


def test_demo_shows_the_cache_with_names_and_sizes(shown: str) -> None:
    table = shown.partition("scan = %hub_cache --list")[2]
    for name, version, unit in (
        ("digits", 1, "kB"),
        ("digits", 2, "kB"),
        ("words", 1, "kB"),
        ("mobilenet", 1, "MB"),
    ):
        assert re.search(rf"^{name} +{version} .* [\d.]+ {unit} ", table, flags=re.MULTILINE), table


def test_demo_leaves_nothing_but_its_models(shown: str, folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["check.log", "models"]


def test_demo_fails_when_a_cell_fails(shown: str, folder: Path, tmp_path: Path) -> None:
    # All models are there but one, so the cell that fetches it fails, and with it the demo.
    shutil.copytree(folder / "models", tmp_path / "models")
    shutil.rmtree(tmp_path / "models" / "demo" / "mobilenet")
    done = subprocess.run([*_session(tmp_path), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "The demo failed: cell " in done.stdout
    assert "demo/mobilenet/1" in done.stdout


@pytest.fixture
def opened(shown: str, folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The demo in JupyterLab, and the URL at which it is ready."""
    environment = {**os.environ, "JUPYTER_CONFIG_DIR": str(folder / "jupyter"), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*_session(folder), "--no-browser", "--ServerApp.port=0"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        lines = []
        for line in process.stdout or ():
            lines.append(line)
            if found := re.search(r"(http://127\.0\.0\.1:\d+/lab\S*)", line):
                yield process, found[1]
                break
        else:
            pytest.fail("".join(lines))
        process.terminate()  # it stops JupyterLab, which a kill would leave behind


def test_demo_opens_a_copy_in_jupyterlab_and_stops_at_ctrl_c(
    opened: tuple[subprocess.Popen[str], str], folder: Path
) -> None:
    process, url = opened
    assert url.partition("?")[0].endswith("/lab/tree/quickstart.ipynb")
    assert (folder / "quickstart" / "quickstart.ipynb").read_bytes() == NOTEBOOK.read_bytes()
    assert (folder / "quickstart" / "offline.ipynb").exists()  # the other lessons are beside it
    process.send_signal(signal.SIGINT)
    # Everything that was started shares this pipe: its end shows that all of it is gone.
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0, rest
    assert "Stopped." in rest
