"""How `hub-magic` ends: by a signal, in any locale, and with an output that cannot be written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from archives import model_archive
from care_cache import plant
from faulty_host import Fault, FaultyHost
from repository import process_environment

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and /dev/full of POSIX")

COMMAND = [sys.executable, "-m", "hub_magic"]


def environment(cache: Path, **more: str) -> dict[str, str]:
    return {**process_environment(), "TFHUB_CACHE_DIR": str(cache), **more}


def run(line: str, cache: Path, **more: str) -> subprocess.CompletedProcess[bytes]:
    command = " ".join([*COMMAND, line])
    env = environment(cache, **more)
    return subprocess.run(command, check=False, shell=True, env=env, capture_output=True, timeout=100)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "ascii:strict", "utf-8:strict", "cp1252", "utf-16"])
@pytest.mark.parametrize("line", ["list", "list --json", "--help"])
def test_any_locale_can_show_any_name(encoding: str, line: str, tmp_path: Path) -> None:
    cache = tmp_path / "mod\u00e8les \u65e5\u672c"
    cache.mkdir()
    plant(cache, "https://host.example/\u65e5\u672c/\U0001f600/1")
    done = run(line, cache, PYTHONIOENCODING=encoding)
    assert done.returncode == 0
    assert done.stderr == b""
    assert done.stdout != b""


def test_locale_without_the_letters_shows_escapes(tmp_path: Path) -> None:
    plant(tmp_path, "https://host.example/\u65e5/1")
    assert rb"\u65e5" in run("list", tmp_path, PYTHONIOENCODING="ascii").stdout


@pytest.mark.parametrize("output", [">&-", "> /dev/full"])
@pytest.mark.parametrize("line", ["list", "list --json", "verify", "mode", "completion bash"])
def test_output_that_cannot_be_written_is_one_line(output: str, line: str, tmp_path: Path) -> None:
    plant(tmp_path, "https://host.example/a/b/1")
    done = run(f"{line} {output}", tmp_path)
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert done.stderr.startswith(b"hub-magic: cannot write to the standard output: ")


def test_help_that_cannot_be_written_shows_no_traceback(tmp_path: Path) -> None:
    assert b"Traceback" not in run("--help > /dev/full", tmp_path).stderr


def test_closed_standard_error_changes_no_status(tmp_path: Path) -> None:
    assert run("remove nothing 2>&-", tmp_path).returncode == 2
    assert run("remove nothing 2> /dev/full", tmp_path).returncode == 2


@pytest.mark.parametrize(
    ("number", "status", "word"), [("SIGTERM", 143, "terminated"), ("SIGINT", 130, "interrupted")]
)
def test_signal_ends_a_download_without_leftovers(
    number: str, status: int, word: str, tmp_path: Path
) -> None:
    with FaultyHost(model_archive(), then=Fault(stall_at=100)) as host:
        started = subprocess.Popen(
            [*COMMAND, "fetch", f"{host.url}/a/b/1"],
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        end = time.monotonic() + 60
        while not list(tmp_path.glob("*.lock")) and time.monotonic() < end:
            time.sleep(0.05)
        assert host.started.wait(60)
        os.kill(started.pid, getattr(signal, number))
        _, said = started.communicate(timeout=60)
    assert started.returncode == status
    assert said.decode().rstrip().endswith(f"hub-magic: {word}")
    assert list(tmp_path.iterdir()) == []
