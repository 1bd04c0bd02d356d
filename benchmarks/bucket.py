"""A cache of 1,000 models in a bucket, where every request takes 20 ms: listed, and copied to.

The storage is the stand-in of the tests, in a separate process. Listing is compared with a walk that asks
`tf.io.gfile` for every folder, as people do without hub_magic; copying, with the same copy one entry at a
time, and one file at a time with `tf.io.gfile.copy`.

    scripts/benchmark bucket [-- ENTRIES [MILLISECONDS]]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

TESTS = Path(__file__).parent.parent / "tests" / "rigs"
sys.path.insert(0, str(TESTS))

from bucket_caches import make_cache  # noqa: E402

# Prints the variables for clients; then, for each line it reads, the number of requests since the last.
SERVER = """
import json, sys, tempfile
from pathlib import Path
from gcs_stand_in import GcsStandIn
with GcsStandIn() as stand_in, tempfile.TemporaryDirectory() as home:
    for name in ("models", "one-by-one", "by-gfile"):
        stand_in.create_bucket(name)
    stand_in.delay = float(sys.argv[1])
    print(json.dumps(stand_in.environment(Path(home))), flush=True)
    for line in sys.stdin:
        print(sum(stand_in.requests.values()), flush=True)
        stand_in.reset_counts()
"""


def walk(location: str) -> tuple[int, int]:
    """Return models and bytes, found by a walk with gfile."""
    import tensorflow as tf

    gfile = tf.io.gfile
    models = size = 0
    for name in (one.rstrip("/") for one in gfile.listdir(location)):
        if len(name) != 40:
            continue
        models += 1
        gfile.GFile(f"{location}/{name}.descriptor.txt").read()
        for folder, _, files in gfile.walk(f"{location}/{name}"):
            size += sum(gfile.stat(f"{folder.rstrip('/')}/{file}").length for file in files)
    return models, size


def copy_by_gfile(source: Path, target: str, most: int) -> int:
    """Copy the first files of a cache one by one, and return how many."""
    import tensorflow as tf

    files = sorted(path for path in source.rglob("*") if path.is_file())[:most]
    for path in files:
        tf.io.gfile.copy(str(path), f"{target}/{path.relative_to(source)}")
    return len(files)


def main() -> None:
    entries = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    delay = float(sys.argv[2]) if len(sys.argv) > 2 else 20.0
    command = [sys.executable, "-c", textwrap.dedent(SERVER), str(delay / 1000)]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(TESTS)},
        ) as server,
    ):
        assert server.stdin is not None
        assert server.stdout is not None
        os.environ.update(json.loads(server.stdout.readline()))
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

        def measure(what: str, act: Callable[[], object]) -> tuple[float, int]:
            """Return seconds and requests, and print both."""
            began = time.perf_counter()
            result = act()
            took = time.perf_counter() - began
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.write("\n")
            server.stdin.flush()
            count = int(server.stdout.readline())
            print(f"{what:<46}{took:>9.2f} s{count:>9} requests   {result}", flush=True)
            return took, count

        compare(Path(folder), entries, measure)
        server.stdin.close()


def compare(
    folder: Path, entries: int, measure: Callable[[str, Callable[[], object]], tuple[float, int]]
) -> None:
    """Copy and list in every way, and print a comparison."""
    from hub_magic import plan_copy, scan_cache

    def copy(source: Path, target: str, at_once: int) -> str:
        plan = plan_copy(scan_cache(target), scan_cache(str(source)))
        return f"{len(plan.execute(at_once=at_once).copied)} models"

    def scan() -> str:
        found = scan_cache("gs://models/cache")
        return f"{len(found.models)} models, {found.size} bytes"

    few = max(1, entries // 20)
    make_cache(folder / "all", range(entries))
    make_cache(folder / "few", range(few))
    ours, _ = measure(f"copying {entries} models", lambda: copy(folder / "all", "gs://models/cache", 16))
    single, _ = measure(
        f"copying {few} models one by one", lambda: copy(folder / "few", "gs://one-by-one", 1)
    )
    files, _ = measure(
        f"copying {few * 4} files with gfile",
        lambda: copy_by_gfile(folder / "few", "gs://by-gfile/cache", few * 4),
    )
    listed, requests = measure(f"listing {entries} models", scan)
    walked, asked = measure(f"walking {entries} models with gfile", lambda: walk("gs://models/cache"))
    scale = entries / few
    print(
        f"\ncopying: {single * scale / ours:.1f} x as fast as one by one, "
        f"{files * scale / ours:.1f} x as fast as with gfile (both scaled from {few} models)"
    )
    print(f"listing: {asked / requests:.0f} x fewer requests, {walked / listed:.0f} x as fast as the walk")


if __name__ == "__main__":
    main()
