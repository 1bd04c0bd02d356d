"""The costs of `%%hub_tpu`: over a plain cell, over a load that needs no route, and relay beside localhost.

    scripts/benchmark tpu_cell [-- ROUNDS]

Plain and magic cells alternate in one real kernel. The last table sends a model of 400 MB to a worker in a
second process that cannot see this disk (Linux, root), by either route.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "rigs"))

from kernel import Kernel
from worker_rig import Cluster

BIG = 400_000_000
MAKE = """
import sys, tensorflow as tf
for name, size in (("small", 1_000), ("big", int(sys.argv[2]))):
    module = tf.Module()
    numbers = [tf.random.stateless_uniform((size // 16,), (1, n)) for n in range(4)]
    module.weights = [tf.Variable(one, name=f"w{n}") for n, one in enumerate(numbers)]
    module.call = tf.function(lambda x: x + 1, input_signature=[tf.TensorSpec((), tf.float32)])
    tf.saved_model.save(module, f"{sys.argv[1]}/{name}")
network = tf.keras.applications.MobileNetV2(weights=None)
network.export(f"{sys.argv[1]}/network", verbose=False)
"""


def took(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def alternate(rounds: int, *actions: Callable[[], object]) -> list[float]:
    """Return the median seconds of each action, taken in turns, and each first in every other round."""
    times: list[list[float]] = [[] for _ in actions]
    for number in range(rounds):
        for one, action in list(zip(times, actions, strict=True))[:: 1 if number % 2 else -1]:
            one.append(took(action))
    return [statistics.median(one) for one in times]


def cells(kernel: Kernel, rounds: int) -> None:
    kernel.ok("%load_ext hub_magic\n%hub_cache ./here")
    kernel.ok("%%hub_tpu\npass")
    plain, ours = alternate(rounds * 20, lambda: kernel.ok("#\npass"), lambda: kernel.ok("%%hub_tpu\npass"))
    print(f"{'an empty cell':<42}{plain * 1e3:9.2f} ms{ours * 1e3:9.2f} ms   {(ours - plain) * 1e3:+.2f} ms")


def loads(kernel: Kernel, models: Path, rounds: int) -> None:
    """Time a model of few large variables, read at the speed of the disk, and a model of many layers."""
    # Collecting the leftovers of earlier loads takes as long as half a load, and hits either side.
    kernel.ok("import tensorflow as tf, gc; gc.disable()")
    for name, what in (
        ("network", "a load of MobileNetV2 that needs no route"),
        ("big", "one of 400 MB in 4 variables"),
    ):
        load = f"model = tf.saved_model.load('{models}/{name}')"
        kernel.ok(load)
        plain, ours = alternate(
            rounds * 2, partial(kernel.ok, f"#\n{load}"), partial(kernel.ok, f"%%hub_tpu\n{load}")
        )
        print(f"{what:<42}{plain * 1e3:9.1f} ms{ours * 1e3:9.1f} ms   {ours / plain:.3f}x")


def routes(models: Path, rounds: int) -> None:
    """Time the routes; each round has a new worker, so that nothing was sent before."""
    seconds: dict[str, list[float]] = {"relay": [], "localhost": []}
    for number in range(rounds):
        order = list(seconds) if number % 2 else list(seconds)[::-1]
        for route in order:
            with (
                tempfile.TemporaryDirectory() as home,
                Cluster(hidden=models) as cluster,
                Kernel(Path(home)) as kernel,
            ):
                kernel.ok(
                    "%load_ext hub_magic\nimport tensorflow as tf\n"
                    "tf.config.experimental_connect_to_cluster("
                    f"tf.train.ClusterSpec({{'worker': {json.dumps(cluster.addresses)}}}))\n"
                    "with tf.device('/job:worker/task:0'): tf.constant(1).numpy()"
                )
                if route == "relay":
                    # The bytes that relay itself moves, variables included, as for a TF1 model.
                    code = (
                        "from hub_magic.loading.relay import plan_relay, relay, worker_tasks\n"
                        f"plan = plan_relay('{models}/big', has_variables_by_localhost=False)\n"
                        "import time; begun = time.perf_counter()\n"
                        "relay(plan, worker_tasks(), progress=False)\n"
                        "took = time.perf_counter() - begun"
                    )
                else:
                    code = (
                        "import time; begun = time.perf_counter()\n"
                        "options = tf.saved_model.LoadOptions(experimental_io_device='/job:localhost')\n"
                        "with tf.device('/job:worker/task:0'):\n"
                        f"    model = tf.saved_model.load('{models}/big', options=options)\n"
                        "    total = sum(tf.reduce_sum(one).numpy() for one in model.weights)\n"
                        "took = time.perf_counter() - begun"
                    )
                kernel.ok(code)
                seconds[route].append(float(kernel.value("took")))
    rates = {route: BIG / statistics.median(times) / 1e6 for route, times in seconds.items()}
    ratio = rates["relay"] / rates["localhost"]
    here, sent = (f"{rates[route]:7.0f} MB/s" for route in ("localhost", "relay"))
    print(f"{'400 MB to the worker: localhost, relay':<42}{here}{sent}   {ratio:.2f}x")


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as scratch:
        models = Path(scratch) / "models"
        subprocess.run([sys.executable, "-c", MAKE, str(models), str(BIG)], check=True, capture_output=True)
        print(f"{f'medians of {rounds} rounds':<42}{'plain':>12}{'%%hub_tpu':>12}")
        with Kernel(Path(scratch) / "kernel") as kernel:
            cells(kernel, rounds)
            loads(kernel, models, rounds)
        routes(models, rounds)


if __name__ == "__main__":
    main()
