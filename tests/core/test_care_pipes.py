"""Pipes in a cache, which whoever opens one waits at until somebody writes: nobody here may wait."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from care_cache import plant, tree

from hub_magic import (
    HubMagicError,
    SettingError,
    add,
    fetch,
    list_cache,
    parse_handle,
    plan_move,
    plan_prune,
    plan_repair,
    scan_cache,
    verify,
)
from hub_magic.cache.record import EntryRecord, FileRecord, find_damage, record_text
from hub_magic.cache.savedmodel import read_saved_model
from hub_magic.cache.selection import find_duplicates
from hub_magic.care.export import export_model

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")

NNLM = "https://tfhub.dev/google/nnlm-en-dim50/2"
UID = "cd" * 16
BESIDE = (
    ".lock",
    ".descriptor.txt",
    ".files.json",
    f".{UID}.tmp",
    f".lock.tmp{UID}",
    f".descriptor.txt.tmp{UID}",
)
INSIDE = ("/saved_model.pb", "/variables/variables.data-00000-of-00001", "/variables/more", "/pipe")


@pytest.fixture(autouse=True)
def _in_time() -> Iterator[None]:
    """Whoever waits at a pipe fails here and now."""

    def fail(*_: object) -> None:
        raise AssertionError("somebody waits at a pipe")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", ["", *BESIDE, *INSIDE])
def test_pipe_in_a_cache_blocks_no_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    other = plant(cache, "https://tfhub.dev/google/nnlm-en-dim50/3")
    entry = plant(cache, NNLM) if name else cache / parse_handle("https://tfhub.dev/google/nobody/1").folder
    if name != ".files.json" and name:
        text = Path(f"{entry}.descriptor.txt").read_text()
        files = (FileRecord("saved_model.pb", (entry / "saved_model.pb").stat().st_size, "0" * 64),)
        Path(f"{entry}.files.json").write_text(record_text(EntryRecord(NNLM, "", text, files)))
    pipe = Path(f"{entry}{name}")
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(cache))
    monkeypatch.setenv("HUB_MAGIC_OFFLINE", "1")

    scan = scan_cache(str(cache))
    if name in {"", *BESIDE}:
        kind = "lock" if name == ".lock" else "unreadable"  # what may be a lock is treated as one
        assert [(p.name, p.kind) for p in scan.problems if p.name == pipe.name] == [(pipe.name, kind)]
    plan_repair(verify(list_cache(str(cache)))).execute()
    find_duplicates(scan)
    for model in scan.models:
        find_damage(model.path)
        for act in (
            lambda path=model.path: read_saved_model(path),
            lambda one=model: export_model(one, str(tmp_path / f"{one.folder}.tar")),
            lambda one=model: fetch(one.handle, show_progress=False, notice=lambda _: None),
        ):
            with suppress(HubMagicError, OSError):
                act()
    with suppress(SettingError):  # locked, or cached already
        add(NNLM, str(other), location=str(cache))
    target = tmp_path / "target"
    target.mkdir()
    plan_move(scan_cache(str(target)), scan_cache(str(cache)), same_disk=False).execute()
    plan_prune(scan_cache(str(cache)), max_size=0).execute()
    if name in {"", *BESIDE}:
        assert tree(cache)[str(pipe)][0] == "special"  # not what its name says, so nobody's business


@pytest.mark.tensorflow
def test_pipe_in_place_of_tensors_is_reported_as_damage(tmp_path: Path) -> None:
    entry = plant(tmp_path, NNLM)
    shard = entry / "variables/variables.data-00000-of-00001"
    shard.unlink()
    os.mkfifo(shard)
    (checked,) = verify(list_cache(str(tmp_path)), deep=True).checked
    assert (
        checked.damage
        == "variables/variables.data-00000-of-00001 is not a regular file (socket, device or pipe)"
    )
