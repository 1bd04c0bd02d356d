"""Archives, unpacked: every format that tensorflow_hub takes, and nothing that a model does not need."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import random
import tarfile
from pathlib import Path

import pytest
from archives import file, folder, gzipped, model_archive, model_files, read_folder, special, tar
from hypothesis import given, settings
from hypothesis import strategies as st

from hub_magic.cache.record import FileRecord
from hub_magic.download.archive import ArchiveRefusedError, NoSpaceError, unpack
from hub_magic.download.decode import ArchiveDamagedError, NotAnArchiveError, decompress
from hub_magic.download.new_entry import Ahead


def chunked(data: bytes, size: int = 1000):
    return (data[start : start + size] for start in range(0, len(data), size))


def unpacked(data: bytes, directory: Path, size: int = 1000, *, may_be_cut: bool = False) -> dict[str, bytes]:
    directory.mkdir(exist_ok=True)
    unpack(decompress(chunked(data, size), may_be_cut=may_be_cut), str(directory))
    return read_folder(str(directory))


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz", "w:"])
@pytest.mark.parametrize("size", [1, 7, 512, 1 << 20])
def test_every_archive_format_unpacks_from_any_chunks(tmp_path: Path, mode: str, size: int) -> None:
    files = model_files()
    assert unpacked(model_archive(files, mode=mode), tmp_path / "model", size) == files


def test_files_are_recorded_in_the_archives_order(tmp_path: Path) -> None:
    files = model_files()
    found = unpack(decompress(chunked(model_archive(files))), str(tmp_path))
    assert found == tuple(
        FileRecord(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in files.items()
    )


def test_several_gzip_members_and_trailing_zeros_unpack(tmp_path: Path) -> None:
    data = model_archive(mode="w:")
    half = len(data) // 2
    packed = gzipped(data[:half]) + gzipped(data[half:]) + bytes(3000)
    assert unpacked(packed, tmp_path / "model") == model_files()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names_unpack(tmp_path: Path, form: int) -> None:
    name = "assets/" + "long" * 12 + "/" + "name" * 20
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", format=form) as archive:
        archive.addfile(file(name, b"x")[0], io.BytesIO(b"x"))
        archive.addfile(file("wörter", b"y")[0], io.BytesIO(b"y"))
    assert unpacked(packed.getvalue(), tmp_path / "model") == {name: b"x", "wörter": b"y"}


def test_sparse_file_unpacks(tmp_path: Path) -> None:
    """GNU tar makes them of files with holes (`tar -S`), and tensorflow_hub unpacks them."""
    holes = tmp_path / "holes"
    with holes.open("wb") as made:
        made.write(b"begin")
        made.seek(1 << 20)
        made.write(b"end")
    assert os.spawnlp(os.P_WAIT, "tar", "tar", "-C", tmp_path, "-Sczf", tmp_path / "sparse.tgz", "holes") == 0
    packed = (tmp_path / "sparse.tgz").read_bytes()
    assert unpacked(packed, tmp_path / "model") == {"holes": holes.read_bytes()}


def test_archive_without_end_mark_needs_a_checksum(tmp_path: Path) -> None:
    data = tar([file("a", b"x" * 512)])[:1024]
    assert unpacked(gzipped(data), tmp_path / "model") == {"a": b"x" * 512}  # the CRC says that it is whole
    assert unpacked(data, tmp_path / "plain") == {"a": b"x" * 512}  # the host has said how long it is
    with pytest.raises(ArchiveDamagedError, match="is truncated"):
        unpacked(data, tmp_path / "cut", may_be_cut=True)


def pax_archive(headers: dict[str, str]) -> bytes:
    """An archive of one file with extended headers."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", format=tarfile.PAX_FORMAT, pax_headers=headers) as archive:
        archive.addfile(file("a", b"x")[0], io.BytesIO(b"x"))
    return packed.getvalue()


NESTED = tar([file("a", b"x")])
MEANT = {
    "absolute name": (tar([file("/etc/passwd", b"x")]), {"etc/passwd": b"x"}),
    "many slashes": (tar([folder("//a"), file("///a//b", b"x")]), {"a/b": b"x"}),
    "up and down": (
        tar([folder("a/.."), file("a/../b", b"x"), file("c/./d/..//e", b"y")]),
        {"b": b"x", "c/e": b"y"},
    ),
    "two of one name": (tar([file("a", b"long" * 9), file("./a", b"y")]), {"a": b"y"}),
    "one thing twice": (tar([file("a", b"x"), file("a", b"x")]), {"a": b"x"}),
    "folder twice": (tar([folder("a"), file("a/b", b"x"), folder("a"), file("a/b", b"y")]), {"a/b": b"y"}),
    "backslash": (tar([file("a\\..\\b", b"x")]), {"a\\..\\b": b"x"}),
    "bytes after gzip's end": (gzipped(NESTED) + b"more", {"a": b"x"}),
    "much after gzip's end": (gzipped(NESTED) + b"more" * 100_000, {"a": b"x"}),
    "bytes after bzip2's end": (bz2.compress(NESTED) + b"more", {"a": b"x"}),
    "bytes after xz's end": (lzma.compress(NESTED) + b"more", {"a": b"x"}),
    "old lzma": (lzma.compress(NESTED, lzma.FORMAT_ALONE), {"a": b"x"}),
    "bytes after tar's end": (gzipped(NESTED + b"more" * 1000), {"a": b"x"}),
    "bytes after plain tar's end": (NESTED + b"more" * 1000, {"a": b"x"}),
    "few bytes and no end mark": (NESTED[:1024] + b"more", {"a": b"x"}),
    "second archive": (gzipped(NESTED) + gzipped(tar([file("b", b"x")])), {"a": b"x"}),
    "second archive cut short": (gzipped(NESTED) + gzipped(NESTED)[:20], {"a": b"x"}),
    "second archive damaged": (gzipped(NESTED) + gzipped(NESTED)[:-8] + bytes(8), {"a": b"x"}),
    "gzip's magic and no gzip": (gzipped(NESTED) + b"\x1f\x8b and more", {"a": b"x"}),
    "one block of zeros": (gzipped(NESTED[:1024] + bytes(512)), {"a": b"x"}),
    "long zeros": (gzipped(NESTED + bytes(64 << 20)), {"a": b"x"}),
    "long extended header": (pax_archive({"comment": "x" * 200_000}), {"a": b"x"}),
}


@pytest.mark.parametrize("name", MEANT)
def test_archive_means_what_it_means_to_tar(tmp_path: Path, name: str) -> None:
    data, files = MEANT[name]
    records = unpack(decompress(chunked(data, 700)), str(tmp_path))
    assert read_folder(str(tmp_path)) == files
    # A record that names a file twice, or with another size, would call the copy damaged.
    assert {record.path: record.size for record in records} == {
        path: len(data) for path, data in files.items()
    }
    assert len(records) == len(files)


def test_tail_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub_magic.download.archive._LONGEST_TAIL", 1 << 20)
    assert unpacked(gzipped(WHOLE + bytes(1 << 19)), tmp_path / "model") == {"a": b"x"}
    with pytest.raises(ArchiveRefusedError, match="has data after its end"):
        unpacked(gzipped(WHOLE + bytes(64 << 20)), tmp_path / "endless")


def test_damage_before_the_end_mark_counts_in_any_member(tmp_path: Path) -> None:
    """Parallel compressors write many gzip members; each has a checksum of its own."""
    first, second = gzipped(NESTED[:512]), gzipped(NESTED[512:])
    broken = second[:-8] + bytes(8)
    with pytest.raises(ArchiveDamagedError, match="checksum does not match"):
        unpacked(first + broken, tmp_path / "model")
    assert unpacked(first + second + broken, tmp_path / "after") == {"a": b"x"}


@pytest.mark.parametrize("name", ["n" * 300, "/".join(["n" * 200] * 30)])
def test_name_that_no_disk_takes_is_the_archives_fault(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArchiveRefusedError, match="not a valid file name on this disk"):
        unpacked(tar([file(name, b"x")]), tmp_path / "model")


def broken_header(archive: bytes, number: int) -> bytes:
    """The archive with one wrong byte in its so-manieth header, packed as if nothing were."""
    at = [start for start in range(0, len(archive), 512) if archive[start + 257 : start + 262] == b"ustar"][
        number
    ]
    return gzipped(archive[: at + 10] + b"\x55" + archive[at + 11 :])


def long_header(size: int) -> bytes:
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, size
    return gzipped(member.tobuf(tarfile.GNU_FORMAT) + b"a" * 1024)


def many_headers(count: int) -> bytes:
    member = tarfile.TarInfo("pax")
    member.type, member.size = tarfile.XHDTYPE, 512
    record = b"10 path=a\n".ljust(512, b"\0")
    return gzipped((member.tobuf(tarfile.USTAR_FORMAT) + record) * count)


def negative_size() -> bytes:
    header = bytearray(tarfile.TarInfo("a").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 11 + b"\x00"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return gzipped(bytes(header) + bytes(1024))


WHOLE = tar([file("a", b"x")])

HOSTILE = {
    "absolute name that leads out": (gzipped(tar([file("/../outside", b"x")])), "is outside its folder"),
    "is outside its folder": (gzipped(tar([file("../outside", b"x")])), "is outside its folder"),
    "leads out from within": (gzipped(tar([file("a/../../outside", b"x")])), "is outside its folder"),
    "folder that leads out": (gzipped(tar([folder("a/../.."), file("a/x", b"x")])), "is outside its folder"),
    "symbolic link": (gzipped(tar([special("a", tarfile.SYMTYPE, "/etc")])), "symbolic link"),
    "file through a link": (
        gzipped(tar([special("a", tarfile.SYMTYPE, "/tmp"), file("a/x", b"x")])),
        "symbolic link",
    ),
    "hard link": (gzipped(tar([file("a", b"x"), special("b", tarfile.LNKTYPE, "a")])), "hard link"),
    "character device": (gzipped(tar([special("a", tarfile.CHRTYPE)])), "device"),
    "block device": (gzipped(tar([special("a", tarfile.BLKTYPE)])), "device"),
    "named pipe": (gzipped(tar([special("a", tarfile.FIFOTYPE)])), "pipe"),
    "unknown kind": (gzipped(tar([special("a", b"Z")])), "of an unknown type"),
    "file where a folder is": (gzipped(tar([folder("a"), file("a", b"y")])), "occurs twice"),
    "folder where a file is": (gzipped(tar([file("a", b"y"), folder("a")])), "occurs twice"),
    "file below a file": (gzipped(tar([file("a", b"y"), file("a/b", b"y")])), "occurs twice"),
    "no name": (gzipped(tar([file("./", b"y")])), "without a name|occurs twice"),
    "nothing in it": (gzipped(tar([])), "no files|backward links"),
    "folders only": (gzipped(tar([folder("a")])), "no files"),
    "header without end": (long_header(1 << 40), "header of"),
    "header too long": (pax_archive({"comment": "x" * (2 << 20)}), "header of"),
    "headers without end": (many_headers(5000), "cannot be read|not a readable tar file"),
    "negative size": (negative_size(), "negative|not a readable tar file|cannot be read|no files"),
    "broken header": (broken_header(tar([file("a", b"x"), file("b", b"y")]), 1), "header"),
    "second part cut short": (gzipped(WHOLE[:512]) + gzipped(WHOLE[512:])[:20], "is truncated"),
    "garbage without an end mark": (gzipped(WHOLE[:1024] + b"more" * 200), "header in it cannot be read"),
    "wrong CRC": (gzipped(WHOLE)[:-8] + b"\0\0\0\0" + gzipped(WHOLE)[-4:], "checksum does not match"),
    "wrong length": (gzipped(WHOLE)[:-1] + b"\1", "checksum does not match"),
    "cut short": (gzipped(WHOLE)[:-1], "is truncated"),
    "tar cut short": (gzipped(tar([file("a", b"x" * 2000)])[:1500]), "is truncated|not a readable tar file"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archive_is_refused_and_writes_nothing_outside(tmp_path: Path, name: str) -> None:
    data, words = HOSTILE[name]
    directory = tmp_path / "cache" / "model"
    directory.parent.mkdir()
    with pytest.raises((ArchiveRefusedError, ArchiveDamagedError), match=words):
        unpacked(data, directory)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
    assert [path.name for path in directory.parent.iterdir()] == ["model"]


def test_archive_with_too_many_members_is_refused(tmp_path: Path) -> None:
    data = gzipped(folder("a").tobuf() * 100_001 + bytes(1024))
    with pytest.raises(ArchiveRefusedError, match="more than 100,000"):
        unpacked(data, tmp_path / "model", 1 << 20)


@pytest.mark.parametrize("head", [b"", b"<!doctype html><html>", b"PK\3\4" + bytes(600), b"x" * 600])
def test_bytes_that_are_no_archive_are_refused(tmp_path: Path, head: bytes) -> None:
    with pytest.raises((NotAnArchiveError, ArchiveDamagedError)):
        unpacked(head, tmp_path / "model")


def test_bomb_is_refused_before_it_is_written(tmp_path: Path) -> None:
    member = tarfile.TarInfo("zeros")
    member.size = 1 << 40
    data = gzipped(member.tobuf() + bytes(1 << 20))
    with pytest.raises(NoSpaceError, match=r"needs 1\.1 TB"):
        unpacked(data, tmp_path)
    assert not (tmp_path / "zeros").exists()


def test_full_disk_stops_a_large_file_early(tmp_path: Path) -> None:
    left = iter([1 << 40, 1 << 40, 0])
    data = gzip.compress(tar([file("zeros", bytes(150 << 20))]), 1)
    with pytest.raises(NoSpaceError):
        unpack(decompress(chunked(data, 1 << 16)), str(tmp_path), free=lambda _: next(left))
    assert (tmp_path / "zeros").stat().st_size < 150 << 20


def test_memory_stays_small_however_well_it_is_packed() -> None:
    packed = bz2.compress(bytes(50 << 20))
    assert max(len(block) for block in decompress(chunked(packed, len(packed)))) <= 1 << 20


NAMES = st.lists(
    st.text(
        st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20
    ).filter(lambda part: part not in {".", ".."} and len(part.encode()) <= 100),
    min_size=1,
    max_size=4,
).map("/".join)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(NAMES, st.binary(max_size=2000), min_size=1, max_size=6), st.integers(1, 5000))
def test_packed_files_unpack_unchanged(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], size: int
) -> None:
    folders = {name[:at] for name in files for at, letter in enumerate(name) if letter == "/"}
    files = {name: data for name, data in files.items() if name not in folders}
    directory = tmp_path_factory.mktemp("model")
    data = tar([file(name, data) for name, data in files.items()], "w:gz")
    assert unpacked(data, directory, size) == files


def test_prefetch_yields_items_errors_and_the_end() -> None:
    ticks = []

    def failing():
        yield b"a"
        raise ArchiveDamagedError("broken")

    with Ahead(iter([b"a", b"b"]), lambda: ticks.append(1)) as items:
        assert list(items) == [b"a", b"b"]
    assert ticks
    with Ahead(failing(), lambda: None) as items:
        assert next(items) == b"a"
        for _ in range(2):
            with pytest.raises(ArchiveDamagedError):
                next(items)


def test_finished_prefetch_yields_nothing_more() -> None:
    with Ahead(iter([b"a"]), lambda: None) as items:
        assert [next(items, None) for _ in range(3)] == [b"a", None, None]


def test_abandoned_prefetch_ends_its_thread() -> None:
    with Ahead(iter(lambda: b"a", b""), lambda: None) as items:
        assert next(items) == b"a"
    assert not items._thread.is_alive()


def test_flipped_bits_and_truncations_are_refused(tmp_path: Path) -> None:
    """A few of them here; the full number is in test_download_stress.py."""
    data = gzipped(model_archive(mode="w:"))
    numbers = random.Random(1)
    for round_ in range(20):
        bit = numbers.randrange(80, len(data) * 8)
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        for number, broken in enumerate((bytes(flipped), data[: numbers.randrange(len(data))])):
            with pytest.raises((ArchiveDamagedError, ArchiveRefusedError, NotAnArchiveError)):
                unpacked(broken, tmp_path / f"{round_}.{number}")
