"""The examples in the docstrings of the public names, each run in a directory and a cache of its own."""

from __future__ import annotations

import doctest
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import gcs_rig
import pytest
from care_cache import plant
from gcs_stand_in import GcsStandIn

import hub_magic
from hub_magic import parse_handle, set_mode

storage, gcs = gcs_rig.storage, gcs_rig.gcs  # fixtures
FILES = {"saved_model.pb": b"\x08\x01\x12\x00", "assets/vocab.txt": b"hub"}
CACHED = "https://host.example/team/model/1"
# What an example changes beside its directory.
OPTIONS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL


@pytest.fixture
def namespace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gcs: GcsStandIn) -> dict[str, object]:
    """All public names, in a directory with a model; another one is cached, and the mode is offline."""
    assert gcs.objects
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    entry = plant(tmp_path, "https://host.example/mine", FILES, descriptor=False)
    entry.rename(tmp_path / "work" / "my-model")
    plant(tmp_path / "cache", CACHED, FILES)
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("HUB_MAGIC_OFFLINE", "TFHUB_MODEL_LOAD_FORMAT", "TF_USE_LEGACY_KERAS"):
        monkeypatch.setenv(name, "")  # whatever the example sets ends with it
    set_mode("offline")
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    return {name: getattr(hub_magic, name) for name in hub_magic.__all__}


@pytest.mark.parametrize("name", hub_magic.__all__)
def test_example_does_what_it_says(name: str, namespace: dict[str, object]) -> None:
    if name == "use_legacy_keras" and find_spec("tf_keras") is None:
        pytest.skip("tf_keras is not in this environment")
    said: list[str] = []
    finder = doctest.DocTestFinder(recurse=False, exclude_empty=True)
    found = finder.find(namespace[name], name, module=False, globs=namespace)
    assert [one.name for one in found if one.examples] == [name]
    for one in found:
        result = doctest.DocTestRunner(optionflags=OPTIONS).run(one, out=said.append)
        assert result.failed == 0, "".join(said)
        assert result.attempted - result.skipped >= 1 if hasattr(result, "skipped") else result.attempted >= 1
    assert os.environ["TFHUB_CACHE_DIR"]
    assert parse_handle(CACHED).folder
