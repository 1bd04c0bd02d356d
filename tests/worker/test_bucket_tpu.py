"""Models that a remote worker reads from a bucket: cached there, or uncompressed in the host's own bucket.

The worker is a real TensorFlow server in a second process that cannot see the notebook's disk; kernel and
worker both go through the stand-in for Google Cloud Storage.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import gcs_rig
import pytest
from gcs_stand_in import GcsStandIn
from kernel import Kernel, TensorFlowKernel
from saved_models import saved_model
from worker_rig import Cluster

from hub_magic import parse_handle
from hub_magic.host import ModelHost

pytestmark = [pytest.mark.tensorflow, pytest.mark.kernel, pytest.mark.worker, pytest.mark.thorough]
storage, gcs = gcs_rig.storage, gcs_rig.gcs  # fixtures

KINDS = {
    "plain": "hub.load(url)(numbers)",
    "vocabulary": "hub.load(url)(words)",
    "tf1": "hub.load(url).signatures['default'](words)['default']",
    "layer": "hub.KerasLayer(url)(numbers)",
}
SAVED = {"plain": "tf2_plain", "vocabulary": "tf2_vocabulary", "tf1": "tf1_hub", "layer": "tf2_reusable"}
IMPORTS = """
import os
os.environ["TF_USE_LEGACY_KERAS"] = "1"
%load_ext hub_magic
import tensorflow as tf, tensorflow_hub as hub
words = tf.constant(["magic", "x", "hub"])
numbers = tf.reshape(tf.range(8.), (2, 4))
"""
# Connecting forgets the functions of models loaded before; TensorFlow 2.20 may fail when they are collected later.
CONNECT = (
    "import gc; gc.collect()\n"
    "tf.config.experimental_connect_to_cluster(tf.train.ClusterSpec({{'worker': {addresses}}}))"
)
ON_WORKER = (
    "with tf.device('/job:worker/task:0'):\n    out = {how}\ndevice, value = out.device, out.numpy().tolist()"
)
OPEN = "gs://open-models"


@pytest.fixture
def hidden(tmp_path: Path) -> Path:
    """A directory that the worker sees empty."""
    folder = tmp_path / "kernel" / "tmp"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def host(tmp_path: Path, gcs: GcsStandIn) -> Iterator[ModelHost]:
    """A host of archives that names a folder in a public bucket for each model as well."""
    gcs.create_bucket("open-models", public=True)
    folders = {}
    for kind in KINDS:
        saved = saved_model(SAVED[kind])
        shutil.copytree(saved, tmp_path / "served" / "test" / kind / "1")
        folders[f"test/{kind}/1"] = f"{OPEN}/{kind}"
        for path in saved.rglob("*"):
            if path.is_file():
                gcs.put(f"{OPEN}/{kind}/{path.relative_to(saved)}", path.read_bytes())
    with ModelHost(tmp_path / "served", gcs=folders) as running:
        yield running


@pytest.fixture
def notebook(gcs: GcsStandIn, hidden: Path, tmp_path: Path) -> Iterator[Kernel]:
    with TensorFlowKernel(tmp_path / "kernel") as kernel:
        kernel.ok(IMPORTS)
        yield kernel


def expect(notebook: Kernel, host: ModelHost) -> dict[str, object]:
    """What each model gives in the kernel itself."""
    wanted = {}
    for kind, how in KINDS.items():
        notebook.ok(f"url = '{host.url}/test/{kind}/1'\nvalue = {how}.numpy().tolist()")
        wanted[kind] = notebook.value("value")
    return wanted


def load_all(notebook: Kernel, host: ModelHost, options: str, wanted: dict[str, object], route: str) -> None:
    for kind, how in KINDS.items():
        url = f"{host.url}/test/{kind}/1"
        cell = notebook.run(f"%%hub_tpu {options}\nurl = '{url}'\n{ON_WORKER.format(how=how)}")
        assert cell.status == "ok", (kind, cell.error)
        assert notebook.value("value") == wanted[kind], kind
        assert notebook.value("device").startswith("/job:worker/"), kind
        assert cell.stdout.splitlines()[-1].startswith(f"1 model loaded on /job:worker ({route})"), (
            cell.stdout
        )


def test_every_kind_loads_by_bucket_and_uncompressed(
    notebook: Kernel, hidden: Path, host: ModelHost, gcs: GcsStandIn
) -> None:
    wanted = expect(notebook, host)
    with Cluster(hidden=hidden) as cluster:
        notebook.ok(CONNECT.format(addresses=json.dumps(cluster.addresses)))
        load_all(notebook, host, "--via bucket --bucket gs://models/team", wanted, "bucket")
        entry = f"team/{parse_handle(f'{host.url}/test/plain/1').folder}/saved_model.pb"
        assert entry in gcs.names("models")
        load_all(notebook, host, "--via uncompressed", wanted, "uncompressed")
        # The mode alone does, too, in a plain cell.
        notebook.ok("%hub_mode uncompressed")
        how = KINDS["vocabulary"]
        notebook.ok(f"url = '{host.url}/test/vocabulary/1'\n{ON_WORKER.format(how=how)}")
        assert notebook.value("value") == wanted["vocabulary"]
        assert notebook.value("device").startswith("/job:worker/")
        notebook.ok("%hub_mode compressed")
        # `auto` takes the bucket that is configured, once there is a worker that needs it.
        notebook.ok("%config HubMagics.bucket = 'gs://models/team'")
        load_all(notebook, host, "", wanted, "bucket")
        # A folder that may not be read gives way to the next route.
        gcs.objects.buckets["open-models"].objects.clear()
        notebook.ok("%config HubMagics.bucket = ''")
        cell = notebook.ok(
            f"%%hub_tpu\nurl = '{host.url}/test/plain/1'\n{ON_WORKER.format(how=KINDS['plain'])}"
        )
        assert "uncompressed did not work" in cell.stdout
        assert notebook.value("value") == wanted["plain"]


def test_team_cache_is_filled_read_pruned_and_copied_home(
    notebook: Kernel, hidden: Path, host: ModelHost, gcs: GcsStandIn
) -> None:
    """One cache for a team: filled, looked at, read by kernel and worker, cleared up, and taken home."""
    kind, how = "vocabulary", KINDS["vocabulary"]
    url, other = f"{host.url}/test/{kind}/1", f"{host.url}/test/plain/1"
    notebook.ok("%hub_cache gs://models/team")
    notebook.ok(f"%hub_cache --fetch {url} {other}")
    assert "gs://models/team: 2 models" in notebook.ok("%hub_cache --list").text
    notebook.ok(f"url = '{url}'\nvalue = {how}.numpy().tolist()")
    wanted = notebook.value("value")
    with Cluster(hidden=hidden) as cluster:
        notebook.ok(CONNECT.format(addresses=json.dumps(cluster.addresses)))
        archives = len(host.requests)
        cell = notebook.ok(f"%%hub_tpu\n{ON_WORKER.format(how=how)}")
        assert cell.stdout.splitlines()[-1].startswith("1 model loaded on /job:worker (bucket)"), cell.stdout
        assert notebook.value("value") == wanted
        assert notebook.value("device").startswith("/job:worker/")
        assert len(host.requests) == archives, "it was in the bucket"
    assert "1 model removed" in notebook.ok(f"%hub_cache --prune --older-than 0d --keep {kind}").text
    assert "1 model copied" in notebook.ok("%hub_cache --copy-to home").text
    notebook.ok("%hub_cache ./home\n%hub_mode offline")
    gcs.reset_counts()
    notebook.ok(f"with tf.device('/job:localhost/device:CPU:0'):\n    value = {how}.numpy().tolist()")
    assert notebook.value("value") == wanted
    assert "home" in notebook.ok(f"hub.resolve('{url}')").text
    assert (len(host.requests), gcs.requests.total()) == (archives, 0)
    assert "is not in the cache" in notebook.run(f"hub.resolve('{other}')").error


def test_worker_without_access_to_the_bucket_gets_the_relay(
    notebook: Kernel, hidden: Path, host: ModelHost, gcs: GcsStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = expect(notebook, host)
    gcs.tokens["token-of-the-worker"] = "worker"
    gcs.deny("get", account="worker")
    monkeypatch.setenv("GOOGLE_AUTH_TOKEN_FOR_TESTING", "token-of-the-worker")
    gcs.objects.buckets["open-models"].objects.clear()
    with Cluster(hidden=hidden) as cluster:
        notebook.ok(CONNECT.format(addresses=json.dumps(cluster.addresses)))
        how = KINDS["vocabulary"]
        cell = notebook.ok(
            "%%hub_tpu --bucket gs://models/team\n"
            f"url = '{host.url}/test/vocabulary/1'\n{ON_WORKER.format(how=how)}"
        )
    assert notebook.value("value") == wanted["vocabulary"]
    assert "bucket did not work" in cell.stdout
    assert cell.stdout.splitlines()[-1].startswith("1 model loaded on /job:worker (relay")


def test_bucket_for_workers_is_saved(notebook: Kernel) -> None:
    assert "gs://models/team" in str(notebook.ok("%hub_tpu --bucket gs://models/team --persist").messages)
    assert notebook.ok("%config HubMagics.bucket").text == "'gs://models/team'"
    saved = json.loads((notebook.home / "ipython" / "profile_default" / "ipython_config.json").read_text())
    assert saved["HubMagics"]["bucket"] == "gs://models/team"
    assert "There is no bucket" in notebook.run("%hub_tpu --bucket gs://nowhere --persist").error
    assert "Add the bucket" in notebook.run("%hub_tpu --persist").error
