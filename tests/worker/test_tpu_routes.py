"""Every kind of model by every route of `%%hub_tpu`, to a worker that cannot see the notebook's disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import tpu_rig
from kernel import Kernel
from tpu_rig import KINDS, WORKER, connect
from worker_rig import Cluster

from hub_magic.host import ModelHost

cache, host, notebook = tpu_rig.cache, tpu_rig.host, tpu_rig.notebook  # fixtures

pytestmark = [pytest.mark.tensorflow, pytest.mark.kernel, pytest.mark.worker]

# Kinds whose files a worker reads itself, beyond what localhost spares it.
NEED_RELAY = {
    "vocabulary": "the worker reads its file assets/vocab.txt itself",
    "keras": "the worker reads its file assets/vocab.txt itself",
    "tf1_words": "it is in TF1 format, and the worker reads all of its files itself",
    "tf1_numbers": "it is in TF1 format, and the worker reads all of its files itself",
}


def test_worker_without_the_extension_raises_the_error_of_the_manual(
    notebook: Kernel, cache: Path, host: ModelHost
) -> None:
    with Cluster(hidden=cache) as cluster:
        connect(notebook, cluster)
        cell = notebook.run(
            f"with tf.device('/job:worker/task:0'):\n    hub.load('{host.url}/test/plain-none/1')(numbers)"
        )
    assert cell.errors[0]["ename"] == "FileNotFoundError"
    assert "experimental_io_device" in cell.error


@pytest.mark.parametrize(
    "via", ["auto", *(pytest.param(via, marks=pytest.mark.thorough) for via in ("relay", "localhost"))]
)
@pytest.mark.parametrize("tasks", [1, pytest.param(2, marks=pytest.mark.thorough)])
def test_every_kind_of_model_loads_by_every_possible_route(
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
                    "Use --via relay, or omit --via."
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


def test_every_kind_of_model_loads_in_a_strategy_scope(
    notebook: Kernel, cache: Path, host: ModelHost
) -> None:
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
        assert (
            "No variable 'nothing' in the notebook"
            in notebook.run("%%hub_tpu --strategy nothing\npass").error
        )
        assert "it is a EagerTensor" in notebook.run("%%hub_tpu --strategy words\npass").error


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
        assert f"{url}: localhost did not work, using relay (no such file)" in cell.stdout
        assert cell.stdout.splitlines()[-1].startswith("1 model loaded on /job:worker (relay: ")
        assert notebook.value("value") == wanted
        assert notebook.value("device").startswith("/job:worker/")
