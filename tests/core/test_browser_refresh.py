# ruff: noqa: DTZ001, DTZ005, DTZ006 - local times, as descriptors keep
"""A second look at a cache finds what the first one would, and looks only at what changed."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from hub_magic import CacheScan, SettingError, parse_handle, scan_cache
from hub_magic.cache.layout import Descriptor, Holder, descriptor_text, lock_text
from hub_magic.cache.refresh import with_last_use
from hub_magic.store import rescan

HANDLES = tuple(f"https://tfhub.dev/google/nnlm-en-dim{number}/2" for number in range(4))
LONG_AGO = 1_000_000_000


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    for handle in HANDLES:
        add(tmp_path, handle)
    return tmp_path


def add(cache: Path, handle: str) -> Path:
    folder = cache / parse_handle(handle).folder
    (folder / "variables").mkdir(parents=True)
    for name in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"):
        (folder / name).write_bytes(b"x" * 100)
        os.utime(folder / name, (LONG_AGO, LONG_AGO))
    text = descriptor_text(Descriptor(handle, datetime(2026, 1, 2), "host", 1))
    (cache / f"{folder.name}.descriptor.txt").write_text(text)
    return folder


def looked(cache: Path) -> CacheScan:
    """A scan whose look at the cache is long enough ago for the disk's clock, and which says so of itself."""
    scan = scan_cache(str(cache))
    return replace(scan, taken=datetime.now() + timedelta(seconds=10))


def folder_of(cache: Path, index: int) -> Path:
    return cache / parse_handle(HANDLES[index]).folder


def touch(path: Path) -> None:
    """Give a folder the time of a change made after the scan of `looked`."""
    later = datetime.now().timestamp() + 20
    os.utime(path, (later, later))


def test_refresh_of_unchanged_cache_reuses_every_model(cache: Path):
    scan = looked(cache)
    again = rescan(scan)
    assert again == scan
    assert all(new is old for new, old in zip(again.models, scan.models, strict=True))
    assert again.taken != scan.taken


def test_recent_scan_is_measured_again(cache: Path):
    scan = scan_cache(str(cache))
    (folder_of(cache, 0) / "variables" / "variables.index").unlink()
    assert rescan(scan) == scan_cache(str(cache))


def test_refresh_finds_a_file_deleted_in_a_subfolder(cache: Path):
    scan = looked(cache)
    (folder_of(cache, 1) / "variables" / "variables.index").unlink()
    touch(folder_of(cache, 1) / "variables")
    again = rescan(scan)
    assert again == scan_cache(str(cache))
    assert [model.damage for model in again.models if model.damage] == [
        "variables/variables.index is missing"
    ]
    assert [problem.kind for problem in again.problems] == ["damaged"]
    # And the next look still knows it.
    assert rescan(replace(again, taken=datetime.now() + timedelta(seconds=60))).problems == again.problems


def test_refresh_finds_added_and_removed_models(cache: Path):
    scan = looked(cache)
    add(cache, "https://tfhub.dev/google/new/1")
    shutil.rmtree(folder_of(cache, 0))
    touch(cache)
    again = rescan(scan)
    assert again == scan_cache(str(cache))
    assert [model.name for model in again.models][-1] == "nnlm-en-dim3"
    assert [problem.kind for problem in again.problems] == ["orphan"]


def test_refresh_follows_a_lock_that_comes_and_goes(cache: Path):
    lock = cache / f"{folder_of(cache, 2).name}.lock"
    lock.write_text(lock_text(Holder("elsewhere", 7, "0" * 32)))
    scan = looked(cache)
    assert scan.models[2].holder is not None
    lock.unlink()
    again = rescan(scan)
    assert again == scan_cache(str(cache))
    assert again.models[2].holder is None


def test_refresh_finds_a_lost_descriptor(cache: Path):
    scan = looked(cache)
    (cache / f"{folder_of(cache, 0).name}.descriptor.txt").unlink()
    touch(cache)
    assert rescan(scan) == scan_cache(str(cache))


def test_refresh_of_deleted_cache_has_no_models(cache: Path):
    scan = looked(cache)
    shutil.rmtree(cache)
    assert rescan(scan).models == ()


def test_refresh_of_cache_that_became_a_file_raises(cache: Path):
    scan = looked(cache)
    shutil.rmtree(cache)
    cache.write_text("")
    with pytest.raises(SettingError, match="cannot be read"):
        rescan(scan)


def test_refresh_of_handmade_scan_equals_a_new_scan(cache: Path):
    assert rescan(CacheScan(str(cache))) == scan_cache(str(cache))


def test_last_use_is_updated_for_one_model_only(cache: Path):
    scan = looked(cache)
    path = folder_of(cache, 0) / "saved_model.pb"
    os.utime(path, (LONG_AGO + 500, LONG_AGO))
    first, *others = [with_last_use(model) for model in rescan(scan).models]
    assert first.last_used == datetime.fromtimestamp(LONG_AGO + 500)
    assert tuple(others) == scan.models[1:]
    path.unlink()
    assert with_last_use(scan.models[0]) is scan.models[0]
