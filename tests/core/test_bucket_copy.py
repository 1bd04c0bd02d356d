"""Caches in buckets: listed, and copied to, from and between, through the real google-cloud-storage."""

from __future__ import annotations

import os
import shutil
import textwrap
from pathlib import Path

import gcs_rig
import pytest
from bucket_caches import FILES, content_of, handle_of, make_cache, tree
from fork_server import GOOGLE, start_python
from gcs_stand_in import ACCOUNT, GcsStandIn

from hub_magic import HubMagicError, SettingError, parse_handle, plan_copy, scan_cache
from hub_magic.bucket.lock import LockTimes
from hub_magic.bucket.scan import scan_bucket
from hub_magic.cache.layout import Holder, lock_text

storage, gcs = gcs_rig.storage, gcs_rig.gcs  # fixtures
TEAM = "gs://models/team"
QUICK = LockTimes(beat=0.2, silent=1, library=1, pause=0.05)


def scan(location: str | Path):
    return scan_bucket(location) if str(location).startswith("gs://") else scan_cache(str(location))


def copy(source: str | Path, target: str | Path, **options):
    return plan_copy(scan(target), scan(source)).execute(**options)


def objects(gcs: GcsStandIn, location: str) -> dict[str, bytes]:
    bucket, _, prefix = location.removeprefix("gs://").partition("/")
    found = gcs.objects.bucket(bucket).objects
    return {
        name.removeprefix(f"{prefix}/"): one.data
        for name, one in found.items()
        if name.startswith(f"{prefix}/")
    }


def test_copy_to_a_bucket_and_back_is_identical(gcs: GcsStandIn, tmp_path: Path) -> None:
    make_cache(tmp_path / "here", range(5))
    told = []
    done = copy(tmp_path / "here", TEAM, progress=told.append)
    assert (len(done.copied), done.there, done.kept) == (5, 0, ())
    assert sum(told) == done.size == scan(tmp_path / "here").size
    assert objects(gcs, TEAM) == tree(tmp_path / "here")
    found = scan(TEAM)
    assert found.problems == ()
    here = scan(tmp_path / "here")
    for ours, theirs in zip(found.models, here.models, strict=True):
        assert ours.path == f"{TEAM}/{theirs.folder}"
        assert (ours.handle, ours.kind, ours.size, ours.files) == (
            theirs.handle,
            "SavedModel",
            theirs.size,
            3,
        )
        assert (ours.downloaded, ours.host, ours.folders) == (theirs.downloaded, "far", ("variables",))
    gcs.create_bucket("other")
    assert len(copy(TEAM, "gs://other").copied) == 5
    assert {n: o.data for n, o in gcs.objects.bucket("other").objects.items()} == tree(tmp_path / "here")
    assert len(copy("gs://other", tmp_path / "back").copied) == 5
    assert tree(tmp_path / "back") == tree(tmp_path / "here")


def test_copy_sends_only_missing_models(gcs: GcsStandIn, tmp_path: Path) -> None:
    make_cache(tmp_path / "here", range(3))
    copy(tmp_path / "here", TEAM)
    make_cache(tmp_path / "here", range(5))
    plan = plan_copy(scan(TEAM), scan(tmp_path / "here"))
    assert [model.handle for model in plan.going] == [handle_of(3), handle_of(4)]
    assert plan.there == 3
    assert plan.size == sum(len(content_of(3, name)) + len(content_of(4, name)) for name in FILES)
    before = objects(gcs, TEAM)
    assert objects(gcs, TEAM) == before, "a plan does nothing"
    gcs.reset_counts()
    plan.execute()
    assert objects(gcs, TEAM) == tree(tmp_path / "here")
    assert gcs.calls["rewrite"] + gcs.calls["create"] > 0
    gcs.reset_counts()
    assert copy(tmp_path / "here", TEAM).copied == ()
    assert gcs.calls["create"] == 0


def test_damaged_model_is_not_copied(gcs: GcsStandIn, tmp_path: Path) -> None:
    make_cache(tmp_path / "here", range(2))
    (tmp_path / "here" / parse_handle(handle_of(1)).folder / "saved_model.pb").unlink()
    done = copy(tmp_path / "here", TEAM)
    assert [model.handle for model in done.copied] == [handle_of(0)]
    assert "saved_model.pb is missing" in done.kept[0].reason


def test_names_that_lead_out_of_the_folder_stay(gcs: GcsStandIn, tmp_path: Path) -> None:
    folder = parse_handle(handle_of(0)).folder
    gcs.put(f"{TEAM}/{folder}/../../../evil", b"1")
    gcs.put(f"{TEAM}/{folder}/saved_model.pb", b"1")
    done = copy(TEAM, tmp_path / "back")
    assert "not a valid file name" in done.kept[0].reason
    assert not tree(tmp_path / "back")


def test_copy_without_a_bucket_is_refused(tmp_path: Path) -> None:
    make_cache(tmp_path / "here", range(1))
    with pytest.raises(SettingError, match="cp -r"):
        plan_copy(scan(tmp_path / "there"), scan(tmp_path / "here"))
    with pytest.raises(SettingError, match="the cache itself"):
        plan_copy(scan(tmp_path / "here"), scan(tmp_path / "here"))


def test_scanning_takes_listings_alone(gcs: GcsStandIn) -> None:
    count = 0
    for number in range(700):
        folder = parse_handle(handle_of(number)).folder
        metadata = {"written-by": "hub_magic", "handle": handle_of(number), "files": "3", "bytes": "3"}
        gcs.put(f"{TEAM}/{folder}.descriptor.txt", b"", **metadata)
        for name in FILES:
            gcs.put(f"{TEAM}/{folder}/{name}", b"1")
            count += 1
    count += 700
    gcs.reset_counts()
    found = scan(TEAM)
    assert len(found.models) == 700
    assert not found.problems
    logging_in = gcs.requests["token"] + gcs.requests["locations"]
    assert sum(gcs.requests.values()) - logging_in <= -(-count // 1000) + 2
    assert gcs.requests["list"] == -(-count // 1000)


def test_bucket_scan_reads_entries_written_by_tensorflow_hub(gcs: GcsStandIn) -> None:
    folder = parse_handle(handle_of(0)).folder
    for name in FILES:
        gcs.put(f"{TEAM}/{folder}/{name}", b"1")
    gcs.put(f"{TEAM}/{folder}.descriptor.txt", b"whatever")
    gcs.put(f"{TEAM}/{folder}/variables/", b"")
    gcs.put(f"{TEAM}/other/file", b"1")
    found = scan(TEAM)
    assert [(model.folder, model.handle, model.files, model.damage) for model in found.models] == [
        (folder, "", 3, "")
    ]
    assert [problem.kind for problem in found.problems] == ["no descriptor"]
    gcs.put(f"{TEAM}/{folder}.lock", lock_text(Holder("far", 7, "ab")).encode())
    assert [problem.kind for problem in scan(TEAM).problems] == ["no descriptor", "lock"]


def test_entry_of_many_files_gets_its_graph_last(gcs: GcsStandIn, tmp_path: Path) -> None:
    names = ("saved_model.pb", *(f"assets/{number:03}.txt" for number in range(250)))
    make_cache(tmp_path / "here", range(1), files=names)
    order = []
    put = gcs.objects.put

    def watch(bucket, name, *arguments, **options):
        order.append(name)
        return put(bucket, name, *arguments, **options)

    gcs.objects.put = watch
    copy(tmp_path / "here", TEAM)
    assert objects(gcs, TEAM) == tree(tmp_path / "here")
    final = [name for name in order if ".tmp/" not in name]
    assert final[-1].endswith("/saved_model.pb")
    assert [name for name in final if name.endswith(".descriptor.txt")] == [final[1]], (
        "after the lock, before files"
    )


def test_large_file_is_copied_in_pieces_and_back(gcs: GcsStandIn, tmp_path: Path) -> None:
    make_cache(tmp_path / "here", range(1))
    folder = tmp_path / "here" / parse_handle(handle_of(0)).folder
    (folder / "variables" / "variables.data-00000-of-00001").write_bytes(os.urandom(40 << 20))
    told = []
    gcs.fail("create", times=2, name="variables.data")
    copy(tmp_path / "here", TEAM, progress=told.append)
    assert sum(told) == scan(TEAM).size
    copy(TEAM, tmp_path / "back")
    assert tree(tmp_path / "back") == tree(tmp_path / "here")


def test_refused_copy_is_continued_later(gcs: GcsStandIn, tmp_path: Path) -> None:
    make_cache(tmp_path / "here", range(3))
    gcs.deny("create")
    with pytest.raises(HubMagicError, match=f"may not be written by {ACCOUNT}"):
        copy(tmp_path / "here", TEAM)
    gcs.allow()
    gcs.fail("rewrite", status=403, times=1)
    with pytest.raises(HubMagicError, match="may not be written"):
        copy(tmp_path / "here", TEAM, at_once=1)
    assert len(scan(TEAM).models) < 3
    assert not [name for name in gcs.names("models") if name.endswith(".lock")]
    copy(tmp_path / "here", TEAM)
    assert objects(gcs, TEAM) == tree(tmp_path / "here")


def test_copy_survives_a_short_server_error(gcs: GcsStandIn, tmp_path: Path) -> None:
    make_cache(tmp_path / "here", range(4))
    gcs.fail("batch", times=1)
    gcs.fail("rewrite", times=1)
    gcs.throttle("create", times=2)
    gcs.fail("list", times=1)
    copy(tmp_path / "here", TEAM)
    assert objects(gcs, TEAM) == tree(tmp_path / "here")


def test_silent_lock_owner_is_taken_over(gcs: GcsStandIn, tmp_path: Path) -> None:
    make_cache(tmp_path / "here", range(1))
    folder = parse_handle(handle_of(0)).folder
    holder = Holder("another machine", 7, "ab" * 16)
    for metadata in ({}, {"written-by": "hub_magic", "holder": lock_text(holder)}):
        gcs.objects.bucket("models").objects.clear()
        gcs.put(f"{TEAM}/{folder}.lock", lock_text(holder).encode(), **metadata)
        gcs.put(f"{TEAM}/{folder}.{holder.uid}.tmp/saved_model.pb", content_of(0, "saved_model.pb"))
        copy(tmp_path / "here", TEAM, times=QUICK)
        assert objects(gcs, TEAM) == tree(tmp_path / "here")


def test_two_computers_copy_each_model_once(gcs: GcsStandIn, tmp_path: Path) -> None:
    make_cache(tmp_path / "here", range(20))
    code = """
        import sys
        from hub_magic.store import scan_cache
        from hub_magic.bucket.scan import scan_bucket
        from hub_magic.care.copy import plan_copy
        from hub_magic.bucket.lock import LockTimes
        plan = plan_copy(scan_bucket("gs://models/team"), scan_cache(sys.argv[1]))
        plan.execute(times=LockTimes(pause=0.05))
    """
    command = ("-c", textwrap.dedent(code), str(tmp_path / "here"))
    processes = [start_python(*command, imports=GOOGLE) for _ in range(2)]
    assert [process.wait(120) for process in processes] == [0, 0]
    assert objects(gcs, TEAM) == tree(tmp_path / "here")
    uploads = [name for name in gcs.created if name.endswith("saved_model.pb") and ".tmp/" in name]
    assert len(uploads) == 20, "each model was sent once"


def test_links_are_not_followed(gcs: GcsStandIn, tmp_path: Path) -> None:
    make_cache(tmp_path / "here", range(1))
    folder = tmp_path / "here" / parse_handle(handle_of(0)).folder
    (folder / "assets").symlink_to(tmp_path)
    assert "assets is a link" in copy(tmp_path / "here", TEAM).kept[0].reason
    shutil.rmtree(folder)


def test_copy_resumes_in_the_middle_of_a_large_file(gcs: GcsStandIn, tmp_path: Path) -> None:
    make_cache(tmp_path / "here", range(1))
    folder = parse_handle(handle_of(0)).folder
    name = "variables/variables.data-00000-of-00001"
    data = os.urandom(1 << 20) * 80  # sent in three pieces
    (tmp_path / "here" / folder / name).write_bytes(data)
    gcs.fail("create", status=403, name="piece2of3")
    with pytest.raises(HubMagicError, match="may not be written"):
        copy(tmp_path / "here", TEAM)
    assert scan(TEAM).models == ()
    gcs.created.clear()
    told = []
    copy(tmp_path / "here", TEAM, progress=told.append)
    assert sum(told) == scan(TEAM).size
    assert [one.partition(".tmp/")[2] for one in gcs.created if "piece" in one] == [f"{name}.piece2of3"]
    assert objects(gcs, TEAM) == tree(tmp_path / "here")

    # And on the way back, where the disk keeps what has come.
    told.clear()

    def interrupt(count: int) -> None:
        told.append(count)
        if sum(told) > 10 << 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy(TEAM, tmp_path / "back", progress=interrupt)
    assert scan(tmp_path / "back").models == ()
    gcs.ranges.clear()
    told.clear()
    copy(TEAM, tmp_path / "back", progress=told.append)
    assert [int(start) > 10 << 20 for start in gcs.ranges] == [True]
    assert sum(told) == scan(TEAM).size
    assert tree(tmp_path / "back") == tree(tmp_path / "here")


def test_a_damaged_copy_is_replaced(gcs: GcsStandIn, tmp_path: Path) -> None:
    make_cache(tmp_path / "here", range(1))
    copy(tmp_path / "here", TEAM)
    whole = tree(tmp_path / "here")
    (tmp_path / "here" / parse_handle(handle_of(0)).folder / "saved_model.pb").unlink()
    assert len(copy(TEAM, tmp_path / "here").copied) == 1
    assert tree(tmp_path / "here") == whole


def test_foreign_file_in_the_way_is_not_touched(gcs: GcsStandIn, tmp_path: Path) -> None:
    make_cache(tmp_path / "here", range(1))
    copy(tmp_path / "here", TEAM)
    folder = parse_handle(handle_of(0)).folder
    gcs.fail("get", status=403, name="variables.data")
    with pytest.raises(HubMagicError):
        copy(TEAM, tmp_path / "back")
    (scratch,) = (tmp_path / "back").glob(f"{folder}.*.tmp")
    shutil.rmtree(scratch)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("three years")
    scratch.symlink_to(tmp_path / "mine")
    assert len(copy(TEAM, tmp_path / "back").copied) == 1
    assert tree(tmp_path / "mine") == {"thesis.txt": b"three years"}
    scratch.unlink()
    assert tree(tmp_path / "back") == tree(tmp_path / "here")
