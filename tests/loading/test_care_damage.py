"""Every kind of damage to a real model: what `hub.load` says of it, what the user is told, what a check finds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fork_server import run_python
from saved_models import saved_model

from hub_magic.loading.damage import explain_absence, explain_damage, mark_of

pytestmark = pytest.mark.tensorflow

CODE = """
import json, shutil, sys
from pathlib import Path
from hub_magic.import_hooks import pkg_resources_stand_in
with pkg_resources_stand_in():
    import tensorflow_hub as hub
from hub_magic import scan_cache
from hub_magic.loading.damage import explain_damage
from hub_magic.store import verify

root, *models = map(Path, sys.argv[1:])
graph, variables = "saved_model.pb", "variables/variables"
index, data = f"{variables}.index", f"{variables}.data-00000-of-00001"

def remove(path): shutil.rmtree(path) if path.is_dir() else path.unlink()
def empty(path): path.write_bytes(b"")
def cut(path): path.write_bytes(path.read_bytes()[:-5])
def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

damages = [(None, "")]
damages += [(change, name) for name in (index, data) for change in (remove, empty, cut, flip)]
damages += [(change, graph) for change in (remove, empty, cut)]
damages += [(remove, "variables"), (remove, "assets/vocab.txt"), (remove, "assets")]
found = []
for model in models:
    kind = model.name
    for change, name in damages:
        cache = root / "cache"
        shutil.rmtree(cache, ignore_errors=True)
        entry = cache / ("ab" * 20)
        shutil.copytree(model, entry)
        if change:
            change(entry / name)
        explained = None
        try:
            hub.load(str(entry))
        except Exception as error:
            explained = explain_damage(error, str(entry), "https://h/p/m/1") or f"NOT RECOGNISED: {error!r}"
        scan = scan_cache(str(cache))
        results = [one.damage for deep in (False, True) for one in verify(scan, deep=deep).checked]
        found.append((kind, change and change.__name__, name, explained, *results))
print(json.dumps(found))
"""


# What names and sizes do not tell where no record of the download is beside the entry.
DATA = "variables/variables.data-00000-of-00001"
UNSEEN = {
    *(
        (kind, name, change)
        for kind in ("tf2_vocabulary", "tf1_hub")
        for name, change in ((DATA, "empty"), (DATA, "cut"))
    ),
    *((kind, "variables/variables.index", "cut") for kind in ("tf2_vocabulary", "tf1_hub")),
    ("tf1_hub", "assets", "remove"),
    ("tf1_hub", "assets/vocab.txt", "remove"),
}


def test_every_damage_is_explained_and_verified(tmp_path: Path) -> None:
    models = [str(saved_model(kind)) for kind in ("tf2_vocabulary", "tf1_hub")]
    run = run_python("-c", CODE, str(tmp_path), *models)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout.splitlines()[-1])
    assert len(found) == 2 * 15
    for kind, change, name, explained, quick, deep in found:
        case = f"{change} {name} of {kind}"
        if change is None:
            assert (explained, quick, deep) == (None, "", ""), case
            continue
        assert explained, case
        assert explained.startswith("https://h/p/m/1: "), explained
        assert explained.endswith(
            "; this cached copy is damaged: run `%hub_cache --repair https://h/p/m/1`"
        ), f"{case}: {explained}"
        assert "\n" not in explained
        assert deep, case
        assert deep.isprintable(), deep
        if (kind, name, change) not in UNSEEN and change != "flip":
            assert quick, case


def test_other_errors_are_not_explained_as_damage(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"\x12\x00")
    path = str(tmp_path)
    for error in (
        ValueError("Failed to find any matching files for /tmp/x, on a worker that cannot see this disk"),
        OSError("/elsewhere/file.txt; No such file or directory"),
        NotImplementedError("File system scheme '[local]' not implemented"),
        ValueError("Trying to load a model of incompatible/unknown type."),
        KeyError("serving_default"),
    ):
        assert explain_damage(error, path, "https://h/p/m/1") is None


def test_entry_removed_during_loading_is_explained(tmp_path: Path) -> None:
    entry = tmp_path / "entry"
    entry.mkdir()
    mark = mark_of(str(entry))
    error = OSError("Failed to find any matching files for it")
    assert explain_absence(error, str(entry), "h", mark) is None
    entry.rename(tmp_path / "aside")
    told = "h was removed by another process while it was being loaded. Load it again."
    assert explain_absence(error, str(entry), "h", mark) == told
    entry.mkdir()  # downloaded again by somebody else
    assert explain_absence(error, str(entry), "h", mark) == told
    assert explain_absence(KeyError("x"), str(entry), "h", mark) is None
    gone = str(tmp_path / "never")
    assert explain_absence(error, gone, "h", mark_of(gone)) == told
    assert explain_absence(error, "gs://bucket/entry", "h", mark_of("gs://bucket/entry")) is None
