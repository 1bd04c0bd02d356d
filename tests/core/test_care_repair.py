"""Damaged models downloaded again, from a host that may be down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from archives import model_archive
from care_cache import WHOLE, lock, tree
from faulty_host import Fault, FaultyHost
from kernel import Kernel
from saved_models import model_files
from test_care_savedmodel import model

from hub_magic import Repaired, fetch, list_cache, plan_repair, scan_cache, verify

FILES = {**WHOLE, "saved_model.pb": model(), "assets/vocab.txt": b"hub"}
ARCHIVE = model_archive(FILES)
DATA = "variables/variables.data-00000-of-00001"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("hub_magic.cache.verify.is_installed", lambda _name: False)
    return tmp_path / "cache"


@pytest.fixture
def host() -> Iterator[FaultyHost]:
    with FaultyHost(ARCHIVE) as running:
        yield running


def fetched(host: FaultyHost, cache: Path, *, name: str = "model") -> Path:
    return Path(fetch(f"{host.url}/google/{name}/1", location=str(cache)).path)


def repair(cache: Path, *, deep: bool = False) -> Repaired:
    return plan_repair(verify(list_cache(str(cache)), deep=deep)).execute()


def flip(entry: Path) -> None:
    """Change a byte, and no size."""
    content = (entry / DATA).read_bytes()
    (entry / DATA).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def cut(entry: Path) -> None:
    """Cut the graph of an entry that has no record, which a download would take for whole."""
    Path(f"{entry}.files.json").unlink()
    (entry / "saved_model.pb").write_bytes(FILES["saved_model.pb"][:-3])


@pytest.mark.parametrize("damage", ["missing", flip, cut])
def test_a_damaged_model_is_downloaded_again(host: FaultyHost, cache: Path, damage) -> None:
    entry = fetched(host, cache)
    whole = tree(entry)
    (entry / DATA).unlink() if damage == "missing" else damage(entry)
    done = repair(cache, deep=damage is flip)
    assert [one.model.name for one in done.fetched] == ["model"]
    assert (done.left, done.checked) == ((), 1)
    assert tree(entry) == whole
    assert scan_cache(str(cache)).problems == ()
    assert len(list(cache.iterdir())) == 3
    assert verify(list_cache(str(cache)), deep=True).damaged == ()
    assert repair(cache, deep=True).fetched == ()


@pytest.mark.parametrize("damage", [flip, cut])
def test_damaged_model_stays_if_its_download_fails(cache: Path, damage) -> None:
    with FaultyHost(ARCHIVE) as host:
        entry = fetched(host, cache)
        damage(entry)
        before = tree(cache)
        host.then = Fault(status=404, body=b"gone")
        done = repair(cache, deep=True)
    (left,) = done.left
    assert (left.kind, left.name, done.fetched) == ("damaged", entry.name, ())
    assert "downloading it again failed: " in left.reason
    assert "404" in left.reason
    assert tree(cache) == before


def test_repair_in_offline_mode_downloads_nothing(
    host: FaultyHost, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flip(fetched(host, cache))
    before = tree(cache)
    monkeypatch.setenv("HUB_MAGIC_OFFLINE", "1")
    done = repair(cache, deep=True)
    assert "offline" in done.left[0].reason
    assert tree(cache) == before
    assert len(host.seen) == 1


def test_failed_repair_of_one_model_does_not_stop_the_others(host: FaultyHost, cache: Path) -> None:
    for name in ("a", "b", "c"):
        flip(fetched(host, cache, name=name))
    locked = lock(next(iter(sorted(path for path in cache.iterdir() if path.is_dir()))))
    done = repair(cache, deep=True)
    assert len(done.fetched) == 2
    assert sorted(problem.kind for problem in done.left) == ["damaged", "lock"]
    locked.unlink()
    assert len(repair(cache, deep=True).fetched) == 1


@pytest.mark.kernel
def test_verify_and_repair_magics_report_and_fix_damage(kernel: Kernel, host: FaultyHost) -> None:
    kernel.ok("%load_ext hub_magic")
    kernel.ok("%hub_cache ./models")
    cache = kernel.home / "work" / "models"
    url = f"{host.url}/google/model/1"
    kernel.ok(f"%hub_cache --fetch {url}")
    assert (
        kernel.ok("%hub_cache --verify").text == f"{cache}: 1 model checked by names and sizes, none damaged."
    )
    entry = fetched(host, cache)
    (entry / "assets/vocab.txt").unlink()
    half = Path(f"{entry}.{'ab' * 16}.tmp")
    half.mkdir()
    (half / "x").write_bytes(b"x" * 1000)
    cell = kernel.ok("%hub_cache --verify")
    assert "1 damaged, 1 other problem." in cell.text
    assert "assets/vocab.txt is missing" in cell.text
    assert "<table" in cell.html
    cell = kernel.ok("%hub_cache --repair --dry-run")
    assert cell.text.startswith(f"{cache}: 1 damaged model to download again, 1 leftover to clean up.")
    assert half.exists()
    cell = kernel.ok("%hub_cache --verify --repair")
    assert cell.text.startswith(
        f"{cache}: 1 model checked, 1 downloaded again, 1 leftover cleaned up (1.0 kB freed)."
    )
    assert cell.stderr == ""
    assert sorted(path.name for path in cache.iterdir()) == sorted(
        [entry.name, f"{entry.name}.descriptor.txt", f"{entry.name}.files.json"]
    )
    flip(entry)
    assert "none damaged" in kernel.ok("%hub_cache --verify").text
    cell = kernel.ok(f"%hub_cache --repair {url}")
    assert "1 downloaded again" in cell.text
    assert f"{DATA} does not match its checksum" in cell.text
    assert "NotCachedError: 'nothing' is not cached" in kernel.run("%hub_cache --verify nothing").error
    assert "--deep only works with --verify or --repair" in kernel.run("%hub_cache --list --deep").error


@pytest.mark.kernel
@pytest.mark.tensorflow
def test_deep_repair_reads_tensors_and_keeps_loaded_models(tensorflow_kernel: Kernel) -> None:
    tensorflow_kernel.ok("%load_ext hub_magic")
    tensorflow_kernel.ok("import tensorflow_hub as hub")
    tensorflow_kernel.ok("%hub_cache ./models")
    with FaultyHost(model_archive(model_files("tf2_vocabulary"))) as host:
        url = f"{host.url}/google/vocabulary/1"
        tensorflow_kernel.ok(f"model = hub.load({url!r})")
        cell = tensorflow_kernel.ok("found = %hub_cache --verify --deep\nfound")
        assert "record of 5 files" in cell.text
        assert tensorflow_kernel.value(
            "[(one.tensors, one.damage, one.unread) for one in found.checked]"
        ) == [(2, "", "")]
        cell = tensorflow_kernel.ok("%hub_cache --remove vocabulary")
        assert "loaded in this kernel" in cell.text
        assert "nothing was removed" in cell.text
        entry = Path(tensorflow_kernel.value(f"hub.resolve({url!r})"))
        Path(f"{entry}.files.json").unlink()
        flip(entry)
        cell = tensorflow_kernel.ok("%hub_cache --verify --deep")
        assert "variables/variables: its variables do not match their checksum" in cell.text
        assert "no record of its download" in cell.text
        assert "1 downloaded again" in tensorflow_kernel.ok("%hub_cache --repair vocabulary").text
        tensorflow_kernel.ok(f"model = hub.load({url!r})")
