"""Downloads that go on where an earlier one ended: after a failure, an interrupt, a crash."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from archives import model_archive, model_files, read_folder
from faulty_host import VERSION, Fault, FaultyHost
from fork_server import GOOGLE, PIPE, start_python

from hub_magic import DownloadError, fetch, plan_repair, scan_cache, verify
from hub_magic.download import spool
from hub_magic.download.web import RetryPolicy
from hub_magic.progress import DownloadBar

FILES = model_files(300_000)
ARCHIVE = model_archive(FILES)
RETRIES = RetryPolicy(connect=5, read=0.5, tries=2, pause=0.01, longest=0.05)
WHOLE = ["", "descriptor.txt", "files.json"]
KILLED = """
import sys
from hub_magic.download import fetch, spool
spool._FIRST_LOOK = spool._SLOW = 0
fetch(sys.argv[1], location=sys.argv[2])
"""


@pytest.fixture(autouse=True)
def every_download_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "_FIRST_LOOK", 0)
    monkeypatch.setattr(spool, "_SLOW", 0)


@pytest.fixture
def host() -> Iterator[FaultyHost]:
    with FaultyHost(ARCHIVE) as host:
        yield host


def get(host: FaultyHost, cache: Path):
    notices: list[str] = []
    fetched = fetch(f"{host.url}/a/b/1", location=str(cache), retries=RETRIES, notice=notices.append)
    return fetched, notices


def fail(host: FaultyHost, cache: Path, at: int = 100_000) -> Path:
    """A download that ends after so many bytes; gives the folder in which they are kept."""
    host.faults = [Fault(drop_at=at), Fault(hang_up=True), Fault(hang_up=True)]
    with pytest.raises(DownloadError):
        get(host, cache)
    host.faults = []
    host.seen.clear()
    (folder,) = cache.glob("*.tmp")
    assert (folder / "archive.part").read_bytes() == ARCHIVE[:at]
    assert list(cache.iterdir()) == [folder]
    return folder


def names(cache: Path) -> list[str]:
    return sorted(path.name[41:] for path in cache.iterdir())


def test_next_download_goes_on_after_a_failure(host: FaultyHost, tmp_path: Path) -> None:
    fail(host, tmp_path)
    fetched, notices = get(host, tmp_path)
    assert read_folder(fetched.path) == FILES
    assert [(seen.range, seen.if_range) for seen in host.seen] == [("bytes=100000-", VERSION)]
    assert fetched.bytes == len(ARCHIVE) - 100_000
    assert not fetched.was_cached
    assert notices == [f"Resuming the download of {host.url}/a/b/1 after 100.0 kB."]
    assert names(tmp_path) == WHOLE


def test_download_that_fails_again_keeps_more(host: FaultyHost, tmp_path: Path) -> None:
    folder = fail(host, tmp_path)
    host.faults = [Fault(drop_at=50_000), Fault(hang_up=True), Fault(hang_up=True)]
    with pytest.raises(DownloadError):
        get(host, tmp_path)
    assert (folder / "archive.part").read_bytes() == ARCHIVE[:150_000]
    fetched, _ = get(host, tmp_path)
    assert read_folder(fetched.path) == FILES
    assert host.ranges_asked[-1] == "bytes=150000-"
    assert names(tmp_path) == WHOLE


def test_host_that_does_not_answer_keeps_what_there_is(host: FaultyHost, tmp_path: Path) -> None:
    folder = fail(host, tmp_path)
    for fault in (Fault(hang_up=True), Fault(status=503), Fault(status=404)):
        host.then = fault
        with pytest.raises(DownloadError):
            get(host, tmp_path)
        assert (folder / "archive.part").read_bytes() == ARCHIVE[:100_000]
    host.then = Fault()
    assert read_folder(get(host, tmp_path)[0].path) == FILES


def test_interrupt_keeps_what_has_come(host: FaultyHost, tmp_path: Path) -> None:
    class Interrupting(DownloadBar):
        def show(self, done: int, **_: object) -> None:
            if done >= 100_000:
                raise KeyboardInterrupt

    host.faults = [Fault(rate=500_000)]
    with pytest.raises(KeyboardInterrupt):
        fetch(
            f"{host.url}/a/b/1",
            location=str(tmp_path),
            bar=lambda title, total: Interrupting(title, total, shown=False),
        )
    (part,) = tmp_path.glob("*.tmp/archive.part")
    kept = part.stat().st_size
    assert names(tmp_path) == [part.parent.name[41:]]
    assert kept > 0
    assert read_folder(get(host, tmp_path)[0].path) == FILES
    assert host.ranges_asked == ["", f"bytes={kept}-"]


def test_killed_process_keeps_what_has_come(host: FaultyHost, tmp_path: Path) -> None:
    host.faults = [Fault(stall_at=200_000)]
    with start_python("-c", KILLED, f"{host.url}/a/b/1", str(tmp_path), imports=GOOGLE, stdin=PIPE) as killed:
        while sum(part.stat().st_size for part in tmp_path.glob("*.tmp/archive.part")) < 150_000:
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    kept = sum(part.stat().st_size for part in tmp_path.glob("*.tmp/archive.part"))
    assert read_folder(get(host, tmp_path)[0].path) == FILES
    assert host.ranges_asked == ["", f"bytes={kept}-"]
    assert names(tmp_path) == WHOLE


@pytest.mark.parametrize(
    "headers", [{"ETag": '"version 2"'}, {"ETag": '"version 2"', "Last-Modified": ""}, {"ETag": ""}]
)
def test_another_archive_is_fetched_from_its_start(
    host: FaultyHost, tmp_path: Path, headers: dict[str, str]
) -> None:
    fail(host, tmp_path)
    new = model_files(200_000, seed=1)
    host.archive, host.then = model_archive(new), Fault(headers=headers)
    if not headers["ETag"]:
        headers["Last-Modified"] = "Fri, 02 Jan 1970 00:00:00 GMT"
    fetched, notices = get(host, tmp_path)
    assert read_folder(fetched.path) == new
    assert host.ranges_asked == ["bytes=100000-"]  # whose answer is the new archive
    assert notices == []
    assert names(tmp_path) == WHOLE


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=416, body=b""),
        Fault(headers={"Content-Range": f"bytes 0-9/{len(ARCHIVE)}"}),
        Fault(headers={"Content-Range": "bytes 100000-100009/100010"}),
        Fault(ranges=False),
    ],
)
def test_host_that_gives_no_rest_gives_all(host: FaultyHost, tmp_path: Path, fault: Fault) -> None:
    fail(host, tmp_path)
    host.faults = [fault]
    assert read_folder(get(host, tmp_path)[0].path) == FILES
    assert len(host.seen) <= 2
    assert names(tmp_path) == WHOLE


def test_last_modified_will_do(host: FaultyHost, tmp_path: Path) -> None:
    weak = {"ETag": 'W/"1"'}
    host.faults = [Fault(drop_at=100_000, headers=weak), *[Fault(hang_up=True)] * 2]
    host.then = Fault(headers=weak)
    with pytest.raises(DownloadError):
        get(host, tmp_path)
    host.faults = []
    host.seen.clear()
    assert read_folder(get(host, tmp_path)[0].path) == FILES
    assert [(seen.range, seen.if_range) for seen in host.seen] == [
        ("bytes=100000-", "Thu, 01 Jan 1970 00:00:00 GMT")
    ]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(headers={"ETag": "", "Last-Modified": ""}),
        Fault(headers={"Accept-Ranges": ""}),
        Fault(chunked=True),
    ],
)
def test_nothing_is_kept_that_cannot_be_gone_on_with(host: FaultyHost, tmp_path: Path, fault: Fault) -> None:
    host.faults = [Fault(drop_at=100_000, headers=fault.headers, chunked=fault.chunked)]
    host.then = Fault(hang_up=True)
    with pytest.raises(DownloadError):
        get(host, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_all_bytes_there_asks_for_the_last(host: FaultyHost, tmp_path: Path) -> None:
    folder = fail(host, tmp_path)
    (folder / "archive.part").write_bytes(ARCHIVE)
    fetched, _ = get(host, tmp_path)
    assert read_folder(fetched.path) == FILES
    assert (fetched.bytes, fetched.was_cached) == (1, False)


def test_damaged_bytes_are_fetched_again(host: FaultyHost, tmp_path: Path) -> None:
    folder = fail(host, tmp_path)
    (folder / "archive.part").write_bytes(ARCHIVE[:50_000] + bytes(50_000))
    fetched, notices = get(host, tmp_path)
    assert read_folder(fetched.path) == FILES
    assert host.ranges_asked == ["bytes=100000-", ""]
    assert "failed: its checksum does not match" in notices[1]
    assert names(tmp_path) == WHOLE


def test_digest_of_the_host_covers_the_kept_bytes(host: FaultyHost, tmp_path: Path) -> None:
    import base64

    digest = base64.b64encode(hashlib.md5(ARCHIVE).digest()).decode()
    given = {"x-goog-hash": f"md5={digest}"}
    host.faults = [Fault(drop_at=100_000, headers=given), *[Fault(hang_up=True)] * 2]
    with pytest.raises(DownloadError):
        get(host, tmp_path)
    (part,) = tmp_path.glob("*.tmp/archive.part")
    # A time stamp in gzip's header is not under gzip's checksum.
    part.write_bytes(ARCHIVE[:4] + b"\1" + ARCHIVE[5:100_000])
    host.faults = []
    host.seen.clear()
    fetched, notices = get(host, tmp_path)
    assert "md5" in notices[1]
    assert read_folder(fetched.path) == FILES
    assert host.ranges_asked == ["bytes=100000-", ""]


@pytest.mark.parametrize(
    "text",
    ["", "[" * 60_000, "{}", "[]", '{"size": 1e999, "etag": "", "modified": "", "digests": {}}', "null"],
)
def test_planted_facts_are_skipped(host: FaultyHost, tmp_path: Path, text: str) -> None:
    folder = fail(host, tmp_path)
    (folder / "archive.json").write_text(text)
    assert read_folder(get(host, tmp_path)[0].path) == FILES
    assert host.ranges_asked == [""]


def test_bytes_of_another_user_are_not_used(
    host: FaultyHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in them becomes a model, and a model is a program."""
    fail(host, tmp_path)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert read_folder(get(host, tmp_path)[0].path) == FILES
    assert host.ranges_asked == [""]


def test_links_are_not_followed(host: FaultyHost, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    folder = fail(host, cache)
    outside = tmp_path / "outside"
    (folder / "archive.part").rename(outside)
    (folder / "archive.part").symlink_to(outside)
    assert read_folder(get(host, cache)[0].path) == FILES
    assert host.ranges_asked == [""]
    assert outside.read_bytes() == ARCHIVE[:100_000]


def test_repair_removes_them(host: FaultyHost, tmp_path: Path) -> None:
    folder = fail(host, tmp_path)
    scan = scan_cache(str(tmp_path))
    assert [(problem.kind, problem.name) for problem in scan.problems] == [("partial download", folder.name)]
    repaired = plan_repair(verify(scan)).execute()
    assert repaired.freed >= 100_000
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("days", "is_kept"), [(1, True), (8, False)])
def test_age_removes_them(host: FaultyHost, tmp_path: Path, days: int, is_kept: bool) -> None:
    folder = fail(host, tmp_path)
    for path in (*folder.iterdir(), folder):
        os.utime(path, (time.time() - days * 86_400,) * 2)
    get(host, tmp_path)
    assert host.ranges_asked == ["bytes=100000-" if is_kept else ""]


def test_full_disk_removes_them_and_the_download_goes_on(
    host: FaultyHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = os.write

    def write(number: int, data: bytes) -> int:
        if len(data) > 1000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return inner(number, data)

    monkeypatch.setattr(os, "write", write)
    host.faults = [Fault(drop_at=100_000), Fault(rate=1_000_000)]
    assert read_folder(get(host, tmp_path)[0].path) == FILES
    assert names(tmp_path) == WHOLE


def test_archive_that_is_refused_keeps_nothing(host: FaultyHost, tmp_path: Path) -> None:
    for body in (b"<html>" * 9000, ARCHIVE[:-100]):
        host.then = Fault(body=body)
        with pytest.raises(DownloadError):
            get(host, tmp_path)
        assert list(tmp_path.iterdir()) == []


def test_what_is_written_says_whose_bytes_they_are(host: FaultyHost, tmp_path: Path) -> None:
    folder = fail(host, tmp_path)
    assert json.loads((folder / "archive.json").read_text()) == {
        "size": len(ARCHIVE),
        "etag": VERSION,
        "modified": "Thu, 01 Jan 1970 00:00:00 GMT",
        "digests": {},
    }
    assert folder.stat().st_mode & 0o777 == 0o700


def starts_noted(monkeypatch: pytest.MonkeyPatch) -> list[spool.Spool]:
    """The downloads that are slow from now on; none of them writes anything."""
    started: list[spool.Spool] = []

    def start(one: spool.Spool) -> None:
        started.append(one)

    monkeypatch.setattr(spool.Spool, "_start", start)
    return started


def test_fast_download_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the real limits
    started = starts_noted(monkeypatch)
    with FaultyHost(model_archive(model_files(40 << 20))) as host:
        fetch(f"{host.url}/a/b/1", location=str(tmp_path))
    assert started == []


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("size", "received", "passed", "is_slow"),
    [
        (5 << 30, 1 << 20, 0.5, False),  # nothing is known yet
        (5 << 30, 100 << 20, 1.1, True),  # a minute
        (50 << 20, 20 << 20, 1.1, False),
        (1 << 20, 1 << 10, 1.1, False),  # too small to be worth it so early
        (1 << 20, 1 << 10, 5.1, True),
        (5 << 30, 0, 9.0, False),
    ],
)
def test_what_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, received: int, passed: float, is_slow: bool
) -> None:
    from hub_magic.download.http import Facts

    monkeypatch.undo()
    clock = Clock()
    monkeypatch.setattr(spool, "time", clock)
    started = starts_noted(monkeypatch)
    facts = Facts("", size, VERSION, "", True, False, True, ())
    one = spool.Spool(str(tmp_path / ("0" * 40)))
    one.begin(facts)
    one._received = received
    clock.now = passed
    one.look()
    assert bool(started) == is_slow
