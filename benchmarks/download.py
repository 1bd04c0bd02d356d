"""A model's download, by tensorflow_hub alone and with hub_magic, from one host in one run.

    scripts/benchmark download [-- --megabytes 400 --rounds 3]

The two sides run in turn in fresh processes. Measured are a cold `hub.resolve`, at the full speed of the
network and at 20 MB/s per connection; the most memory above the level after the import; and a warm
`hub.resolve`. The archive is made of random floats, which compress as badly as weights do.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SIDES = ("tensorflow_hub", "hub_magic")
THROTTLE = 20_000_000  # bytes per second for each connection
REPOSITORY = Path(__file__).parent.parent
WARM_CALLS = 2_000


class Handler(BaseHTTPRequestHandler):
    """The archive's server, with ranges, as a bucket has them; a path under /slow is throttled."""

    protocol_version = "HTTP/1.1"
    archive: Path

    def do_GET(self) -> None:
        size = self.archive.stat().st_size
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start = int(found[1]) if found else 0
        end = min(int(found[2]) + 1, size) if found and found[2] else size
        self.send_response(206 if found else 200)
        self.send_header("Content-Length", str(end - start))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", '"benchmark"')
        if found:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.end_headers()
        with self.archive.open("rb") as file:
            if self.path.startswith("/slow"):
                self._send_slowly(file, start, end)
            else:
                while start < end:
                    start += os.sendfile(self.connection.fileno(), file.fileno(), start, end - start)

    def _send_slowly(self, file: io.BufferedReader, start: int, end: int) -> None:
        began, sent = time.monotonic(), 0
        file.seek(start)
        while sent < end - start:
            sent += self.wfile.write(file.read(min(1 << 16, end - start - sent)))
            time.sleep(max(0.0, began + sent / THROTTLE - time.monotonic()))

    def handle(self) -> None:
        with suppress(ConnectionError):  # the client has broken off
            super().handle()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def make_archive(path: Path, megabytes: int) -> None:
    """Write an archive of about this many megabytes, in the form of a SavedModel."""
    import numpy as np

    numbers = np.random.default_rng(0)
    files = {"saved_model.pb": 1 << 16, "variables/variables.index": 1 << 12}
    files["variables/variables.data-00000-of-00001"] = int(megabytes * 1e6 / 0.929)  # so well floats compress
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        folder = tarfile.TarInfo("variables")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(folder)
        for name, size in files.items():
            member = tarfile.TarInfo(name)
            member.size = size
            archive.addfile(member, Floats(numbers, size))


class Floats(io.RawIOBase):
    """A file of random floats, made as it is read."""

    def __init__(self, numbers: object, size: int) -> None:
        self._numbers = numbers
        self._left = size

    def read(self, size: int = -1) -> bytes:
        size = min(size if size >= 0 else self._left, self._left)
        self._left -= size
        return self._numbers.standard_normal(size // 4 + 1, dtype="float32").tobytes()[:size]  # type: ignore[attr-defined]


@contextmanager
def serving(archive: Path) -> Iterator[str]:
    """Yield the URL of the host, which runs in a separate process."""
    command = [sys.executable, __file__, "--serve", str(archive)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def serve(archive: Path) -> None:
    Handler.archive = archive
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


def measure(side: str, url: str) -> None:
    """Run one cold resolve and many warm ones in a separate process, and print the numbers as JSON."""
    from hub_magic.import_hooks import pkg_resources_stand_in

    with pkg_resources_stand_in():
        import tensorflow_hub as hub
    if side == "hub_magic":
        from hub_magic.download import install

        install()
    Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    before = status("VmRSS")
    began = time.perf_counter()
    hub.resolve(url)
    cold = time.perf_counter() - began
    memory = status("VmHWM") - before
    times = []
    for _ in range(WARM_CALLS):
        began = time.perf_counter()
        hub.resolve(url)
        times.append(time.perf_counter() - began)
    print(json.dumps({"cold": cold, "memory": memory / 1000, "warm": statistics.median(times) * 1e6}))


def status(name: str) -> int:
    """Return a number of /proc/self/status, in kB."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


def run(side: str, url: str, folder: Path) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        env = {
            **os.environ,
            "TFHUB_CACHE_DIR": cache,
            "PYTHONPATH": str(REPOSITORY),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "-1",
        }
        command = [sys.executable, __file__, "--measure", side, url]
        done = subprocess.run(command, env=env, check=False, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        numbers: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return numbers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where caches are")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
    elif arguments.measure:
        measure(*arguments.measure)
    else:
        compare(arguments.megabytes, arguments.rounds, arguments.folder)


def compare(megabytes: int, rounds: int, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        archive = Path(place) / "model.tar.gz"
        make_archive(archive, megabytes)
        found: dict[tuple[str, str], list[dict[str, float]]] = {}
        with serving(archive) as url:
            for speed in ("fast", "slow"):
                for _ in range(rounds):
                    for side in SIDES:
                        numbers = run(side, f"{url}/{speed}/model/1", Path(place))
                        found.setdefault((speed, side), []).append(numbers)
                        print(f"{speed} {side}: {numbers}", file=sys.stderr)
        size = archive.stat().st_size / 1e6
        print(f"archive of {size:.0f} MB, median of {rounds} rounds, {os.cpu_count()} cores")
    print(f"{'':36}{SIDES[0]:>16}{SIDES[1]:>12}{'ratio':>8}  to reach")
    for label, speed, key, target in (
        ("cold resolve, s", "fast", "cold", "0.80"),
        ("cold resolve, 20 MB/s each, s", "slow", "cold", "0.33"),
        ("memory above the import, MB", "fast", "memory", "100 MB"),
        ("the same, 20 MB/s each, MB", "slow", "memory", "100 MB"),
        ("warm resolve, microseconds", "fast", "warm", "1.10"),
    ):
        theirs, ours = (statistics.median(n[key] for n in found[speed, side]) for side in SIDES)
        print(f"{label:36}{theirs:16.2f}{ours:12.2f}{ours / theirs:8.2f}  {target}")


if __name__ == "__main__":
    main()
