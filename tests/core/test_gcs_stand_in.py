"""The stand-in for Google Cloud Storage, asked by the real clients."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gcs_rig import run
from gcs_stand_in import ACCOUNT, GcsStandIn


@pytest.fixture
def gcs() -> Iterator[GcsStandIn]:
    with GcsStandIn() as stand_in:
        stand_in.create_bucket("models")
        yield stand_in


@pytest.fixture
def client(gcs: GcsStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The real client of google-cloud-storage, with a service account's key."""
    for name, value in gcs.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportWarning)  # at its import where grpcio-status is missing
        from google.cloud import storage

    with storage.Client() as found:
        yield found


def test_stored_objects_are_read_back_unchanged(gcs: GcsStandIn, client) -> None:
    bucket = client.bucket("models")
    assert bucket.exists()
    blob = bucket.blob("a folder/ä.bin")
    blob.metadata = {"handle": "https://host/m/1"}
    blob.upload_from_string(b"0123456789", if_generation_match=0)
    again = bucket.get_blob("a folder/ä.bin")
    assert again.download_as_bytes() == b"0123456789"
    assert again.download_as_bytes(start=3, end=5) == b"345"
    assert (again.size, again.metadata, again.metageneration) == (10, {"handle": "https://host/m/1"}, 1)
    again.metadata = {"seen": "1"}
    again.patch()
    assert gcs.objects.get("models", "a folder/ä.bin").metadata == {"handle": "https://host/m/1", "seen": "1"}
    assert gcs.seen["create"] == {ACCOUNT}
    again.delete()
    assert bucket.get_blob("a folder/ä.bin") is None
    assert gcs.requests["unknown"] == 0


def test_large_uploads_resume(gcs: GcsStandIn, client) -> None:
    data = os.urandom(3 << 20)
    blob = client.bucket("models").blob("large", chunk_size=1 << 20)
    gcs.fail("create", times=1, name="large")
    blob.upload_from_string(data)
    assert gcs.objects.get("models", "large").data == data


def test_failed_preconditions_are_refused(client) -> None:
    from google.api_core.exceptions import PreconditionFailed

    blob = client.bucket("models").blob("lock")
    blob.upload_from_string(b"one", if_generation_match=0)
    with pytest.raises(PreconditionFailed):
        client.bucket("models").blob("lock").upload_from_string(b"two", if_generation_match=0)
    blob.upload_from_string(b"three", if_generation_match=blob.generation)
    with pytest.raises(PreconditionFailed):
        blob.delete(if_generation_match=1)
    with pytest.raises(PreconditionFailed):
        blob.delete(if_metageneration_match=7)
    blob.delete(if_generation_match=blob.generation)


def test_listing_returns_pages_fields_and_prefixes(gcs: GcsStandIn, client) -> None:
    for number in range(2500):
        gcs.put(f"gs://models/cache/{number:04}/saved_model.pb", b"1", handle=f"h{number}")
    gcs.put("gs://models/other", b"")
    found = list(client.list_blobs("models", prefix="cache/", fields="items(name,metadata),nextPageToken"))
    assert len(found) == 2500
    assert found[0].metadata == {"handle": "h0"}
    assert found[0].size is None
    assert gcs.requests["list"] == 3
    top = client.list_blobs("models", delimiter="/")
    assert [blob.name for blob in top] == ["other"]
    assert top.prefixes == {"cache/"}


def test_batches_are_one_request(gcs: GcsStandIn, client) -> None:
    bucket = client.bucket("models")
    for number in range(5):
        gcs.put(f"gs://models/{number}", b"1")
    with client.batch():
        for number in range(4):
            bucket.blob(str(number)).delete()
    assert gcs.names("models") == ["4"]
    assert (gcs.requests["batch"], gcs.requests["delete"], gcs.calls["delete"]) == (1, 0, 4)


def test_rewrite_and_compose_make_objects(gcs: GcsStandIn, client) -> None:
    gcs.create_bucket("other")
    gcs.put("gs://models/a", b"aa", handle="h")
    gcs.put("gs://models/b", b"bb")
    bucket = client.bucket("models")
    copied = client.bucket("other").blob("c")
    token, written, size = copied.rewrite(bucket.blob("a"), if_generation_match=0)
    assert (token, written, size) == (None, 2, 2)
    assert gcs.objects.get("other", "c").metadata == {"handle": "h"}
    bucket.blob("ab").compose([bucket.blob("a"), bucket.blob("b")])
    assert gcs.objects.get("models", "ab").data == b"aabb"


def test_denied_requests_raise_and_lack_permissions(gcs: GcsStandIn, client) -> None:
    from google.api_core.exceptions import Forbidden, Unauthorized

    asked = [
        "storage.objects.list",
        "storage.objects.get",
        "storage.objects.create",
        "storage.objects.delete",
    ]
    assert client.bucket("models").test_iam_permissions(asked) == asked
    gcs.deny("list", 403)
    gcs.deny("create", 403, account="somebody else")
    assert client.bucket("models").test_iam_permissions(asked) == asked[1:]
    with pytest.raises(Forbidden):
        list(client.list_blobs("models"))
    client.bucket("models").blob("a").upload_from_string(b"")
    gcs.deny("get", 401)
    with pytest.raises(Unauthorized):
        client.bucket("models").blob("a").download_as_bytes()


def test_throttled_and_failing_requests_are_retried(gcs: GcsStandIn, client) -> None:
    gcs.put("gs://models/a", b"1")
    gcs.throttle("list")
    gcs.fail("list", status=503)
    assert [blob.name for blob in client.list_blobs("models")] == ["a"]
    assert gcs.requests["list"] == 3


def test_stalled_request_waits_for_release(gcs: GcsStandIn, client) -> None:
    gcs.put("gs://models/a", b"1")
    gcs.stall("get", name="a")
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(client.bucket("models").blob("a").download_as_bytes)
        assert gcs.stalled.wait(60)
        assert not reading.done()
        gcs.release()
        assert reading.result(60) == b"1"


@pytest.mark.tensorflow
def test_tensorflow_reads_and_writes_objects(gcs: GcsStandIn, tmp_path: Path) -> None:
    gcs.put("gs://models/there/vocab.txt", b"hub magic")
    found = run(
        """
        import tensorflow as tf
        gfile = tf.io.gfile
        print(gfile.GFile("gs://models/there/vocab.txt").read())
        gfile.makedirs("gs://models/new/folder")
        with gfile.GFile("gs://models/new/folder/file", "wb") as file:
            file.write(bytes(range(256)) * 5000)
        gfile.rename("gs://models/new/folder", "gs://models/new/renamed")
        print(sorted(gfile.listdir("gs://models/new")), gfile.stat("gs://models/new/renamed/file").length)
        gfile.rmtree("gs://models/there")
        matrix = tf.Variable(tf.eye(3))
        model = tf.Module()
        model.matrix = matrix
        tf.saved_model.save(model, "gs://models/saved")
        print(tf.saved_model.load("gs://models/saved").matrix.numpy().sum())
        """,
        gcs.environment(tmp_path),
    )
    assert found.splitlines() == ["hub magic", "['renamed/'] 1280000", "3.0"]
    assert gcs.objects.get("models", "new/renamed/file").data == bytes(range(256)) * 5000
    assert not [name for name in gcs.names("models") if name.startswith("there")]
    assert not [kind for kind in gcs.requests if kind.startswith("unknown")]


@pytest.mark.tensorflow
def test_tensorflow_without_credentials_reads_public_buckets_only(gcs: GcsStandIn, tmp_path: Path) -> None:
    gcs.create_bucket("open-models", public=True)
    gcs.put("gs://open-models/a", b"public")
    gcs.put("gs://models/a", b"private")
    found = run(
        """
        import tensorflow as tf
        print(tf.io.gfile.GFile("gs://open-models/a").read())
        try:
            tf.io.gfile.GFile("gs://models/a").read()
        except tf.errors.OpError as error:
            print(type(error).__name__)
        """,
        gcs.environment(tmp_path, token=""),
    )
    assert found.splitlines()[0] == "public"
    assert found.splitlines()[1] in {"UnauthenticatedError", "PermissionDeniedError"}
