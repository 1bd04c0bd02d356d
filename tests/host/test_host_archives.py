"""The host's archives: the same bytes always, made once, never in memory, gone at the end."""

import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from host_client import FILES, ask, connect, write_model
from repository import REPOSITORY

from hub_magic.host import ModelHost

MODEL = "/digits/classifier/1.tar.gz"
MB = 1_000_000

# Run in processes of their own, because an audit hook stays for ever. It is called for every file that is opened:
# so a test knows how often a model was read, and can act in the middle of packing.
PRELUDE = """
import json, pathlib, sys, threading
from host_client import ask, connect
from hub_magic.host import ModelHost

folder, kept = map(pathlib.Path, sys.argv[1:])

def when_opened(ending, act):
    def hook(event, arguments):
        if event == "open" and str(arguments[0]).endswith(ending):
            act()
    sys.addaudithook(hook)
"""
EIGHT_CLIENTS = """
readings, answers = [], []
when_opened("saved_model.pb", lambda: readings.append(1))
barrier = threading.Barrier(8)

def client():
    barrier.wait()
    answers.append(ask(host.url, "/digits/classifier/1?tf-hub-format=compressed"))

with ModelHost(folder, cache_directory=kept) as host:
    threads = [threading.Thread(target=client) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print(json.dumps([
    [answer.status for answer in answers],
    len({(answer.headers["etag"], answer.body) for answer in answers}),
    len(readings),
]))
"""
CHANGE_WHILE_PACKING = """
graph = folder / "digits/classifier/1/saved_model.pb"
done = []
when_opened("variables.index", lambda: done or done.append(graph.write_bytes(b"another graph")))
with ModelHost(folder, cache_directory=kept) as host:
    answers = [ask(host.url, "/digits/classifier/1.tar.gz") for _ in range(2)]
    print(json.dumps([answers[0].status, answers[0].text, answers[1].members["saved_model.pb"].decode()]))
"""
CLOSE_WHILE_PACKING = """
packing = threading.Event()
when_opened("variables/huge", packing.set)
with ModelHost(folder, cache_directory=kept) as host:
    connection = connect(host.url)
    connection.request("GET", "/digits/classifier/1.tar.gz")
    packing.wait()
print(json.dumps([path.name for path in kept.iterdir()]))
"""


def run(script, *arguments):
    """What the script prints; it must print nothing to stderr."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests" / "rigs")]),
    }
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.fixture
def folder(tmp_path):
    write_model(tmp_path / "models/digits/classifier/1")
    (tmp_path / "models/digits/classifier/1/empty").mkdir()
    return tmp_path / "models"


def write_sparse(path, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)


class TestBytes:
    def test_the_archive_has_the_models_root_as_its_root_and_names_no_user_or_time(self, folder, tmp_path):
        with ModelHost(folder) as host:
            (tmp_path / "got.tar.gz").write_bytes(ask(host.url, MODEL).body)
        with tarfile.open(tmp_path / "got.tar.gz") as tar:
            entries = tar.getmembers()
        assert [entry.name for entry in entries] == [
            "assets",
            "assets/vocabulary.txt",
            "empty",
            "saved_model.pb",
            "variables",
            "variables/variables.data-00000-of-00001",
            "variables/variables.index",
        ]
        assert {(entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname) for entry in entries} == {
            (0, 0, 0, "", "")
        }
        assert {entry.mode for entry in entries if entry.isfile()} == {0o644}

    def test_archive_is_identical_after_a_restart_and_from_a_copy(self, folder, tmp_path):
        with ModelHost(folder) as host:
            first = ask(host.url, MODEL)
        with ModelHost(folder) as host:
            again = ask(host.url, MODEL)
        shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile)
        with ModelHost(tmp_path / "copy") as host:
            copied = ask(host.url, MODEL)
        assert first.body == again.body == copied.body
        assert re.fullmatch(r'"[0-9a-f]{32}"', first.headers["etag"])
        assert first.headers["etag"] == again.headers["etag"] == copied.headers["etag"]

    def test_a_changed_model_is_packed_again_and_the_old_archive_removed(self, folder, tmp_path):
        kept = tmp_path / "kept"
        with ModelHost(folder, cache_directory=kept) as host:
            before = ask(host.url, MODEL)
            (folder / "digits/classifier/1/assets/vocabulary.txt").write_bytes(b"new words\n")
            after = ask(host.url, MODEL)
        assert after.members == {**FILES, "assets/vocabulary.txt": b"new words\n"}
        assert after.headers["etag"] != before.headers["etag"]
        assert len(list(kept.iterdir())) == 1

    def test_a_ready_archive_is_sent_as_it_is(self, folder):
        with ModelHost(folder) as host:
            packed = ask(host.url, MODEL)
            (folder / "digits/classifier/2.tar.gz").write_bytes(packed.body)
            ready = ask(host.url, "/digits/classifier/2?tf-hub-format=compressed")
            part = ask(host.url, "/digits/classifier/2.tar.gz", Range="bytes=5-")
            page = ask(host.url, "/digits/classifier/2")
            handles = host.handles
        assert ready.body == packed.body
        assert (part.status, part.body) == (206, packed.body[5:])
        assert part.headers["etag"] == ready.headers["etag"]
        assert "Ready archive" in page.text
        assert [handle.rpartition("/")[2] for handle in handles] == ["1", "2"]

    def test_a_ready_archive_wins_over_the_folder_beside_it(self, folder):
        (folder / "digits/classifier/1.tar.gz").write_bytes(b"ready")
        with ModelHost(folder) as host:
            assert ask(host.url, MODEL).body == b"ready"
            assert len(host.handles) == 1


class TestMakingOnce:
    def test_eight_clients_share_one_archive(self, folder, tmp_path):
        statuses, different, readings = run(EIGHT_CLIENTS, folder, tmp_path / "kept")
        assert statuses == [200] * 8
        assert different == 1
        assert readings == 1

    def test_model_changed_while_packed_returns_503(self, folder, tmp_path):
        status, text, graph = run(CHANGE_WHILE_PACKING, folder, tmp_path / "kept")
        assert status == 503
        assert text == (
            "'digits/classifier/1' cannot be served. "
            "Its files are being changed; try again when they are complete.\n"
        )
        assert graph == "another graph"
        assert len(list((tmp_path / "kept").iterdir())) == 1

    def test_closing_breaks_off_an_archive_that_would_take_hours(self, folder, tmp_path):
        write_sparse(folder / "digits/classifier/1/variables/huge", 1_000_000 * MB)
        assert run(CLOSE_WHILE_PACKING, folder, tmp_path / "kept") == []

    def test_a_kept_directory_serves_the_next_host(self, folder, tmp_path):
        kept = tmp_path / "kept"
        with ModelHost(folder, cache_directory=kept) as host:
            first = ask(host.url, MODEL)
        (archive,) = kept.iterdir()
        made = archive.stat()
        (kept / "tmpabc.part").write_bytes(b"half an archive, left by a host that was killed")
        with ModelHost(folder, cache_directory=kept) as host:
            again = ask(host.url, MODEL)
        assert again.headers["etag"] == first.headers["etag"]
        assert list(kept.iterdir()) == [archive]
        assert (archive.stat().st_ino, archive.stat().st_mtime_ns) == (made.st_ino, made.st_mtime_ns)

    def test_a_kept_directory_inside_the_served_folder_adds_no_models(self, folder):
        with ModelHost(folder, cache_directory=folder / "archives") as host:
            ask(host.url, MODEL)
            assert [path.suffix for path in (folder / "archives").iterdir()] == [".tgz"]
            assert len(host.handles) == 1

    def test_the_temporary_directory_may_be_cleaned_away_while_serving(self, folder, tmp_path, monkeypatch):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        with ModelHost(folder) as host:
            before = ask(host.url, MODEL)
            (temporary,) = tmp_path.glob("hub_magic_host_*")
            shutil.rmtree(temporary)
            assert ask(host.url, MODEL).body == before.body
        assert not temporary.exists()


class TestSize:
    @pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
    def test_archives_are_made_and_sent_without_being_held_in_memory(self, folder):
        # Zeros show whether files are held, what cannot be compressed whether the archive is.
        noise = {f"noise{number}": os.urandom(10 * MB) for number in range(4)}
        write_model(folder / "big/folder/1", {"saved_model.pb": b"graph", **noise})
        write_sparse(folder / "big/folder/1/zeros", 200 * MB)
        write_sparse(folder / "big/ready/1.tar.gz", 200 * MB)
        with subprocess.Popen(
            [sys.executable, "-m", "hub_magic.host", str(folder), "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=REPOSITORY,
            text=True,
        ) as process:
            url = process.stdout.readline().split()[-1]
            ask(url, MODEL)
            before = peak_memory(process.pid)
            assert unpacked_size(url, "/big/folder/1.tar.gz") == 240 * MB + 5
            assert received(url, "/big/ready/1.tar.gz") == 200 * MB
            grown = peak_memory(process.pid) - before
            process.terminate()
        assert grown < 20 * MB

    def test_a_client_that_hangs_up_leaves_no_trace(self, folder, capfd):
        write_sparse(folder / "big/ready/1.tar.gz", 200 * MB)
        with ModelHost(folder) as host:
            address = host.url.removeprefix("http://").split(":")
            for linger in (0, None):
                client = socket.create_connection(address)
                client.sendall(b"GET /big/ready/1.tar.gz HTTP/1.1\r\nHost: x\r\n\r\n")
                assert client.recv(1000)
                if linger is not None:  # hang up with a reset instead of a farewell
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, linger))
                client.close()
            assert ask(host.url, MODEL).members == FILES
        assert capfd.readouterr() == ("", "")


def peak_memory(pid):
    """The most memory the process ever held, in bytes."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) * 1024


def received(url, path):
    connection = connect(url)
    connection.request("GET", path)
    response = connection.getresponse()
    total = sum(len(block) for block in iter(lambda: response.read(MB), b""))
    connection.close()
    return total


def unpacked_size(url, path):
    connection = connect(url)
    connection.request("GET", path)
    with tarfile.open(fileobj=connection.getresponse(), mode="r|gz") as tar:
        total = sum(entry.size for entry in tar)
    connection.close()
    return total
