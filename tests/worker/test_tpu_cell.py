"""What a cell of `%%hub_tpu` does to the kernel, and what it leaves as it was."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import tpu_rig
from kernel import Kernel
from tpu_rig import WORKER, connect
from worker_rig import Cluster

from hub_magic.host import ModelHost

cache, host, notebook = tpu_rig.cache, tpu_rig.host, tpu_rig.notebook  # fixtures

pytestmark = [pytest.mark.tensorflow, pytest.mark.kernel, pytest.mark.worker]


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


def test_earlier_imports_work_and_user_options_stay(notebook: Kernel, cache: Path, host: ModelHost) -> None:
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
def test_failing_cell_restores_all_state(notebook: Kernel, cache: Path, host: ModelHost, body: str) -> None:
    notebook.ok(STATE)
    with Cluster(hidden=cache) as cluster:
        connect(notebook, cluster)
        before = notebook.value("state()")
        cell = notebook.run(f"%%hub_tpu\nduring = state()\n{body}")
        assert cell.status == "error"
        assert len(cell.errors) == 1
        assert notebook.value("during") != before
        assert notebook.value("state()") == before


def test_interrupted_load_restores_all_state(notebook: Kernel, cache: Path, host: ModelHost) -> None:
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


def test_plan_of_a_connected_worker_names_it(notebook: Kernel, cache: Path) -> None:
    with Cluster(hidden=cache) as cluster:
        connect(notebook, cluster)
        text = notebook.ok("%hub_tpu").text
        assert f"its worker is remote (grpc://{cluster.addresses[0]})" in text
        assert "uncompressed  1" in text
        signals = notebook.value("__import__('hub_magic').detect_runtime().signals")
        assert f"TensorFlow is connected to {WORKER}" in signals


def test_threads_of_a_cell_take_its_routes_and_other_threads_do_not(
    notebook: Kernel, cache: Path, host: ModelHost
) -> None:
    """Six threads load at once, while a thread that was there before loads as without the cell."""
    notebook.ok(
        "import threading, queue\n"
        "asked, answered = queue.Queue(), queue.Queue()\n"
        "def serve():\n"
        "    while handle := asked.get():\n"
        "        answered.put(hub.load(handle)(numbers).device)\n"
        "other = threading.Thread(target=serve, daemon=True); other.start()"
    )
    notebook.ok(STATE)
    kinds = (
        "plain-auto",
        "plain-relay",
        "plain-localhost",
        "vocabulary-auto",
        "layer-auto",
        "tf1_numbers-auto",
    )
    urls = [f"{host.url}/test/{kind}/1" for kind in kinds]
    with Cluster(hidden=cache) as cluster:
        connect(notebook, cluster)
        before = notebook.value("state()")
        cell = notebook.ok(
            "%%hub_tpu\n"
            "failed, loaded = [], []\n"
            "def load(url):\n"
            "    try:\n"
            f"        with tf.device('{WORKER}'):\n"
            "            loaded.append(hub.load(url))\n"
            "    except Exception as error:\n"
            "        failed.append(f'{url}: {error!r}')\n"
            f"threads = [threading.Thread(target=load, args=[url]) for url in {urls!r}]\n"
            "for thread in threads: thread.start()\n"
            f"asked.put({urls[0].replace('auto', 'none')!r})\n"
            "elsewhere = answered.get()\n"
            "for thread in threads: thread.join()"
        )
        assert notebook.value("failed") == []
        assert notebook.value("len(loaded)") == len(urls)
        assert notebook.value("'/job:worker' in elsewhere") is False
        assert cell.stdout.splitlines()[-1].startswith("6 models loaded on /job:worker")
        assert notebook.value("state()") == before
    notebook.ok("asked.put(None)")
