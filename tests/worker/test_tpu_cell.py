"""`%%hub_tpu` with a worker in a second process that cannot see the notebook's disk.

Models come from a real host over HTTP into a cache that is hidden from the worker, and are loaded in a real
kernel that is connected to it.
"""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from kernel import Kernel, TensorFlowKernel
from saved_models import saved_model
from worker_rig import Cluster

from hub_magic.host import ModelHost

pytestmark = [pytest.mark.tensorflow, pytest.mark.kernel, pytest.mark.worker]

# How each kind of model is loaded from its URL and called; what it gives on the host is computed beside it.
KINDS = {
    "plain": "hub.load(url)(numbers)",
    "vocabulary": "hub.load(url)(words)",
    "tf1_words": "hub.load(url).signatures['default'](words)['default']",
    "tf1_numbers": "hub.load(url).signatures['default'](numbers)['default']",
    "layer": "hub.KerasLayer(url)(numbers)",
    "keras": "tf_keras.models.load_model(hub.resolve(url))(words)",
    "resolved": "tf.saved_model.load(hub.resolve(url))(numbers)",
}
# Kinds whose files a worker reads itself, beyond what localhost spares it.
NEED_RELAY = {
    "vocabulary": "the worker reads its file assets/vocab.txt itself",
    "keras": "the worker reads its file assets/vocab.txt itself",
    "tf1_words": "it is in TF1 format, of which the worker reads every file itself",
    "tf1_numbers": "it is in TF1 format, of which the worker reads every file itself",
}
IMPORTS = """
import os
os.environ["TF_USE_LEGACY_KERAS"] = "1"
%load_ext hub_magic
import tensorflow as tf, tensorflow_hub as hub, tf_keras
words = tf.constant(["magic", "x", "hub"])
numbers = tf.reshape(tf.range(8.), (2, 4))
"""
CONNECT = "tf.config.experimental_connect_to_cluster(tf.train.ClusterSpec({{'worker': {addresses}}}))"
WORKER = "/job:worker/replica:0/task:0"
SAVED = {
    "plain": "tf2_plain",
    "vocabulary": "tf2_vocabulary",
    "tf1_words": "tf1_hub",
    "tf1_numbers": "tf1_hub_plain",
    "layer": "tf2_reusable",
    "keras": "keras_with_layer",
    "resolved": "tf2_plain",
}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The cache of the kernel, which no worker sees."""
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


@pytest.fixture
def host(tmp_path: Path) -> Iterator[ModelHost]:
    """Every kind of model, once for each of several routes, so that none profits from another's relay."""
    served = tmp_path / "served"
    for kind in KINDS:
        for name in ("auto", "relay", "localhost", "none"):
            shutil.copytree(saved_model(SAVED[kind]), served / "test" / f"{kind}-{name}" / "1")
    with ModelHost(served) as running:
        yield running


@pytest.fixture
def notebook(cache: Path, tmp_path: Path) -> Iterator[Kernel]:
    """A kernel with the models' cache, before it is connected."""
    variables = {"TFHUB_CACHE_DIR": str(cache), "no_proxy": "127.0.0.1,localhost"}
    with TensorFlowKernel(tmp_path / "kernel", **variables) as kernel:
        kernel.ok(IMPORTS)
        yield kernel


def connect(kernel: Kernel, cluster: Cluster) -> None:
    kernel.ok(CONNECT.format(addresses=json.dumps(cluster.addresses)))


def test_the_failure_of_the_manual_without_the_extension(
    notebook: Kernel, cache: Path, host: ModelHost
) -> None:
    with Cluster(hidden=cache) as cluster:
        connect(notebook, cluster)
        cell = notebook.run(
            f"with tf.device('/job:worker/task:0'):\n    hub.load('{host.url}/test/plain-none/1')(numbers)"
        )
    assert cell.errors[0]["ename"] == "FileNotFoundError"
    assert "experimental_io_device" in cell.error


@pytest.mark.parametrize("via", ["auto", "relay", "localhost"])
@pytest.mark.parametrize("tasks", [1, 2])
def test_every_kind_of_model_by_every_route(
    notebook: Kernel, cache: Path, host: ModelHost, via: str, tasks: int
) -> None:
    wanted = {}
    for kind, how in KINDS.items():
        notebook.ok(f"url = '{host.url}/test/{kind}-none/1'\nvalue = {how}.numpy().tolist()")
        wanted[kind] = notebook.value("value")
    with Cluster(hidden=cache, tasks=tasks) as cluster:
        connect(notebook, cluster)
        for kind, how in KINDS.items():
            url = f"{host.url}/test/{kind}-{via}/1"
            cell = notebook.run(
                f"%%hub_tpu --via {via}\n"
                f"url = '{url}'\n"
                f"with tf.device('/job:worker/task:{tasks - 1}'):\n"
                f"    out = {how}\n"
                "device, value = out.device, out.numpy().tolist()"
            )
            if via == "localhost" and kind in NEED_RELAY:
                assert cell.status == "error", kind
                assert cell.error.splitlines()[-1] == (
                    f"RouteError: --via localhost cannot load {url}: {NEED_RELAY[kind]}. "
                    "Take --via relay, or leave it out."
                )
                continue
            assert cell.status == "ok", (kind, cell.error)
            assert notebook.value("value") == wanted[kind], kind
            assert notebook.value("device") == f"/job:worker/replica:0/task:{tasks - 1}/device:CPU:0"
            taken = via if via != "auto" else "relay" if kind in NEED_RELAY else "localhost"
            last = cell.stdout.splitlines()[-1]
            assert last.startswith(f"1 model loaded on /job:worker ({taken}"), (kind, cell.stdout)
            if via == "auto":
                assert f"{url}: uncompressed did not work" in cell.stdout


def test_in_a_strategys_scope(notebook: Kernel, cache: Path, host: ModelHost) -> None:
    wanted = {}
    for kind, how in KINDS.items():
        notebook.ok(f"url = '{host.url}/test/{kind}-none/1'\nvalue = {how}.numpy().tolist()")
        wanted[kind] = notebook.value("value")
    with Cluster(hidden=cache) as cluster:
        connect(notebook, cluster)
        notebook.ok(f"mine = tf.distribute.OneDeviceStrategy('{WORKER}/device:CPU:0')")
        for kind, how in KINDS.items():
            cell = notebook.run(
                "%%hub_tpu --strategy mine\n"
                f"url = '{host.url}/test/{kind}-auto/1'\n"
                f"value = {how}.numpy().tolist()\n"
                f"model = {how.partition('(words)')[0].partition('(numbers)')[0]}\n"
                f"ran = mine.run(model, args=({'words' if '(words)' in how else 'numbers'},))\n"
                "ran = ran['default'] if isinstance(ran, dict) else ran\n"
                "ran, device = ran.numpy().tolist(), ran.device\n"
                "inside = tf.distribute.get_strategy() is mine"
            )
            assert cell.status == "ok", (kind, cell.error)
            assert notebook.value("value") == wanted[kind], kind
            assert notebook.value("ran") == wanted[kind], kind
            assert notebook.value("device") == f"{WORKER}/device:CPU:0"
            assert notebook.value("inside") is True
        assert notebook.value("tf.distribute.has_strategy()") is False
        assert "there is no such name here" in notebook.run("%%hub_tpu --strategy nothing\npass").error
        assert "it is a EagerTensor" in notebook.run("%%hub_tpu --strategy words\npass").error


def test_a_second_load_sends_nothing(notebook: Kernel, cache: Path, host: ModelHost) -> None:
    load = (
        "%%hub_tpu --via relay\n"
        f"with tf.device('/job:worker/task:0'): model = hub.load('{host.url}/test/vocabulary-relay/1')"
    )
    with Cluster(hidden=cache) as cluster:
        connect(notebook, cluster)
        assert "sent in" in notebook.ok(load).stdout
        assert (
            notebook.ok(load).stdout.splitlines()[-1] == "1 model loaded on /job:worker (relay: sent before)"
        )


def test_localhost_gives_way_to_relay(notebook: Kernel, cache: Path, host: ModelHost) -> None:
    """As where a TensorFlow's option does not reach the files: the worker is sent all of them."""
    url = f"{host.url}/test/plain-auto/1"
    notebook.ok(f"value = hub.load('{url}')(numbers).numpy().tolist()")
    wanted = notebook.value("value")
    notebook.ok(
        "import tensorflow.python.saved_model.load as module\n"
        "able = module.load_partial\n"
        "def unable(path, filters, tags=None, options=None):\n"
        "    if options is not None and options.experimental_io_device:\n"
        "        raise tf.errors.NotFoundError(None, None, 'no such file')\n"
        "    return able(path, filters, tags, options)\n"
        "module.load_partial = unable"
    )
    with Cluster(hidden=cache) as cluster:
        connect(notebook, cluster)
        cell = notebook.ok(
            "%%hub_tpu\nwith tf.device('/job:worker/task:0'):\n"
            f"    out = hub.load('{url}')(numbers)\n"
            "device, value = out.device, out.numpy().tolist()"
        )
        assert f"{url}: localhost did not work (no such file), so relay is tried" in cell.stdout
        assert cell.stdout.splitlines()[-1].startswith("1 model loaded on /job:worker (relay: ")
        assert notebook.value("value") == wanted
        assert notebook.value("device").startswith("/job:worker/")


def test_names_bound_earlier_and_options_of_the_user(notebook: Kernel, cache: Path, host: ModelHost) -> None:
    notebook.ok(
        "from tensorflow_hub import load as early\nfrom tensorflow.saved_model import load as earlier"
    )
    with Cluster(hidden=cache) as cluster:
        connect(notebook, cluster)
        notebook.ok(
            "%%hub_tpu\n"
            "with tf.device('/job:worker/task:0'):\n"
            f"    a = early('{host.url}/test/plain-auto/1')(numbers)\n"
            f"    b = earlier(hub.resolve('{host.url}/test/plain-relay/1'))(numbers)\n"
            f"    kept = tf.saved_model.LoadOptions(experimental_io_device='/job:localhost', allow_partial_checkpoint=True)\n"
            f"    c = hub.load('{host.url}/test/plain-localhost/1', options=kept)(numbers)\n"
            "    mine = tf.saved_model.LoadOptions(allow_partial_checkpoint=True)\n"
            f"    d = hub.load('{host.url}/test/plain-none/1', options=mine)(numbers)\n"
        )
        assert notebook.value("mine.experimental_io_device") is None
        assert notebook.value("kept.allow_partial_checkpoint") is True
        for one in "bcd":
            assert notebook.value(f"{one}.numpy().tolist()") == notebook.value("a.numpy().tolist()")


STATE = """
def state():
    import os, tensorflow.python.saved_model.load as module
    return [
        module.load_partial.__module__,
        tf.__internal__.saved_model.load_partial.__module__,
        [type(one).__name__ for one in hub.registry.resolver._impls],
        {name: value for name, value in os.environ.items() if name.startswith("TFHUB")},
        tf.distribute.has_strategy(),
        len(__import__("sys").meta_path),
    ]
"""


@pytest.mark.parametrize(
    "body", ["1/0", "hub.load('http://127.0.0.1:1/nobody/1')", "raise KeyboardInterrupt"]
)
def test_a_failing_cell_leaves_everything_as_it_was(
    notebook: Kernel, cache: Path, host: ModelHost, body: str
) -> None:
    notebook.ok(STATE)
    with Cluster(hidden=cache) as cluster:
        connect(notebook, cluster)
        before = notebook.value("state()")
        cell = notebook.run(f"%%hub_tpu\nduring = state()\n{body}")
        assert cell.status == "error"
        assert len(cell.errors) == 1
        assert notebook.value("during") != before
        assert notebook.value("state()") == before


def test_interrupted_in_the_middle_of_a_load(notebook: Kernel, cache: Path, host: ModelHost) -> None:
    """The load is stopped where it has asked the host and waits: the host never answers that handle."""
    import socket

    notebook.ok(STATE)
    with Cluster(hidden=cache) as cluster, socket.create_server(("127.0.0.1", 0)) as silent:
        connect(notebook, cluster)
        before = notebook.value("state()")
        message = notebook.begin(
            f"%%hub_tpu --via relay\nhub.load('http://127.0.0.1:{silent.getsockname()[1]}/a/b/1')"
        )
        connection, _ = silent.accept()
        with connection:
            connection.recv(100)
            notebook.manager.signal_kernel(signal.SIGINT)
            while (reply := notebook.client.get_shell_msg(timeout=120))["parent_header"].get(
                "msg_id"
            ) != message:
                pass
        assert reply["content"]["ename"] == "KeyboardInterrupt"
        assert notebook.value("state()") == before


def test_200_cells_leave_no_growth(notebook: Kernel, cache: Path, host: ModelHost) -> None:
    notebook.ok(STATE)
    with Cluster(hidden=cache) as cluster:
        connect(notebook, cluster)
        before = notebook.value("state()")
        for _ in range(200):
            notebook.ok("%%hub_tpu\npass")
        assert notebook.value("state()") == before


def test_the_plan_of_a_connected_worker(notebook: Kernel, cache: Path) -> None:
    with Cluster(hidden=cache) as cluster:
        connect(notebook, cluster)
        text = notebook.ok("%hub_tpu").text
        assert f"its worker is remote (grpc://{cluster.addresses[0]})" in text
        assert f"TensorFlow is connected to {WORKER}" in text
        assert "uncompressed  first" in text
