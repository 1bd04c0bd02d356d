"""One model into the cache: what is there, what is damaged, what cannot be."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from archives import file, gzipped, model_archive, model_files, read_folder, special, tar
from faulty_host import Fault, FaultyHost
from hypothesis import given
from hypothesis import strategies as st
from repository import REPOSITORY

from hub_magic import (
    DamagedEntryError,
    DownloadError,
    HandleError,
    NotCachedError,
    fetch,
    fetch_all,
    list_cache,
    parse_handle,
    resolve,
)
from hub_magic.cache.layout import (
    DESCRIPTOR_SUFFIX,
    RECORD_SUFFIX,
    Descriptor,
    descriptor_text,
    read_descriptor,
)
from hub_magic.cache.record import (
    EntryRecord,
    FileRecord,
    find_damage,
    parse_record,
    read_record,
    record_text,
)
from hub_magic.download.fetching import archive_url
from hub_magic.download.http import RetryPolicy
from hub_magic.download.messages import similar
from hub_magic.download.ownership import is_ours

ARCHIVE = model_archive()
QUICK = RetryPolicy(connect=5, read=1, tries=2, pause=0.01, longest=0.05)


@pytest.fixture
def host() -> Iterator[FaultyHost]:
    with FaultyHost(ARCHIVE) as host:
        yield host


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache in force."""
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_second_fetch_returns_the_cached_copy(
    host: FaultyHost, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    handle = f"{host.url}/google/model/1"
    first = fetch(handle)
    assert first.path == f"{cache}/{parse_handle(handle).folder}"
    assert read_folder(first.path) == model_files()
    assert (first.was_cached, first.bytes, first.handle) == (False, len(ARCHIVE), handle)
    second = fetch(handle)
    assert (second.path, second.was_cached, second.bytes) == (first.path, True, 0)
    assert resolve(handle) == first.path
    assert len(host.seen) == 1
    assert capsys.readouterr() == ("", "")  # no bar where nobody sees it
    names = {path.name for path in cache.iterdir()}
    folder = parse_handle(handle).folder
    assert names == {folder, folder + DESCRIPTOR_SUFFIX, folder + RECORD_SUFFIX}


def test_fetch_writes_descriptor_and_record(host: FaultyHost, cache: Path) -> None:
    handle = f"{host.url}/google/model/1"
    path = fetch(handle).path
    descriptor = read_descriptor(Path(path + DESCRIPTOR_SUFFIX).read_text())
    assert descriptor is not None
    assert (descriptor.handle, descriptor.host, descriptor.pid) == (handle, socket.gethostname(), os.getpid())
    record = read_record(path)
    assert record is not None
    assert (record.handle, record.etag) == (handle, '"version 1"')
    assert {file.path: file.size for file in record.files} == {
        n: len(data) for n, data in model_files().items()
    }


def test_several_handles_are_fetched_in_order(host: FaultyHost, cache: Path) -> None:
    found = fetch_all([f"{host.url}/a/b/1", f"{host.url}/a/b/2"])
    assert [one.handle for one in found] == [f"{host.url}/a/b/1", f"{host.url}/a/b/2"]
    assert json.loads(found[0].to_json())["bytes"] == len(ARCHIVE)


def test_fetch_into_another_location_leaves_the_cache_alone(
    host: FaultyHost, cache: Path, tmp_path: Path
) -> None:
    assert fetch(f"{host.url}/a/b/1", location=str(tmp_path / "a" / "b")).path.startswith(
        str(tmp_path / "a" / "b")
    )
    assert not cache.exists()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda path: (path / "saved_model.pb").unlink(), "saved_model.pb is missing"),
        (lambda path: (path / "assets/words.txt").unlink(), "assets/words.txt is missing"),
        (lambda path: (path / "variables/variables.index").write_bytes(b"cut"), "3 of its 100 bytes"),
        (lambda path: (path / "saved_model.pb").write_bytes(b""), "0 of its 500 bytes"),
    ],
)
def test_damaged_entry_heals(host: FaultyHost, cache: Path, capsys, harm, words: str) -> None:
    handle = f"{host.url}/google/model/1"
    path = fetch(handle).path
    harm(Path(path))
    assert words in find_damage(path)
    again = fetch(handle)
    assert (again.path, again.was_cached) == (path, False)
    assert read_folder(path) == model_files()
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert handle in told
    assert words in told
    assert len(list(cache.iterdir())) == 3


def test_damaged_entry_of_tensorflow_hub_is_downloaded_again(host: FaultyHost, cache: Path, capsys) -> None:
    handle = f"{host.url}/google/model/1"
    path = Path(fetch(handle).path)
    Path(f"{path}{RECORD_SUFFIX}").unlink()
    assert fetch(handle).was_cached
    (path / "variables/variables.index").unlink()
    assert not fetch(handle).was_cached
    assert "variables.index is missing" in capsys.readouterr().err


def test_record_of_another_download_does_not_count(host: FaultyHost, cache: Path) -> None:
    """A kernel without hub_magic has downloaded a new version under the same handle."""
    handle = f"{host.url}/google/model/1"
    path = fetch(handle).path
    Path(path, "saved_model.pb").write_bytes(b"another version")
    Path(path + DESCRIPTOR_SUFFIX).write_text(descriptor_text(Descriptor(handle, None, "other", 1)))
    assert fetch(handle).was_cached


def test_entry_of_another_kind_is_returned_without_a_request(host: FaultyHost, cache: Path) -> None:
    handle = f"{host.url}/google/model/1"
    entry = cache / parse_handle(handle).folder
    entry.mkdir(parents=True)
    (entry / "vocabulary.txt").write_text("hub")
    assert fetch(handle).was_cached
    assert host.seen == []


def test_empty_folder_is_downloaded_silently(host: FaultyHost, cache: Path, capsys) -> None:
    handle = f"{host.url}/google/model/1"
    (cache / parse_handle(handle).folder).mkdir(parents=True)
    assert not fetch(handle).was_cached
    assert capsys.readouterr().err == ""


def test_linked_entry_is_left_alone(host: FaultyHost, cache: Path, tmp_path: Path) -> None:
    handle = f"{host.url}/google/model/1"
    (tmp_path / "mine" / "variables").mkdir(parents=True)
    cache.mkdir()
    entry = cache / parse_handle(handle).folder
    entry.symlink_to(tmp_path / "mine")
    assert fetch(handle).was_cached
    assert entry.is_symlink()


def test_damaged_entry_stays_when_it_cannot_be_replaced(host: FaultyHost, cache: Path) -> None:
    handle = f"{host.url}/google/model/1"
    path = Path(fetch(handle).path)
    (path / "saved_model.pb").unlink()
    before = read_folder(str(path))
    host.then = Fault(status=404)
    with pytest.raises(DownloadError):
        fetch(handle)
    assert read_folder(str(path)) == before
    assert len(list(cache.iterdir())) == 3


def test_refused_archive_leaves_nothing(cache: Path) -> None:
    archive = gzipped(tar([file("a", b"x"), special("b", b"2", "/etc")]))
    with (
        FaultyHost(archive) as host,
        pytest.raises(DownloadError, match=r"is unsafe \('b' is a symbolic link\)"),
    ):
        fetch(f"{host.url}/a/b/1")
    assert list(cache.iterdir()) == []
    assert len(host.seen) == 1  # another try would bring the same


def test_offline_mode_returns_cached_models_and_names_similar_ones(
    host: FaultyHost, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = f"{host.url}/google/universal-sentence-encoder/4"
    path = Path(fetch(handle).path)
    monkeypatch.setenv("HUB_MAGIC_OFFLINE", "1")
    asked = len(host.seen)
    assert fetch(handle).was_cached
    began = time.monotonic()
    with pytest.raises(NotCachedError, match=f"similar names: {handle}") as caught:
        fetch(f"{host.url}/google/universal-sentence-encoder/3")
    assert time.monotonic() - began < 1
    assert "\n" not in str(caught.value)
    with pytest.raises(NotCachedError, match="similar name"):
        fetch("gs://bucket/model.tar.gz")
    (path / "saved_model.pb").unlink()
    with pytest.raises(DamagedEntryError, match=r"saved_model\.pb is missing"):
        fetch(handle)
    assert len(host.seen) == asked


def test_offline_mode_without_a_cache_says_that_it_is_empty(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_MAGIC_OFFLINE", "1")
    with pytest.raises(NotCachedError, match="empty"):
        fetch("https://tfhub.dev/a/b/1")
    assert not cache.exists()


def test_similar_names_are_found_or_none(cache: Path) -> None:
    cache.mkdir()
    handles = [
        f"https://tfhub.dev/google/{name}/1" for name in ("nnlm-en-dim128", "elmo", "imagenet/mobilenet_v2")
    ]
    for handle in handles:
        entry = cache / parse_handle(handle).folder
        entry.mkdir()
        Path(f"{entry}{DESCRIPTOR_SUFFIX}").write_text(descriptor_text(Descriptor(handle, None, "h", 1)))
    models = list(list_cache(str(cache)).models)
    assert (
        similar(parse_handle("https://www.kaggle.com/models/google/nnlm/tensorFlow2/en-dim128/1"), models)[0]
        == handles[0]
    )
    assert similar(parse_handle("https://tfhub.dev/google/imagenet/mobilenet_v3/1"), models)[0] == handles[2]
    assert similar(parse_handle("https://example.com/q"), models) == []


@pytest.mark.parametrize(
    ("handle", "url"),
    [
        ("https://tfhub.dev/a/b/1", "https://tfhub.dev/a/b/1?tf-hub-format=compressed"),
        ("https://h/m.tar.gz?x=1&y=", "https://h/m.tar.gz?x=1&tf-hub-format=compressed"),
        (
            "https://hub.tensorflow.google.cn/google/elmo/3",
            "https://gcs.tensorflow.google.cn/tfhub-modules/google/elmo/3.tar.gz",
        ),
    ],
)
def test_archive_url_has_the_form_of_its_host(handle: str, url: str) -> None:
    assert archive_url(handle) == url


KAGGLE = {"KAGGLE_KERNEL_RUN_TYPE": "Interactive", "KAGGLE_USER_SECRETS_TOKEN": "x"}
KAGGLE_HANDLE = "https://www.kaggle.com/models/google/nnlm/tensorFlow2/en-dim128/1"


@pytest.mark.parametrize(
    ("handle", "cache", "env", "ours"),
    [
        ("https://tfhub.dev/a/b/1", "/cache", {}, True),
        ("https://tfhub.dev/a/b/1", "/cache", {"TFHUB_MODEL_LOAD_FORMAT": "AUTO"}, True),
        ("https://tfhub.dev/a/b/1", "/cache", {"TFHUB_MODEL_LOAD_FORMAT": "UNCOMPRESSED"}, True),
        ("https://tfhub.dev/a/b/1", "/cache", {"TFHUB_MODEL_LOAD_FORMAT": "misspelt"}, False),
        ("gs://bucket/model.tar.gz", "/cache", {}, False),
        ("gs://bucket/model.tar.gz", "/cache", {"HUB_MAGIC_OFFLINE": "1"}, True),
        ("/models/mine", "/cache", {}, False),
        ("/models/mine", "/cache", {"HUB_MAGIC_OFFLINE": "1"}, False),
        (KAGGLE_HANDLE, "/cache", {}, True),
        (KAGGLE_HANDLE, "/cache", KAGGLE, True),  # variables alone make nobody its resolver
        ("https://tfhub.dev/a/b/1", "/cache", KAGGLE, True),
    ],
)
def test_only_our_handles_are_fetched_by_us(handle: str, cache: str, env: dict[str, str], ours: bool) -> None:
    assert is_ours(parse_handle(handle), cache, env) is ours


@pytest.mark.parametrize(
    "handle", [KAGGLE_HANDLE, "gs://bucket/model", "s3://bucket/model", "hdfs://host/model"]
)
def test_offline_mode_asks_no_network_whatever_the_handle(
    cache: Path, monkeypatch: pytest.MonkeyPatch, handle: str
) -> None:
    for name, value in {**KAGGLE, "HUB_MAGIC_OFFLINE": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(NotCachedError, match="offline mode is on"):
        fetch(handle)


def test_cached_copy_of_a_kaggle_model_is_used_with_kaggles_variables(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in KAGGLE.items():
        monkeypatch.setenv(name, value)
    entry = cache / parse_handle(KAGGLE_HANDLE).folder
    entry.mkdir(parents=True)
    (entry / "saved_model.pb").write_bytes(b"graph")
    assert fetch(KAGGLE_HANDLE).path == str(entry)


def test_malformed_handle_raises_handle_error(cache: Path) -> None:
    for handle in ("", " https://tfhub.dev/a", "ftp://host/model"):
        with pytest.raises(HandleError):
            fetch(handle)


@pytest.mark.parametrize(
    ("handle", "words"),
    [
        ("http://no-such-host.invalid/a/b/1", "cannot be resolved"),
        ("http://127.0.0.1:9/a/b/1", "refused the connection"),
    ],
)
def test_unreachable_host_is_named(cache: Path, handle: str, words: str) -> None:
    with pytest.raises(DownloadError, match=words):
        fetch(handle, retries=QUICK)


def test_withdrawn_tfhub_dev_model_is_explained() -> None:
    from hub_magic.download.messages import explain_answer

    gone = "https://tfhub.dev/nvidia/unet/industrial/class_7/1"
    assert "withdrawn from tfhub.dev" in explain_answer(gone, gone, 404, b"")
    there = "https://tfhub.dev/nvidia/unet/industrial/class_77/1"
    assert "Check publisher, name and version" in explain_answer(there, there, 404, b"")


def test_full_disk_leaves_no_file(small_disk: Path, host: FaultyHost) -> None:
    host.archive = model_archive(model_files(30 << 20))
    with pytest.raises(DownloadError, match="Not enough disk space"):
        fetch(f"{host.url}/a/b/1", location=str(small_disk))
    assert list(small_disk.iterdir()) == []
    host.archive = model_archive(model_files(2 << 20))
    assert not fetch(f"{host.url}/a/b/1", location=str(small_disk)).was_cached


def test_disk_that_fills_during_unpacking_leaves_no_file(small_disk: Path, host: FaultyHost) -> None:
    """Packed it would fit; unpacked it does not, and the archive says so only when it is there."""
    host.archive = gzipped(tar([file(f"zeros{number}", bytes(4 << 20)) for number in range(16)]))
    with pytest.raises(DownloadError, match="Not enough disk space"):
        fetch(f"{host.url}/a/b/1", location=str(small_disk))
    assert list(small_disk.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 40 MB, of which downloads leave 16 MB to others."""
    if os.name == "nt" or os.getuid() != 0:
        pytest.skip("needs root to mount a small disk")
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(place)], check=False
    ).returncode:
        pytest.skip("this machine lets nobody mount a disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


# Becomes nobody after it has imported all it needs, because nobody may read root's Python.
NOBODY = """
import os, sys
from hub_magic.download import fetch
fetch(sys.argv[1] + "/warm/up/1", location=sys.argv[2])
os.setgid(65534); os.setuid(65534)
try:
    print(fetch(sys.argv[1] + "/google/model/1", location=sys.argv[3]).was_cached)
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def shared(host: FaultyHost) -> Iterator[Path]:
    """A cache of root's that others may read."""
    if os.name == "nt" or os.getuid() != 0:
        pytest.skip("needs root to become somebody else")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        cache = Path(folder, "cache")
        cache.mkdir()
        yield cache


def as_nobody(host: FaultyHost, cache: Path, tmp_path: Path) -> str:
    command = [sys.executable, "-c", NOBODY, host.url, str(tmp_path), str(cache)]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout


def test_read_only_cache_loads_and_refuses_downloads(host: FaultyHost, shared: Path, tmp_path: Path) -> None:
    told = as_nobody(host, shared, tmp_path)
    assert "DownloadError" in told
    assert "owned by root" in told
    assert "%hub_cache" in told
    fetch(f"{host.url}/google/model/1", location=str(shared))
    assert as_nobody(host, shared, tmp_path) == "True\n"


def test_unreadable_entry_of_another_user_is_named(host: FaultyHost, shared: Path, tmp_path: Path) -> None:
    Path(fetch(f"{host.url}/google/model/1", location=str(shared)).path).chmod(0o700)
    told = as_nobody(host, shared, tmp_path)
    assert "Permission denied" in told
    assert "owned by root" in told


@pytest.mark.parametrize("recorded", [True, False])
def test_closed_folder_that_no_load_needs_is_no_hindrance(
    host: FaultyHost, shared: Path, tmp_path: Path, recorded: bool
) -> None:
    host.archive = model_archive({**model_files(), "assets.extra/notes.txt": b"notes"})
    path = Path(fetch(f"{host.url}/google/model/1", location=str(shared)).path)
    if not recorded:
        Path(f"{path}{RECORD_SUFFIX}").unlink()
    (path / "assets.extra").chmod(0o700)
    assert as_nobody(host, shared, tmp_path) == "True\n"


def test_stale_lock_of_another_user_is_named(host: FaultyHost, shared: Path, tmp_path: Path) -> None:
    shared.chmod(0o1777)
    lock = shared / (parse_handle(f"{host.url}/google/model/1").folder + ".lock")
    lock.write_text(f"{socket.gethostname()}.4194304.{'0' * 32}")
    os.utime(lock, (0, 0))
    told = as_nobody(host, shared, tmp_path)
    assert "Operation not permitted" in told
    assert str(lock) in told
    assert "owned by root" in told


PARTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=10)
PATHS = st.lists(PARTS.filter(lambda part: part not in {".", ".."}), min_size=1, max_size=3).map("/".join)


@given(
    st.lists(
        st.tuples(PATHS, st.integers(0, 1 << 60), st.text("0123456789abcdef", min_size=64, max_size=64)),
        max_size=5,
    ),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_records_come_back_as_they_were_written(files, handle: str, etag: str) -> None:
    record = EntryRecord(handle, etag, f"Module: {handle}", tuple(FileRecord(*facts) for facts in files))
    assert parse_record(record_text(record)) == record


@given(st.text() | st.recursive(st.none() | st.text(), st.lists).map(json.dumps))
def test_no_text_breaks_the_reader_of_records(text: str) -> None:
    assert parse_record(text) is None or "files" in text


def test_copy_that_cannot_be_mended_is_used_without_asking_the_host_again(
    host: FaultyHost, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    handle = f"{host.url}/google/model/1"
    path = Path(fetch(handle).path)
    (path / "assets/words.txt").unlink()
    host.then = Fault(status=404)
    asked = len(host.seen)
    assert [fetch(handle).path for _ in range(3)] == [str(path)] * 3
    assert len(host.seen) == asked + 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "assets/words.txt is missing" in told
    assert "404" in told
    with pytest.raises(DownloadError, match="404"):
        fetch(handle, fall_back=False)


def test_file_that_no_load_needs_is_told_once(
    host: FaultyHost, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host.archive = model_archive({**model_files(), "keras_metadata.pb": b"metadata"})
    handle = f"{host.url}/google/model/1"
    path = Path(fetch(handle).path)
    (path / "keras_metadata.pb").unlink()
    assert [fetch(handle).was_cached for _ in range(3)] == [True] * 3
    assert len(host.seen) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert f"(keras_metadata.pb is missing). To have the file again: %hub_cache --repair {handle}" in told


@pytest.mark.parametrize("harm", ["grown", "shorter"])
def test_edited_file_is_kept(host: FaultyHost, cache: Path, capsys, harm: str) -> None:
    handle = f"{host.url}/google/model/1"
    path = Path(fetch(handle).path)
    words = path / "assets/words.txt"
    words.write_bytes(words.read_bytes() + b"more\n" if harm == "grown" else b"hub\n")
    before = read_folder(str(path))
    assert fetch(handle).was_cached
    assert read_folder(str(path)) == before
    assert capsys.readouterr().err == ""
    if harm == "shorter":  # cut by a crash while it was written, before the record was
        os.utime(words, (1, 1))
        assert not fetch(handle).was_cached
        assert read_folder(str(path)) == model_files()
