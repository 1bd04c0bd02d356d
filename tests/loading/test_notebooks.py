"""The lessons from top to bottom, in a real kernel; the quickstart has its own tests."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import demo_host
import gcs_rig
import pytest
from gcs_stand_in import GcsStandIn
from kernel import Kernel, TensorFlowKernel
from repository import REPOSITORY
from tfhub_stand_in import MOVED, TfhubStandIn
from worker_rig import Cluster

from hub_magic.host import ModelHost

NOTEBOOKS = REPOSITORY / "notebooks"
# Nothing listens on that port: whatever is not on this machine cannot be reached.
NO_INTERNET = {"https_proxy": "http://127.0.0.1:9", "no_proxy": "127.0.0.1,localhost"}

host, storage = demo_host.host, gcs_rig.storage  # fixtures

pytestmark = [pytest.mark.tensorflow, pytest.mark.kernel, pytest.mark.thorough]


def code_cells(path: Path) -> list[dict]:
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def run(name: str, kernel: Kernel) -> str:
    """Run a notebook's cells; what they print and show."""
    shown = []
    for code in code_cells(NOTEBOOKS / f"{name}.ipynb"):
        source = "".join(code["source"])
        done = kernel.run(source)
        assert done.status == "ok", f"{source}\n{done.error}"
        displayed = [one["content"]["data"] for one in done.messages if one["msg_type"] == "display_data"]
        shown += [done.stdout, *(data.get("text/plain", "") for data in displayed), done.text]
    return "\n".join(shown)


def in_kernel(name: str, host: ModelHost, home: Path, **env: str) -> str:
    """Run a notebook in a kernel that reaches the host and nothing else."""
    with TensorFlowKernel(home, HUB_MAGIC_DEMO_HOST=host.url, **NO_INTERNET | env) as kernel:
        return run(name, kernel)


@pytest.mark.worker
def test_tpu_lesson_runs_on_a_worker_without_the_disk(host: ModelHost, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    with Cluster(hidden=cache) as cluster:
        worker = {"HUB_MAGIC_DEMO_WORKER": cluster.addresses[0], "TFHUB_CACHE_DIR": str(cache)}
        shown = in_kernel("tpu", host, tmp_path / "kernel", **worker)
    assert "localhost)" in shown
    assert "(relay: " in shown
    assert "['iris', 'diabetes'] on /job:worker/replica:0/task:0/device:CPU:0" in shown
    assert "/job:worker/replica:0/task:0/device:CPU:0" in shown


def test_tpu_lesson_runs_without_a_tpu(host: ModelHost, tmp_path: Path) -> None:
    shown = in_kernel("tpu", host, tmp_path / "kernel")
    assert "there is no accelerator, so the cell runs as it is." in shown
    assert "['iris', 'diabetes'] on /job:localhost/replica:0/task:0/device:CPU:0" in shown


def test_cache_browser_lesson_runs_with_its_own_host(host: ModelHost, tmp_path: Path) -> None:
    beside = tmp_path / "kernel" / "work"
    beside.mkdir(parents=True)
    shutil.copy(NOTEBOOKS / "demo_models.py", beside)
    (beside / "hub_models_to_serve").symlink_to(host.directory)  # made already, as on Binder
    with TensorFlowKernel(tmp_path / "kernel", **NO_INTERNET) as kernel:
        shown = run("cache_browser", kernel)
        own = kernel.value("HOST")
    assert own != host.url
    assert f'hub.load("{own}/demo/words/1")' in shown
    assert "iris" in shown
    assert "4 models checked byte by byte, none damaged" in shown
    assert "4 models checked by names and sizes, 1 damaged" in shown
    assert "1 model checked, 1 downloaded again" in shown
    assert "1 model checked by names and sizes, none damaged" in shown
    assert "3 models removed" in shown
    assert "loaded in this kernel" in shown


def test_offline_lesson_runs(host: ModelHost, tmp_path: Path) -> None:
    before = len(host.requests)
    shown = in_kernel("offline", host, tmp_path / "kernel")
    assert "3 models exported" in shown
    assert "offline mode is on. The cache is empty." in shown
    assert "2 models added" in shown
    assert "1 already present" in shown
    assert "['iris', 'wine']" in shown
    assert "Cached under similar names" in shown
    asked = [request.path.partition("?")[0] for request in host.requests[before:]]
    assert sorted(asked) == ["/demo/digits/1", "/demo/digits/2", "/demo/words/1"]


def test_bucket_lesson_runs_without_a_bucket(host: ModelHost, tmp_path: Path) -> None:
    nobody = {"GOOGLE_APPLICATION_CREDENTIALS": "", "CLOUDSDK_CONFIG": str(tmp_path), "NO_GCE_CHECK": "true"}
    shown = in_kernel("bucket", host, tmp_path / "kernel", **nobody)
    assert "There are no Google Cloud credentials here. Run " in shown
    assert shown.count("There is no bucket here.") == 5
    assert "has no bucket folder for" in shown
    assert "the worker reads the cache in the bucket" in shown


def test_bucket_lesson_runs_with_a_bucket_and_empties_it(
    host: ModelHost, storage: GcsStandIn, tmp_path: Path
) -> None:
    bucket = {"HUB_MAGIC_BUCKET": "gs://models/lesson"}
    shown = in_kernel("bucket", host, tmp_path / "kernel", **storage.environment(tmp_path), **bucket)
    assert "There is no bucket here." not in shown
    assert "2 models copied" in shown
    assert "gs://models/lesson: 2 models" in shown
    assert "iris" in shown
    assert "(1, 10)" in shown
    assert any(name.endswith("/saved_model.pb") for name in storage.created)
    assert storage.names("models") == []  # what the lesson puts there it takes away


def test_kaggle_lesson_runs_without_internet(host: ModelHost, tmp_path: Path) -> None:
    shown = in_kernel("migrate_to_kaggle", host, tmp_path / "kernel")
    assert shown.count("there is no way to tfhub.dev from here") == 2
    assert "The proxy could not connect to tfhub.dev" in shown
    assert "iris" in shown
    assert "Other caches on this computer contain 1 model" in shown
    assert "\nTrue\n" in shown
    assert "the same model as https://www.kaggle.com/models/demo/words/tensorFlow2/default/1" in shown


def test_kaggle_lesson_runs_with_internet(host: ModelHost, tmp_path: Path) -> None:
    with TfhubStandIn() as internet:
        shown = in_kernel("migrate_to_kaggle", host, tmp_path / "kernel", **internet.environment)
    for path, model in MOVED.items():
        assert f"https://tfhub.dev{path} leads to {model}" in shown
    assert "It was withdrawn from tfhub.dev in March 2024" in shown
    assert "iris" in shown
