"""Checks without TensorFlow: every kind of damage is found, what is whole is not accused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from care_cache import GRAPH, NOBODY, WHOLE, lock, plant, tree
from test_care_savedmodel import model

from hub_magic import Verification, list_cache, plan_removal, plan_repair, scan_cache, verify
from hub_magic.cache.record import EntryRecord, FileRecord, record_text
from hub_magic.cache.savedmodel import read_saved_model
from hub_magic.cache.selection import find_duplicates

NNLM = "https://tfhub.dev/google/nnlm-en-dim50/2"
HUB_FORMAT = {**WHOLE, "tfhub_module.pb": b"\x08\x03"}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    location = tmp_path / "cache"
    location.mkdir()
    return location


def record(entry: Path) -> None:
    """Write the record that a download by hub_magic leaves."""
    files = tuple(
        FileRecord(
            path.relative_to(entry).as_posix(),
            path.stat().st_size,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(entry.rglob("*"))
        if path.is_file()
    )
    descriptor = Path(f"{entry}.descriptor.txt").read_text()
    Path(f"{entry}.files.json").write_text(record_text(EntryRecord(NNLM, "", descriptor, files)))


def damages(found: Verification) -> dict[str, str]:
    return {one.model.name: one.damage for one in found.damaged}


@pytest.mark.parametrize(
    ("files", "damage"),
    [
        (WHOLE, ""),
        (HUB_FORMAT, ""),
        ({"weights.h5": b"x", "labels.txt": b""}, ""),
        ({"saved_model.pbtxt": b"meta_graphs {}"}, ""),
        ({**WHOLE, "saved_model.pb": GRAPH[:-2]}, "saved_model.pb is damaged: it is truncated"),
        ({**WHOLE, "saved_model.pb": b"<html>"}, "saved_model.pb is damaged: it is not a protocol buffer"),
        ({**WHOLE, "saved_model.pb": b""}, "saved_model.pb is empty"),
        ({".DS_Store": b"x"}, "it holds no model, only hidden files"),
        ({"variables/variables.index": b"i"}, "saved_model.pb is missing"),
        (
            {"saved_model.pb": GRAPH, "variables/variables.index": b"i"},
            "variables/variables.data-00000-of-00001 is",
        ),
        ({**WHOLE, "variables/variables.index": b""}, "variables/variables.index is empty"),
        (
            {
                **WHOLE,
                "variables/variables.data-00000-of-00001": b"",
                "variables/variables.data-00001-of-00002": b"",
            },
            "variables/variables.data-00000-of-00002 is missing",
        ),
    ],
)
def test_verify_finds_files_that_the_format_requires(
    cache: Path, files: dict[str, bytes], damage: str
) -> None:
    plant(cache, NNLM, files)
    (one,) = verify(list_cache(str(cache))).checked
    assert one.damage.startswith(damage)
    assert bool(one.damage) == bool(damage)


@pytest.mark.parametrize("deep", [False, True])
def test_verify_compares_files_with_the_download_record(
    cache: Path, deep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub_magic.cache.verify.is_installed", lambda _name: False)
    entry = plant(cache, NNLM, {**WHOLE, "assets/vocab.txt": b"hub magic"})
    record(entry)
    assert damages(verify(list_cache(str(cache)), deep=deep)) == {}
    (entry / ".DS_Store").write_text("not in the record, and no harm")
    (entry / "assets/vocab.txt").write_bytes(b"hub magi")
    assert damages(verify(list_cache(str(cache)), deep=deep)) == {
        "nnlm-en-dim50": "assets/vocab.txt has 8 of its 9 bytes"
    }
    shutil.rmtree(entry / "assets")
    assert damages(verify(list_cache(str(cache)), deep=deep)) == {
        "nnlm-en-dim50": "assets/vocab.txt is missing"
    }


def test_only_a_deep_check_sees_changed_bytes(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub_magic.cache.verify.is_installed", lambda _name: False)
    entry = plant(cache, NNLM)
    record(entry)
    (entry / "variables/variables.data-00000-of-00001").write_bytes(b"weighty")
    scan = scan_cache(str(cache))
    assert verify(scan).damaged == ()
    (one,) = verify(scan, deep=True).checked
    assert one.damage == "variables/variables.data-00000-of-00001 does not match its checksum"
    assert (one.recorded, one.size) == (3, 19)


def test_verify_ignores_a_record_of_another_download(cache: Path) -> None:
    """tensorflow_hub knows nothing of records; what it downloads has another descriptor."""
    entry = plant(cache, NNLM, {**WHOLE, "assets/vocab.txt": b"hub magic"})
    record(entry)
    (entry / "assets/vocab.txt").unlink()
    descriptor = Path(f"{entry}.descriptor.txt")
    descriptor.write_text(descriptor.read_text().replace("far.example", "near.example"))
    assert verify(list_cache(str(cache))).damaged == ()


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("assets/vocab.txt", "assets/vocab.txt is missing"),
        ("variables/variables.index", "variables/variables.index is missing"),
    ],
)
def test_deep_verify_finds_files_that_only_the_graph_names(cache: Path, name: str, damage: str) -> None:
    entry = plant(cache, NNLM, {**WHOLE, "saved_model.pb": model(), "assets/vocab.txt": b"hub"})
    assert verify(list_cache(str(cache))).damaged == ()
    shutil.rmtree((entry / name).parent)
    for deep in (False, True):
        assert damages(verify(scan_cache(str(cache)), deep=deep)) == {"nnlm-en-dim50": damage}


@pytest.mark.parametrize("is_recorded", [True, False])
def test_verify_changes_no_file_and_no_last_use(cache: Path, is_recorded: bool) -> None:
    entry = plant(cache, NNLM, used=40)
    plant(cache, "https://www.kaggle.com/models/google/nnlm/tensorFlow2/en-dim50/2", used=50)
    if is_recorded:
        record(entry)
    scan = scan_cache(str(cache))
    verify(scan)
    verify(scan, deep=True)
    find_duplicates(scan)
    read_saved_model(entry)
    assert scan_cache(str(cache)).models == scan.models
    before = tree(cache)
    verify(scan)
    verify(scan, deep=True)
    assert tree(cache) == before


def test_verify_of_chosen_models_reports_only_these(cache: Path) -> None:
    plant(cache, NNLM, {**WHOLE, "saved_model.pb": b""})
    other = plant(cache, "https://tfhub.dev/p/other/1", {**WHOLE, "saved_model.pb": b""})
    lock(other, pid=NOBODY)
    scan = list_cache(str(cache))
    chosen = [model for model in scan.models if model.folder != other.name]
    found = verify(scan, chosen)
    assert (len(found.checked), found.problems) == (1, ())
    assert [problem.kind for problem in verify(scan).problems] == ["lock"]
    done: list[int] = []
    verify(scan, progress=done.append)
    assert done == [1, 1]


def test_unreadable_entry_is_reported_and_stops_nothing(cache: Path) -> None:
    plant(cache, NNLM)
    gone = plant(cache, "https://tfhub.dev/p/gone/1")
    scan = list_cache(str(cache))
    shutil.rmtree(gone)
    for deep in (False, True):
        found = verify(scan, deep=deep)
        assert [one.model.handle for one in found.checked] == [NNLM]
        assert [(problem.kind, problem.reason) for problem in found.problems] == [
            ("unreadable", "cannot be read: No such file or directory")
        ]


def test_neither_a_link_nor_a_pipe_in_an_entry_is_read(cache: Path, tmp_path: Path) -> None:
    entry = plant(cache, NNLM)
    (tmp_path / "outside").write_text("x")
    (entry / "assets").symlink_to(tmp_path)
    os.mkfifo(entry / "pipe")
    piped = plant(cache, "https://tfhub.dev/p/piped/1")
    (piped / "saved_model.pb").unlink()
    os.mkfifo(piped / "saved_model.pb")
    linked = plant(cache, "https://tfhub.dev/p/linked/1")
    (linked / "saved_model.pb").unlink()
    (linked / "saved_model.pb").symlink_to("/dev/zero")
    for deep in (False, True):
        assert len(verify(scan_cache(str(cache)), deep=deep).checked) == 3


def test_verification_becomes_json(cache: Path) -> None:
    plant(cache, NNLM, {**WHOLE, "saved_model.pb": b""})
    data = json.loads(verify(list_cache(str(cache))).to_json())
    assert data["damaged"][0]["damage"] == "saved_model.pb is empty"
    assert data["is_deep"] is False


# Repairs that need no host


def test_repair_removes_stale_locks_and_leftovers(cache: Path) -> None:
    entry = plant(cache, NNLM)
    dead = lock(entry, pid=NOBODY)
    half = Path(f"{entry}.{'ab' * 16}.tmp")
    (half / "variables").mkdir(parents=True)
    (half / "variables" / "x").write_bytes(b"x" * 1000)
    other = cache / ("0f" * 20)
    Path(f"{other}.descriptor.txt").write_text("Module: https://x/y/1\n")
    Path(f"{other}.files.json").write_text("{}")
    Path(f"{other}.{'cd' * 16}.tmp").mkdir()
    Path(f"{other}.lock.tmp{'ef' * 16}").write_text(dead.read_text())
    Path(f"{other}.descriptor.txt.tmp{'ef' * 16}").write_text("half")
    for path in cache.rglob("*"):
        os.utime(path, (1, 1))
    plan = plan_repair(verify(scan_cache(str(cache))))
    assert len(plan.sweeping) == 7
    done = plan.execute()
    assert (done.left, done.fetched, done.checked) == ((), (), 1)
    assert len(done.swept) == 7
    assert done.freed >= 1000
    assert scan_cache(str(cache)).problems == ()
    assert sorted(path.name for path in cache.iterdir()) == [entry.name, f"{entry.name}.descriptor.txt"]


def test_fresh_stale_lock_is_watched_and_removed(cache: Path) -> None:
    entry = plant(cache, NNLM)
    lock(entry, pid=NOBODY)
    assert [problem.kind for problem in plan_repair(verify(list_cache(str(cache)))).execute().swept] == [
        "lock"
    ]


def test_repair_leaves_locks_of_possible_owners(cache: Path) -> None:
    """A living process of this machine, however long it is silent; another machine's for ten minutes."""
    for name, pid, host, age in (
        ("mine", 0, "", 1),
        ("far", 7, "far.example", 500),
        ("garbage", 0, "", 500),
    ):
        entry = plant(cache, f"https://tfhub.dev/p/{name}/1")
        held = lock(entry, pid=pid, host=host)
        if name == "garbage":
            held.write_text("whose?")
        half = Path(f"{entry}.{'ab' * 16}.tmp")
        half.mkdir()
        for path in (held, half):
            then = path.stat().st_mtime - age
            os.utime(path, (then, then))
    before = tree(cache)
    plan = plan_repair(verify(scan_cache(str(cache))))
    assert (plan.sweeping, len(plan.left)) == ((), 6)
    assert (plan.execute().swept, tree(cache)) == ((), before)


def test_damaged_model_of_unknown_handle_is_left_and_reported(cache: Path) -> None:
    bad = {**WHOLE, "saved_model.pb": b""}
    plant(cache, NNLM, bad, descriptor=False)
    forged = plant(cache, "https://tfhub.dev/p/forged/1", bad)
    Path(f"{forged}.descriptor.txt").write_text(
        "Module: https://evil.example/p/x/1\nDownload Time: soon\nDownloader Hostname: h (PID:1)"
    )
    (cache / ("ab" * 20)).symlink_to(cache)
    before = tree(cache)
    plan = plan_repair(verify(scan_cache(str(cache))))
    done = plan.execute()
    assert (plan.fetching, done.fetched, tree(cache)) == ((), (), before)
    assert sorted(problem.reason for problem in done.left) == [
        "is a link, which is not followed",
        "saved_model.pb is empty; its descriptor file contains no handle; remove it",
        "saved_model.pb is empty; its handle is unknown (no descriptor file); remove it",
    ]


def test_a_damaged_model_can_be_removed_by_its_folder(cache: Path) -> None:
    entry = plant(cache, NNLM, {"saved_model.pb": b""}, descriptor=False)
    assert plan_removal([entry.name], scan_cache(str(cache))).execute().removed
    assert list(cache.iterdir()) == []


def test_grown_file_is_noted_and_no_damage(cache: Path) -> None:
    entry = plant(cache, NNLM, {**WHOLE, "assets/vocab.txt": b"hub magic"})
    record(entry)
    (entry / "assets/vocab.txt").write_bytes(b"hub magic and more")
    (one,) = verify(list_cache(str(cache))).checked
    assert (one.damage, one.note) == ("", "assets/vocab.txt was changed after the download")


@pytest.mark.parametrize(
    ("foreign", "damage"),
    [
        (("variables/._variables.data-00000-of-00001", "variables/old.index"), ""),
        (("variables/old.data-00000-of-00003",), ""),
        (("variables/._variables.index",), ""),
    ],
)
def test_foreign_files_beside_the_checkpoint_are_no_damage(
    cache: Path, foreign: tuple[str, ...], damage: str
) -> None:
    plant(cache, NNLM, {**WHOLE, **dict.fromkeys(foreign, b"x")})
    (one,) = verify(list_cache(str(cache))).checked
    assert one.damage == damage
    assert scan_cache(str(cache)).models[0].damage == damage


def test_linked_file_counts_with_the_size_of_its_target(cache: Path, tmp_path: Path) -> None:
    entry = plant(cache, NNLM, WHOLE)
    record(entry)
    before = scan_cache(str(cache)).models[0]
    data = entry / "variables/variables.data-00000-of-00001"
    data.rename(tmp_path / "elsewhere")
    data.symlink_to(tmp_path / "elsewhere")
    (one,) = verify(list_cache(str(cache))).checked
    assert (one.damage, one.size) == ("", before.size)
    assert scan_cache(str(cache)).models[0].size == before.size
    (tmp_path / "elsewhere").unlink()
    (one,) = verify(list_cache(str(cache))).checked
    assert one.damage == "variables/variables.data-00000-of-00001 is a link that leads nowhere"
    assert scan_cache(str(cache)).models[0].damage == one.damage


def test_folder_that_is_linked_into_itself_ends(cache: Path) -> None:
    entry = plant(cache, NNLM, WHOLE)
    (entry / "again").symlink_to(entry)
    (entry / "round").symlink_to(entry / "round")
    found = scan_cache(str(cache)).models[0]
    assert found.files == len(WHOLE)
    assert found.damage == "round is a link that leads nowhere"


def test_asset_that_the_archive_never_held_is_noted(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in TensorFlow Serving's half_plus_two: the model loads, and a repair would bring the same again."""
    monkeypatch.setattr("hub_magic.cache.verify.is_installed", lambda _name: False)
    entry = plant(cache, NNLM, {**WHOLE, "saved_model.pb": model(objects=False)})
    (one,) = verify(list_cache(str(cache)), deep=True).checked
    assert one.damage == "assets/vocab.txt is missing"
    record(entry)
    found = verify(list_cache(str(cache)), deep=True)
    (one,) = found.checked
    assert (one.damage, one.note) == ("", "the archive never held assets/vocab.txt, which the graph names")
    assert plan_repair(found).fetching == ()
    (entry / "assets").mkdir(exist_ok=True)
    (entry / "assets/vocab.txt").write_text("hub\n")
    record(entry)
    (entry / "assets/vocab.txt").unlink()
    assert damages(verify(list_cache(str(cache)), deep=True)) == {
        "nnlm-en-dim50": "assets/vocab.txt is missing"
    }


def test_grown_file_is_noted_by_a_deep_check_and_others_are_compared(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub_magic.cache.verify.is_installed", lambda _name: False)
    entry = plant(cache, NNLM, {**WHOLE, "assets/vocab.txt": b"hub", "assets/more.txt": b"hub"})
    record(entry)
    (entry / "assets/vocab.txt").write_bytes(b"hubs")
    (one,) = verify(list_cache(str(cache)), deep=True).checked
    assert (one.damage, one.note) == ("", "assets/vocab.txt was changed after the download")
    (entry / "assets/more.txt").write_bytes(b"tub")
    (one,) = verify(list_cache(str(cache)), deep=True).checked
    assert (one.damage, one.note) == ("assets/more.txt does not match its checksum", "")
    (entry / "assets/more.txt").write_bytes(b"hub")
    (entry / "saved_model.pb").write_bytes(GRAPH + b"\x0f")
    (one,) = verify(list_cache(str(cache)), deep=True).checked
    assert one.damage.startswith("saved_model.pb is damaged")
