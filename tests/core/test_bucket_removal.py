"""Removing and pruning models in a bucket, through the planners that directories have."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import gcs_rig
import pytest
from bucket_caches import FILES, handle_of, make_cache
from gcs_stand_in import GcsStandIn

from hub_magic import HubMagicError, parse_handle, plan_copy, plan_prune, plan_removal, scan_cache
from hub_magic.bucket.scan import scan_bucket
from hub_magic.cache.layout import Holder, lock_text
from hub_magic.cache.selection import find_duplicates

storage, gcs = gcs_rig.storage, gcs_rig.gcs  # fixtures
TEAM = "gs://models/team"


@pytest.fixture
def team(gcs: GcsStandIn, tmp_path: Path) -> GcsStandIn:
    """The stand-in with a cache of 60 models."""
    make_cache(tmp_path / "here", range(60))
    plan_copy(scan_cache(TEAM), scan_cache(str(tmp_path / "here"))).execute()
    gcs.reset_counts()
    return gcs


def test_removal_deletes_every_object_of_a_model(team: GcsStandIn) -> None:
    plan = plan_removal(["model7/1"], scan_cache(TEAM))
    names = team.names("models")
    done = plan.execute()
    assert [model.handle for model in done.removed] == [handle_of(7)]
    assert done.freed == plan.size > 0
    gone = set(names) - set(team.names("models"))
    folder = parse_handle(handle_of(7)).folder
    assert gone == {f"team/{folder}.descriptor.txt", *(f"team/{folder}/{name}" for name in FILES)}


def test_pruning_is_batched(team: GcsStandIn) -> None:
    told = []
    plan = plan_prune(scan_cache(TEAM), older_than=timedelta(days=1), keep=["model3/1"])
    team.reset_counts()
    done = plan.execute(told.append)
    assert len(done.removed) == 59
    assert [model.handle for model in scan_bucket(TEAM).models] == [handle_of(3)]
    assert team.requests["delete"] == 0
    assert team.requests["batch"] == 3, "59 entries of 4 objects, at most 100 with each request"
    assert sum(told) >= done.freed


def test_changed_or_locked_models_in_a_bucket_stay(team: GcsStandIn) -> None:
    plan = plan_removal([handle_of(number) for number in range(4)], scan_cache(TEAM))
    folders = [parse_handle(handle_of(number)).folder for number in range(4)]
    team.put(f"{TEAM}/{folders[0]}/more", b"1")
    team.put(f"{TEAM}/{folders[1]}.lock", lock_text(Holder("far", 1, "ab" * 16)).encode())
    for name in [name for name in team.names("models") if folders[2] in name]:
        team.objects.delete("models", name)
    done = plan.execute()
    assert [model.folder for model in done.removed] == [folders[3]]
    assert {choice.model.folder: choice.reason for choice in done.kept} == {
        folders[0]: "it has changed since the plan was made",
        folders[1]: "it is locked",
        folders[2]: "it had already been deleted",
    }


def test_loaded_model_in_a_bucket_stays(team: GcsStandIn) -> None:
    path = f"{TEAM}/{parse_handle(handle_of(0)).folder}"
    plan = plan_removal([handle_of(0)], scan_cache(TEAM), loaded=lambda: (path,))
    assert plan.kept[0].reason == "loaded in this kernel"
    loaded: list[str] = []
    plan = plan_removal([handle_of(0)], scan_cache(TEAM), loaded=lambda: loaded)
    loaded.append(path)
    assert plan.execute().kept[0].reason == "loaded in this kernel"


def test_model_without_listed_handle_is_removed_by_handle(gcs: GcsStandIn) -> None:
    folder = parse_handle(handle_of(0)).folder
    gcs.put(f"{TEAM}/{folder}/saved_model.pb", b"1")
    gcs.put(f"{TEAM}/{folder}.descriptor.txt", b"Module: whatever")
    plan_removal([handle_of(0)], scan_cache(TEAM)).execute()
    assert gcs.names("models") == []


def test_denied_removal_is_one_error(team: GcsStandIn) -> None:
    team.deny("delete")
    with pytest.raises(HubMagicError, match="may not be cleared by"):
        plan_removal([handle_of(0)], scan_cache(TEAM)).execute()


def test_removal_survives_a_short_server_error(team: GcsStandIn) -> None:
    team.fail("delete", times=2)
    team.fail("batch", times=1)
    assert len(plan_removal([handle_of(0)], scan_cache(TEAM)).execute().removed) == 1
    assert len(scan_bucket(TEAM).models) == 59


def test_models_that_cannot_be_compared_are_no_duplicates(gcs: GcsStandIn) -> None:
    handles = ("https://tfhub.dev/team/model/1", "https://www.kaggle.com/models/team/other/TensorFlow2/x/1")
    for handle in handles:
        folder = parse_handle(handle).folder
        metadata = {"written-by": "hub_magic", "handle": handle, "files": "1", "bytes": "1"}
        gcs.put(f"{TEAM}/{folder}.descriptor.txt", b"", **metadata)
        gcs.put(f"{TEAM}/{folder}/saved_model.pb", b"1")
    assert find_duplicates(scan_cache(TEAM)) == ()
