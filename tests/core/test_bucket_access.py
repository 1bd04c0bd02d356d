"""May this kernel cache models in a bucket? Asked of the stand-in by the real google-cloud-storage."""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import gcs_rig
import pytest
from gcs_rig import run
from gcs_stand_in import ACCOUNT, TOKEN, GcsStandIn
from kernel import Kernel

from hub_magic import HubMagicError, SettingError, check_bucket, detect_runtime
from hub_magic.gcs import require_bucket

storage, gcs = gcs_rig.storage, gcs_rig.gcs  # fixtures


def refused(location: str) -> str:
    with pytest.raises(SettingError) as caught:
        require_bucket(location)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(autouse=True)
def process_without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask as a process does that has not imported TensorFlow, whatever tests before this one have imported."""
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)


def test_usable_bucket_has_all_permissions_and_no_refusal(gcs: GcsStandIn) -> None:
    access = require_bucket("gs://models/team/cache/")
    assert access.location == "gs://models/team/cache"
    assert (access.can_list, access.can_read, access.can_write, access.can_delete) == (True,) * 4
    assert (access.identity.account, access.identity.kind) == (ACCOUNT, "service account")
    assert access.reader == ""
    assert gcs.names("models") == []
    assert gcs.requests["create"] == gcs.requests["list"] == 0
    assert json.loads(access.to_json())["refusal"] == ""


@pytest.mark.parametrize(
    ("kind", "word"),
    [("list", "listed"), ("get", "read"), ("create", "written"), ("patch", "written"), ("delete", "cleared")],
)
def test_missing_permission_is_named_with_the_role_to_request(gcs: GcsStandIn, kind: str, word: str) -> None:
    gcs.deny(kind)
    said = refused("gs://models")
    assert said.startswith(f"gs://models may not be {word} by {ACCOUNT}.")
    assert "roles/storage.objectUser" in said


def test_missing_bucket_message_creates_it(gcs: GcsStandIn) -> None:
    assert "gcloud storage buckets create gs://nowhere" in refused("gs://nowhere/path")


def test_malformed_location_is_refused_without_a_request(gcs: GcsStandIn) -> None:
    for location in (
        "gs://Capital/path",
        "gs:/models",
        "gs://it",
        "gs://models//team",
        "gs://models/../team",
    ):
        assert "gs://BUCKET/PATH" in refused(location), location
    assert not gcs.requests


def test_rejected_credentials_are_named(gcs: GcsStandIn) -> None:
    gcs.tokens.clear()
    assert "credentials are not accepted" in refused("gs://models")


def test_refused_login_message_names_the_login_command(gcs: GcsStandIn) -> None:
    gcs.fail("token", status=400)
    assert "gcloud auth application-default login" in refused("gs://models")


def test_missing_credentials_message_names_the_remedy(
    storage: GcsStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in storage.environment(tmp_path, token="").items():
        monkeypatch.setenv(name, value)
    assert "gcloud auth application-default login" in refused("gs://models")
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab_20260101")
    assert "from google.colab import auth; auth.authenticate_user()" in refused("gs://models")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    assert "missing.json" in refused("gs://models")


def test_user_credentials_are_shown_with_their_address(
    gcs: GcsStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = tmp_path / "user.json"
    login.write_text(
        json.dumps({"type": "authorized_user", "client_id": "1", "client_secret": "2", "refresh_token": "3"})
    )
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(login))
    gcs.tokens[gcs.token] = "ada@example.com"
    access = check_bucket("gs://models")
    assert (access.identity.account, access.identity.kind) == ("ada@example.com", "user")


def test_unreachable_storage_message_names_the_proxy(
    gcs: GcsStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    assert "https_proxy" in refused("gs://models")


def test_remote_worker_account_is_named_with_its_remedy(
    gcs: GcsStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reader_of(**env: str) -> tuple[str, str]:
        runtime = detect_runtime(env=env, modules={})
        assert runtime.is_remote
        access = check_bucket("gs://models/team", runtime=runtime)
        return access.reader, access.reader_remedy

    node = {"TPU_NAME": "grpc://10.0.0.2:8470"}
    reader, remedy = reader_of(**node)
    assert "service-NUMBER@cloud-tpu.iam.gserviceaccount.com" in reader
    assert "services identity create --service=tpu.googleapis.com --project=project" in remedy
    monkeypatch.setenv("CLOUD_ML_PROJECT_ID", "1234")
    reader, remedy = reader_of(**node)
    assert reader == "service-1234@cloud-tpu.iam.gserviceaccount.com"
    assert f"add-iam-policy-binding gs://models --member=serviceAccount:{reader} --role=roles" in remedy
    monkeypatch.setenv("COLAB_TPU_ADDR", "10.0.0.2:8470")
    assert reader_of(COLAB_TPU_ADDR="10.0.0.2:8470")[0].startswith("service-495559152420@")
    assert "worker at a, b" in reader_of(TPU_WORKER_HOSTNAMES="a,b", TPU_ACCELERATOR_TYPE="v4-16")[0]


MACHINE = {
    "/": "",
    "/computeMetadata/v1/project/project-id": "the-project",
    "/computeMetadata/v1/project/numeric-project-id": "987654",
    "/computeMetadata/v1/universe/universe-domain": "googleapis.com",
    "/computeMetadata/v1/instance/service-accounts/default/": json.dumps(
        {"email": "machine@project.iam.gserviceaccount.com", "scopes": [], "aliases": ["default"]}
    ),
    "/computeMetadata/v1/instance/service-accounts/default/token": json.dumps(
        {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}
    ),
}


class MachineServer(BaseHTTPRequestHandler):
    """What a machine of Google Cloud tells the processes on it."""

    def do_GET(self) -> None:
        body = MACHINE.get(
            urlsplit(self.path).path.replace("machine@project.iam.gserviceaccount.com", "default")
        )
        self.send_response(404 if body is None else 200)
        self.send_header("Metadata-Flavor", "Google")
        self.send_header("Content-Type", "application/json" if (body or "").startswith("{") else "text/plain")
        self.end_headers()
        self.wfile.write((body or "").encode())

    def log_message(self, *_arguments: object) -> None:
        pass


def test_google_cloud_machine_uses_its_project_number(storage: GcsStandIn, tmp_path: Path) -> None:
    code = """
        from hub_magic.gcs import check_bucket
        from hub_magic.runtime import detect_runtime
        for env in ({"TPU_NAME": "grpc://10.0.0.2:8470"}, {"TPU_WORKER_HOSTNAMES": "a,b"}):
            access = check_bucket("gs://models", runtime=detect_runtime(env=env, modules={}))
            print(access.identity.kind, access.identity.account, access.reader)
    """
    with ThreadingHTTPServer(("127.0.0.1", 0), MachineServer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment = {
            **storage.environment(tmp_path, token=""),
            "NO_GCE_CHECK": "false",
            "GCE_METADATA_HOST": f"127.0.0.1:{server.server_port}",
            "GCE_METADATA_IP": f"127.0.0.1:{server.server_port}",
        }
        first, second = run(code, environment).splitlines()
        server.shutdown()
    machine = "machine machine@project.iam.gserviceaccount.com"
    assert first == f"{machine} service-987654@cloud-tpu.iam.gserviceaccount.com"
    assert second == f"{machine} machine@project.iam.gserviceaccount.com"


CHECK = """
import tensorflow as tf
from hub_magic.errors import SettingError
from hub_magic.gcs import require_bucket
import os
import sys
{before}
try:
    print(require_bucket("gs://models").refusal or "usable")
except SettingError as error:
    print(error)
"""


@pytest.mark.tensorflow
def test_tensorflow_with_an_empty_token_needs_a_restart(storage: GcsStandIn, tmp_path: Path) -> None:
    environment = storage.environment(tmp_path)
    assert run(CHECK.format(before=""), environment).strip() == "usable"
    # Without credentials TensorFlow asks the machine's server, which is not there, and gives up for good.
    late = (
        "credentials, token = (os.environ.pop(name) for name in"
        " ('GOOGLE_APPLICATION_CREDENTIALS', 'GOOGLE_AUTH_TOKEN_FOR_TESTING'))\n"
        "try: tf.io.gfile.exists('gs://models/a')\n"
        "except tf.errors.OpError: pass\n"
        "os.environ['GOOGLE_APPLICATION_CREDENTIALS'] = credentials"
    )
    said = run(CHECK.format(before=late), {**environment, "NO_GCE_CHECK": "false"})
    assert "Restart the kernel" in said


def test_storage_errors_become_hub_magic_errors(gcs: GcsStandIn) -> None:
    gcs.fail("permissions", status=503, times=100)
    with pytest.raises(HubMagicError, match="has a server error"):
        check_bucket("gs://models")


@pytest.mark.kernel
def test_the_magic_checks_before_it_sets(storage: GcsStandIn, tmp_path: Path) -> None:
    with Kernel(tmp_path / "kernel", **storage.environment(tmp_path)) as kernel:
        kernel.ok("%load_ext hub_magic\nimport os")
        kernel.ok("%hub_cache gs://models/team/")
        assert kernel.value("os.environ['TFHUB_CACHE_DIR']") == "gs://models/team"
        cell = kernel.run("%hub_cache gs://elsewhere")
        assert cell.status == "error"
        assert "There is no bucket gs://elsewhere" in cell.error
        assert kernel.value("os.environ['TFHUB_CACHE_DIR']") == "gs://models/team"
