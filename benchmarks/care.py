"""The costs of planning a removal and of checking for damage, beside the scan of the same cache.

Each is timed with the scan that it begins with, in interleaved rounds of one run, and compared with the scan
of its round, so that a busy computer slows both. The caches are made in a temporary directory. One of them
has records of its downloads, against which its files are compared.

    scripts/benchmark care [-- ROUNDS]
"""

from __future__ import annotations

import gc
import hashlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "rigs"))

from care_cache import plant
from test_care_savedmodel import model

from hub_magic import list_cache, plan_prune, scan_cache, verify
from hub_magic.cache.record import EntryRecord, FileRecord, record_text
from hub_magic.cache.selection import find_duplicates

PLANNED, CHECKED = 10_000, 1000
FILES = {
    "saved_model.pb": model(),
    "variables/variables.index": b"index",
    "variables/variables.data-00000-of-00001": b"weights",
    "assets/vocab.txt": b"hub",
    "fingerprint.pb": b"x",
    "keras_metadata.pb": b"x",
    "README.md": b"x",
    "LICENSE": b"x",
}


def fill(location: Path, count: int, *, recorded: bool = False) -> None:
    for number in range(count):
        handle = f"https://tfhub.dev/publisher{number % 40}/model{number // 4}/{number % 4}"
        entry = plant(location, handle, FILES, used=number % 100)
        if recorded:
            digests = {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}
            files = tuple(FileRecord(name, len(data), digests[name]) for name, data in FILES.items())
            descriptor = Path(f"{entry}.descriptor.txt").read_text()
            Path(f"{entry}.files.json").write_text(record_text(EntryRecord(handle, "", descriptor, files)))


def plan_duplicates(location: str) -> None:
    scan = scan_cache(location)
    plan_prune(scan, duplicates=find_duplicates(scan))


def compare(title: str, acts: dict[str, Callable[[], object]], rounds: int) -> None:
    """Print the median of each act in milliseconds, and of its ratios to the first act of the same round."""
    times: dict[str, list[float]] = {name: [] for name in acts}
    for _ in range(rounds):
        for name, act in acts.items():
            gc.collect()  # leftovers of the previous act must not count here
            start = time.perf_counter()
            act()
            times[name].append(time.perf_counter() - start)
    first = next(iter(times.values()))
    print(title)
    for name, taken in times.items():
        ratio = statistics.median(one / other for one, other in zip(taken, first, strict=True))
        print(f"  {name:34} {statistics.median(taken) * 1000:9.1f} ms  {ratio:5.2f} x")


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        large = f"{directory}/large"
        fill(Path(large), PLANNED)
        limit = sum(map(len, FILES.values())) * PLANNED // 2
        month = timedelta(days=30)
        compare(
            f"{PLANNED:,} models: scan and plan",
            {
                "scan": lambda: scan_cache(large),
                "--prune --max-size": lambda: plan_prune(scan_cache(large), max_size=limit),
                "--prune --older-than": lambda: plan_prune(scan_cache(large), older_than=month),
                "--prune --keep-newest 2": lambda: plan_prune(scan_cache(large), keep_newest=2),
                "--prune --duplicates": lambda: plan_duplicates(large),
            },
            rounds,
        )
        for name, recorded in (("plain", False), ("recorded", True)):
            location = f"{directory}/{name}"
            fill(Path(location), CHECKED, recorded=recorded)
            assert not verify(list_cache(location)).damaged
            compare(
                f"{CHECKED:,} models, {'with' if recorded else 'without'} records: quick check",
                {
                    "scan": lambda at=location: scan_cache(at),
                    "--verify": lambda at=location: verify(list_cache(at)),
                },
                rounds * 3,
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
