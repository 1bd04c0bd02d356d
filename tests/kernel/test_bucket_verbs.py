"""`%hub_cache` on a bucket, in real kernels."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

import gcs_rig
import pytest
from bucket_caches import handle_of, make_cache, tree
from gcs_stand_in import GcsStandIn
from host_client import write_model
from kernel import Kernel

from hub_magic import parse_handle
from hub_magic.host import ModelHost

pytestmark = pytest.mark.kernel

storage = gcs_rig.storage  # a fixture


@pytest.fixture
def bucket_kernel(storage: GcsStandIn, tmp_path: Path) -> Iterator[Kernel]:
    """A kernel with the stand-in around it and hub_magic loaded."""
    with Kernel(tmp_path / "kernel", **storage.environment(tmp_path)) as kernel:
        kernel.ok("%load_ext hub_magic")
        yield kernel


def test_every_verb_works_on_a_bucket(bucket_kernel: Kernel, storage: GcsStandIn, tmp_path: Path) -> None:
    write_model(tmp_path / "served" / "team" / "served" / "1")
    here = tmp_path / "kernel" / "work" / "here"
    make_cache(here, range(3))
    with ModelHost(tmp_path / "served") as host:
        handle = f"{host.url}/team/served/1"
        bucket_kernel.ok("%hub_cache ./here")
        assert "3 models to copy" in bucket_kernel.ok("%hub_cache --copy-to gs://models/team --dry-run").text
        assert storage.names("models") == []
        cell = bucket_kernel.ok("done = %hub_cache --copy-to gs://models/team\ndone")
        assert "3 models copied" in cell.text
        assert "<table>" in str(cell.messages), "what is to be copied is shown first"
        bucket_kernel.ok("%hub_cache gs://models/team")
        bucket_kernel.ok(f"%hub_cache --fetch {handle}")
        path = f"gs://models/team/{parse_handle(handle).folder}"
        assert bucket_kernel.ok(f"%hub_cache --resolve {handle}").text.strip("'") == path
        listed = bucket_kernel.ok("scan = %hub_cache --list\nscan").text
        assert "gs://models/team: 4 models" in listed
        assert "model2" in listed
        assert "served" in listed
        assert bucket_kernel.value("scan.problems") == ()
        bucket_kernel.ok(f"%hub_cache --remove {handle_of(0)}")
        bucket_kernel.ok("%hub_cache --prune --older-than 1d --keep model2")
        bucket_kernel.ok("left = %hub_cache --list")
        assert bucket_kernel.value("[model.handle for model in left.models]") == [handle, handle_of(2)]
        assert "2 models copied" in bucket_kernel.ok("%hub_cache --copy-to back").text
    bucket_kernel.ok("%hub_cache ./back\n%hub_mode offline")
    folder = parse_handle(handle).folder
    assert bucket_kernel.ok(f"%hub_cache --resolve {handle}").text.strip("'").endswith(f"back/{folder}")
    model2 = parse_handle(handle_of(2)).folder
    back = tree(tmp_path / "kernel" / "work" / "back")
    assert {
        name: data for name, data in tree(here).items() if name.startswith(model2)
    }.items() <= back.items()


def test_refusals_are_one_line(bucket_kernel: Kernel, storage: GcsStandIn, tmp_path: Path) -> None:
    make_cache(tmp_path / "kernel" / "work" / "here", range(2))
    bucket_kernel.ok("%hub_cache ./here\n%hub_cache --copy-to gs://models/team")
    bucket_kernel.ok("%hub_cache gs://models/team")
    for kind, line, said in (
        ("list", "%hub_cache --list", "listed by"),
        ("list", "%hub_cache --copy-to gs://models/elsewhere", "listed by"),
        ("get", "%hub_cache --verify --deep", "read by"),
        ("create", "%hub_cache --copy-to gs://models/elsewhere", "written by"),
        ("delete", "%hub_cache --remove model1", "cleared by"),
    ):
        for status, remedy in ((401, "gcloud auth application-default login"), (403, "roles/storage.object")):
            storage.deny(kind, status)
            cell = bucket_kernel.run(line)
            storage.allow()
            assert cell.status == "error", line
            assert len(cell.error.strip().splitlines()) == 1, cell.error
            assert said in cell.error, cell.error
            assert remedy in cell.error, cell.error
    assert "2 models" in bucket_kernel.ok("%hub_cache --list").text


def test_models_are_added_to_and_exported_from_a_bucket(
    bucket_kernel: Kernel, storage: GcsStandIn, tmp_path: Path
) -> None:
    # Field 1 of a SavedModel, its schema's version, is 1.
    write_model(tmp_path / "mine", {"saved_model.pb": b"\x08\x01", "assets/words.txt": b"hub"})
    handle = "https://host.test/team/mine/1"
    bucket_kernel.ok("%hub_cache gs://models/team")
    bucket_kernel.ok(f"added = %hub_cache --add {handle} {tmp_path / 'mine'}")
    assert bucket_kernel.value("added.path") == f"gs://models/team/{parse_handle(handle).folder}"
    assert f"team/{parse_handle(handle).folder}/saved_model.pb" in storage.names("models")
    assert "already" in bucket_kernel.run(f"%hub_cache --add {handle} {tmp_path / 'mine'}").error
    bucket_kernel.ok(f"%hub_cache --export mine {tmp_path / 'mine.tar.gz'}")
    bucket_kernel.ok("%hub_cache --export --all exported")
    listed = "added = %hub_cache --add --all exported"
    bucket_kernel.ok(listed)
    assert bucket_kernel.value("(len(added.added), added.there)") == (0, 1)
    bucket_kernel.ok(f"%hub_cache --remove {handle}")
    bucket_kernel.ok(listed)
    assert bucket_kernel.value("([one.path for one in added.added], added.there)") == (
        [f"gs://models/team/{parse_handle(handle).folder}"],
        0,
    )
    with tarfile.open(tmp_path / "mine.tar.gz") as archive:
        assert "saved_model.pb" in {name.removeprefix("./") for name in archive.getnames()}


def run_until_shown(kernel: Kernel, storage: GcsStandIn, code: str, words: str) -> None:
    """Run a cell on a storage that does not answer until these words have been shown."""
    shown: list[dict[str, object]] = []

    def look(message: dict[str, object]) -> None:
        shown.append(message)
        if words in str(message):
            storage.release()

    cell = kernel.run(code, look=look)
    assert words in str(shown)
    assert cell.status == "ok", shown


def test_slow_bucket_verb_shows_a_bar(bucket_kernel: Kernel, storage: GcsStandIn, tmp_path: Path) -> None:
    make_cache(tmp_path / "kernel" / "work" / "here", range(2))
    storage.stall("permissions")
    run_until_shown(bucket_kernel, storage, "%hub_cache gs://models/team", "Checking gs://models/team")
    bucket_kernel.ok("%hub_cache ./here")
    for kind, code, words in (
        ("list", "%hub_cache --copy-to gs://models/team --dry-run", "Listing gs://models/team"),
        ("create", "%hub_cache --copy-to gs://models/team", "Copying"),
        ("list", "%hub_cache gs://models/team\n%hub_cache", "Listing gs://models/team"),
        ("list", "%hub_cache --list", "Listing gs://models/team"),
        ("list", "%hub_cache --verify", "Listing gs://models/team"),
        ("get", "%hub_cache --verify --deep", "Verifying"),
        ("list", f"%hub_cache --resolve {handle_of(0)}", "Checking gs://models/team"),
        ("delete", f"%hub_cache --remove {handle_of(0)}", "Removing"),
    ):
        storage.stall(kind)
        run_until_shown(bucket_kernel, storage, code, words)


def test_interrupt_ends_a_stalled_bucket_request(bucket_kernel: Kernel, storage: GcsStandIn) -> None:
    bucket_kernel.ok("%hub_cache gs://models/team")
    storage.stall("list")

    shown: list[dict[str, object]] = []

    def interrupt(message: dict[str, object]) -> None:
        if "Listing" in str(message) and not shown:
            shown.append(message)
            bucket_kernel.manager.interrupt_kernel()

    # Nobody lets the storage answer before the cell has ended.
    cell = bucket_kernel.run("%hub_cache --list", look=interrupt)
    assert [error["ename"] for error in cell.errors] == ["KeyboardInterrupt"]
    storage.release()
    assert "no models yet" in bucket_kernel.ok("%hub_cache --list").text
