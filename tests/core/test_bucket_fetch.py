"""Models fetched into a bucket, by this process and by several at once, and read by the real tensorflow_hub."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path

import gcs_rig
import pytest
from fork_server import GOOGLE, PIPE, start_python
from gcs_rig import run
from gcs_stand_in import GcsStandIn
from host_client import FILES, write_model

from hub_magic import HubMagicError, NotCachedError, fetch, parse_handle, scan_cache
from hub_magic.host import ModelHost

storage, gcs = gcs_rig.storage, gcs_rig.gcs  # fixtures
TEAM = "gs://models/team"

FETCH = """
import sys
from hub_magic.download import fetch
for handle in sys.argv[1:]:
    print(fetch(handle, location="gs://models/team").path)
"""

RESOLVE = """
import os, sys
sys.modules.setdefault("pkg_resources", type(sys)("pkg_resources"))
sys.modules["pkg_resources"].parse_version = lambda text: tuple(map(int, text.split(".")[:2]))
import tensorflow as tf, tensorflow_hub as hub
os.environ["TFHUB_CACHE_DIR"] = "gs://models/team"
path = hub.resolve({handle!r})
print(path, sorted(tf.io.gfile.listdir(path)))
"""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[ModelHost]:
    for number in range(3):
        write_model(tmp_path / "served" / "team" / f"model{number}" / "1")
    with ModelHost(tmp_path / "served") as started:
        yield started


def handle_on(host: ModelHost, number: int = 0) -> str:
    return f"{host.url}/team/model{number}/1"


def archives(host: ModelHost) -> int:
    """How often an archive was asked for from its beginning."""
    return sum("tf-hub-format=compressed" in one.path and not one.range for one in host.requests)


def files(gcs: GcsStandIn, handle: str) -> dict[str, bytes]:
    prefix = f"team/{parse_handle(handle).folder}/"
    found = gcs.objects.bucket("models").objects
    return {name.removeprefix(prefix): one.data for name, one in found.items() if name.startswith(prefix)}


def test_model_is_fetched_into_a_bucket_once(gcs: GcsStandIn, host: ModelHost) -> None:
    handle = handle_on(host)
    first = fetch(handle, location=TEAM)
    assert first.path == f"{TEAM}/{parse_handle(handle).folder}"
    assert (first.was_cached, first.bytes > 0) == (False, True)
    assert files(gcs, handle) == FILES
    found = scan_cache(TEAM)
    assert [model.handle for model in found.models] == [handle]
    assert found.problems == ()
    assert f"team/{parse_handle(handle).folder}.files.json" in gcs.names("models")
    gcs.reset_counts()
    again = fetch(handle, location=TEAM)
    assert (again.path, again.was_cached) == (first.path, True)
    assert gcs.requests["list"] == 1
    assert archives(host) == 1


def test_offline_mode_returns_only_models_cached_in_the_bucket(
    gcs: GcsStandIn, host: ModelHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch(handle_on(host, 0), location=TEAM)
    monkeypatch.setenv("HUB_MAGIC_OFFLINE", "1")
    assert fetch(handle_on(host, 0), location=TEAM).was_cached
    with pytest.raises(NotCachedError, match="similar names"):
        fetch(handle_on(host, 1), location=TEAM)


def test_partial_entry_in_a_bucket_is_completed(gcs: GcsStandIn, host: ModelHost) -> None:
    handle = handle_on(host)
    fetch(handle, location=TEAM)
    gcs.objects.delete("models", f"team/{parse_handle(handle).folder}/saved_model.pb")
    assert not fetch(handle, location=TEAM).was_cached
    assert files(gcs, handle) == FILES


def test_failed_fetch_leaves_no_object_in_the_bucket(gcs: GcsStandIn, host: ModelHost) -> None:
    with pytest.raises(HubMagicError):
        fetch(f"{host.url}/nobody/nothing/1", location=TEAM)
    assert gcs.names("models") == []


def test_several_computers_download_each_model_once(gcs: GcsStandIn, host: ModelHost) -> None:
    handles = [handle_on(host, number) for number in range(3)]
    processes = [
        start_python("-c", FETCH, *order, imports=GOOGLE, stdout=PIPE)
        for order in (handles, handles[::-1], handles)
    ]
    answers = [sorted(process.communicate(timeout=120)[0].split()) for process in processes]
    assert answers == [sorted(f"{TEAM}/{parse_handle(handle).folder}" for handle in handles)] * 3
    assert archives(host) == 3
    assert all(files(gcs, handle) == FILES for handle in handles)
    assert scan_cache(TEAM).problems == ()


def test_fetch_killed_while_uploading_is_taken_over(gcs: GcsStandIn, host: ModelHost) -> None:
    handle = handle_on(host)
    gcs.stall("create", name="variables.data")
    process = start_python("-c", FETCH, handle, imports=GOOGLE)
    assert gcs.stalled.wait(60)
    process.kill()
    process.wait()
    gcs.release()
    assert scan_cache(TEAM).models == ()
    assert fetch(handle, location=TEAM).path  # the holder was on this machine, so it is known to be dead
    assert files(gcs, handle) == FILES
    assert scan_cache(TEAM).problems == ()


@pytest.mark.tensorflow
def test_plain_tensorflow_hub_finds_the_fetched_model(gcs: GcsStandIn, host: ModelHost) -> None:
    handle = handle_on(host)
    fetch(handle, location=TEAM)
    gcs.reset_counts()
    path, _, listed = run(RESOLVE.format(handle=handle), {}).strip().partition(" ")
    assert path == f"{TEAM}/{parse_handle(handle).folder}"
    assert "saved_model.pb" in listed
    assert archives(host) == 1


@pytest.mark.tensorflow
def test_model_fetched_by_plain_tensorflow_hub_counts_as_cached(gcs: GcsStandIn, host: ModelHost) -> None:
    handle = handle_on(host)
    run(RESOLVE.format(handle=handle), {})
    assert fetch(handle, location=TEAM).was_cached
    assert archives(host) == 1
    found = scan_cache(TEAM)
    assert [(model.handle, model.damage) for model in found.models] == [("", "")]


@pytest.mark.tensorflow
def test_plain_tensorflow_hub_waits_for_our_lock_in_a_bucket(gcs: GcsStandIn, host: ModelHost) -> None:
    handle = handle_on(host)
    gcs.stall("create", name="saved_model.pb")
    ours = start_python("-c", FETCH, handle, imports=GOOGLE)
    assert gcs.stalled.wait(60)
    locks = f"team/{parse_handle(handle).folder}.lock"
    code = RESOLVE.format(handle=handle).replace("path =", "print('asking', flush=True)\npath =")
    theirs = start_python("-c", textwrap.dedent(code), stdout=PIPE)
    assert theirs.stdout is not None
    assert theirs.stdout.readline() == "asking\n"
    gcs.wait_for("get", locks)
    gcs.release()
    assert ours.wait(60) == 0
    assert "saved_model.pb" in theirs.communicate(timeout=120)[0]
    assert theirs.returncode == 0
    assert archives(host) == 1, json.dumps([request.path for request in host.requests])
