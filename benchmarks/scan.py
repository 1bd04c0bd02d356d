"""A scan of caches of 100, 1,000 and 10,000 models beside other ways to look at the same files.

Everything is timed in interleaved rounds of one run and printed as a ratio to `du -s` of the same cache. The
benchmark makes that cache in a temporary directory (730 MB on ext4 for 10,000). `huggingface_hub` scans a
cache of its own layout with as many files, and is compared with `du -s` of that cache. Needs TensorFlow and
`huggingface_hub` beside the project. Missing ones are left out, with a note.

    scripts/benchmark scan [-- ROUNDS]
"""

from __future__ import annotations

import gc
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "rigs"))

from browser_caches import fill, fill_as_huggingface

from hub_magic import CacheScan, list_cache, scan_cache
from hub_magic.cache.layout import read_names
from hub_magic.cache.refresh import with_last_use
from hub_magic.store import rescan

COUNTS = (100, 1000, 10_000)
# Seconds after which a scan is trusted, so that a refresh does not read files made a moment ago.
SETTLED = timedelta(minutes=1)


def du(path: Path) -> None:
    subprocess.run(["du", "-s", path], check=True, stdout=subprocess.DEVNULL)


def walk_with_gfile(path: Path) -> int:
    """Return sizes, added up like tensorflow_hub's resolver does."""
    from tensorflow.io import gfile

    return sum(
        gfile.stat(f"{folder}/{name}").length for folder, _, names in gfile.walk(str(path)) for name in names
    )


def walk_with_scandir(path: Path) -> None:
    """Ask for every file once, and discard the answers: the least that any scan in Python takes."""
    pending = [str(path)]
    for folder in pending:  # grows during the loop
        with os.scandir(folder) as found:
            for item in found:
                if item.is_dir(follow_symlinks=False):
                    pending.append(item.path)
                else:
                    item.stat(follow_symlinks=False)


def scan_as_huggingface(path: Path) -> None:
    from huggingface_hub import scan_cache_dir

    assert not scan_cache_dir(path).warnings


def settled(scan: CacheScan) -> CacheScan:
    assert scan.taken is not None
    return replace(scan, taken=scan.taken + SETTLED)


def peak_memory(act: Callable[[], object]) -> float:
    """Return the most memory that Python used during the act, in MB."""
    gc.collect()
    tracemalloc.start()
    kept = act()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    del kept
    return peak / 1e6


def measure(count: int, rounds: int, home: Path) -> None:
    ours, theirs = home / f"hub-{count}", home / f"hf-{count}"
    fill(ours, count)
    fill_as_huggingface(theirs, count)
    scan = settled(scan_cache(str(ours)))
    acts: dict[str, tuple[Callable[[], object], str]] = {
        "du -s": (lambda: du(ours), "du -s"),
        "os.scandir and stat, nothing kept": (lambda: walk_with_scandir(ours), "du -s"),
        "names": (lambda: read_names(str(ours)), "du -s"),
        "names and descriptors": (lambda: list_cache(str(ours)), "du -s"),
        "first scan": (lambda: scan_cache(str(ours)), "du -s"),
        "refresh, nothing changed": (lambda: rescan(scan), "du -s"),
        "when each was last used": (lambda: [with_last_use(model) for model in scan.models], "du -s"),
        "du -s of the other cache": (lambda: du(theirs), "du -s of the other cache"),
    }
    if importlib.util.find_spec("tensorflow"):
        walk_with_gfile(home / f"hub-{COUNTS[0]}")  # imports gfile
        acts["tf.io.gfile walk"] = (lambda: walk_with_gfile(ours), "du -s")
    if importlib.util.find_spec("huggingface_hub"):
        acts["huggingface_hub.scan_cache_dir"] = (
            lambda: scan_as_huggingface(theirs),
            "du -s of the other cache",
        )
    took: dict[str, list[float]] = {name: [] for name in acts}
    for _ in range(rounds):
        for name, (act, _) in acts.items():
            begun = time.perf_counter()
            act()
            took[name].append(time.perf_counter() - begun)
    print(f"\n{count:,} models, {rounds} rounds{'median':>28}{'lowest':>11}{'beside du -s':>15}")
    for name, times in took.items():
        median = statistics.median(times)
        ratio = statistics.median(a / b for a, b in zip(times, took[acts[name][1]], strict=True))
        print(f"  {name:<34}{median * 1e3:>10.1f} ms{min(times) * 1e3:>8.1f} ms{ratio:>13.2f}x")
    print(f"  memory of a scan, at its peak      {peak_memory(lambda: scan_cache(str(ours))):>9.1f} MB")


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    for name in ("tensorflow", "huggingface_hub"):
        if not importlib.util.find_spec(name):
            print(f"{name} is not installed, so its row is missing.")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tempfile.TemporaryDirectory() as home:
        for count in COUNTS:
            measure(count, rounds, Path(home))


if __name__ == "__main__":
    main()
