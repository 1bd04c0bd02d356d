"""Damage that is met while a model is loaded for a worker that cannot see this disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import damages
import pytest
from damages import DATA, GRAPH, INDEX, VOCABULARY, cut, empty, failed, flip, remove
from faulty_host import FaultyHost
from kernel import Kernel
from worker_rig import Cluster

host = damages.host  # a fixture

pytestmark = [pytest.mark.tensorflow, pytest.mark.kernel, pytest.mark.worker, pytest.mark.thorough]

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
def test_each_damage_on_a_worker_names_its_repair_command(
    tensorflow_kernel: Kernel, tmp_path: Path, host: FaultyHost
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    tensorflow_kernel.ok(f"%load_ext hub_magic\n%hub_cache {cache}")
    tensorflow_kernel.ok("import tensorflow as tf, tensorflow_hub as hub")
    with Cluster(hidden=cache) as cluster:
        tensorflow_kernel.ok(
            "tf.config.experimental_connect_to_cluster("
            f"tf.train.ClusterSpec({{'worker': {list(cluster.addresses)}}}))"
        )
        for number, (change, name) in enumerate(CASES):
            handle = (
                f"{host.url}/google/model/{number}"  # another for each: what was sent stays with the worker
            )
            path = tensorflow_kernel.value(f"hub.resolve({handle!r})")
            tensorflow_kernel.ok(f"tags = [] if tf.io.gfile.exists({path!r} + '/tfhub_module.pb') else None")
            load = f"with tf.device('{WORKER}'):\n    loaded = tf.saved_model.load({path!r}, tags=tags)"
            change(Path(path, name))
            cell = failed(tensorflow_kernel, f"%%hub_tpu\n{load}")
            case = f"{change.__name__} {name}: {cell.error}"
            assert cell.errors[0]["ename"] == "DamagedEntryError", case
            assert cell.error.endswith(f"this cached copy is damaged: run `%hub_cache --repair {handle}`"), (
                case
            )
            tensorflow_kernel.ok(f"%hub_cache --repair {handle}")
            tensorflow_kernel.ok(f"%%hub_tpu\n{load}")
