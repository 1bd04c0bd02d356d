"""Other caches on this machine: kagglehub's layout, and what Kaggle mounts, written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from care_cache import WHOLE, plant, tree, write

from hub_magic import MachineScan, scan_cache, scan_machine
from hub_magic.render.cache import machine_html, machine_text

NNLM = "https://tfhub.dev/google/nnlm-en-dim50/2"
KAGGLE = "https://www.kaggle.com/models/google/nnlm/tensorFlow2/en-dim50/1"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    places = {
        "KAGGLEHUB_CACHE": "hub",
        "KAGGLE_CACHE_MOUNT_FOLDER": "input",
        "COLAB_CACHE_MOUNT_FOLDER": "input",
    }
    return {name: str(tmp_path / place) for name, place in places.items()}


def look(tmp_path: Path, env: dict[str, str]) -> MachineScan:
    return scan_machine(scan_cache(str(tmp_path / "cache")), env)


def test_no_other_caches_are_reported_as_none(tmp_path: Path, env: dict[str, str]) -> None:
    machine = look(tmp_path, env)
    assert machine.others == ()
    assert machine_text(machine).endswith("Other caches on this computer contain no TensorFlow models.")


def test_kagglehub_and_mounted_models_are_listed_with_their_duplicates(
    tmp_path: Path, env: dict[str, str]
) -> None:
    hub, mount = tmp_path / "hub/models/google", tmp_path / "input"
    complete = write(hub / "nnlm/tensorFlow2/en-dim50/1", WHOLE)
    Path(f"{complete}.complete").write_text("")
    half = write(hub / "nnlm/tensorFlow2/en-dim50/2", {"saved_model.pb": b"half"})
    write(hub / "gemma/keras/2b/1", {"model.weights.h5": b"x"})
    new = write(mount / "models/google/nnlm/tensorflow2/en-dim50/1", WHOLE)
    old = write(mount / "nnlm/tensorflow2/en-dim50/1", {**WHOLE, "more": b"x"})
    write(mount / "titanic", {"train.csv": b"x"})
    (tmp_path / "cache").mkdir()
    plant(tmp_path / "cache", NNLM)
    plant(tmp_path / "cache", f"{KAGGLE}/", size=5)
    before = tree(tmp_path)
    machine = look(tmp_path, env)
    assert tree(tmp_path) == before
    assert [(other.kind, other.path, other.is_complete, other.files) for other in machine.others] == [
        ("kagglehub", str(complete), True, 3),
        ("kagglehub", str(half), False, 1),
        ("mount", str(new), True, 3),
        ("mount", str(old), True, 4),
    ]
    assert [other.handle for other in machine.others][::3] == [KAGGLE, ""]
    # By its name on Kaggle, and by the same files where the name does not tell.
    assert [set(other.same_as) for other in machine.others] == [
        {NNLM, f"{KAGGLE}/"},
        set(),
        {NNLM, f"{KAGGLE}/"},
        {f"{KAGGLE}/"},
    ]
    assert machine.twice == 19 + 19 + 20
    assert "incomplete" in machine_text(machine)
    assert NNLM in machine_html(machine)
    assert machine.to_data()["others"][0]["size"] == 19


def test_kagglehub_cache_defaults_to_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / ".cache/kagglehub/models/a/b/tensorFlow1/c/3", WHOLE)
    env = {
        "KAGGLE_CACHE_MOUNT_FOLDER": str(tmp_path / "no"),
        "COLAB_CACHE_MOUNT_FOLDER": str(tmp_path / "no"),
    }
    (other,) = look(tmp_path, env).others
    assert other.handle == "https://www.kaggle.com/models/a/b/tensorFlow1/c/3"


def test_linked_files_are_not_compared(tmp_path: Path, env: dict[str, str]) -> None:
    other = write(tmp_path / "hub/models/google/nnlm/tensorFlow2/en-dim50/1", WHOLE)
    (tmp_path / "cache").mkdir()
    entry = plant(tmp_path / "cache", NNLM)
    for folder in (other, entry):
        (folder / "saved_model.pb").unlink()
        (folder / "saved_model.pb").symlink_to("elsewhere")
    assert [one.same_as for one in look(tmp_path, env).others] == [()]
