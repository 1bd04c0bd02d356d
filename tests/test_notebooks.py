"""The notebooks from top to bottom, in a real kernel; the quickstart has its own tests."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kernel import REPOSITORY, Kernel
from worker_rig import Cluster

from hub_magic.host import ModelHost

NOTEBOOKS = REPOSITORY / "notebooks"

pytestmark = [pytest.mark.tensorflow, pytest.mark.kernel]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelHost]:
    """The demo's models, served."""
    folder = tmp_path_factory.mktemp("models")
    code = "import sys; from demo_models import make_models; make_models(__import__('pathlib').Path(sys.argv[1]))"
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(folder)],
        cwd=NOTEBOOKS,
        check=True,
        capture_output=True,
        timeout=240,
    )
    with ModelHost(folder) as running:
        yield running


def code_cells(path: Path) -> list[dict]:
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def run(name: str, kernel: Kernel) -> str:
    """Run a notebook's cells; what they print and show."""
    shown = []
    for code in code_cells(NOTEBOOKS / f"{name}.ipynb"):
        source = "".join(code["source"])
        done = kernel.run(source)
        assert done.status == "ok", f"{source}\n{done.error}"
        shown += [done.stdout, done.text]
    return "\n".join(shown)


@pytest.mark.worker
def test_tpu_on_a_worker_that_cannot_see_the_disk(host: ModelHost, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    with (
        Cluster(hidden=cache) as cluster,
        Kernel(
            tmp_path / "kernel",
            HUB_MAGIC_DEMO_HOST=host.url,
            HUB_MAGIC_DEMO_WORKER=cluster.addresses[0],
            TFHUB_CACHE_DIR=str(cache),
            no_proxy="127.0.0.1,localhost",
        ) as kernel,
    ):
        shown = run("tpu", kernel)
    assert "localhost)" in shown
    assert "(relay: " in shown
    assert "['iris', 'diabetes'] on /job:worker/replica:0/task:0/device:CPU:0" in shown
    assert "/job:worker/replica:0/task:0/device:CPU:0" in shown


def test_tpu_where_there_is_none(host: ModelHost, tmp_path: Path) -> None:
    with Kernel(tmp_path / "kernel", HUB_MAGIC_DEMO_HOST=host.url, no_proxy="127.0.0.1,localhost") as kernel:
        shown = run("tpu", kernel)
    assert "there is no accelerator here, so the cell runs as it is." in shown
    assert "['iris', 'diabetes'] on /job:localhost/replica:0/task:0/device:CPU:0" in shown


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_no_outputs_are_kept(path: Path) -> None:
    assert [cell["source"] for cell in code_cells(path) if cell["outputs"] or cell["execution_count"]] == []
