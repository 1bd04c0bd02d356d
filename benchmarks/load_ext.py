"""`%load_ext hub_magic` in fresh kernels, beside three other extensions.

Rounds are interleaved, every extension is loaded in a separate kernel, and the medians are compared within
this one run. `scripts/benchmark` brings `bigquery-magics` and `tensorboard`:

    scripts/benchmark load_ext [-- ROUNDS]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "rigs"))

from kernel import Kernel

EXTENSIONS = ("hub_magic", "autoreload", "bigquery_magics", "tensorboard")
# The clock runs inside the kernel, around the same call that %load_ext makes.
MEASURE = """
import time
_begun = time.perf_counter()
get_ipython().extension_manager.load_extension({name!r})
_took = time.perf_counter() - _begun
"""


def measure(name: str) -> float:
    """Return the seconds that loading takes in a fresh kernel."""
    with tempfile.TemporaryDirectory() as home, Kernel(Path(home)) as kernel:
        kernel.ok(MEASURE.format(name=name))
        return float(kernel.value("_took"))


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    took: dict[str, list[float]] = {name: [] for name in EXTENSIONS}
    for _ in range(rounds):
        for name in EXTENSIONS:
            took[name].append(measure(name))
    ours = statistics.median(took["hub_magic"])
    print(
        f"{'%load_ext':<18}{'median':>10}{'lowest':>10}{'highest':>10}{'beside ours':>13}   ({rounds} rounds)"
    )
    for name, times in took.items():
        median = statistics.median(times)
        print(
            f"{name:<18}{median * 1e3:>7.1f} ms{min(times) * 1e3:>7.1f} ms{max(times) * 1e3:>7.1f} ms"
            f"{median / ours:>12.1f}x"
        )


if __name__ == "__main__":
    main()
