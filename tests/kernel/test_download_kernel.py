"""What a cell shows while `hub.load` downloads: a bar in a notebook, a line in a terminal, else nothing."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from archives import model_archive, model_files
from faulty_host import Fault, FaultyHost
from kernel import Kernel
from repository import REPOSITORY

from hub_magic.progress import DownloadBar, in_kernel, is_interactive

FILES = model_files(1 << 20)
ARCHIVE = model_archive(FILES)
SCRIPT = "import sys; from hub_magic.download import fetch; fetch(sys.argv[1], location=sys.argv[2])"


@pytest.fixture
def loaded(kernel: Kernel) -> Kernel:
    kernel.ok("%load_ext hub_magic")
    return kernel


@pytest.mark.kernel
def test_notebook_download_shows_a_bar(loaded: Kernel) -> None:
    with FaultyHost(ARCHIVE, then=Fault(rate=4_000_000)) as host:
        cell = loaded.ok(f"%hub_cache --fetch {host.url}/google/model/1")
    states = [
        m["content"]["data"].get("state", {})
        for m in cell.messages
        if m["msg_type"] in {"comm_open", "comm_msg"}
    ]
    assert any("google/model/1" in str(state.get("value", "")) for state in states)
    assert any(state.get("max") == float(len(ARCHIVE)) for state in states)
    speeds = [
        state["value"] for state in states if isinstance(state.get("value"), str) and "B/s" in state["value"]
    ]
    assert speeds
    assert cell.stderr == ""


@pytest.mark.kernel
@pytest.mark.tensorflow
def test_loading_cell_shows_one_line_per_notice_or_error(tensorflow_kernel: Kernel) -> None:
    """`hub.load` as it always was: the error in one line, the notice of a damaged copy in one line."""
    tensorflow_kernel.ok("%load_ext hub_magic\n%hub_cache ./models")
    with FaultyHost(ARCHIVE) as host:
        tensorflow_kernel.ok("import tensorflow_hub as hub")
        path = tensorflow_kernel.value(f"hub.resolve('{host.url}/google/model/1')")
        Path(path, "saved_model.pb").unlink()
        cell = tensorflow_kernel.ok(f"path = hub.resolve('{host.url}/google/model/1')")
        assert cell.stderr.count("\n") == 1
        assert "is damaged (saved_model.pb is missing). Downloading it again." in cell.stderr
        host.then = Fault(status=403, body=b"<Error><Code>AccessDenied</Code></Error>")
        cell = tensorflow_kernel.run(f"hub.load('{host.url}/google/model/2')")
    assert cell.status == "error"
    assert len(cell.errors[0]["traceback"]) == 1
    assert "(403: AccessDenied)" in cell.error
    tensorflow_kernel.ok("%unload_ext hub_magic")
    assert (
        tensorflow_kernel.value("type(hub.registry.resolver._impls[-1]).__name__")
        == "HttpCompressedFileResolver"
    )


@pytest.mark.kernel
def test_bar_names_the_process_that_downloads(loaded: Kernel, tmp_path: Path) -> None:
    with FaultyHost(ARCHIVE, then=Fault(rate=400_000)) as host:
        cache = str(tmp_path / "cache")
        command = [sys.executable, "-c", SCRIPT, f"{host.url}/google/model/1", cache]
        env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        loaded.ok(f"%hub_cache {cache}")
        with subprocess.Popen(command, env=env) as other:
            host.started.wait()
            cell = loaded.ok(f"%hub_cache --fetch {host.url}/google/model/1")
    told = str([m["content"] for m in cell.messages])
    assert f"process {other.pid} on" in told
    assert "is downloading google/model/1" in told
    assert len(host.seen) == 1


def test_terminal_download_shows_a_progress_line(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    with FaultyHost(ARCHIVE, then=Fault(rate=4_000_000)) as host:
        command = [sys.executable, "-c", SCRIPT, f"{host.url}/google/model/1", str(tmp_path)]
        with subprocess.Popen(command, env=env, stderr=theirs) as started:
            os.close(theirs)
            told = b""
            while part := _read(ours):
                told += part
        os.close(ours)
    assert started.returncode == 0
    assert b"google/model/1: 100%" in told
    assert b"B/s" in told


def _read(number: int) -> bytes:
    try:
        return os.read(number, 1 << 16)
    except OSError:  # how Linux says that the other end is closed
        return b""


def test_script_download_prints_nothing(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with FaultyHost(ARCHIVE) as host:
        command = [sys.executable, "-c", SCRIPT, f"{host.url}/google/model/1", str(tmp_path)]
        done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_process_of_the_tests_is_not_interactive(capsys: pytest.CaptureFixture[str]) -> None:
    assert not in_kernel()
    assert not is_interactive()
    with DownloadBar("model", 10, shown=False) as bar:
        bar.show(5)
    assert capsys.readouterr().err == ""


def test_bar_shows_the_reason_for_waiting(capsys: pytest.CaptureFixture[str]) -> None:
    with DownloadBar("model", 1000, shown=True) as bar:
        bar.show(500, note="trying again in 3 s")
        bar.show(500, title="another")
        bar.show(1000)
    told = capsys.readouterr().err
    assert "trying again in 3 s" in told
    assert "another: 100%" in told
    assert "1.00k/1.00k" in told
