"""Checking and mending a cache in a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gcs_rig
import pytest
from gcs_stand_in import GcsStandIn
from host_client import FILES, write_model

from hub_magic import fetch, list_cache, parse_handle, plan_repair, scan_cache, verify
from hub_magic.cache.layout import Descriptor, Holder, descriptor_text, lock_text
from hub_magic.host import ModelHost

storage, gcs = gcs_rig.storage, gcs_rig.gcs  # fixtures
TEAM = "gs://models/team"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[ModelHost]:
    for number in range(2):
        write_model(tmp_path / "served" / "team" / f"model{number}" / "1")
    with ModelHost(tmp_path / "served") as started:
        yield started


@pytest.fixture
def handles(gcs: GcsStandIn, host: ModelHost) -> list[str]:
    """Two models that are in the bucket."""
    found = [f"{host.url}/team/model{number}/1" for number in range(2)]
    for handle in found:
        fetch(handle, location=TEAM)
    return found


def check(*, deep: bool):
    return verify(scan_cache(TEAM), deep=deep)


def test_quick_check_of_a_bucket_needs_only_listings(gcs: GcsStandIn, handles: list[str]) -> None:
    assert check(deep=False).damaged == ()
    gcs.objects.delete("models", f"team/{parse_handle(handles[0]).folder}/saved_model.pb")
    gcs.reset_counts()
    found = check(deep=False)
    assert [one.model.handle for one in found.damaged] == handles[:1]
    assert "3 of 4 files are present" in found.damaged[0].damage
    assert gcs.requests["list"] == 1
    done = plan_repair(found).execute()
    assert [one.model.handle for one in done.fetched] == handles[:1]
    assert check(deep=False).damaged == ()


def test_deep_check_of_a_bucket_finds_changed_bytes(gcs: GcsStandIn, handles: list[str]) -> None:
    name = f"team/{parse_handle(handles[1]).folder}/variables/variables.data-00000-of-00001"
    content = FILES["variables/variables.data-00000-of-00001"]
    gcs.put(f"gs://models/{name}", content[:-1] + b"?")
    assert check(deep=False).damaged == ()
    found = check(deep=True)
    damaged = {one.model.handle: one.damage for one in found.damaged}
    assert "variables.data-00000-of-00001 does not match its checksum" in damaged[handles[1]]
    plan_repair(found).execute()
    assert gcs.objects.get("models", name).data == content


def test_repair_removes_stale_locks_and_partial_uploads(gcs: GcsStandIn, handles: list[str]) -> None:
    folder = parse_handle(handles[0]).folder
    holder = Holder("far", 1, "ab" * 16)
    gcs.put(f"{TEAM}/{folder}.{holder.uid}.tmp/saved_model.pb", b"1")
    gcs.put(f"{TEAM}/{folder}.lock", lock_text(holder).encode())
    done = plan_repair(check(deep=False)).execute()
    assert done.swept == (), "it may be at work"
    for name in (f"{folder}.lock", f"{folder}.{holder.uid}.tmp/saved_model.pb"):
        gcs.objects.get("models", f"team/{name}").updated = "2026-01-01T00:00:00Z"
    done = plan_repair(check(deep=False)).execute()
    assert {problem.kind for problem in done.swept} == {"lock", "partial download"}
    assert not [name for name in gcs.names("models") if ".tmp" in name or name.endswith(".lock")]
    assert len(scan_cache(TEAM).models) == 2


def test_repair_records_handles_for_later_listings(gcs: GcsStandIn) -> None:
    handle = "https://host.test/team/model/1"
    folder = parse_handle(handle).folder
    gcs.put(f"{TEAM}/{folder}/saved_model.pb", b"1")
    gcs.put(f"{TEAM}/{folder}.descriptor.txt", descriptor_text(Descriptor(handle, None, "far", 1)).encode())
    found = list_cache(TEAM)
    assert [
        (model.handle, problem.kind) for model, problem in zip(found.models, found.problems, strict=True)
    ] == [("", "no descriptor")]
    plan_repair(check(deep=False)).execute()
    found = list_cache(TEAM)
    assert ([model.handle for model in found.models], found.problems) == ([handle], ())
