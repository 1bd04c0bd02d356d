"""Several kernels and one cache: whoever comes second waits for the living and takes over from the dead."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from archives import model_archive, model_files, read_folder
from faulty_host import Fault, FaultyHost
from fork_server import GOOGLE, PIPE, TENSORFLOW, ForkedProcess, start_python

from hub_magic import SettingError, add, fetch, parse_handle
from hub_magic.cache.layout import LOCK_SUFFIX, Holder, lock_text
from hub_magic.cache.locks import Parts, Watch, holder_state, may_take_over, take_over
from hub_magic.download.lock import lock_entry, sweep

FILES = model_files(300_000)
ARCHIVE = model_archive(FILES)
OURS = """
import signal, sys
from hub_magic.download import fetch
# A shell starts its background jobs with Ctrl-C turned off; a notebook's kernel has it on.
signal.signal(signal.SIGINT, signal.default_int_handler)
print(fetch(sys.argv[1], location=sys.argv[2]).was_cached, flush=True)
"""
THEIRS = """
import os, sys, time, types
os.environ["TFHUB_CACHE_DIR"] = sys.argv[2]
from hub_magic.import_hooks import pkg_resources_stand_in
with pkg_resources_stand_in():
    import tensorflow_hub
from tensorflow_hub import compressed_module_resolver, resolver
# It looks every second instead of every 5.
resolver.time = types.SimpleNamespace(time=time.time, sleep=lambda seconds: time.sleep(seconds / 5))
compressed_module_resolver.LOCK_FILE_TIMEOUT_SEC = float(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
print(tensorflow_hub.resolve(sys.argv[1]), flush=True)
"""


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


@contextmanager
def process(script: str, *arguments: str) -> Iterator[ForkedProcess]:
    """A second kernel, as it were; it is gone when the `with` ends."""
    imports = TENSORFLOW if script is THEIRS else GOOGLE
    with start_python(
        "-c", script, *arguments, imports=imports, stdin=PIPE, stdout=PIPE, stderr=PIPE
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def wait_until(what, *, seconds: float = 60) -> None:
    """Wait for something on the disk; there is no event for that."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def names(cache: Path) -> list[str]:
    return sorted(path.name.partition(".")[2] for path in cache.iterdir())


WHOLE = ["", "descriptor.txt", "files.json"]


@pytest.mark.parametrize(
    ("state", "quiet", "age", "expected"),
    [
        ("alive", 0, 0, False),
        ("alive", 599, 1e6, False),  # this machine may have slept
        ("alive", 600, 0, True),
        ("dead", 0, 0, False),  # another container may have this machine's name
        ("dead", 2, 0, True),
        ("dead", 0, 3, True),
        ("dead", 0, -1e6, False),  # a clock that is wrong
        ("elsewhere", 0, 1e6, False),
        ("elsewhere", 9, 1e6, False),
        ("elsewhere", 10, 600, True),  # a container that was replaced
        ("elsewhere", 10, 599, False),
        ("elsewhere", 599, 0, False),
        ("elsewhere", 600, 0, True),
        ("unnamed", 10, 600, True),
        ("unnamed", 10, 10, False),
    ],
)
def test_lock_is_taken_over_only_if_stale(state, quiet: float, age: float, expected: bool) -> None:
    assert may_take_over(Watch(state, quiet, age), 600) is expected


def test_process_younger_than_the_lock_is_not_its_owner() -> None:
    me = Holder(socket.gethostname(), os.getpid(), "0" * 32)
    assert holder_state(me) == "alive"
    assert holder_state(me, time.time()) == "alive"
    if sys.platform == "linux":
        assert holder_state(me, 1_000_000_000) == "dead"


def test_zombie_process_counts_as_dead() -> None:
    # A server of processes would wait for it.
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        assert holder_state(Holder(socket.gethostname(), ended.pid, "0" * 32)) == "dead"


def test_two_threads_download_once(cache: Path) -> None:
    with FaultyHost(ARCHIVE, then=Fault(rate=500_000)) as host, ThreadPoolExecutor() as threads:
        found = list(threads.map(lambda _: fetch(f"{host.url}/a/b/1", location=str(cache)), range(3)))
    assert len(host.seen) == 1
    assert sorted(one.was_cached for one in found) == [False, True, True]
    assert names(cache) == WHOLE


def test_eight_processes_download_once(cache: Path) -> None:
    with FaultyHost(ARCHIVE, then=Fault(rate=500_000)) as host, ThreadPoolExecutor(8) as threads:

        def run(_: int) -> str:
            with process(OURS, f"{host.url}/a/b/1", str(cache)) as started:
                return started.communicate(timeout=100)[0].strip()

        found = list(threads.map(run, range(8)))
    assert len(host.seen) == 1
    assert sorted(found) == ["False", *["True"] * 7]
    assert names(cache) == WHOLE


def test_eight_processes_take_over_a_stale_lock_once(cache: Path) -> None:
    with FaultyHost(ARCHIVE, then=Fault(rate=500_000)) as host, ThreadPoolExecutor(8) as threads:
        entry = cache / parse_handle(f"{host.url}/a/b/1").folder
        leave_dead_download(str(entry))

        def run(_: int) -> str:
            with process(OURS, f"{host.url}/a/b/1", str(cache)) as started:
                return started.communicate(timeout=100)[0].strip()

        found = list(threads.map(run, range(8)))
    assert sorted(found) == ["False", *["True"] * 7]
    assert len(host.seen) == 1
    assert names(cache) == WHOLE


def leave_dead_download(entry: str) -> Parts:
    """What a killed process leaves: a lock, a half model, and what it was just writing."""
    with process("") as ended:
        ended.wait()
    parts = Parts(entry, "d" * 31 + "0")
    text = lock_text(Holder(socket.gethostname(), ended.pid, parts.uid))
    for path in (entry + LOCK_SUFFIX, parts.lock, parts.descriptor, parts.record):
        Path(path).write_text(text)
    for folder in (parts.folder, parts.old):
        Path(folder, "variables").mkdir(parents=True)
        Path(folder, "saved_model.pb").write_bytes(b"half")
    return parts


def test_killed_download_is_taken_over(cache: Path) -> None:
    with FaultyHost(ARCHIVE, [Fault(stall_at=200_000)]) as host:
        handle = f"{host.url}/a/b/1"
        with process(OURS, handle, str(cache)) as killed:
            wait_until(lambda: list(cache.glob("*.tmp/saved_model.pb")))
            killed.send_signal(signal.SIGKILL)
            killed.wait()
            assert len(names(cache)) == 2  # the lock and the half model
            fetched = fetch(handle, location=str(cache))
    assert read_folder(fetched.path) == FILES
    assert fetched.seconds < 10
    assert names(cache) == WHOLE


def test_stale_lock_of_a_complete_entry_is_removed(cache: Path) -> None:
    with FaultyHost(ARCHIVE) as host:
        handle = f"{host.url}/a/b/1"
        entry = fetch(handle, location=str(cache)).path
        parts = leave_dead_download(entry)
        left = [Path(entry + LOCK_SUFFIX), *Path(parts.folder).rglob("*"), Path(parts.folder)]
        for path in left:  # a minute ago, or it could be growing
            os.utime(path, (time.time() - 60, time.time() - 60))
        assert fetch(handle, location=str(cache)).was_cached
    assert names(cache) == WHOLE


def test_lock_of_another_computer_holds_while_its_download_grows(cache: Path) -> None:
    """Its process cannot be asked after: nothing has to grow for the whole time."""
    with FaultyHost(ARCHIVE) as host:
        handle = f"{host.url}/a/b/1"
        entry = str(cache / parse_handle(handle).folder)
        Path(entry + LOCK_SUFFIX).write_text(lock_text(Holder("elsewhere", 1, "a" * 32)))
        half = Path(Parts(entry, "a" * 32).folder)
        half.mkdir()
        stop = threading.Event()

        def grow() -> None:
            while not stop.wait(0.2):
                with (half / "saved_model.pb").open("ab") as file:
                    file.write(b"more")

        grower = threading.Thread(target=grow)
        grower.start()
        with ThreadPoolExecutor() as threads:
            waiting = threads.submit(fetch, handle, location=str(cache), lock_timeout=1.5)
            wait_until(
                lambda: (half / "saved_model.pb").exists() and (half / "saved_model.pb").stat().st_size > 48
            )
            assert not waiting.done()
            assert host.seen == []
            stop.set()
            grower.join()
            assert read_folder(waiting.result(60).path) == FILES
    assert names(cache) == WHOLE


def test_empty_lock_is_taken_over_after_the_timeout(cache: Path) -> None:
    with FaultyHost(ARCHIVE) as host:
        handle = f"{host.url}/a/b/1"
        Path(str(cache / parse_handle(handle).folder) + LOCK_SUFFIX).write_text("")
        assert fetch(handle, location=str(cache), lock_timeout=1).seconds >= 1
    assert names(cache) == WHOLE


def test_waiting_reports_lock_owner_and_size(cache: Path) -> None:
    entry = str(cache / ("0" * 40))
    told = []
    holder = Holder(socket.gethostname(), os.getpid(), "a" * 32)
    Path(entry + LOCK_SUFFIX).write_text(lock_text(holder))
    Path(Parts(entry, holder.uid).folder).mkdir()
    Path(Parts(entry, holder.uid).folder, "saved_model.pb").write_bytes(b"half")

    def on_wait(holder: Holder | None, size: int) -> None:
        told.append((holder, size))
        Path(entry + LOCK_SUFFIX).unlink()

    lock = lock_entry(entry, is_done=lambda: False, on_wait=on_wait)
    assert told == [(holder, 4)]
    assert lock is not None
    lock.release()


def test_old_leftovers_are_swept_and_others_stay(cache: Path) -> None:
    entry = str(cache / ("0" * 40))
    old, new, mine, other = (Parts(entry, letter * 32) for letter in "abcd")
    for parts in (old, new, mine):
        Path(parts.folder).mkdir()
        Path(parts.folder, "saved_model.pb").write_bytes(b"half")
        Path(parts.record).write_text("")
    Path(other.lock).write_text(lock_text(Holder("elsewhere", 1, other.uid)))
    for path in (old.folder, f"{old.folder}/saved_model.pb", old.record, mine.folder, mine.record):
        os.utime(path, (1, 1))
    sweep(entry, spare=Holder("me", 1, mine.uid), before=1000)
    assert {str(path) for path in cache.iterdir()} == {
        new.folder,
        new.record,
        mine.folder,
        mine.record,
        other.lock,
    }


def test_interrupted_download_leaves_nothing(cache: Path) -> None:
    """Ctrl-C in the cell: nothing stays, and the next time is the first time."""
    with FaultyHost(ARCHIVE, [Fault(stall_at=100_000)]) as host:
        handle = f"{host.url}/a/b/1"
        with process(OURS, handle, str(cache)) as interrupted:
            wait_until(lambda: list(cache.glob("*.tmp/saved_model.pb")))
            interrupted.send_signal(signal.SIGINT)
            _, told = interrupted.communicate(timeout=60)
            assert "KeyboardInterrupt" in told
            assert list(cache.iterdir()) == []
            assert read_folder(fetch(handle, location=str(cache)).path) == FILES


@pytest.mark.tensorflow
def test_download_waits_for_the_lock_of_tensorflow_hub(cache: Path) -> None:
    with FaultyHost(ARCHIVE, then=Fault(rate=100_000)) as host:
        handle = f"{host.url}/a/b/1"
        with process(THEIRS, handle, str(cache), "600") as theirs:
            assert theirs.stdout.readline() == "ready\n"
            theirs.stdin.write("\n")
            theirs.stdin.flush()
            host.started.wait()
            fetched = fetch(handle, location=str(cache))
            assert theirs.stdout.readline().strip() == fetched.path
    assert fetched.was_cached
    assert len(host.seen) == 1
    assert read_folder(fetched.path) == FILES
    assert names(cache) == ["", "descriptor.txt"]


@pytest.mark.tensorflow
def test_tensorflow_hub_waits_for_us(cache: Path) -> None:
    """It gives up on a holder whose folder does not grow: ours does, with every block that arrives."""
    with FaultyHost(ARCHIVE, then=Fault(rate=60_000)) as host:
        handle = f"{host.url}/a/b/1"
        with process(THEIRS, handle, str(cache), "1.5") as theirs, process(OURS, handle, str(cache)) as ours:
            assert theirs.stdout.readline() == "ready\n"
            host.started.wait()
            wait_until(lambda: list(cache.glob("*.lock")))
            theirs.stdin.write("\n")
            theirs.stdin.flush()
            assert ours.stdout.readline() == "False\n"
            path = theirs.stdout.readline().strip()
    assert len(host.seen) == 1
    assert read_folder(path) == FILES
    assert names(cache) == WHOLE


@pytest.mark.tensorflow
def test_lock_of_killed_tensorflow_hub_is_taken_over(cache: Path) -> None:
    with FaultyHost(ARCHIVE, [Fault(stall_at=250_000)]) as host:
        handle = f"{host.url}/a/b/1"
        with process(THEIRS, handle, str(cache), "600") as theirs:
            assert theirs.stdout.readline() == "ready\n"
            theirs.stdin.write("\n")
            theirs.stdin.flush()
            host.started.wait()  # its request meets the fault, not ours
            wait_until(lambda: list(cache.glob("*.tmp")))
            theirs.kill()
            theirs.wait()
            fetched = fetch(handle, location=str(cache))
    assert read_folder(fetched.path) == FILES
    assert fetched.seconds < 10
    assert names(cache) == WHOLE


@contextmanager
def growing(file: Path) -> Iterator[None]:
    """A download at work: its file grows all the time."""
    ended = threading.Event()

    def grow() -> None:
        while not ended.wait(0.05):
            with file.open("ab") as more:
                more.write(b"more")

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("seconds", [0, 5])
def test_owner_in_another_container_keeps_the_lock_while_its_download_grows(
    cache: Path, seconds: float
) -> None:
    """Containers can share a host name, so a process that is not running here may be at work in another one."""
    entry = str(cache / ("a" * 40))
    parts = leave_dead_download(entry)
    with growing(Path(parts.folder, "saved_model.pb")):
        assert not take_over(entry, seconds=seconds)
        assert Path(entry + LOCK_SUFFIX).exists()
        assert Path(parts.folder, "saved_model.pb").exists()
    assert take_over(entry, seconds=60)
    assert names(cache) == []


def test_added_model_leaves_a_growing_download_alone(cache: Path, tmp_path: Path) -> None:
    handle = "https://tfhub.dev/p/model/1"
    source = tmp_path / "source"
    for name, data in FILES.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(data)
    parts = leave_dead_download(str(cache / parse_handle(handle).folder))
    with growing(Path(parts.folder, "saved_model.pb")):
        with pytest.raises(SettingError, match="is being downloaded by another process"):
            add(handle, str(source), location=str(cache))
        assert Path(parts.folder, "saved_model.pb").exists()


def test_copied_entry_keeps_the_parts_that_it_resumes(cache: Path) -> None:
    entry = str(cache / ("a" * 40))
    parts = leave_dead_download(entry)
    assert take_over(entry, keep_parts=True)
    assert Path(parts.folder, "saved_model.pb").read_bytes() == b"half"
    assert not Path(entry + LOCK_SUFFIX).exists()
