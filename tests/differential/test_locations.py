"""Caches in every place: on disks that are full, read-only, layered or dead, and at odd paths."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .situation import GRAPH, INDEX, NOBODY, Place, Situation, examine, parameters

pytestmark = pytest.mark.tensorflow

PATHS: dict[str, str] = {
    "usual": "{root}/cache",
    "slash at the end": "{root}/cache/",
    "two slashes": "{root}//cache",
    "two dots": "{root}/work/../cache",
    "relative": "../cache",
    "relative below": "./models",
    "file://": "file://{root}/cache",
    "file://, slash at the end": "file://{root}/cache/",
    "file:": "file:{root}/cache",
    "file:///": "file:///{root}/cache",
    "none": "",
    "tilde": "~/models",
    "variable": "$HOME/models",
    "blank before": " {root}/cache",
    "parents missing": "{root}/a/b/c",
    "below a file": "{root}/elsewhere/file/cache",
    "a file": "{root}/elsewhere/file",
    "a link": "{root}/elsewhere/link",
    "a dangling link": "{root}/elsewhere/dangling",
    "s3://": "s3://bucket/cache",
    "hdfs://": "hdfs://server/cache",
    "memory://": "memory://cache",
    "unknown scheme": "foo://cache/models",
    "Windows": "C:\\models",
}
QUICK = {
    "location file://, cached",
    "location overlay, folder empty",
    "location read-only, cached",
    "location full, not cached",
    "location full, cached",
}
HOME = "a location that begins with ~ is below the home folder; plain makes a folder named ~"
MENDED = "a copy that cannot be loaded is downloaded again"


def places(place: Place) -> None:
    """A file and links beside the cache."""
    elsewhere = place.root / "elsewhere"
    (elsewhere / "file").write_bytes(b"a file")
    (elsewhere / "link").symlink_to("../cache")
    (elsewhere / "dangling").symlink_to("../nowhere")
    (place.root / "cache").mkdir(exist_ok=True)


def without(name: str) -> Callable[[Place], object]:
    return lambda place: (place.entry / name).unlink()


def emptied(place: Place) -> None:
    shutil.rmtree(place.entry)
    place.entry.mkdir()


def locked(place: Place) -> None:
    Path(f"{place.entry}.lock").write_text("far.example.77." + "ab" * 16)


def closed(place: Place) -> None:
    """A cache whose names cannot be listed."""
    place.cache.chmod(0o711)


def situations() -> Iterator[Situation]:
    def situation(name: str, **options: object) -> Situation:
        name = f"location {name}"
        return Situation(name, quick=name in QUICK, **options)  # type: ignore[arg-type]

    for name, path in PATHS.items():
        variables = {"TFHUB_CACHE_DIR": path}
        differs = HOME if name == "tilde" else ""
        yield situation(f"{name}, not cached", environment=variables, setup=places, differs=differs)
        is_cache = "cache" in path and "://" not in path.removeprefix("file://")
        if (is_cache and name not in {"parents missing", "below a file"}) or name == "a link":
            yield situation(
                f"{name}, cached", environment=variables, setup=places, cached="plain", fault=None
            )
    for place in ("my cache", "modèles", "a'b", "a%20b", "#1", "new\nline"):
        yield situation(f"{place!r}, not cached", place=place)
        yield situation(f"{place!r}, cached", place=place, cached="recorded", fault=None)
    # Plain asks a dead disk for its lock for ever.
    yield situation("dead, not cached", mount="dead", limit=25)
    yield situation("dead, cached", mount="dead", cached="recorded", fault=None, limit=25)
    for mount in ("overlay", "read-only", "full", "small"):
        yield situation(f"{mount}, not cached", mount=mount)
        for cached in ("plain", "recorded"):
            more = "" if cached == "plain" else " by the extension"
            if mount != "small":
                yield situation(f"{mount}, cached{more}", mount=mount, cached=cached, fault=None)
    for mount in ("overlay", "read-only", "full"):
        for name, change, why in (
            ("folder empty", emptied, ""),
            ("graph missing", without(GRAPH), MENDED),
            ("index missing", without(INDEX), MENDED),
            ("notes missing", without("assets.extra/notes.txt"), ""),
            ("stale lock", locked, ""),
        ):
            requests = why if mount != "read-only" else ""
            yield situation(
                f"{mount}, {name}", mount=mount, cached="recorded", setup=change, requests=requests
            )
    yield situation("another's, not cached", user=NOBODY, setup=places)
    yield situation("another's, cached", user=NOBODY, cached="plain", fault=None)
    yield situation("another's, cached by the extension", user=NOBODY, cached="recorded", fault=None)
    yield situation("another's, index missing", user=NOBODY, cached="recorded", setup=without(INDEX))
    yield situation(
        "another's, notes missing", user=NOBODY, cached="recorded", setup=without("assets.extra/notes.txt")
    )
    yield situation("another's, stale lock", user=NOBODY, cached="plain", setup=locked)
    yield situation("another's, names hidden", user=NOBODY, cached="plain", setup=closed)


@pytest.mark.parametrize("situation", parameters(situations()))
def test_location_is_used_as_plain_uses_it(
    situation: Situation, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    examine(situation, tmp_path, record_property)
