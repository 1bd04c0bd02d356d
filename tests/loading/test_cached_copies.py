"""A cached copy that tensorflow_hub alone can load is loaded with the extension, too, and no edit is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from archives import model_archive, read_folder
from both_sides import run_side
from damages import DATA, GRAPH, INDEX, VOCABULARY, cut, remove
from faulty_host import Fault, FaultyHost
from saved_models import model_files

from hub_magic import fetch
from hub_magic.cache.layout import RECORD_SUFFIX

pytestmark = pytest.mark.tensorflow

KIND = "tf2_vocabulary"
EXTRA = {"keras_metadata.pb": b"metadata", "assets.extra/notes.txt": b"notes"}
LOAD = """
import tf_models
answer(outcome(lambda: tf_models.load(sys.argv[1], sys.argv[2])().numpy().tolist()))
"""


@pytest.fixture
def host() -> Iterator[FaultyHost]:
    with FaultyHost(model_archive({**model_files(KIND), **EXTRA})) as running:
        yield running


@pytest.fixture
def entry(host: FaultyHost, tmp_path: Path) -> Path:
    """The entry of a model that the extension downloaded."""
    return Path(fetch(f"{host.url}/google/model/1", location=str(tmp_path / "cache")).path)


def both(host: FaultyHost, entry: Path, kind: str = KIND, **variables: str):
    """What each side makes of a copy of the cache, and the cache of the extension's side after it."""
    sides = []
    for name, with_extension in (("plain", False), ("ours", True)):
        cache = entry.parent.with_name(name)
        shutil.copytree(entry.parent, cache, symlinks=True)
        where = {"TFHUB_CACHE_DIR": str(cache), **variables}
        handle = f"{host.url}/google/model/1"
        sides.append(run_side(LOAD, kind, handle, with_extension=with_extension, **where))
    return *sides, entry.parent.with_name("ours") / entry.name


def add_foreign_files(entry: Path) -> None:
    """What macOS's tar and TensorFlow's own savers leave beside a model."""
    for name in (GRAPH, DATA, VOCABULARY):
        (entry / name).with_name(f"._{Path(name).name}").write_bytes(b"Mac OS X")
    (entry / "variables/old.index").write_bytes(b"old")
    (entry / "variables/variables.data-00001-of-00002").write_bytes(b"old")
    (entry / "variables/checkpoint").write_text("old")


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"another\n")


def edit(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


def link(path: Path) -> None:
    target = path.parents[2] / f"elsewhere {path.name}"
    path.rename(target)
    path.symlink_to(target)


HARMLESS: dict[str, Callable[[Path], object]] = {
    "foreign files": add_foreign_files,
    "no file that TensorFlow does not open": lambda entry: [
        remove(entry / name) for name in ("keras_metadata.pb", "fingerprint.pb", "assets.extra/notes.txt")
    ],
    "grown vocabulary": lambda entry: edit(entry / VOCABULARY, "worker", "workers"),
    "shortened vocabulary": lambda entry: edit(entry / VOCABULARY, "worker", "work"),
    "grown data": lambda entry: grow(entry / DATA),
    "linked data": lambda entry: link(entry / DATA),
    "linked graph": lambda entry: link(entry / GRAPH),
    "linked folder of variables": lambda entry: link(entry / "variables"),
    "linked assets": lambda entry: link(entry / "assets"),
    "linked model": link,
}


CASES = [(change, True) for change in HARMLESS]
CASES += [(change, False) for change in ("foreign files", "linked data", "linked folder of variables")]


@pytest.mark.parametrize(("change", "recorded"), CASES)
def test_copy_that_loads_is_loaded_as_it_is(host, entry: Path, change: str, recorded: bool) -> None:
    HARMLESS[change](entry)
    if not recorded:
        Path(f"{entry}{RECORD_SUFFIX}").unlink()
    asked = len(host.seen)
    plain, ours, after = both(host, entry)
    assert ours.answers == plain.answers
    assert not isinstance(ours.answers[0], str)
    assert len(host.seen) == asked
    assert read_folder(str(after)) == read_folder(str(entry))
    told = recorded and change.startswith("no file")
    assert [" is used without a file that TensorFlow does not need" in line for line in ours.lines] == [
        True
    ] * told


def test_model_in_tf1_format_loads_without_an_asset_that_nobody_reads(tmp_path: Path) -> None:
    """As TensorFlow Serving's half_plus_two does with its `foo.txt`."""
    files = {name: data for name, data in model_files("tf1_hub_plain").items() if "vocab" not in name}
    with FaultyHost(model_archive(files)) as host:
        handle = f"{host.url}/google/model/1"
        entry = Path(fetch(handle, location=str(tmp_path / "cache")).path)
        plain, ours, _ = both(host, entry, "tf1_hub_plain")
        assert ours.answers == plain.answers
        assert not isinstance(ours.answers[0], str)


@pytest.mark.parametrize(
    ("fault", "variables"),
    [
        (Fault(status=404), {}),
        (Fault(body=b"<html>log in</html>"), {}),
        (Fault(), {"HUB_MAGIC_OFFLINE": "1"}),
    ],
)
def test_copy_that_may_load_is_used_when_it_cannot_be_downloaded_again(
    fault: Fault, variables: dict[str, str], tmp_path: Path
) -> None:
    """Without `tfhub_module.pb`, which the library looks for, a model of one graph loads all the same."""
    with FaultyHost(model_archive({**model_files("tf2_plain"), "tfhub_module.pb": b"\x08\x03"})) as host:
        entry = Path(fetch(f"{host.url}/google/model/1", location=str(tmp_path / "cache")).path)
        host.then = fault
        remove(entry / "tfhub_module.pb")
        plain, ours, after = both(host, entry, "tf2_plain", **variables)
        assert ours.answers == plain.answers
        assert not isinstance(ours.answers[0], str)
        assert read_folder(str(after)) == read_folder(str(entry))
        assert len(ours.lines) == 1
        assert "tfhub_module.pb is missing" in ours.lines[0]


@pytest.mark.parametrize("name", [GRAPH, INDEX, DATA])
@pytest.mark.parametrize("harm", [remove, cut])
def test_copy_that_cannot_load_is_downloaded_again(host, entry: Path, name: str, harm) -> None:
    whole = read_folder(str(entry))
    harm(entry / name)
    plain, ours, after = both(host, entry)
    assert isinstance(plain.answers[0], str)
    assert not isinstance(ours.answers[0], str)
    assert read_folder(str(after)) == whole
    assert len(ours.lines) == 1


def test_link_that_leads_nowhere_is_damage(host, entry: Path) -> None:
    link(entry / DATA)
    (entry / DATA).resolve().unlink()
    _, ours, after = both(host, entry)
    assert not isinstance(ours.answers[0], str)
    assert "is a link that leads nowhere" in ours.lines[0]
    assert not (after / DATA).is_symlink()
