"""The contract of `Store`: the same for a cache in a directory and for one in a bucket."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import gcs_rig
import pytest
from care_cache import plant as plant_model
from fork_server import GOOGLE, ForkedProcess, start_python
from repository import process_environment

from hub_magic import Store, open_store, parse_handle
from hub_magic.bucket.lock import LockTimes
from hub_magic.cache.layout import Holder, lock_text

storage, gcs = gcs_rig.storage, gcs_rig.gcs  # fixtures
QUICK = LockTimes(beat=0.2, silent=1, gone=1, library=1, pause=0.05)
GRAPH = b"\x08\x01\x12\x00"  # the smallest SavedModel without variables
PUT = """
import sys
from hub_magic.bucket.lock import LockTimes
from hub_magic.store import open_store

source, target, stops = sys.argv[1:]
said = False

def progress(count):
    global said
    if count and not said:
        said = True
        print("under way", flush=True)
        if stops == "stop":
            sys.stdin.read()

times = LockTimes(beat=0.2, silent=1, gone=1, library=1, pause=0.05)
reasons = open_store(target).put(open_store(source).scan().models, progress, at_once=1, times=times)
print(reasons)
"""


@pytest.fixture(params=["directory", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty cache of each kind."""
    if request.param == "directory":
        return open_store(str(tmp_path / "store"))
    request.getfixturevalue("gcs")
    return open_store("gs://models/team")


def handle_of(number: int) -> str:
    return f"https://host.test/team/model{number}/1"


def files_of(number: int, assets: int) -> dict[str, bytes]:
    return {
        "saved_model.pb": GRAPH,
        **{f"assets/{at}.txt": f"{number} {at}".encode() for at in range(assets)},
    }


def make_store(location: Path, models: int, assets: int) -> Store:
    """Models on disk, each with so many files beside its graph."""
    for number in range(models):
        plant_model(location, handle_of(number), files_of(number, assets))
    return open_store(str(location))


@pytest.fixture
def here(tmp_path: Path) -> Store:
    """Three models on disk."""
    return make_store(tmp_path / "here", 3, 2)


@pytest.fixture
def filled(store: Store, here: Store) -> Store:
    """The cache with these models."""
    assert store.put(here.scan().models, times=QUICK) == [None] * 3
    return store


def plant(store: Store, name: str, content: bytes) -> None:
    """Write a file of a cache as another program does."""
    if store.is_remote:
        from hub_magic.gcs import open_folder

        with open_folder(store.location) as folder:
            folder.write(name, content, replaces=None)
        return
    path = Path(store.location, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def start(source: Store, target: Store, *, stops: bool = False) -> ForkedProcess:
    return start_python(
        "-c", PUT, source.location, target.location, "stop" if stops else "", imports=GOOGLE,
        env=process_environment(**{name: value for name, value in os.environ.items() if name.isupper()}),
        stdin=-1, stdout=-1,
    )  # fmt: skip


def test_empty_cache_has_no_models(store: Store) -> None:
    assert store.names().models == store.scan().models == ()
    assert store.rescan(store.scan()).models == ()
    assert store.verify(store.scan(), deep=True).checked == ()
    assert store.sweep(()) == ((), 0)
    assert store.remove(()) == ([], 0)


def test_put_makes_models_that_scan_and_names_show(filled: Store, here: Store) -> None:
    found = filled.scan()
    assert found.problems == ()
    assert [(one.handle, one.size, one.files, one.damage) for one in found.models] == [
        (one.handle, one.size, one.files, "") for one in here.scan().models
    ]
    assert {one.handle for one in filled.names().models} == {handle_of(number) for number in range(3)}
    assert all(one.path.startswith(filled.location) for one in found.models)


def test_read_returns_what_was_put(filled: Store) -> None:
    for number in range(3):
        folder = parse_handle(handle_of(number)).folder
        (model,) = (one for one in filled.scan().models if one.folder == folder)
        for name, content in files_of(number, 2).items():
            assert filled.read(model, name) == content
        with pytest.raises(FileNotFoundError):
            filled.read(model, "assets/none.txt")


def test_put_again_copies_nothing(filled: Store, here: Store) -> None:
    before = filled.scan()
    told: list[int] = []
    assert filled.put(here.scan().models, told.append, times=QUICK) == [None] * 3
    assert sum(told) == here.scan().size  # dealt with
    assert filled.scan().models == before.models


def test_put_replaces_a_damaged_copy(filled: Store, here: Store) -> None:
    model = filled.scan().models[0]
    plant(filled, f"{model.folder}/saved_model.pb", b"")
    (damaged,) = (one for one in filled.scan().models if one.damage)
    assert damaged.folder == model.folder
    assert filled.put(here.scan().models, times=QUICK) == [None] * 3
    assert [one.damage for one in filled.scan().models] == ["", "", ""]


def test_rescan_sees_what_has_changed(filled: Store) -> None:
    before = filled.scan()
    filled.remove(before.models[:1])
    assert [one.folder for one in filled.rescan(before).models] == [one.folder for one in before.models[1:]]


def test_quick_and_deep_verify_find_no_damage(filled: Store) -> None:
    for deep in (False, True):
        told: list[int] = []
        found = filled.verify(filled.scan(), deep=deep, progress=told.append)
        assert (len(found.checked), found.damaged, found.is_deep) == (3, (), deep)
        assert sum(told) == (filled.scan().size if deep else 3)


def test_verify_finds_an_empty_graph(filled: Store) -> None:
    model = filled.scan().models[1]
    plant(filled, f"{model.folder}/saved_model.pb", b"")
    damaged = filled.verify(filled.scan()).damaged
    assert [one.model.folder for one in damaged] == [model.folder]


def test_remove_frees_what_the_plan_says(filled: Store) -> None:
    first, second, third = filled.scan().models
    assert filled.remove([first]) == ([], first.size)
    assert [one.folder for one in filled.scan().models] == [second.folder, third.folder]
    assert filled.scan().problems == ()


def test_remove_keeps_what_is_used_changed_or_gone(filled: Store) -> None:
    used, changed, gone = filled.scan().models
    filled.remove([gone])
    plant(filled, f"{changed.folder}/assets/new.txt", b"more")
    kept, freed = filled.remove([used, changed, gone], in_use=lambda one: one.folder == used.folder)
    assert freed == 0
    assert {one.folder: reason for one, reason in kept} == {
        used.folder: "loaded in this kernel",
        changed.folder: "it has changed since the plan was made",
        gone.folder: "it had already been deleted",
    }
    assert {one.folder for one in filled.scan().models} == {used.folder, changed.folder}


def test_lock_is_one_owners_only(filled: Store) -> None:
    model = filled.scan().models[0]
    with filled.lock(model.folder) as ours:
        assert ours
        with filled.lock(model.folder) as theirs:
            assert not theirs
        assert [one.kind for one in filled.names().problems] == ["lock"]
        kept, _ = filled.remove([model])
        assert len(kept) == 1
        assert "locked" in kept[0][1]
    assert filled.names().problems == ()
    with filled.lock(model.folder) as again:
        assert again


def test_lock_owner_that_may_live_keeps_the_lock(filled: Store) -> None:
    model = filled.scan().models[0]
    plant(filled, f"{model.folder}.lock", lock_text(Holder("another.example", 7, "ab" * 16)).encode())
    with filled.lock(model.folder) as ours:
        assert not ours


def test_replacing_lets_a_new_copy_in(filled: Store, here: Store) -> None:
    model = filled.scan().models[0]
    with filled.replacing(model):
        assert filled.put([one for one in here.scan().models if one.folder == model.folder]) == [None]
    assert [one.damage for one in filled.scan().models] == ["", "", ""]
    assert filled.scan().problems == ()


def test_copy_to_another_store_and_back(filled: Store, tmp_path: Path) -> None:
    other = open_store(str(tmp_path / "other"))
    assert filled.copy_to(other, filled.scan().models, times=QUICK) == [None] * 3
    for model in other.scan().models:
        assert not model.damage
        assert other.read(model, "assets/1.txt") == filled.read(model, "assets/1.txt")
    filled.remove(filled.scan().models)
    assert other.copy_to(filled, other.scan().models, times=QUICK) == [None] * 3
    assert len(filled.scan().models) == 3


def test_on_disk_gives_directories_to_read(filled: Store) -> None:
    with filled.on_disk(filled.scan().models) as models:
        assert len(models) == 3
        for model in models:
            assert {path.name for path in Path(model.path).iterdir()} == {"saved_model.pb", "assets"}
    assert len(filled.scan().models) == 3


def test_sweep_removes_an_orphaned_descriptor(filled: Store) -> None:
    plant(filled, f"{'ab' * 20}.descriptor.txt", b"Module: https://host.test/gone/1\n")
    problems = filled.scan().problems
    assert [one.kind for one in problems] == ["orphan"]
    swept, _ = filled.sweep(problems)
    assert [one.name for one in swept] == [f"{'ab' * 20}.descriptor.txt"]
    assert filled.scan().problems == ()
    assert len(filled.scan().models) == 3


@pytest.fixture
def large(tmp_path: Path) -> Store:
    """Three models of many files, so that a reader would catch a half-written one."""
    return make_store(tmp_path / "large", 3, 25)


@pytest.fixture
def reader(store: Store) -> Iterator[set[tuple[int, bool]]]:
    """Files of each model and whether it is intact, as a reader sees them again and again meanwhile.

    A directory shows an entry in one step. A bucket shows files one after the other, and tells which entries are
    unfinished.
    """
    seen: set[tuple[int, bool]] = set()
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            models = store.scan().models
            seen.update((one.files, not one.damage) for one in models if not (one.damage and store.is_remote))

    thread = threading.Thread(target=read)
    thread.start()
    yield seen
    ended.set()
    thread.join()


def test_concurrent_writers_put_each_model_once(
    store: Store, large: Store, reader: set[tuple[int, bool]]
) -> None:
    writers = [start(large, store) for _ in range(3)]
    said = [writer.communicate(timeout=120)[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0], said
    found = store.scan()
    assert len(found.models) == 3
    assert found.problems == ()
    assert store.verify(found, deep=True).damaged == ()
    assert reader <= {(26, True)}


def test_killed_writer_leaves_no_half_model(
    store: Store, large: Store, reader: set[tuple[int, bool]]
) -> None:
    with start(large, store, stops=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "under way\n"
        writer.send_signal(signal.SIGKILL)
    assert store.verify(store.scan(), deep=True).damaged == ()
    # The next writer takes the stale lock over, and resumes.
    reasons = store.put(large.scan().models, times=QUICK)
    assert reasons == [None] * 3
    found = store.scan()
    assert len(found.models) == 3
    assert store.verify(found, deep=True).damaged == ()
    assert reader <= {(26, True)}
    store.sweep(found.problems)
    assert store.scan().problems == ()
