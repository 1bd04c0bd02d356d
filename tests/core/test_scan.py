"""The scan of a cache directory: the library's layout, written by hand."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub_magic import HubMagicError, list_cache, parse_handle, scan_cache
from hub_magic.cache.entry import damage_in
from hub_magic.cache.layout import (
    Descriptor,
    Holder,
    Role,
    descriptor_text,
    lock_text,
    read_descriptor,
    read_lock,
    read_name,
)
from hub_magic.render.cache import scan_text

HANDLE = "https://tfhub.dev/google/nnlm-en-dim128/2"
WHOLE = {"saved_model.pb": 10, "variables/variables.index": 2, "variables/variables.data-00000-of-00001": 30}


@pytest.fixture
def entry(tmp_path: Path) -> Callable[..., Path]:
    def make(handle: str = HANDLE, files: dict[str, int] = WHOLE, *, descriptor: bool = True) -> Path:
        folder = tmp_path / parse_handle(handle).folder
        folder.mkdir()
        for name, size in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(b"x" * size)
        if descriptor:
            (tmp_path / f"{folder.name}.descriptor.txt").write_text(
                descriptor_text(Descriptor(handle, datetime(2026, 1, 2, 3, 4, 5), "far.example", 7))  # noqa: DTZ001
            )
        return folder

    return make


def test_intact_entry_is_scanned_completely(entry: Callable[..., Path], tmp_path: Path) -> None:
    folder = entry()
    scan = scan_cache(str(tmp_path))
    (model,) = scan.models
    assert (model.publisher, model.name, model.version) == ("google", "nnlm-en-dim128", "2")
    assert (model.handle, model.kind, model.size, model.files) == (HANDLE, "SavedModel", 42, 3)
    assert (model.downloaded, model.host) == (datetime(2026, 1, 2, 3, 4, 5), "far.example")  # noqa: DTZ001
    assert model.path == str(folder)
    assert model.last_used is not None
    assert (scan.problems, scan.size) == ((), 42)
    assert scan.free > 0


def test_list_has_names_without_sizes(entry: Callable[..., Path], tmp_path: Path) -> None:
    entry()
    (model,) = list_cache(str(tmp_path)).models
    assert model.handle == HANDLE
    assert not model.is_measured


def test_tf1_hub_and_other_kinds_are_recognised(entry: Callable[..., Path], tmp_path: Path) -> None:
    entry("https://a.example/p/hub/1", WHOLE | {"tfhub_module.pb": 2})
    entry("https://a.example/p/other/1", {"weights.h5": 5, "assets/labels.txt": 3})
    kinds = {model.name: (model.kind, model.damage) for model in scan_cache(str(tmp_path)).models}
    assert kinds == {"hub": ("TF1 Hub", ""), "other": ("other", "")}


def test_problems_never_spoil_the_list(entry: Callable[..., Path], tmp_path: Path) -> None:
    entry()
    lone = entry("https://tfhub.dev/google/lone/1", descriptor=False)
    other, here = "ab" * 20, socket.gethostname()
    (tmp_path / f"{other}.lock").write_text(lock_text(Holder(here, 2**22 + 1, "cd" * 16)))
    (tmp_path / f"{other}.{'cd' * 16}.tmp").mkdir()
    (tmp_path / f"{other}.{'cd' * 16}.tmp" / "half").write_bytes(b"12345")
    (tmp_path / f"{'01' * 20}.lock").write_text(lock_text(Holder("far.example", 5, "ef" * 16)))
    (tmp_path / f"{'02' * 20}.lock").write_bytes(b"\xff\xfe nonsense")
    (tmp_path / f"{'03' * 20}.lock.tmp{'00' * 16}").write_bytes(b"12")
    (tmp_path / f"{'04' * 20}.descriptor.txt").write_text("Module: gone")
    (tmp_path / ("05" * 20)).symlink_to("/etc")
    (tmp_path / ("06" * 20)).write_text("a file")
    (tmp_path / "notes.txt").write_text("not of the library's form: not our business")
    scan = scan_cache(str(tmp_path))
    assert [model.handle for model in scan.models] == [HANDLE, ""]
    assert scan.models[1].name == lone.name
    found = {(problem.name[:2], problem.kind): (problem.reason, problem.size) for problem in scan.problems}
    assert found == {
        (lone.name[:2], "no descriptor"): ("its handle is unknown (no descriptor file)", 0),
        ("ab", "lock"): (f"stale: process {2**22 + 1} is gone", 0),
        ("ab", "partial download"): ("an unfinished download", 5),
        ("01", "lock"): ("held by process 5 on far.example", 0),
        ("02", "lock"): ("a lock that names no owner", 0),
        ("03", "leftover"): ("an unfinished write", 2),
        ("04", "orphan"): ("the model it describes no longer exists", 12),
        ("05", "link"): ("is a link, which is not followed", 0),
        ("06", "unreadable"): ("has the wrong type for its name", 0),
    }


def test_lock_of_a_living_process_is_shown(entry: Callable[..., Path], tmp_path: Path) -> None:
    holder = Holder(socket.gethostname(), os.getpid(), "ef" * 16)
    (tmp_path / f"{parse_handle(HANDLE).folder}.lock").write_text(lock_text(holder))
    entry()
    scan = scan_cache(str(tmp_path))
    assert scan.models[0].holder == holder
    assert scan.problems[0].reason == f"held by process {os.getpid()} on {socket.gethostname()}"
    assert f"locked by process {os.getpid()} on" in scan_text(scan)


def test_stale_lock_of_a_killed_process_is_shown(entry: Callable[..., Path], tmp_path: Path) -> None:
    holder = Holder(socket.gethostname(), 2**22 + 1, "ef" * 16)
    (tmp_path / f"{parse_handle(HANDLE).folder}.lock").write_text(lock_text(holder))
    entry()
    told = scan_text(scan_cache(str(tmp_path)))
    assert f"stale lock (process {holder.pid} on {holder.host})" in told
    assert "locked by" not in told


@pytest.mark.parametrize(
    ("change", "damage"),
    [
        ({"saved_model.pb": None}, "saved_model.pb is missing"),
        ({"saved_model.pb": 0}, "saved_model.pb is empty"),
        ({"variables/variables.index": None}, "variables/variables.index is missing"),
        ({"variables/variables.index": 0}, "variables/variables.index is empty"),
        (
            {"variables/variables.data-00000-of-00001": None},
            "variables/variables.data-00000-of-00001 is missing",
        ),
        (
            {"variables/variables.data-00000-of-00001": None, "variables/variables.data-00001-of-00002": 3},
            "variables/variables.data-00000-of-00002 is missing",
        ),
        (dict.fromkeys(WHOLE), "it holds no files"),
        (dict.fromkeys(WHOLE) | {".DS_Store": 6}, "it holds no model, only hidden files"),
    ],
)
def test_damage_of_an_entry_is_found(
    entry: Callable[..., Path], tmp_path: Path, change: dict[str, int | None], damage: str
) -> None:
    folder = entry()
    for name, size in change.items():
        if size is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(b"x" * size)
    scan = scan_cache(str(tmp_path))
    assert scan.models[0].damage == damage
    assert [(problem.kind, problem.reason) for problem in scan.problems] == [("damaged", damage)]


@given(st.dictionaries(st.text(min_size=1), st.integers(0, 5)), st.sets(st.text(min_size=1)))
def test_other_files_are_never_damage(files: dict[str, int], folders: set[str]) -> None:
    visible = {f"file-{name}": size for name, size in files.items()} | {"readme.md": 1}
    assert damage_in(visible, folders - {"variables"}) == ""


def test_missing_cache_has_no_models(tmp_path: Path) -> None:
    scan = scan_cache(str(tmp_path / "not" / "yet"))
    assert (scan.models, scan.problems) == ((), ())
    assert scan.free > 0


def test_cache_that_is_a_file_raises(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HubMagicError, match="cannot be read: Not a directory"):
        scan_cache(str(tmp_path / "file"))


@given(st.text(), st.text(alphabet=st.characters(exclude_characters="\n")), st.integers(0, 10**9))
def test_descriptors_are_read_as_written(handle: str, host: str, pid: int) -> None:
    descriptor = Descriptor(handle, datetime(2026, 5, 6, 7, 8, 9, 10), host, pid)  # noqa: DTZ001
    assert read_descriptor(descriptor_text(descriptor)) == descriptor


@given(st.text(), st.integers(0, 10**9), st.uuids())
def test_locks_are_read_as_written(host: str, pid: int, uid: object) -> None:
    holder = Holder(host, pid, str(uid).replace("-", ""))
    assert read_lock(lock_text(holder)) == holder


@given(st.text())
def test_only_names_of_the_librarys_form_are_read(name: str) -> None:
    assert read_name(name) is None


@pytest.mark.parametrize(
    ("suffix", "role"),
    [
        ("", Role.ENTRY),
        (".descriptor.txt", Role.DESCRIPTOR),
        (".files.json", Role.RECORD),
        (".lock", Role.LOCK),
        (f".{'0a' * 16}.tmp", Role.DOWNLOAD),
        (f".lock.tmp{'0a' * 16}", Role.LEFTOVER),
        (f".descriptor.txt.tmp{'0a' * 16}", Role.LEFTOVER),
    ],
)
def test_names_in_a_cache_are_read(suffix: str, role: Role) -> None:
    part = read_name("0b" * 20 + suffix)
    assert part is not None
    assert (part.folder, part.role) == ("0b" * 20, role)
    for spoilt in (
        "0B" * 20 + suffix,
        "0b" * 19 + suffix,
        "0b" * 20 + suffix + "x",
        "0b" * 20 + suffix + "\n",
    ):
        assert read_name(spoilt) is None
