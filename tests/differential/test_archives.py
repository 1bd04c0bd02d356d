"""Archives in every form that tar allows, and some that it does not."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from archives import file, folder, gzipped, model_archive, special, tar
from care_cache import write

from .situation import DATA, GRAPH, INDEX, VOCABULARY, Files, Situation, examine, parameters

pytestmark = pytest.mark.tensorflow

Form = Callable[[Files], bytes]
DAMAGED = "an archive whose checksum is wrong is not installed"
AGAIN = "an archive that arrives damaged is fetched again"
END = bytes(1024)  # tar's mark of the end


def plain_tar(files: Files) -> bytes:
    return model_archive(files, mode="w:")


def only_files(files: Files) -> list[Any]:
    """The files without their folders, which plain does not make."""
    return [file(name, data) for name, data in files.items()]


def members(files: Files) -> list[Any]:
    folders = {name.rpartition("/")[0]: None for name in files if "/" in name}
    return [*map(folder, folders), *only_files(files)]


def with_more(*more: Any) -> Form:
    """The files, and these members after them."""
    return lambda files: gzipped(tar([*members(files), *more]))


def with_first(*first: Any) -> Form:
    return lambda files: gzipped(tar([*first, *members(files)]))


def changed(**attributes: Any) -> Form:
    """Every member with these attributes."""

    def form(files: Files) -> bytes:
        made = members(files)
        for member in made:
            info = member[0] if isinstance(member, tuple) else member
            for attribute, value in attributes.items():
                if attribute != "type" or info.isreg():
                    setattr(info, attribute, value)
        return gzipped(tar(made))

    return form


def in_format(number: int, **options: Any) -> Form:
    """The archive in a format of tarfile's, with a folder of a long name."""

    def form(files: Files) -> bytes:
        packed = io.BytesIO()
        long = {} if number == tarfile.USTAR_FORMAT else {f"assets.extra/{'long' * 40}.txt": b"long"}
        with tarfile.open(fileobj=packed, mode="w:gz", format=number, **options) as archive:
            for member in members({**files, **long}):
                info, content = member if isinstance(member, tuple) else (member, b"")
                archive.addfile(info, io.BytesIO(content))
        return packed.getvalue()

    return form


def by_tar(*options: str, then: tuple[str, ...] = ()) -> Form:
    """The archive as GNU tar makes it, `{root}` being the model's folder; `then` is a second call's."""

    def form(files: Files) -> bytes:
        with TemporaryDirectory() as made:
            root = write(Path(made) / "model", files)
            (root / "variables" / "holes").write_bytes(b"x" + bytes(1 << 20) + b"y")
            packed = Path(made) / "model.tar"
            for words in filter(None, (options, then)):
                command = ["tar", "-f", str(packed), *(word.replace("{root}", str(root)) for word in words)]
                subprocess.run(command, cwd=root, check=True, capture_output=True)
            return gzipped(packed.read_bytes())

    return form


def linked(kind: bytes) -> Form:
    """The vocabulary as a link to another member."""

    def form(files: Files) -> bytes:
        others = {name: data for name, data in files.items() if name != VOCABULARY}
        copy = file("assets/words.txt", files[VOCABULARY])
        target = "assets/words.txt" if kind == tarfile.LNKTYPE else "words.txt"
        return gzipped(tar([*members(others), folder("assets"), copy, special(VOCABULARY, kind, target)]))

    return form


def cut(files: Files) -> bytes:
    return model_archive(files)[:-200]


def wrong_checksum(files: Files) -> bytes:
    packed = bytearray(model_archive(files))
    packed[-8] ^= 1
    return bytes(packed)


def without_end(files: Files) -> bytes:
    """A tar file that ends with its last member, as a writer leaves it that was never closed."""
    data = tar(members(files))
    return data[: _end(data)]


def _end(data: bytes) -> int:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        last = archive.getmembers()[-1]
        return last.offset_data + -(-last.size // 512) * 512


def in_parts(files: Files) -> bytes:
    """Members of gzip, one after the other, as pigz and bgzip write them."""
    data = plain_tar(files)
    return b"".join(gzip.compress(data[start : start + 5000]) for start in range(0, len(data), 5000))


def zipped(files: Files) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


def named_gzip(files: Files) -> bytes:
    """gzip with the name of the file in its header."""
    packed = io.BytesIO()
    with gzip.GzipFile("model.tar", "wb", fileobj=packed) as stream:
        stream.write(plain_tar(files))
    return packed.getvalue()


def pax_global(files: Files) -> bytes:
    return in_format(tarfile.PAX_FORMAT, pax_headers={"comment": "by git archive"})(files)


def pax_attributes(files: Files) -> bytes:
    """Extended attributes, sub-second times and names that are not ASCII."""
    made = members({**files, "assets.extra/é.txt": b"e"})
    for member in made:
        info = member[0] if isinstance(member, tuple) else member
        info.mtime = 1.25
        info.pax_headers = {"SCHILY.xattr.user.origin": "x", "LIBARCHIVE.creationtime": "1.5"}
    return gzipped(tar(made))


def replaced(files: Files) -> bytes:
    """As `tar -r` leaves an archive: a newer vocabulary after the older one."""
    older = {**files, VOCABULARY: b"old\nwords\nof\nmine\n"}
    return gzipped(tar([*members(older), file(VOCABULARY, files[VOCABULARY])]))


def replaced_graph(files: Files) -> bytes:
    return gzipped(tar([file(GRAPH, b"older"), *members(files)]))


def everything_twice(files: Files) -> bytes:
    return gzipped(tar(members(files) * 2))


TWIN = b"\0\5\x16\7\0\2\0\0Mac OS X        "
FORMS: dict[str, Form] = {
    "usual": model_archive,
    "no leading ./": lambda files: model_archive(files, root=""),
    "no folders": lambda files: gzipped(tar(only_files(files))),
    "no folders, leading ./": lambda files: gzipped(
        tar(only_files({f"./{name}": files[name] for name in files}))
    ),
    "leading .//": lambda files: gzipped(tar(members({f".//{name}": files[name] for name in files}))),
    "absolute names": lambda files: model_archive(files, root="/"),
    "absolute names, two slashes": lambda files: gzipped(
        tar(members({f"//{name}": files[name] for name in files}))
    ),
    "a dot in the middle": lambda files: gzipped(
        tar(members({name.replace("/", "/./"): data for name, data in files.items()}))
    ),
    "two dots that stay inside": lambda files: gzipped(
        tar(members({f"variables/../{name}": data for name, data in files.items()}))
    ),
    "folders after their files": lambda files: gzipped(
        tar([*only_files(files), *members(files)[:2], folder(".")])
    ),
    "folders twice": with_first(folder("assets"), folder("assets"), folder("assets/")),
    "folders that cannot be entered": lambda files: gzipped(
        tar([_closed("assets"), _closed("variables"), *members(files)])
    ),
    "empty folders": with_more(folder("empty"), folder("empty/below")),
    "member twice, equal": lambda files: gzipped(tar([*members(files), file(GRAPH, files[GRAPH])])),
    "everything twice": everything_twice,
    "tar -r": replaced,
    "tar -r of the graph": replaced_graph,
    "GNU tar": by_tar("-c", "."),
    "GNU tar -P": by_tar("-cP", "--transform=s,^{root},,", "{root}"),
    "GNU tar -S": by_tar("-cS", "."),
    "GNU tar -S, pax": by_tar("-cS", "--format=posix", "."),
    "GNU tar, folder and files": by_tar("-c", ".", then=("-r", "./saved_model.pb", "./variables")),
    "GNU tar, v7": by_tar("-c", "--format=v7", "."),
    "GNU tar, one block a record": by_tar("-c", "-b1", "."),
    "GNU tar, 2048 blocks a record": by_tar("-c", "-b2048", "."),
    "GNU tar, labelled": by_tar("-c", "-V", "model", "."),
    "GNU tar, incremental": by_tar("-c", "--listed-incremental={root}.snar", "."),
    "ustar": in_format(tarfile.USTAR_FORMAT),
    "GNU longname": in_format(tarfile.GNU_FORMAT),
    "pax longname": in_format(tarfile.PAX_FORMAT),
    "pax global header": pax_global,
    "pax attributes": pax_attributes,
    "latin-1 name": in_format(tarfile.GNU_FORMAT, encoding="latin-1"),
    "contiguous files": changed(type=tarfile.CONTTYPE),
    "old files": changed(type=tarfile.AREGTYPE),
    "no permissions": changed(mode=0),
    "set-user-id": changed(mode=0o4777),
    "time before 1970": changed(mtime=0),
    "big user": changed(uid=2**31, gid=2**31),
    "macOS's twins": with_first(
        folder("variables"),
        file(f"./{DATA}".replace("variables.d", "._variables.d"), TWIN),
        file("./._saved_model.pb", TWIN),
        file("./._assets", TWIN),
    ),
    "a device": with_more(special("null", tarfile.CHRTYPE)),
    "a named pipe": with_more(special("pipe", tarfile.FIFOTYPE)),
    "a hard link": linked(tarfile.LNKTYPE),
    "a symbolic link": linked(tarfile.SYMTYPE),
    "a link that leads out": with_more(special("out", tarfile.SYMTYPE, "/etc/passwd")),
    "a name that leads out": with_more(file("../out", b"x")),
    "a name of two dots at the end": with_more(file("assets/../../out", b"x")),
    "a name beginning with two dots": with_more(file("..out", b"x")),
    "a file where a folder is": with_more(file("assets", b"x")),
    "a folder where a file is": with_more(folder(GRAPH)),
    "a file below a file": with_more(file(f"{GRAPH}/x", b"x")),
    "a file without a name": with_more(file("./", b"x")),
    "a file whose name ends in a slash": with_more(file("assets/more/", b"x")),
    "a backslash in a name": with_more(file("assets\\x", b"x")),
    "a newline in a name": with_more(file("assets/a\nb", b"x")),
    "plain tar": plain_tar,
    "plain tar without end": without_end,
    "plain tar, one block of end": lambda files: without_end(files) + END[:512],
    "plain tar, bytes after the end": lambda files: plain_tar(files) + b"more" * 200,
    "gzip without tar's end": lambda files: gzipped(without_end(files)),
    "gzip, tar's bytes after the end": lambda files: gzipped(plain_tar(files) + b"more" * 200),
    "gzip, zeros after its end": lambda files: model_archive(files) + bytes(700),
    "gzip, bytes after its end": lambda files: model_archive(files) + b"-- signature --" * 20,
    "gzip, a line break after its end": lambda files: model_archive(files) + b"\r\n",
    "gzip in parts": in_parts,
    "gzip with a name": named_gzip,
    "gzip twice": lambda files: gzipped(model_archive(files)),
    "bzip2": lambda files: bz2.compress(plain_tar(files)),
    "xz": lambda files: lzma.compress(plain_tar(files)),
    "lzma": lambda files: lzma.compress(plain_tar(files), format=lzma.FORMAT_ALONE),
    "zip": zipped,
    "two archives, one after the other": lambda files: gzipped(
        tar(members(files)) + plain_tar({"more": b"x"})
    ),
    "no members": lambda files: gzipped(tar([])),
    "only folders": lambda files: gzipped(tar([folder("assets"), folder("variables")])),
    "only hidden files": lambda files: gzipped(tar([file(".hidden", b"x")])),
    "without the index": lambda files: gzipped(tar(members({n: d for n, d in files.items() if n != INDEX}))),
    "without the vocabulary": lambda files: gzipped(
        tar(members({n: d for n, d in files.items() if n != VOCABULARY}))
    ),
    "below a folder": lambda files: model_archive(files, root="model/"),
    "cut": cut,
    "wrong checksum": wrong_checksum,
    "an empty file": with_more(file("assets/none", b"")),
    "2,000 small files": lambda files: gzipped(
        tar([*members(files), *(file(f"assets.extra/{n}", b"") for n in range(2000))])
    ),
    "300 folders deep": with_more(file("a/" * 300 + "x", b"x")),
}
DIFFERS = {"wrong checksum": DAMAGED}
REQUESTS = {"cut": AGAIN, "wrong checksum": AGAIN}
QUICK = {
    "absolute names",
    "tar -r",
    "gzip, bytes after its end",
    "plain tar without end",
    "a name that leads out",
}


def _closed(name: str) -> tarfile.TarInfo:
    member = folder(name)
    member.mode = 0
    return member


def situations() -> Iterator[Situation]:
    for name, form in FORMS.items():
        yield Situation(
            f"archive {name}",
            archive=form,
            differs=DIFFERS.get(name, ""),
            requests=REQUESTS.get(name, ""),
            quick=name in QUICK,
        )


@pytest.mark.parametrize("situation", parameters(situations()))
def test_archive_is_unpacked_as_plain_unpacks_it(
    situation: Situation, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    examine(situation, tmp_path, record_property)
