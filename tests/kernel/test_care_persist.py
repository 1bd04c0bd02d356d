"""What `--persist` keeps, in real profiles of real kernels."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from kernel import Kernel
from repository import REPOSITORY

pytestmark = pytest.mark.kernel


def profile_of(home: Path) -> Path:
    return home / "ipython/profile_default"


def test_saved_setting_is_shown_and_forgotten_at_once(kernel: Kernel) -> None:
    kernel.ok("%load_ext hub_magic")
    kernel.ok("%hub_mode uncompressed --persist")
    assert "Saved in this IPython profile" in kernel.ok("%hub_mode").text
    assert "Current: 'uncompressed'" in kernel.ok("%config HubMagics").stdout
    assert "Set for this session (TFHUB_MODEL_LOAD_FORMAT)" in kernel.ok("%hub_mode --forget").text
    assert "Current: 'uncompressed'" not in kernel.ok("%config HubMagics").stdout
    kernel.ok("%hub_cache ./models --persist")
    assert kernel.ok("%hub_cache --forget").text.startswith(str(kernel.home / "work/models"))


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("offline", "COMPRESSED 1"), ("Uncompressed", "UNCOMPRESSED "), ("compressed", "COMPRESSED ")],
)
def test_the_export_line_makes_the_same_setting(kernel: Kernel, mode: str, expected: str) -> None:
    kernel.ok("%load_ext hub_magic")
    line = kernel.ok(f"%hub_mode {mode} --persist").text.splitlines()[-1]
    code = f"{line.partition(': ')[2]}; echo $TFHUB_MODEL_LOAD_FORMAT $HUB_MAGIC_OFFLINE"
    told = subprocess.run(["sh", "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.strip() == expected.strip()


def test_autoload_leaves_the_users_own_extensions_alone(tmp_path: Path) -> None:
    home = tmp_path / "k"
    profile = profile_of(home)
    profile.mkdir(parents=True)
    (profile / "ipython_config.py").write_text("c.InteractiveShellApp.extensions = ['their_own']\n")
    (tmp_path / "their_own.py").write_text("def load_ipython_extension(shell): pass\n")
    paths = os.pathsep.join([str(REPOSITORY), str(tmp_path)])
    with Kernel(home, PYTHONPATH=paths) as kernel:
        kernel.ok("%load_ext hub_magic\n%hub_cache ./models --persist --autoload")
    with Kernel(home, PYTHONPATH=paths) as kernel:
        loaded = kernel.value("sorted(get_ipython().extension_manager.loaded)")
        assert {"their_own", "hub_magic"} <= set(loaded)
        assert kernel.value("__import__('os').environ['TFHUB_CACHE_DIR']") == str(home / "work/models")
        kernel.ok("%hub_cache --forget")
    assert list((profile / "startup").glob("*.py")) == []
    assert json.loads((profile / "ipython_config.json").read_text()) == {}
    with Kernel(home, PYTHONPATH=paths) as kernel:
        loaded = kernel.value("sorted(get_ipython().extension_manager.loaded)")
        assert "their_own" in loaded
        assert "hub_magic" not in loaded


def test_a_startup_file_that_the_user_has_changed_is_left(tmp_path: Path) -> None:
    home = tmp_path / "k"
    with Kernel(home) as kernel:
        kernel.ok("%load_ext hub_magic\n%hub_mode offline --persist --autoload")
        (started,) = (profile_of(home) / "startup").glob("*.py")
        started.write_text(started.read_text() + "x = 1\n")
        kernel.ok("%hub_mode --forget")
    assert started.exists()


def test_persisting_the_default_saves_nothing(kernel: Kernel) -> None:
    kernel.ok("%load_ext hub_magic")
    kernel.ok("%hub_cache ./models --persist")
    text = kernel.ok("%hub_cache default --persist").text
    assert "This is the library's default" in text
    assert json.loads((profile_of(kernel.home) / "ipython_config.json").read_text()) == {}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%hub_mode offline --autoload", "--autoload only works with --persist. Add --persist."),
        ("%hub_cache ./here --autoload", "--autoload only works with --persist. Add --persist."),
        ("%hub_cache --persist --forget", "--persist and --forget cannot be combined."),
        ("%hub_mode --persist --forget", "--persist and --forget cannot be combined."),
        (
            "%hub_cache --list --persist",
            "--persist saves a cache location: %hub_cache LOCATION --persist. It cannot be combined with --list.",
        ),
    ],
)
def test_a_users_mistake_is_one_line_and_changes_nothing(kernel: Kernel, line: str, message: str) -> None:
    kernel.ok("%load_ext hub_magic")
    cell = kernel.run(line)
    assert cell.status == "error"
    assert message in cell.error
    assert len(cell.error.strip().splitlines()) == 1
    assert not (profile_of(kernel.home) / "ipython_config.json").exists()
    assert not (kernel.home / "work/here").exists()
