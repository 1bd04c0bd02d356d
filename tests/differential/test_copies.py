"""Cached copies in every state, with and without a record, with their host there and gone."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from archives import model_archive, read_folder
from faulty_host import Fault, FaultyHost

from hub_magic import fetch
from hub_magic.cache.layout import DESCRIPTOR_SUFFIX, LOCK_SUFFIX, RECORD_SUFFIX
from hub_magic.cache.record import parse_record

from .situation import DATA, GRAPH, INDEX, VOCABULARY, Place, Situation, examine, files_of, make, parameters

pytestmark = pytest.mark.tensorflow

Change = Callable[[Place], object]
Beside = tuple[str, bytes | Callable[[Path], object]]
METADATA, NOTES, FINGERPRINT = "keras_metadata.pb", "assets.extra/notes.txt", "fingerprint.pb"
HOSTS = {"up": Fault(), "gone": None, "withdrawn": Fault(status=404, body=b"")}
MENDED = "a copy that cannot be loaded is downloaded again"


def removed(name: str) -> Change:
    return lambda place: (place.entry / name).unlink()


def grown(name: str, more: bytes = b"more\n") -> Change:
    def change(place: Place) -> None:
        with (place.entry / name).open("ab") as file:
            file.write(more)

    return change


def written(name: str, data: bytes) -> Change:
    def change(place: Place) -> None:
        path = place.entry / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    return change


def linked(name: str) -> Change:
    """The file in another folder, with a link to it in its place, as tools against duplicates leave it."""

    def change(place: Place) -> None:
        path, target = place.entry / name, place.root / "elsewhere" / Path(name).name
        path.rename(target)
        path.symlink_to(os.path.relpath(target, path.parent))

    return change


def dangling(name: str) -> Change:
    def change(place: Place) -> None:
        (place.entry / name).unlink()
        (place.entry / name).symlink_to("../../nowhere")

    return change


def folder_linked(place: Place) -> None:
    """The whole folder elsewhere, with a link to it in the cache."""
    target = place.root / "elsewhere" / "model"
    place.entry.rename(target)
    place.entry.symlink_to(os.path.relpath(target, place.cache))


def folder_dangling(place: Place) -> None:
    shutil.rmtree(place.entry)
    place.entry.symlink_to("../nowhere")


def emptied(place: Place) -> None:
    shutil.rmtree(place.entry)
    place.entry.mkdir()


def folders_left(place: Place) -> None:
    """As cleaners of temporary files leave a model: folders without files."""
    for path in place.entry.rglob("*"):
        if path.is_file():
            path.unlink()


def a_file(place: Place) -> None:
    shutil.rmtree(place.entry)
    place.entry.write_bytes(b"a note")


def beside(suffix: str, made: bytes | Callable[[Path], object]) -> Change:
    """Something beside the model's folder, with its name and this end."""

    def change(place: Place) -> None:
        path = Path(f"{place.entry}{suffix}")
        path.unlink(missing_ok=True)
        if isinstance(made, bytes):
            path.write_bytes(made)
        else:
            made(path)

    return change


def stale_lock(place: Place) -> None:
    Path(f"{place.entry}.lock").write_text("far.example.77." + "ab" * 16)


def both(*changes: Change) -> Change:
    return lambda place: [change(place) for change in changes]


def copied(name: str, other: str) -> Change:
    return lambda place: shutil.copy(place.entry / name, place.entry / other)


# Changes after which TensorFlow loads the copy as it is.
LOADABLE: dict[str, Change] = {
    "intact": lambda place: None,
    "metadata missing": removed(METADATA),
    "notes missing": removed(NOTES),
    "fingerprint missing": removed(FINGERPRINT),
    "graph grown": grown(GRAPH, b"\xfa\x3f\x01x"),  # a field that TensorFlow does not know
    "data grown": grown(DATA),
    "vocabulary grown": written(VOCABULARY, b"hub\nmagical\nworker\nnotebook\n"),
    "metadata grown": grown(METADATA),
    "notes grown": grown(NOTES),
    "vocabulary edited": written(VOCABULARY, b"hub\ncandy\nworker\nnotebook\n"),
    "vocabulary shorter": written(VOCABULARY, b"hub\nmagic\nw\nn\n"),
    "metadata empty": written(METADATA, b""),
    "graph a link": linked(GRAPH),
    "index a link": linked(INDEX),
    "data a link": linked(DATA),
    "vocabulary a link": linked(VOCABULARY),
    "metadata a dangling link": dangling(METADATA),
    "folder a link": folder_linked,
    "macOS's twin of data": written("variables/._variables.data-00000-of-00001", b"\0\5\x16\7"),
    "macOS's twin of index": written("variables/._variables.index", b"\0\5\x16\7"),
    "a stray index": written("old.index", b"index"),
    "a stray index of variables": written("variables/old.index", b"index"),
    "a stray shard": written("variables/old.data-00000-of-00001", b"data"),
    "a backup of data": copied(DATA, "variables/variables.data-00000-of-00001.bak"),
    "a stray file": written("README.md", b"a model\n"),
    "a hidden file": written(".DS_Store", b"\0"),
    "a stray folder": written("old/saved_model.pb", b""),
    "a stale lock": stale_lock,
    "an empty checkpoint beside": written("variables/checkpoint", b""),
}
# Changes after which TensorFlow refuses the copy.
REFUSED: dict[str, Change] = {
    "graph missing": removed(GRAPH),
    "index missing": removed(INDEX),
    "data missing": removed(DATA),
    "vocabulary missing": removed(VOCABULARY),
    "graph empty": written(GRAPH, b""),
    "index empty": written(INDEX, b""),
    "data empty": written(DATA, b""),
    "graph a dangling link": dangling(GRAPH),
    "data a dangling link": dangling(DATA),
    "folders left": folders_left,
    "graph of other bytes": written(GRAPH, b"not a graph, but of some length"),
}
# Changes after which there is no copy.
NOTHING: dict[str, Change] = {
    "folder empty": emptied,
    "folder a dangling link": folder_dangling,
    "a file in the folder's place": a_file,
}
# What may stand beside an intact copy, by the end of the name.
BESIDE: dict[str, Beside] = {
    "record empty": (RECORD_SUFFIX, b""),
    "record cut": (RECORD_SUFFIX, b'{"handle": "'),
    "record a list": (RECORD_SUFFIX, b"[]"),
    "record nested deeply": (RECORD_SUFFIX, b"[" * 200_000),
    "record binary": (RECORD_SUFFIX, bytes(range(256))),
    "record of other types": (RECORD_SUFFIX, b'{"handle": 1, "etag": null, "descriptor": [], "files": 3}'),
    "record of a huge number": (
        RECORD_SUFFIX,
        b'{"handle": "", "etag": "", "descriptor": "", "files": [{"path": "x", "size": '
        + b"9" * 5000
        + b"}]}",
    ),
    "record a folder": (RECORD_SUFFIX, Path.mkdir),
    "record a dangling link": (RECORD_SUFFIX, lambda path: path.symlink_to("nowhere")),
    "record a link to itself": (RECORD_SUFFIX, lambda path: path.symlink_to(path.name)),
    "record a pipe": (RECORD_SUFFIX, os.mkfifo),
    "descriptor empty": (DESCRIPTOR_SUFFIX, b""),
    "descriptor binary": (DESCRIPTOR_SUFFIX, bytes(range(256))),
    "descriptor of many digits": (
        DESCRIPTOR_SUFFIX,
        b"Module: x\nDownload Time: 2026-11-20 12:00:00\nDownloader Hostname: x (PID:" + b"9" * 5000 + b")",
    ),
    "descriptor a folder": (DESCRIPTOR_SUFFIX, Path.mkdir),
    "descriptor a dangling link": (DESCRIPTOR_SUFFIX, lambda path: path.symlink_to("nowhere")),
    "descriptor a pipe": (DESCRIPTOR_SUFFIX, os.mkfifo),
    "lock empty": (LOCK_SUFFIX, b""),
    "lock binary": (LOCK_SUFFIX, bytes(range(256))),
    "lock of a process that runs": (
        LOCK_SUFFIX,
        f"{socket.gethostname()}.{os.getpid()}.{'ab' * 16}".encode(),
    ),
    "lock of a process that is gone": (LOCK_SUFFIX, f"{socket.gethostname()}.4194305.{'ab' * 16}".encode()),
    "lock of many digits": (LOCK_SUFFIX, b"far.example." + b"9" * 5000 + b".ab"),
    "lock a folder": (LOCK_SUFFIX, Path.mkdir),
    "lock a dangling link": (LOCK_SUFFIX, lambda path: path.symlink_to("nowhere")),
    "lock a pipe": (LOCK_SUFFIX, os.mkfifo),
    "partial download": (f".{'ab' * 16}.tmp", Path.mkdir),
}
QUICK = {
    "intact, plain, gone",
    "macOS's twin of data, plain, gone",
    "vocabulary grown, recorded, up",
    "metadata missing, recorded, withdrawn",
    "data a link, recorded, up",
    "index missing, plain, up",
}


def situations() -> Iterator[Situation]:
    def situation(name: str, change: Change, cached: str, host: str, requests: str = "") -> Situation:
        full = f"{name}, {cached}, {host}"
        return Situation(
            full, cached=cached, setup=change, fault=HOSTS[host], requests=requests, quick=full in QUICK
        )

    for name, change in LOADABLE.items():
        # Whether the host is there decides about a copy with a record; one without is judged by its names.
        yield situation(name, change, "plain", "gone")
        yield situation(name, change, "recorded", "up")
        if name in {"intact", "metadata missing", "vocabulary grown", "data a link"}:
            yield situation(name, change, "recorded", "gone")
            yield situation(name, change, "recorded", "withdrawn")
    for name, change in REFUSED.items():
        for cached in ("plain", "recorded"):
            yield situation(name, change, cached, "up", MENDED)
        yield situation(name, change, "recorded", "gone")
    for name, found in BESIDE.items():
        yield situation(name, beside(*found), "recorded", "gone")
    for name, change in NOTHING.items():
        yield situation(name, change, "plain", "up", MENDED)


@pytest.mark.parametrize("situation", parameters(situations()))
def test_cached_copy_is_loaded_as_plain_loads_it(
    situation: Situation, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    examine(situation, tmp_path, record_property)


def test_recorded_copy_is_as_the_extension_makes_it(tmp_path: Path) -> None:
    with FaultyHost(model_archive(files_of("tf2_vocabulary"))) as host:
        handle = f"{host.url}/team/model/1"
        fetched = Path(fetch(handle, location=str(tmp_path / "fetched")).path)
    made = make(Situation("", cached="recorded"), handle, tmp_path / "made").entry
    assert read_folder(str(made)) == read_folder(str(fetched))
    assert {path.name for path in made.parent.iterdir()} == {path.name for path in fetched.parent.iterdir()}
    records = [parse_record(Path(f"{entry}{RECORD_SUFFIX}").read_text()) for entry in (made, fetched)]
    assert all(records)
    assert sorted(records[0].files, key=str) == sorted(records[1].files, key=str)
    assert (records[0].handle, records[0].etag) == (records[1].handle, records[1].etag)
