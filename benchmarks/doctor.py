"""The time of the doctor beside the scan of the same cache, with no, many and very many models in it.

Interleaved rounds of one run, medians; the caches are made in a temporary directory.

    scripts/benchmark doctor [-- ROUNDS]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "rigs"))

from care_cache import plant

from hub_magic import diagnose, scan_cache

COUNTS = (0, 1000, 10_000)


def timed(act: Callable[[], object]) -> float:
    """Return milliseconds."""
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1000


def main(rounds: int) -> None:
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as folder:
            for number in range(count):
                plant(
                    Path(folder), f"https://tfhub.dev/publisher{number % 40}/model{number // 4}/{number % 4}"
                )
            env = {"TFHUB_CACHE_DIR": folder}
            pairs = [
                (timed(lambda env=env: diagnose(env=env)), timed(lambda folder=folder: scan_cache(folder)))
                for _ in range(rounds)
            ]
        doctor, scan = (statistics.median(times) for times in zip(*pairs, strict=True))
        print(f"{count:6} models: doctor {doctor:6.1f} ms, scan {scan:6.1f} ms")
    assert "tensorflow" not in sys.modules


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
