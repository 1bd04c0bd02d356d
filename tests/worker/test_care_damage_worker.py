"""Damage that is met while a model is loaded for a worker that cannot see this disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from faulty_host import FaultyHost
from kernel import Kernel
from test_care_damage_kernel import DATA, GRAPH, INDEX, VOCABULARY, cut, empty, failed, flip, host, remove
from worker_rig import Cluster

__all__ = ["host"]

pytestmark = [pytest.mark.tensorflow, pytest.mark.kernel, pytest.mark.worker]

WORKER = "/job:worker/replica:0/task:0"
CASES: list[tuple[Callable[[Path], None], str]] = [
    (remove, GRAPH),
    (empty, GRAPH),
    (cut, GRAPH),
    (remove, INDEX),
    (flip, INDEX),
    (remove, DATA),
    (cut, DATA),
    (flip, DATA),
    (remove, VOCABULARY),
]


@pytest.mark.parametrize("host", ["tf2_vocabulary", "tf1_hub"], indirect=True)
def test_each_damage_says_what_mends_it(kernel: Kernel, tmp_path: Path, host: FaultyHost) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    kernel.ok(f"%load_ext hub_magic\n%hub_cache {cache}")
    kernel.ok("import tensorflow as tf, tensorflow_hub as hub")
    with Cluster(hidden=cache) as cluster:
        kernel.ok(
            "tf.config.experimental_connect_to_cluster("
            f"tf.train.ClusterSpec({{'worker': {list(cluster.addresses)}}}))"
        )
        for number, (change, name) in enumerate(CASES):
            handle = (
                f"{host.url}/google/model/{number}"  # another for each: what was sent stays with the worker
            )
            path = kernel.value(f"hub.resolve({handle!r})")
            kernel.ok(f"tags = [] if tf.io.gfile.exists({path!r} + '/tfhub_module.pb') else None")
            load = f"with tf.device('{WORKER}'):\n    loaded = tf.saved_model.load({path!r}, tags=tags)"
            change(Path(path, name))
            cell = failed(kernel, f"%%hub_tpu\n{load}")
            case = f"{change.__name__} {name}: {cell.error}"
            assert cell.errors[0]["ename"] == "DamagedEntryError", case
            assert cell.error.endswith(f"this cached copy is damaged: run `%hub_cache --repair {handle}`"), (
                case
            )
            kernel.ok(f"%hub_cache --repair {handle}")
            kernel.ok(f"%%hub_tpu\n{load}")
