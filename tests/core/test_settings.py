"""Settings, read where they live and written as tensorflow_hub accepts them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from repository import REPOSITORY, open_to_all

from hub_magic import SettingError, read_cache, read_mode, set_cache, set_mode
from hub_magic.settings import EnvironmentRecord, correct_environment


@pytest.mark.parametrize(
    ("env", "saved", "expected"),
    [
        ({}, "", ("compressed", "default")),
        ({"TFHUB_MODEL_LOAD_FORMAT": "UNCOMPRESSED"}, "", ("uncompressed", "variable")),
        ({"TFHUB_MODEL_LOAD_FORMAT": "UNCOMPRESSED"}, "uncompressed", ("uncompressed", "saved")),
        ({"TFHUB_MODEL_LOAD_FORMAT": "AUTO"}, "", ("auto", "variable")),
        ({"TFHUB_MODEL_LOAD_FORMAT": ""}, "", ("compressed", "default")),
        ({"TFHUB_MODEL_LOAD_FORMAT": "COMPRESSED", "HUB_MAGIC_OFFLINE": "1"}, "", ("offline", "variable")),
        ({"HUB_MAGIC_OFFLINE": "0"}, "", ("compressed", "default")),
    ],
)
def test_mode_is_read_from_its_source(env: dict[str, str], saved: str, expected: tuple[str, str]) -> None:
    setting = read_mode(env=env, saved=saved)
    assert (setting.value, setting.source) == expected
    assert setting.is_known


def test_misspelt_mode_is_not_known() -> None:
    for spelling in ("Uncompressed", "uncompressed", "packed"):
        assert not read_mode(env={"TFHUB_MODEL_LOAD_FORMAT": spelling}).is_known


@pytest.mark.parametrize("given", ["offline", "OFFLINE", " Offline "])
def test_offline_mode_sets_and_unsets_its_variable(given: str) -> None:
    env: dict[str, str] = {}
    assert set_mode(given, env=env).value == "offline"
    assert env == {"TFHUB_MODEL_LOAD_FORMAT": "COMPRESSED", "HUB_MAGIC_OFFLINE": "1"}
    set_mode("compressed", env=env)
    assert env == {"TFHUB_MODEL_LOAD_FORMAT": "COMPRESSED"}


def test_a_wrong_mode_changes_nothing() -> None:
    env: dict[str, str] = {}
    with pytest.raises(SettingError, match="There is no mode 'zip'"):
        set_mode("zip", env=env)
    assert env == {}


def test_cache_directory_is_created(tmp_path: Path) -> None:
    env = {"HERE": str(tmp_path)}
    setting = set_cache("${HERE}/a/b", env=env)
    assert setting.value == str(tmp_path / "a" / "b") == env["TFHUB_CACHE_DIR"]
    assert (tmp_path / "a" / "b").is_dir()
    assert set_cache("default", env=env).source == "default"
    assert "TFHUB_CACHE_DIR" not in env


def test_dangling_link_is_refused_as_a_cache(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(SettingError, match="a link that leads nowhere"):
        set_cache(str(tmp_path / "link"), env={})


@pytest.mark.skipif(not hasattr(os, "fork") or os.getuid() != 0, reason="only root can become somebody else")
def test_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    """As user 65534 in a directory of root's: the message names the owner, and nothing is left behind."""
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o755)
    open_to_all(tmp_path)
    code = (
        "import os, sys; from hub_magic import HubMagicError, set_cache; import hub_magic.settings, tempfile\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: set_cache(sys.argv[1])\n"
        "except HubMagicError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(theirs / "models")],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert f"cannot write to {theirs}, owned by root, (Permission denied)" in done.stdout
    assert "~/.cache/tfhub_modules" in done.stdout
    assert list(theirs.iterdir()) == []


def test_cache_is_read_from_variable_or_default() -> None:
    assert read_cache(env={"TFHUB_CACHE_DIR": "gs://bucket"}).value == "gs://bucket"
    assert read_cache(env={}).value.endswith("tfhub_modules")


def test_misread_variables_are_corrected() -> None:
    env = {"TFHUB_MODEL_LOAD_FORMAT": " uncompressed", "TFHUB_CACHE_DIR": "~/models"}
    correct_environment(env)
    assert env == {
        "TFHUB_MODEL_LOAD_FORMAT": "UNCOMPRESSED",
        "TFHUB_CACHE_DIR": str(Path("~/models").expanduser()),
    }
    unknown = {"TFHUB_MODEL_LOAD_FORMAT": "zip", "TFHUB_CACHE_DIR": "relative"}
    correct_environment(unknown)
    assert unknown == {"TFHUB_MODEL_LOAD_FORMAT": "zip", "TFHUB_CACHE_DIR": "relative"}


def test_restore_undoes_only_our_changes() -> None:
    env = {"TFHUB_CACHE_DIR": "/before"}
    record = EnvironmentRecord(env)
    with record.recording():
        env["TFHUB_CACHE_DIR"] = "/during"
        env["TFHUB_MODEL_LOAD_FORMAT"] = "AUTO"
    with record.recording():
        env["TFHUB_CACHE_DIR"] = "/later"
    env["TFHUB_MODEL_LOAD_FORMAT"] = "UNCOMPRESSED"  # not through us
    record.restore()
    assert env == {"TFHUB_CACHE_DIR": "/before", "TFHUB_MODEL_LOAD_FORMAT": "UNCOMPRESSED"}
