"""`python -m hub_magic.host`, and that the host stands alone."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from host_client import FILES, ask, write_model
from repository import REPOSITORY

from hub_magic.host import ModelHost


@pytest.fixture
def folder(tmp_path):
    write_model(tmp_path / "models/digits/classifier/1")
    return tmp_path / "models"


@contextmanager
def command(*arguments, python=(sys.executable,), module="hub_magic.host", cwd=REPOSITORY, **environment):
    """The running command; it is ended with SIGTERM."""
    with subprocess.Popen(
        [*python, "-m", module, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env={**os.environ, **environment},
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "hub_magic.host", *map(str, arguments)],
        capture_output=True,
        cwd=REPOSITORY,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_command_prints_models_and_requests_and_leaves_no_file(folder, tmp_path, stop):
    (tmp_path / "temporary").mkdir()
    options = (
        "--port",
        0,
        "--gcs",
        "digits/classifier/1=gs://bucket/a=b",
        "--gcs",
        "big/only/1=gs://bucket/big",
    )
    with command(folder, *options, TMPDIR=str(tmp_path / "temporary")) as process:
        line = process.stdout.readline()
        url = line.split()[-1]
        assert line == f"Serving 2 models of {folder} at {url}\n"
        assert ask(url, "/digits/classifier/1.tar.gz").members == FILES
        assert ask(url, "/digits/classifier/1?tf-hub-format=uncompressed").text == "gs://bucket/a=b"
        assert ask(url, "/nothing/1").status == 404
        process.send_signal(stop)
        out, err = process.communicate()
    assert process.returncode == 0
    assert out == ""
    requests = [line.partition('"')[2] for line in err.splitlines()]
    assert requests == [
        'GET /digits/classifier/1.tar.gz HTTP/1.1" 200 -',
        'GET /digits/classifier/1?tf-hub-format=uncompressed HTTP/1.1" 303 -',
        'GET /nothing/1 HTTP/1.1" 404 -',
    ]
    assert list((tmp_path / "temporary").iterdir()) == []


def test_command_keeps_archives_in_a_chosen_directory(folder, tmp_path):
    with command(folder, "--port", 0, "--cache-directory", tmp_path / "kept") as process:
        ask(process.stdout.readline().split()[-1], "/digits/classifier/1.tar.gz")
        process.terminate()
        process.communicate()
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_command_with_a_missing_folder_exits_with_2(tmp_path):
    done = run(tmp_path / "missing")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"hub_magic.host: There is no folder {tmp_path / 'missing'}. Give the folder that holds the models.\n"
    )


def test_command_with_a_port_in_use_exits_with_2(folder):
    with ModelHost(folder) as host:
        port = host.url.rpartition(":")[2]
        done = run(folder, "--port", port)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"hub_magic.host: Cannot listen on 127.0.0.1 port {port}: Address already in use. "
        "Give another port (0 picks a free one) or an address of this computer.\n"
    )


def test_command_with_a_malformed_bucket_exits_with_2(folder):
    done = run(folder, "--gcs", "digits/classifier/1=s3://bucket")
    assert done.returncode == 2
    assert "'digits/classifier/1=s3://bucket' is not HANDLE=gs://BUCKET/FOLDER" in done.stderr


def test_the_package_stands_alone_on_the_standard_library(folder, tmp_path):
    shutil.copytree(REPOSITORY / "hub_magic/host", tmp_path / "alone/mirror")
    isolated = (sys.executable, "-S")  # -S: no site-packages
    with command(
        folder, "--port", 0, python=isolated, module="mirror", cwd=tmp_path / "alone", PYTHONPATH=""
    ) as process:
        url = process.stdout.readline().split()[-1]
        assert ask(url, "/digits/classifier/1.tar.gz").members == FILES


def test_import_of_the_host_loads_no_other_hub_magic_module():
    script = "import sys, hub_magic; before = set(sys.modules); import hub_magic.host; print(*set(sys.modules) - before)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()} - set(sys.stdlib_module_names)
    assert loaded == {"hub_magic"}
    assert all(
        name.startswith("hub_magic.host") for name in done.stdout.split() if name.startswith("hub_magic")
    )
