"""Models put into a cache and taken out of it by hand; whole caches moved."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from archives import file, gzipped, model_archive, read_folder, special, tar
from care_cache import NOBODY, WHOLE, lock, plant, tree, write

from hub_magic import (
    DamagedEntryError,
    HandleError,
    Moved,
    SettingError,
    add,
    add_all,
    parse_handle,
    plan_move,
    scan_cache,
    verify,
)
from hub_magic.cache.record import find_damage
from hub_magic.care.export import export_model, export_models
from hub_magic.host import ModelHost

NNLM = "https://tfhub.dev/google/nnlm-en-dim50/2"
FOLDER = parse_handle(NNLM).folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with a whole model."""
    return write(tmp_path / "model", {**WHOLE, "assets/vocab.txt": b"hub"})


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder on another disk."""
    if (
        not Path("/dev/shm").is_dir()
        or Path("/dev/shm").stat().st_dev == Path(tempfile.gettempdir()).stat().st_dev
    ):
        pytest.skip("there is no second disk here: /dev/shm is none")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        yield Path(directory)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def names(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir()) if cache.exists() else []


ENTRY = sorted([FOLDER, f"{FOLDER}.descriptor.txt", f"{FOLDER}.files.json"])


# In


@pytest.mark.parametrize("kind", ["folder", "w:", "w:gz", "w:bz2", "w:xz", "with a folder at its root"])
def test_added_model_is_a_complete_entry(cache: Path, model: Path, tmp_path: Path, kind: str) -> None:
    source = model
    if kind != "folder":
        source = tmp_path / "model.tar.gz"
        root = "./" if kind.startswith("w:") else "model/"
        source.write_bytes(model_archive(contents(model), mode=kind if root == "./" else "w:gz", root=root))
    done: list[int] = []
    added = add(NNLM, str(source), location=str(cache), progress=done.append)
    assert (added.handle, added.path, added.files, added.size) == (NNLM, str(cache / FOLDER), 4, 22)
    assert sum(done) == (22 if kind == "folder" else source.stat().st_size)
    assert contents(cache / FOLDER) == contents(model)
    assert names(cache) == ENTRY
    scan = scan_cache(str(cache))
    assert (scan.problems, scan.models[0].handle) == ((), NNLM)
    assert verify(scan).checked[0].recorded == 4


def test_add_follows_links_to_files(cache: Path, model: Path, tmp_path: Path) -> None:
    (model / "assets/vocab.txt").rename(tmp_path / "blob")
    (model / "assets/vocab.txt").symlink_to(tmp_path / "blob")
    add(NNLM, str(model), location=str(cache))
    assert (cache / FOLDER / "assets/vocab.txt").read_bytes() == b"hub"
    assert not (cache / FOLDER / "assets/vocab.txt").is_symlink()


def make_archive(*members) -> bytes:
    return tar([*members, *(file(name, data) for name, data in WHOLE.items())])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "{source} does not exist."),
        ({}, "{source} is empty."),
        (
            {"model/saved_model.pb": b"x", "readme": b"x"},
            "{source} is not itself a model, but {source}/model is.",
        ),
        ({"saved_model.pb": b""}, "{source} is incomplete: saved_model.pb is empty."),
        ({**WHOLE, "saved_model.pb": b"<html>"}, "is incomplete: saved_model.pb is damaged"),
        (b"PK\x03\x04 a zip file", "is neither a folder nor a .tar or .tar.gz archive."),
        (b"", "is neither a folder nor a .tar or .tar.gz archive."),
        (make_archive(file("../outside", b"x")), "cannot be added: '../outside' is outside its folder."),
        (make_archive(file("/../x", b"x")), "cannot be added: '/../x' is outside its folder."),
        (
            make_archive(special("link", tarfile.SYMTYPE, "/etc/passwd")),
            "cannot be added: 'link' is a symbolic link.",
        ),
        (make_archive(special("pipe", tarfile.FIFOTYPE)), "cannot be added: 'pipe' is a named pipe."),
        (make_archive()[:700], "cannot be added: "),
        (model_archive(WHOLE)[:-9], "cannot be added: it is truncated."),
    ],
)
def test_add_refuses_in_one_line_and_leaves_nothing(
    cache: Path, tmp_path: Path, source, message: str
) -> None:
    path = tmp_path / "source"
    if isinstance(source, dict):
        write(path, source).mkdir(exist_ok=True)
    elif source is not None:
        path.write_bytes(source)
    with pytest.raises(SettingError) as caught:
        add(NNLM, str(path), location=str(cache))
    assert message.format(source=path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert names(cache) == []
    assert not (tmp_path / "outside").exists()


def test_added_archive_means_what_it_means_to_tar(cache: Path, tmp_path: Path) -> None:
    """`tar -P` makes absolute names, and `tar -r` repeats files; the later one counts."""
    archive = tmp_path / "model.tar.gz"
    members = [file("/assets/vocab.txt", b"old"), *(file(f"/{name}", data) for name, data in WHOLE.items())]
    archive.write_bytes(gzipped(tar([*members, file("assets/vocab.txt", b"new")])) + b"bytes after the end")
    added = add(NNLM, str(archive), location=str(cache))
    assert read_folder(added.path) == {**WHOLE, "assets/vocab.txt": b"new"}
    assert added.files == len({**WHOLE, "assets/vocab.txt": b""})
    assert find_damage(added.path) == ""


def test_add_refuses_special_files_and_links_to_folders(cache: Path, model: Path, tmp_path: Path) -> None:
    (model / "loop").symlink_to(tmp_path)
    with pytest.raises(SettingError, match="is a link to a folder"):
        add(NNLM, str(model), location=str(cache))
    (model / "loop").unlink()
    os.mkfifo(model / "pipe")
    with pytest.raises(SettingError, match=r"is not a regular file \(socket, device or pipe\)"):
        add(NNLM, str(model), location=str(cache))
    assert names(cache) == []


@pytest.mark.parametrize("handle", ["models/mine", "", "ftp://host/model", "https://"])
def test_add_needs_a_url(cache: Path, model: Path, handle: str) -> None:
    with pytest.raises(HandleError):
        add(handle, str(model), location=str(cache))
    assert names(cache) == []


def test_add_refuses_cached_or_locked_models_and_replaces_damaged_ones(cache: Path, model: Path) -> None:
    cache.mkdir()
    entry = plant(cache, NNLM)
    with pytest.raises(SettingError, match="is cached already"):
        add(NNLM, str(model), location=str(cache))
    (entry / "saved_model.pb").unlink()
    held = lock(entry)
    with pytest.raises(SettingError, match="is being downloaded by another process"):
        add(NNLM, str(model), location=str(cache))
    lock(entry, pid=NOBODY)
    add(NNLM, str(model), location=str(cache))
    assert not held.exists()
    assert contents(entry) == contents(model)
    assert names(cache) == ENTRY


# Out


def test_exported_archive_can_be_added_again(cache: Path, model: Path, tmp_path: Path) -> None:
    add(NNLM, str(model), location=str(cache))
    (entry,) = scan_cache(str(cache)).models
    done: list[int] = []
    for name in ("it.tar.gz", "it.tgz", "it.tar"):
        exported = export_model(entry, str(tmp_path / name), done.append)
        assert exported.size == (tmp_path / name).stat().st_size
        add(NNLM, exported.file, location=str(tmp_path / name.replace(".", "")))
        assert contents(tmp_path / name.replace(".", "") / FOLDER) == contents(model)
    assert sum(done) == 3 * 22
    (tmp_path / "sub").mkdir()
    again = export_model(entry, str(tmp_path / "sub" / "other.tar.gz"))
    assert Path(again.file).read_bytes() == (tmp_path / "it.tar.gz").read_bytes()
    assert sorted(path.name for path in (tmp_path / "sub").iterdir()) == ["other.tar.gz"]
    assert scan_cache(str(cache)).models[0].last_used == entry.last_used


def test_export_refuses_and_leaves_nothing(cache: Path, model: Path, tmp_path: Path) -> None:
    add(NNLM, str(model), location=str(cache))
    (entry,) = scan_cache(str(cache)).models
    target = tmp_path / "out"
    target.mkdir()
    (target / "there.tar").write_text("precious")
    for name, message in (
        ("there.tar", "already exists"),
        ("it.zip", "must end in .tar.gz, .tgz or .tar."),
        ("missing/it.tar", "cannot be written to .*: No such file or directory"),
    ):
        with pytest.raises(SettingError, match=message):
            export_model(entry, str(target / name))
    (cache / FOLDER / "link").symlink_to("/etc/passwd")
    Path(f"{cache / FOLDER}.files.json").unlink()
    with pytest.raises(SettingError, match="link in it is a link"):
        export_model(scan_cache(str(cache)).models[0], str(target / "it.tar"))
    (cache / FOLDER / "saved_model.pb").unlink()
    with pytest.raises(DamagedEntryError, match="Repair it first: %hub_cache --repair"):
        export_model(entry, str(target / "it.tar"))
    assert contents(target) == {"there.tar": b"precious"}


def test_export_of_all_serves_a_host_and_another_computer(cache: Path, tmp_path: Path) -> None:
    kaggle = "https://www.kaggle.com/models/google/nnlm/tensorFlow2/en-dim50/1"
    handles = [
        NNLM,
        f"{NNLM}/",
        kaggle,
        "http://localhost:8501/a b/1".replace(" ", "%20"),
        "https://h/p/m/1?x=1",
    ]
    cache.mkdir()
    for handle in handles:
        plant(cache, handle)
    plant(cache, "https://tfhub.dev/p/nameless/1", descriptor=False)
    plant(cache, "https://tfhub.dev/p/damaged/1", {**WHOLE, "saved_model.pb": b""})
    target = tmp_path / "stick"
    done: list[int] = []
    export = export_models(scan_cache(str(cache)).models, str(target), done.append)
    assert {one.handle for one in export.exported} == set(handles)
    assert sorted(choice.reason.partition(" ")[0] for choice in export.left) == [
        "https://tfhub.dev/p/damaged/1",
        "its",
    ]
    assert (target / "tfhub.dev/google/nnlm-en-dim50/2.tar.gz").is_file()
    assert (target / "kaggle.com/models/google/nnlm/tensorflow2/en-dim50/1.tar.gz").is_file()
    again = export_models(scan_cache(str(cache)).models, str(target))
    assert (again.exported, again.there) == ((), 5)
    with ModelHost(target) as host:
        assert f"{host.url}/tfhub.dev/google/nnlm-en-dim50/2" in host.handles
    other = tmp_path / "other"
    added = add_all(str(target), location=str(other))
    assert ({one.handle for one in added.added}, added.there, added.left) == (set(handles), 0, ())
    assert {m.handle: m.size for m in scan_cache(str(other)).models} == dict.fromkeys(handles, 19)
    assert add_all(str(target), location=str(other)).there == 5


def test_untrusted_export_list_is_refused(cache: Path, model: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"models\.json does not exist"):
        add_all(str(tmp_path), location=str(cache))
    (tmp_path / "models.json").write_text("{}")
    with pytest.raises(SettingError, match="does not exist"):
        add_all(str(tmp_path), location=str(cache))
    (tmp_path / "models.json").write_text("not json")
    with pytest.raises(SettingError, match="exists but is not an export list"):
        add_all(str(tmp_path), location=str(cache))
    for outside in ("../x.tar", "/etc/x.tar", ""):
        (tmp_path / "models.json").write_text(json.dumps([{"handle": NNLM, "file": outside, "sha256": ""}]))
        with pytest.raises(SettingError, match="refers to a file outside its folder"):
            add_all(str(tmp_path), location=str(cache))
    (tmp_path / "it.tar").write_bytes(model_archive(WHOLE, mode="w:"))
    (tmp_path / "models.json").write_text(
        json.dumps(
            [
                {"handle": NNLM, "file": "it.tar", "sha256": "00"},
                {"handle": "nonsense:", "file": "no", "sha256": "00"},
            ]
        )
    )
    left = add_all(str(tmp_path), location=str(cache)).left
    assert ["does not match its checksum" in one.reason for one in left] == [True, False]
    assert names(cache) == []


# Elsewhere


def move(cache: Path, target: Path, *, same_disk: bool, loaded: tuple[str, ...] = ()) -> Moved:
    plan = plan_move(
        scan_cache(str(target)), scan_cache(str(cache)), same_disk=same_disk, loaded=lambda: loaded
    )
    target.mkdir(exist_ok=True)
    return plan.execute()


@pytest.fixture(params=["same disk", "another disk"])
def target(request, tmp_path: Path) -> Path:
    return (
        tmp_path / "target"
        if request.param == "same disk"
        else request.getfixturevalue("elsewhere") / "target"
    )


def is_same(cache: Path, target: Path) -> bool:
    return cache.stat().st_dev == target.parent.stat().st_dev


def test_move_carries_models_and_leaves_other_files(cache: Path, model: Path, target: Path) -> None:
    add(NNLM, str(model), location=str(cache))
    plant(cache, "https://tfhub.dev/p/other/1", used=30, descriptor=False)
    (cache / "notes.txt").write_text("mine")
    before = scan_cache(str(cache))
    moved = move(cache, target, same_disk=is_same(cache, target))
    assert (len(moved.moved), moved.kept, moved.failed, moved.size) == (2, (), (), 41)
    assert names(cache) == ["notes.txt"]
    after = scan_cache(str(target))
    assert [(m.folder, m.handle, m.size, m.last_used) for m in after.models] == [
        (m.folder, m.handle, m.size, m.last_used) for m in before.models
    ]
    assert verify(after).damaged == ()
    assert [one.recorded for one in verify(after).checked] == [4, 0]
    assert len(names(target)) == 4


def test_move_keeps_what_is_in_use(cache: Path, target: Path) -> None:
    cache.mkdir()
    entries = {name: plant(cache, f"https://tfhub.dev/p/{name}/1") for name in ("free", "locked", "loaded")}
    lock(entries["locked"])
    moved = move(cache, target, same_disk=is_same(cache, target), loaded=(str(entries["loaded"]),))
    assert [model.name for model in moved.moved] == ["free"]
    assert {choice.model.name: choice.reason.partition(" ")[0] for choice in moved.kept} == {
        "locked": "locked",
        "loaded": "loaded",
    }
    assert [entry.exists() for entry in entries.values()] == [False, True, True]
    assert sorted(model.name for model in scan_cache(str(target)).models) == ["free", "loaded"]


def test_move_keeps_models_that_the_target_has(cache: Path, target: Path) -> None:
    cache.mkdir()
    target.mkdir()
    for name in ("same", "other", "damaged"):
        plant(cache, f"https://tfhub.dev/p/{name}/1")
    plant(target, "https://tfhub.dev/p/same/1")
    other = plant(target, "https://tfhub.dev/p/other/1", size=5)
    plant(target, "https://tfhub.dev/p/damaged/1", {**WHOLE, "saved_model.pb": b""})
    before = tree(other)
    moved = move(cache, target, same_disk=is_same(cache, target))
    assert sorted(model.name for model in moved.moved) == ["damaged", "same"]
    assert [choice.reason for choice in moved.kept] == [f"another copy of it is at {other}"]
    assert tree(other) == before
    scan = scan_cache(str(target))
    assert (len(scan.models), scan.problems) == (3, ())
    assert len(names(target)) == 6
    assert len(names(cache)) == 2


def test_move_leaves_a_damaged_model_behind(cache: Path, model: Path, elsewhere: Path) -> None:
    add(NNLM, str(model), location=str(cache))
    (cache / FOLDER / "assets/vocab.txt").write_bytes(b"hug")
    moved = move(cache, elsewhere / "target", same_disk=False)
    assert [choice.reason for choice in moved.kept] == [
        "it is damaged: assets/vocab.txt does not match its checksum"
    ]
    assert names(elsewhere / "target") == []
    assert names(cache) == ENTRY


def test_move_checks_the_space_first(cache: Path, tmp_path: Path) -> None:
    cache.mkdir()
    plant(cache, NNLM, size=1000)
    full = replace(scan_cache(str(tmp_path / "target")), free=500)
    with pytest.raises(SettingError, match=r"needs 1\.0 kB, 500 bytes free\. Prune"):
        plan_move(full, scan_cache(str(cache)), same_disk=False)
    assert plan_move(full, scan_cache(str(cache)), same_disk=True).needed == 0
    with pytest.raises(SettingError, match="is the cache itself"):
        plan_move(scan_cache(f"{cache}/../cache"), scan_cache(str(cache)), same_disk=True)


@pytest.mark.skipif(
    shutil.which("mount") is None or os.getuid() != 0, reason="needs root, to mount a small disk"
)
def test_move_to_a_full_disk_loses_no_model(cache: Path, model: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if os.system(f"mount -t tmpfs -o size=1m none {small} 2>/dev/null"):
        pytest.skip("mounting is not allowed here")
    try:
        add(NNLM, str(model), location=str(cache))
        plant(cache, "https://tfhub.dev/p/big/1", size=5_000_000)
        before = tree(cache)
        scan = scan_cache(str(cache))
        moved = plan_move(replace(scan_cache(str(small)), free=-1), scan, same_disk=False).execute()
        assert [model.name for model in moved.moved] == ["nnlm-en-dim50"]
        assert [choice.reason for choice in moved.failed] == ["it cannot be moved: No space left on device"]
        assert names(small) == ENTRY
        assert set(tree(cache)) < set(before)
        assert len(names(cache)) == 2
        big = write(tmp_path / "big", {**WHOLE, "more": b"x" * 5_000_000})
        with pytest.raises(SettingError, match="Not enough disk space"):
            add("https://h/p/m/1", str(big), location=str(small))
        with pytest.raises(SettingError, match="No space left on device"):
            export_model(scan_cache(str(cache)).models[0], str(small / "it.tar"))
        assert names(small) == ENTRY
    finally:
        os.system(f"umount {small}")


def test_exported_archives_name_no_user_or_time(cache: Path, model: Path, tmp_path: Path) -> None:
    add(NNLM, str(model), location=str(cache))
    exported = export_model(scan_cache(str(cache)).models[0], str(tmp_path / "it.tar"))
    with tarfile.open(exported.file) as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == [
        "assets",
        "variables",
        "saved_model.pb",
        "assets/vocab.txt",
        "variables/variables.data-00000-of-00001",
        "variables/variables.index",
    ]
    assert {(member.mtime, member.uid, member.uname) for member in members} == {(0, 0, "")}
