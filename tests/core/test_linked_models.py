"""A cache in which a model's folder is a link to a folder elsewhere, as after `ln -s /kaggle/input/... CACHE/SHA`."""

from __future__ import annotations

import tarfile
from datetime import timedelta
from pathlib import Path

import pytest
from archives import read_folder
from care_cache import WHOLE, plant

from hub_magic import fetch, list_cache, plan_move, plan_prune, plan_removal, plan_repair, scan_cache, verify
from hub_magic.care.export import export_model
from hub_magic.render.cache import scan_text

NNLM = "https://tfhub.dev/google/nnlm-en-dim50/2"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    location = tmp_path / "cache"
    location.mkdir()
    return location


@pytest.fixture
def entry(cache: Path, tmp_path: Path) -> Path:
    """The link; what it leads to is `tmp_path/mine`."""
    entry = plant(cache, NNLM, WHOLE)
    entry.rename(tmp_path / "mine")
    entry.symlink_to(tmp_path / "mine")
    return entry


def test_linked_model_has_a_row_that_says_so(cache: Path, entry: Path, tmp_path: Path) -> None:
    scan = scan_cache(str(cache))
    (model,) = scan.models
    assert (model.handle, model.link, model.files) == (NNLM, str(tmp_path / "mine"), len(WHOLE))
    assert scan.problems == ()
    assert f"linked to {tmp_path / 'mine'}" in scan_text(scan)


def test_linked_model_without_descriptor_has_a_row(cache: Path, entry: Path) -> None:
    Path(f"{entry}.descriptor.txt").unlink()
    assert [model.folder for model in scan_cache(str(cache)).models] == [entry.name]


def test_removal_takes_the_link_and_not_its_target(cache: Path, entry: Path, tmp_path: Path) -> None:
    before = read_folder(str(tmp_path / "mine"))
    plan = plan_removal(["nnlm"], scan_cache(str(cache)))
    assert plan.size == 0
    done = plan.execute()
    assert [model.handle for model in done.removed] == [NNLM]
    assert (done.freed, done.kept) == (0, ())
    assert list(cache.iterdir()) == []
    assert read_folder(str(tmp_path / "mine")) == before


def test_link_that_became_a_folder_stays(cache: Path, entry: Path, tmp_path: Path) -> None:
    plan = plan_removal(["nnlm"], scan_cache(str(cache)))
    entry.unlink()
    (tmp_path / "mine").rename(entry)
    assert [choice.reason for choice in plan.execute().kept] == ["it is not an entry of this cache"]


def test_prune_leaves_links(cache: Path, entry: Path) -> None:
    scan = scan_cache(str(cache))
    assert plan_prune(scan, max_size=0).going == ()
    assert plan_prune(scan, older_than=timedelta(0)).going == ()


def test_move_names_the_link_that_it_leaves(cache: Path, entry: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    done = plan_move(scan_cache(str(tmp_path / "new")), scan_cache(str(cache)), same_disk=True).execute()
    assert [choice.reason for choice in done.kept] == [f"a link to {tmp_path / 'mine'}, which stays"]
    assert entry.is_symlink()


def test_damage_behind_a_link_is_reported_and_left(cache: Path, entry: Path, tmp_path: Path) -> None:
    (tmp_path / "mine/saved_model.pb").write_bytes(b"")
    plan = plan_repair(verify(list_cache(str(cache))))
    assert plan.fetching == ()
    assert plan.sweeping == ()
    assert f"it is a link to {tmp_path / 'mine'}" in plan.left[0].reason
    plan.execute()
    assert Path(f"{entry}.descriptor.txt").exists()


def test_link_that_leads_nowhere_is_told_as_such(cache: Path, entry: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").rename(tmp_path / "gone")
    scan = scan_cache(str(cache))
    assert scan.models == ()
    assert [(one.kind, one.reason) for one in scan.problems] == [("link", "is a link that leads nowhere")]


def test_fetch_uses_a_linked_model(cache: Path, entry: Path) -> None:
    assert fetch(NNLM, location=str(cache)).path == str(entry)


def test_export_packs_what_links_lead_to(cache: Path, entry: Path, tmp_path: Path) -> None:
    linked = tmp_path / "mine/variables"
    linked.rename(tmp_path / "variables elsewhere")
    linked.symlink_to(tmp_path / "variables elsewhere")
    data = linked / "variables.data-00000-of-00001"
    data.rename(tmp_path / "data elsewhere")
    data.symlink_to(tmp_path / "data elsewhere")
    archive = tmp_path / "model.tar"
    export_model(scan_cache(str(cache)).models[0], str(archive))
    with tarfile.open(archive) as packed:
        files = {member.name for member in packed.getmembers() if member.isfile()}
    assert files == set(WHOLE)
