"""One odd file in a cache never breaks a command: each odd file, planted in turn, under each command."""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from archives import model_archive
from care_cache import GRAPH, plant
from faulty_host import FaultyHost
from test_care_savedmodel import model

from hub_magic import (
    HubMagicError,
    add,
    diagnose,
    export,
    export_all,
    fetch,
    parse_handle,
    plan_move,
    plan_prune,
    plan_removal,
    plan_repair,
    scan_cache,
    verify,
)
from hub_magic.cache.folders import delete_folder
from hub_magic.cache.layout import Descriptor, descriptor_text
from hub_magic.cache.locks import read
from hub_magic.cache.placement import place
from hub_magic.cli.main import main
from hub_magic.download.archive import ArchiveRefusedError, unpack
from hub_magic.store import rescan

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links, pipes and sockets of POSIX")

ODD = "https://127.0.0.1:9/odd/model/1"
GOOD = "https://127.0.0.1:9/good/model/1"
FILES = {
    "saved_model.pb": model(objects=False),
    "assets/vocab.txt": b"hub",
}  # without a checkpoint, which TensorFlow would have to read
OLD = time.time() - 86_400

Plant = Callable[[Path], Path | None]
PLANTS: dict[str, Plant] = {}


def planted(name: str) -> Callable[[Plant], Plant]:
    """Register what plants an odd file at an entry; it returns the file that a scan must name, or None."""

    def keep(act: Plant) -> Plant:
        PLANTS[name] = act
        return act

    return keep


def beside(entry: Path, suffix: str) -> Path:
    return entry.with_name(entry.name + suffix)


def plant_text(name: str, suffix: str, content: bytes, *, is_named: bool = True) -> None:
    def act(entry: Path) -> Path | None:
        path = beside(entry, suffix)
        path.write_bytes(content)
        return path if is_named else None

    PLANTS[name] = act


def descriptor(
    *, handle: str = ODD, when: str = "2026-01-02 03:04:05", host: str = "h", pid: str = "7"
) -> bytes:
    text = f"Module: {handle}\nDownload Time: {when}\nDownloader Hostname: {host} (PID:{pid})"
    return text.encode(errors="surrogateescape")


DESCRIPTOR, RECORD, LOCK = ".descriptor.txt", ".files.json", ".lock"
NAMED = {
    "5,000 digits": descriptor(pid="9" * 5000),
    "no text": b"",
    "NULs": b"\0" * 5000,
    "not UTF-8": bytes(range(256)),
    "half": descriptor()[:40],
    "too large": descriptor() + b" " * (1 << 17),
    "foreign digits": descriptor(pid="\u0663"),
}
for word, content in NAMED.items():
    plant_text(f"descriptor: {word}", DESCRIPTOR, content)
ALLOWED = {
    "year 1": descriptor(when="0001-01-01 00:00:00"),
    "year 9999 with a zone": descriptor(when="9999-12-31 23:59:59-23:59"),
    "a zone": descriptor(when="2026-01-01 00:00:00+05:30"),
    "year 99999": descriptor(when="99999-01-01 00:00:00"),
    "endless time": descriptor(when="2" * 60_000),
    "surrogates in its handle": descriptor(handle="https://h/\udcff\udcfe/1"),
    "controls in its handle": descriptor(handle="https://h/\x1b[2J\u202e/1"),
    "no URL": descriptor(handle="http://[bad"),
    "long handle": descriptor(handle="https://h/" + "x" * 50_000),
    "path": descriptor(handle="../../etc/passwd"),
    "host of lines": descriptor(host="a\nb\nc"),
    "large process": descriptor(pid="9" * 18),
}
for word, content in ALLOWED.items():
    plant_text(f"descriptor: {word}", DESCRIPTOR, content, is_named=False)


def record(**changes: object) -> bytes:
    text = descriptor_text(Descriptor(ODD, None, "h", 7))
    data = {"handle": ODD, "etag": "", "descriptor": text, "files": [], **changes}
    return json.dumps(data).encode()


def file(**changes: object) -> dict[str, object]:
    return {"path": "saved_model.pb", "size": len(GRAPH), "sha256": "0" * 64, **changes}


RECORDS = {
    "200,000 brackets": b"[" * 200_000,
    "200,000 objects": b'{"a":' * 200_000,
    "deep and closed": b"[" * 100_000 + b"]" * 100_000,
    "many items": b"[" + b"0," * 600_000 + b"0]",
    "no text": b"",
    "NaN": b'{"handle": NaN}',
    "infinite": record(files=[file(size=float("inf"))]),
    "huge number": b'{"size": ' + b"9" * 5000 + b"}",
    "huge exponent": b'{"size": 1e999999}',
    "keys twice": b'{"handle": "a", "handle": "b"}',
    "list": b"[]",
    "null": b"null",
    "wrong types": record(files=[{"path": 1, "size": "x", "sha256": None}]),
    "files no list": record(files={"a": 1}),
    "size of a bool": record(files=[file(size=True)]),
    "negative size": record(files=[file(size=-1)]),
    "path that leads out": record(files=[file(path="../../../etc/passwd")]),
    "absolute path": record(files=[file(path="/etc/passwd")]),
    "NUL in a path": record(files=[file(path="a\0b")]),
    "surrogate in a path": record(files=[file(path="\ud800")]),
    "long path": record(files=[file(path="x/" * 5000 + "x")]),
    "short digest": record(files=[file(sha256="ab")]),
    "not UTF-8": b'{"handle": "\xff\xfe',
    "half": record()[:-9],
}
for word, content in RECORDS.items():
    plant_text(f"record: {word}", RECORD, content)
LOCKS = {
    "5,000 digits": b"host." + b"9" * 5000 + b".ab",
    "no text": b"",
    "not UTF-8": bytes(range(256)),
    "large": b"x" * 1_000_000,
}
for word, content in LOCKS.items():
    plant_text(f"lock: {word}", LOCK, content)


def plant_kinds(suffix: str, word: str) -> None:
    def sparse(path: Path) -> None:
        path.unlink(missing_ok=True)
        with path.open("wb") as opened:
            opened.truncate(3 << 30)

    def pipe(path: Path) -> None:
        path.unlink(missing_ok=True)
        os.mkfifo(path)

    def folder(path: Path) -> None:
        path.unlink(missing_ok=True)
        path.mkdir()

    def link(path: Path) -> None:
        path.unlink(missing_ok=True)
        path.symlink_to("nowhere")

    def loop(path: Path) -> None:
        path.unlink(missing_ok=True)
        path.symlink_to(path.name)

    def sock(path: Path) -> None:
        path.unlink(missing_ok=True)
        before = Path.cwd()
        os.chdir(path.parent)  # addresses of sockets are short
        try:
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(path.name)
        finally:
            os.chdir(before)

    for act in (sparse, pipe, folder, link, loop, sock):

        def run(entry: Path, act: Callable[[Path], None] = act) -> Path:
            path = beside(entry, suffix)
            act(path)
            return path

        PLANTS[f"{word}: {act.__name__}"] = run


plant_kinds(DESCRIPTOR, "descriptor")
plant_kinds(RECORD, "record")
plant_kinds(LOCK, "lock")


@planted("model: deep folder")
def _deep(entry: Path) -> None:
    deep(entry, 1500)


@planted("model: years that a clock does not show")
def _late(entry: Path) -> None:
    with contextlib.suppress(OSError, OverflowError):
        os.utime(entry / "saved_model.pb", (1 << 40, 1 << 40))


@planted("model: names that are not UTF-8")
def _names(entry: Path) -> None:
    with contextlib.suppress(OSError):
        Path(os.fsdecode(os.fsencode(entry) + b"/\xff\xfe\n\x1b[2J")).write_bytes(b"x")
    with contextlib.suppress(OSError):
        Path(os.fsdecode(os.fsencode(entry.parent) + b"/\xff\xfe")).write_bytes(b"x")


for word, content in {
    "endless length": b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    "no protocol buffer": b"\xff" * 100,
    "nested": b"\x12\x7f" * 1000,
    "half": GRAPH[:-1],
}.items():

    def _graph(entry: Path, content: bytes = content) -> None:
        (entry / "saved_model.pb").write_bytes(content)

    PLANTS[f"graph: {word}"] = _graph


@pytest.fixture(autouse=True)
def _no_deep_folders_are_left(tmp_path: Path) -> Iterator[None]:
    """pytest's own removal calls itself for each level, and fails at what is left here."""
    yield
    delete_folder(str(tmp_path))


def deep(folder: Path, depth: int) -> None:
    number = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=number)
        inner = os.open("d", os.O_RDONLY, dir_fd=number)
        os.close(number)
        number = inner
    os.close(os.open("leaf", os.O_CREAT | os.O_WRONLY, dir_fd=number))
    os.close(number)


def shell(*words: str) -> Callable[[Path, Path], object]:
    def act(cache: Path, _aside: Path) -> object:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main([*words, "--cache", str(cache)])
        assert status in {0, 1, 2}
        assert "Traceback" not in err.getvalue()
        return out.getvalue()

    return act


# What leaves the cache as it is comes first, so that each act sees the odd file.
COMMANDS: dict[str, Callable[[Path, Path], object]] = {
    "list": shell("list"),
    "list --json": shell("list", "--json"),
    "scan and scan again": lambda cache, _aside: rescan(scan_cache(cache)),
    "verify": shell("verify"),
    "verify --deep": lambda cache, _aside: verify(scan_cache(cache), deep=True),
    "doctor": lambda cache, _aside: diagnose(env={**os.environ, "TFHUB_CACHE_DIR": str(cache)}),
    "resolve good": lambda cache, _aside: fetch(GOOD, location=str(cache)).path,
    "resolve odd": lambda cache, _aside: fetch(ODD, location=str(cache), lock_timeout=0.3).path,
    "plan prune": lambda cache, _aside: plan_prune(scan_cache(cache), max_size=0),
    "plan older": shell("prune", "--older-than", "1d", "--dry-run"),
    "plan repair": lambda cache, _aside: plan_repair(verify(scan_cache(cache))),
    "export": lambda cache, aside: export(GOOD, aside / "good.tar", scan_cache(cache)),
    "export --all": lambda cache, aside: export_all(aside / "all", scan_cache(cache)),
    "add": lambda cache, aside: add("https://h.example/new/1", cache / "good", location=str(cache)),
    "plan move": lambda cache, aside: plan_move(str(aside / "moved"), scan_cache(cache)),
    "repair": lambda cache, _aside: plan_repair(verify(scan_cache(cache))).execute(),
    "remove": lambda cache, _aside: plan_removal([ODD], scan_cache(cache)).execute(),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", PLANTS)
def test_planted_file_breaks_no_command(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    monkeypatch.setenv("HUB_MAGIC_OFFLINE", "1")
    cache, aside = tmp_path / "cache", tmp_path / "aside"
    cache.mkdir()
    aside.mkdir()
    plant(cache, GOOD, FILES)
    entry = plant(cache, ODD, FILES)
    odd = PLANTS[name](entry)
    if odd is not None:
        os.utime(odd, (OLD, OLD), follow_symlinks=False)
    found = scan_cache(cache)
    assert GOOD in {model.handle for model in found.models}
    assert entry.name in {model.folder for model in found.models}
    if odd is not None:
        assert [problem.name for problem in found.problems].count(odd.name) == 1
    slowest = 0.0
    for command, act in COMMANDS.items():
        if command == "repair" and name.startswith("lock:") and name not in {"lock: link", "lock: folder"}:
            continue  # each takes the ten seconds in which a lock must show that nobody works
        began = time.monotonic()
        with contextlib.suppress(HubMagicError):
            act(cache, aside)
        slowest = max(slowest, time.monotonic() - began)
        assert GOOD in {model.handle for model in scan_cache(cache).models}, command
    record_property("slowest", f"{slowest:.2f} s")
    assert fetch(GOOD, location=str(cache)).was_cached
    assert slowest < (30 if name.startswith("lock:") else 10)


@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "sock", "loop", "no text"])
def test_unreadable_lock_is_waited_for_with_a_line_and_taken_over(kind: str, tmp_path: Path) -> None:
    said: list[str] = []
    with FaultyHost(model_archive()) as host:
        handle = f"{host.url}/a/b/1"
        entry = tmp_path / parse_handle(handle).folder
        PLANTS[f"lock: {kind}"](entry)
        assert read(f"{entry}.lock") == ""
        fetched = fetch(handle, location=str(tmp_path), notice=said.append, lock_timeout=1)
    assert Path(fetched.path, "saved_model.pb").is_file()
    assert len(said) == 1
    assert f"{entry}.lock" in said[0]
    assert not os.path.lexists(f"{entry}.lock")


@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "sock"])
def test_unreadable_lock_keeps_its_model_from_removal(kind: str, tmp_path: Path) -> None:
    entry = plant(tmp_path, ODD, FILES)
    PLANTS[f"lock: {kind}"](entry)
    removed = plan_removal([ODD], scan_cache(tmp_path)).execute()
    assert entry.is_dir()
    assert "a lock that cannot be read" in removed.kept[0].reason


def test_folder_of_any_depth_is_deleted(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (root / "link").symlink_to(outside)
    deep(root, 5000)
    delete_folder(str(root))
    assert not root.exists()
    assert (outside / "kept").read_text() == "kept"


def test_delete_folder_never_follows_a_link(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "link").symlink_to("outside")
    delete_folder(str(tmp_path / "link"))
    assert (tmp_path / "outside").is_dir()
    assert (tmp_path / "link").is_symlink()


@pytest.mark.timeout(60)
def test_half_removed_deep_folder_is_repaired(tmp_path: Path) -> None:
    entry = plant(tmp_path, ODD, FILES)
    half = tmp_path / f"{entry.name}.{'ab' * 16}.tmp"
    half.mkdir()
    deep(half, 2500)
    plan_repair(verify(scan_cache(tmp_path))).execute()
    assert not half.exists()
    assert [model.handle for model in scan_cache(tmp_path).models] == [ODD]


@pytest.mark.timeout(60)
def test_deep_model_is_exported_copied_and_removed(tmp_path: Path) -> None:
    cache, copy = tmp_path / "cache", tmp_path / "copy"
    cache.mkdir()
    copy.mkdir()
    deep(plant(cache, ODD, FILES), 1200)
    found = scan_cache(cache)
    assert verify(found).damaged == ()
    assert export(ODD, tmp_path / "deep.tar", found).size > 0
    assert place(str(copy), found.models[0], lambda _bytes: None) is None
    assert scan_cache(copy).models[0].files == found.models[0].files == 3
    assert plan_removal([ODD], found).execute().kept == ()
    assert list(cache.iterdir()) == []


def archive_of(names: dict[str, bytes | None]) -> bytes:
    """Return a tar file of files and, where the content is None, folders."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in names.items():
            member = tarfile.TarInfo(name)
            member.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            member.size = len(content or b"")
            tar.addfile(member, io.BytesIO(content or b""))
    return packed.getvalue()


@pytest.mark.parametrize("name", ["d/" * 101 + "x", "d/" * 1500 + "x", "./" + "d/" * 101])
def test_archive_deeper_than_100_folders_is_refused(name: str, tmp_path: Path) -> None:
    packed = archive_of({"saved_model.pb": GRAPH, name: None if name.endswith("/") else b"x"})
    with pytest.raises(ArchiveRefusedError, match="nested more than 100 folders deep"):
        unpack(iter([packed]), str(tmp_path))


def test_archive_with_100_folders_is_unpacked(tmp_path: Path) -> None:
    name = "d/" * 100 + "x"
    assert [file.path for file in unpack(iter([archive_of({name: b"x"})]), str(tmp_path))] == [name]


def test_model_with_damaged_record_loads_by_the_rules_without_one(tmp_path: Path) -> None:
    entry = plant(tmp_path, ODD, FILES)
    beside(entry, RECORD).write_bytes(b"[" * 200_000)
    assert fetch(ODD, location=str(tmp_path)).was_cached


def test_damaged_copy_stays_when_its_repair_cannot_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_MAGIC_OFFLINE", "")
    entry = plant(tmp_path, ODD, {"saved_model.pb": GRAPH})  # planted days ago, as old as a stale download
    repaired = plan_repair(verify(scan_cache(tmp_path))).execute()
    assert "downloading it again failed" in repaired.left[0].reason
    assert (entry / "saved_model.pb").read_bytes() == GRAPH
