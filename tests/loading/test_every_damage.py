"""Every harm to every file of a cached copy: where tensorflow_hub alone loads it, so does the extension, unchanged."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import pytest
from archives import model_archive, read_folder
from both_sides import run_side
from damages import cut, empty, flip, remove
from faulty_host import FaultyHost
from saved_models import model_files

from hub_magic import fetch
from hub_magic.cache.layout import RECORD_SUFFIX

pytestmark = [pytest.mark.tensorflow, pytest.mark.thorough]

LOAD = """
import tf_models
for handle in json.loads(sys.argv[2]):
    answer(outcome(lambda: tf_models.load(sys.argv[1], handle)().numpy().tolist()))
"""


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\nmore")


def link(path: Path) -> None:
    cache = next(one for one in path.parents if one.name == "cache")
    target = cache.with_name("-".join(path.relative_to(cache).parts))
    path.rename(target)
    path.symlink_to(target)


@pytest.mark.parametrize("kind", ["tf2_vocabulary", "tf1_hub", "tf2_sharded"])
def test_copy_that_loads_alone_loads_with_the_extension(kind: str, tmp_path: Path) -> None:
    files = {**model_files(kind), "keras_metadata.pb": b"metadata"}
    harms = (remove, cut, empty, grow, flip, link)
    entries: dict[str, Path] = {}
    with FaultyHost(model_archive(files)) as host:
        for number, (name, harm, recorded) in enumerate(itertools.product(files, harms, (True, False))):
            handle = f"{host.url}/{harm.__name__}/{number}/1"
            entry = entries[handle] = Path(fetch(handle, location=str(tmp_path / "cache")).path)
            if not recorded:
                Path(f"{entry}{RECORD_SUFFIX}").unlink()
            harm(entry / name)
        sides = []
        for side in ("plain", "ours"):
            shutil.copytree(tmp_path / "cache", tmp_path / side, symlinks=True)
            variables = {"TFHUB_CACHE_DIR": str(tmp_path / side), "TF_USE_LEGACY_KERAS": "1"}
            arguments = (kind, json.dumps([*entries]))
            sides.append(run_side(LOAD, *arguments, with_extension=side == "ours", **variables).answers)
    worse = [
        (handle, entry.name)
        for (handle, entry), plain, ours in zip(entries.items(), *sides, strict=True)
        if not isinstance(plain, str)
        and (plain != ours or read_folder(str(entry)) != read_folder(str(tmp_path / "ours" / entry.name)))
    ]
    assert worse == []
    assert sum(isinstance(one, str) for one in sides[1]) < sum(isinstance(one, str) for one in sides[0])
