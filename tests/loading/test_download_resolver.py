"""Our resolver in the real tensorflow_hub: `hub.load` as everybody writes it."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from archives import model_archive, model_files, read_folder
from faulty_host import Fault, FaultyHost
from repository import REPOSITORY
from tf_models import WIDTH, tf2_plain

from hub_magic import DownloadError, HandleError, NotCachedError, download
from hub_magic.download.resolver import HubMagicResolver
from hub_magic.import_hooks import pkg_resources_stand_in

# tensorflow_hub still asks setuptools for pkg_resources, which warns where it is there.
pytestmark = [pytest.mark.tensorflow, pytest.mark.filterwarnings("ignore:pkg_resources is deprecated")]


@pytest.fixture(scope="module")
def hub():
    with pkg_resources_stand_in():
        import tensorflow_hub
    return tensorflow_hub


@pytest.fixture
def installed(hub) -> Iterator[list]:
    """The registry's list, with us in it."""
    before = list(hub.registry.resolver._impls)
    download.install()
    yield hub.registry.resolver._impls
    download.uninstall()
    assert hub.registry.resolver._impls == before


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A real model's archive."""
    folder = tmp_path_factory.mktemp("model")
    tf2_plain(folder)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(folder, ".")
    return packed.getvalue()


def test_model_loads_from_the_host_once_then_from_the_cache(
    hub, installed, model: bytes, cache: Path
) -> None:
    import numpy as np

    with FaultyHost(model, [Fault(drop_at=len(model) // 2)]) as host:
        loaded = hub.load(f"{host.url}/google/model/1")
        again = hub.load(f"{host.url}/google/model/1")
    x = np.ones((1, WIDTH), np.float32)
    assert (loaded(x).numpy() == again(x).numpy()).all()
    assert len(host.seen) == 2
    assert len(list(cache.iterdir())) == 3


def test_entry_equals_that_of_tensorflow_hub(hub, model: bytes, cache: Path, monkeypatch) -> None:
    with FaultyHost(model) as host:
        theirs = hub.resolve(f"{host.url}/google/model/1")
        files = read_folder(theirs)
        modes = {str(path.relative_to(theirs)): path.stat().st_mode for path in Path(theirs).rglob("*")}
        monkeypatch.setenv("TFHUB_CACHE_DIR", str(cache) + "2")
        download.install()
        try:
            ours = hub.resolve(f"{host.url}/google/model/1")
        finally:
            download.uninstall()
    assert Path(ours).name == Path(theirs).name
    assert read_folder(ours) == files
    assert {str(path.relative_to(ours)): path.stat().st_mode for path in Path(ours).rglob("*")} == modes
    assert host.seen[0].path == host.seen[1].path


def test_resolver_installs_once_and_uninstalls_completely(hub) -> None:
    before = list(hub.registry.resolver._impls)
    hooks = list(sys.meta_path)
    for _ in range(2):
        download.install()
        download.install()
        assert [type(one) for one in hub.registry.resolver._impls if one not in before] == [HubMagicResolver]
        download.uninstall()
        download.uninstall()
        assert hub.registry.resolver._impls == before
        assert sys.meta_path == hooks


def test_paths_are_left_to_tensorflow_hub(hub, installed, tmp_path: Path) -> None:
    assert hub.resolve(str(tmp_path)) == str(tmp_path)
    assert download.resolve(str(tmp_path)) == str(tmp_path)
    with pytest.raises(OSError, match="does not exist"):
        hub.resolve(str(tmp_path / "missing"))


def test_uncompressed_mode_asks_the_host_first(hub, installed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFHUB_MODEL_LOAD_FORMAT", "UNCOMPRESSED")
    with FaultyHost(b"") as host, pytest.raises(DownloadError, match="status 200 instead of a 303"):
        hub.resolve(f"{host.url}/google/model/1")
    assert host.seen[0].path == "/google/model/1?tf-hub-format=uncompressed"


def test_archives_in_buckets_are_left_to_tensorflow_hub(hub, installed) -> None:
    assert not installed[-1].is_supported("gs://bucket/model.tar.gz")


def test_resolver_of_another_program_comes_first(hub, installed) -> None:
    """As in Kaggle's images, where it was there before us."""

    class Mounted:
        def is_supported(self, handle: str) -> bool:
            return "mounted" in handle

        def __call__(self, handle: str) -> str:
            return f"/kaggle/input/{handle}"

    installed.insert(-1, mounted := Mounted())
    try:
        assert hub.resolve("https://host.invalid/mounted/1") == "/kaggle/input/https://host.invalid/mounted/1"
    finally:
        installed.remove(mounted)


def test_cached_copy_beats_kaggles_resolver(
    hub, installed, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = "https://www.kaggle.com/models/google/nnlm/tensorFlow2/en-dim128/1"
    other = handle[:-1] + "2"

    class Kaggle:
        def is_supported(self, handle: str) -> bool:
            return "kaggle.com" in handle

        def __call__(self, handle: str) -> str:
            raise ConnectionError("api.kaggle.com")

    hub.registry.resolver.add_implementation(kaggle := Kaggle())
    try:
        with pytest.raises(ConnectionError):
            hub.resolve(handle)
        with pytest.raises(ConnectionError):
            download.resolve(handle)
        monkeypatch.setenv("HUB_MAGIC_OFFLINE", "1")
        with pytest.raises(NotCachedError):
            hub.resolve(handle)
        monkeypatch.delenv("HUB_MAGIC_OFFLINE")
        entry = cache / hashlib.sha1(handle.encode()).hexdigest()
        entry.mkdir(parents=True)
        (entry / "saved_model.pb").write_bytes(b"graph")
        assert hub.resolve(handle) == download.resolve(handle) == str(entry)
        with pytest.raises(ConnectionError):
            hub.resolve(other)
    finally:
        hub.registry.resolver._impls.remove(kaggle)


def test_strange_handles_are_left_to_tensorflow_hub(hub, installed) -> None:
    ours = installed[-1]
    for handle in ("", " https://tfhub.dev/a", "https://", "ftp://host/model"):
        assert not ours.is_supported(handle)
    with pytest.raises(HandleError):
        download.resolve("https://")


def test_errors_reach_the_user_in_one_line(hub, installed) -> None:
    with (
        FaultyHost(b"", then=Fault(status=404)) as host,
        pytest.raises(DownloadError, match="has no model") as caught,
    ):
        hub.load(f"{host.url}/google/model/1")
    assert len(caught.value._render_traceback_()) == 1


def test_offline_mode_makes_no_request(hub, installed, model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyHost(model) as host:
        hub.load(f"{host.url}/google/model/1")
        monkeypatch.setenv("HUB_MAGIC_OFFLINE", "1")
        hub.load(f"{host.url}/google/model/1")
        for handle in (f"{host.url}/google/model/2", "gs://bucket/model", "gs://bucket/model.tar.gz"):
            with pytest.raises(NotCachedError):
                hub.load(handle)
    assert len(host.seen) == 1


def test_resolver_is_added_when_tensorflow_hub_is_imported(tmp_path: Path) -> None:
    script = """
import sys
from hub_magic import download
from hub_magic.import_hooks import pkg_resources_stand_in
download.install()
assert "tensorflow_hub" not in sys.modules and "tensorflow" not in sys.modules and "requests" not in sys.modules
with pkg_resources_stand_in():
    import tensorflow_hub
print(type(tensorflow_hub.registry.resolver._impls[-1]).__name__)
print(tensorflow_hub.resolve(sys.argv[1]))
download.uninstall()
print(type(tensorflow_hub.registry.resolver._impls[-1]).__name__)
print(any('hub_magic' in type(finder).__module__ for finder in sys.meta_path))
"""
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "3"}
    with FaultyHost(model_archive()) as host:
        done = subprocess.run(
            [sys.executable, "-c", script, f"{host.url}/a/b/1"],
            env=env,
            check=True,
            capture_output=True,
            text=True,
        )
    first, path, last, is_left = done.stdout.splitlines()
    assert first == "HubMagicResolver"
    assert read_folder(path) == model_files()
    assert last == "HttpCompressedFileResolver"
    assert is_left == "False"


def test_uninstall_before_the_import_leaves_no_hook() -> None:
    script = """
import sys
from hub_magic import download
hooks = list(sys.meta_path)
download.install(); download.uninstall()
assert sys.meta_path == hooks and "tensorflow_hub" not in sys.modules
"""
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, "-c", script], env=env, check=True)
