"""Hosts and buckets are asked with `--online`, and nobody without it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import gcs_rig
import pytest
from archives import model_archive
from care_cache import WHOLE, plant
from doctor_rig import Shell
from faulty_host import Fault, FaultyHost
from gcs_stand_in import ACCOUNT, GcsStandIn
from host_client import write_model
from repository import REPOSITORY

from hub_magic.doctor.network import one_for_each_host
from hub_magic.host import ModelHost

storage = gcs_rig.storage  # a fixture

# Ends at the first attempt to reach anybody, and at the import of what is slow.
QUIET = """
import sys
def watch(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "subprocess.Popen"}:
        raise SystemExit(f"{event} {arguments}")
sys.addaudithook(watch)
from hub_magic.cli.main import main
status = main(["doctor"])
slow = {"IPython", "anywidget", "google.auth", "ipywidgets", "requests", "tensorflow", "tensorflow_hub"}
assert not slow & set(sys.modules), slow & set(sys.modules)
"""


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    (tmp_path / "home").mkdir()
    place = Shell(tmp_path / "home")
    place.set({"TFHUB_CACHE_DIR": str(tmp_path / "cache")})
    return place


@pytest.mark.parametrize("cache", ["", "gs://models/team"])
def test_offline_doctor_opens_no_connection_and_imports_no_slow_module(tmp_path: Path, cache: str) -> None:
    plant(tmp_path, "https://tfhub.dev/google/nnlm-en-dim50/2")
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TFHUB_CACHE_DIR": cache or str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", QUIET], env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "versions: hub_magic" in done.stdout


def test_online_doctor_reports_each_host(shell: Shell, tmp_path: Path) -> None:
    write_model(tmp_path / "served/team/model/1")
    bucket = {"team/model/1": "gs://open-models/model"}
    with (
        ModelHost(tmp_path / "served", gcs=bucket) as both,
        FaultyHost(model_archive(WHOLE)) as plain,
        FaultyHost(b"", then=Fault(status=403, body=b"<Error><Code>AccessDenied</Code></Error>")) as closed,
        FaultyHost(b"", then=Fault(hang_up=True)) as dumb,
        FaultyHost(model_archive(WHOLE), then=Fault(drop_at=0)) as breaking,
    ):
        urls = [host.url for host in (both, plain, closed, dumb, breaking)]
        hosts = [url.partition("://")[2] for url in urls]
        for url in urls:
            plant(tmp_path / "cache", f"{url}/team/model/1")
            plant(tmp_path / "cache", f"{url}/team/other/1")
        found = shell.look("--online")
        assert [one.name for one in found if one.name.startswith("host ")] == [
            f"host {host}" for host in sorted(hosts)
        ]
        first = found.the(f"host {hosts[0]}")
        assert first.state == "fine"
        assert "the first byte of" in first.found
        assert first.found.endswith("uncompressed is offered in gs://open-models/model")
        assert found.the(f"host {hosts[1]}").found.endswith("uncompressed is not offered")
        assert found.the(f"host {hosts[2]}").state == "problem"
        assert "403" in found.the(f"host {hosts[2]}").found
        assert found.the(f"host {hosts[3]}").state == found.the(f"host {hosts[4]}").state == "problem"
    assert "refused the connection" in shell.look("--online").the(f"host {hosts[1]}").found


def test_online_doctor_asks_tfhub_dev_if_no_model_is_cached(shell: Shell) -> None:
    """Through a proxy that is not there, so that the request goes nowhere."""
    shell.set({"https_proxy": "http://127.0.0.1:9"})
    found = shell.look("--online").the("host tfhub.dev")
    assert found.state == "problem"
    assert "The proxy could not connect to tfhub.dev" in found.found


def test_one_handle_of_each_host_is_asked() -> None:
    handles = (
        "https://b/m/1",
        "https://a/n/1",
        "https://user@a/m/1",
        "/a/path",
        "gs://bucket/m",
        "",
        "https://A/o",
    )
    assert [str(handle) for handle in one_for_each_host(handles)] == ["https://A/o", "https://b/m/1"]


def test_online_doctor_reports_access_to_the_bucket(
    shell: Shell, storage: GcsStandIn, tmp_path: Path
) -> None:
    shell.set({**storage.environment(tmp_path), "TFHUB_CACHE_DIR": "gs://models/team"})
    shell.env.pop("PYTHONWARNINGS")  # Google's packages warn at their import
    assert shell.look().the("bucket").state == "unknown"
    found = shell.look("--online")
    assert found.the("bucket").found == f"gs://models/team can be listed, read and written by {ACCOUNT}"
    assert found.the("credentials").found.startswith("service account in ")
    storage.deny("create")
    refused = shell.look("--online").the("bucket")
    assert refused.state == "problem"
    assert f"may not be written by {ACCOUNT}" in refused.found
    shell.do(refused.fix)
    assert shell.look("--online").the("cache").found.startswith(str(shell.home))
