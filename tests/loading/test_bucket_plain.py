"""A kernel without hub_magic that looks at an entry just while it is being published.

It is the real tensorflow_hub, and the storage stands still at each of the files in turn: all but that one are
there. The load must fail or give the model's own answer; it must change nothing; and the next one must work.
"""

from __future__ import annotations

import json
import shutil
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import gcs_rig
import pytest
from fork_server import PIPE, start_python
from gcs_stand_in import GcsStandIn
from repository import process_environment
from saved_models import saved_model

from hub_magic import fetch, parse_handle
from hub_magic.host import ModelHost

pytestmark = pytest.mark.tensorflow
storage, gcs = gcs_rig.storage, gcs_rig.gcs  # fixtures
TEAM = "gs://models/team"

# Loads a handle for each line it reads, and prints the answer or the error.
PLAIN = """
import json, os, sys
sys.modules.setdefault("pkg_resources", type(sys)("pkg_resources"))
sys.modules["pkg_resources"].parse_version = lambda text: tuple(map(int, text.split(".")[:2]))
import tensorflow as tf, tensorflow_hub as hub
os.environ["TFHUB_CACHE_DIR"] = "gs://models/team"
words = tf.constant(["magic", "x", "hub"])
for line in sys.stdin:
    try:
        model = hub.load(line.strip())
        signature = getattr(model, "signatures", {}).get("default")
        found = signature(words)["default"] if signature else model(words)
        print(json.dumps({"value": found.numpy().tolist()}), flush=True)
    except Exception as error:
        print(json.dumps({"error": str(error)}), flush=True)
"""


class Plain:
    """A process with TensorFlow Hub and without hub_magic."""

    def __init__(self) -> None:
        environment = process_environment(TF_USE_LEGACY_KERAS="1")
        self.process = start_python("-c", textwrap.dedent(PLAIN), env=environment, stdin=PIPE, stdout=PIPE)

    def load(self, handle: str) -> dict[str, object]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{handle}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture
def plain(gcs: GcsStandIn) -> Iterator[Plain]:
    found = Plain()
    yield found
    found.process.communicate()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelHost]:
    root: Path = tmp_path_factory.mktemp("served")
    for name, kind in (("vocabulary", "tf2_vocabulary"), ("tf1", "tf1_hub"), ("many", "tf2_vocabulary")):
        shutil.copytree(saved_model(kind), root / "team" / name / "1")
    for number in range(120):
        (root / "team" / "many" / "1" / "assets" / f"other{number:03}.txt").write_text("other")
    with ModelHost(root) as started:
        yield started


def load_while_published(gcs: GcsStandIn, plain: Plain, handle: str, missing: str) -> dict[str, object]:
    """What a load gives when everything but that file has its name; then the file gets it, too."""
    gcs.objects.bucket("models").objects.clear()
    gcs.last = missing
    gcs.stall("rewrite", name=missing)
    ours = threading.Thread(target=fetch, args=(handle,), kwargs={"location": TEAM})
    ours.start()
    assert gcs.stalled.wait(60)
    before = set(gcs.names("models"))
    found = plain.load(handle)
    after = set(gcs.names("models"))
    assert before <= after
    # Of several batches, another may still have been under way.
    assert all(name.startswith(f"team/{parse_handle(handle).folder}/") for name in after - before)
    gcs.release()
    ours.join()
    return found


def test_no_partial_model_is_ever_loaded(gcs: GcsStandIn, plain: Plain, host: ModelHost) -> None:
    for name in ("vocabulary", "tf1"):
        handle = f"{host.url}/team/{name}/1"
        fetch(handle, location=TEAM)
        wanted = plain.load(handle)
        assert "value" in wanted
        prefix = f"team/{parse_handle(handle).folder}/"
        files = [name.removeprefix(prefix) for name in gcs.names("models") if name.startswith(prefix)]
        for missing in files:
            found = load_while_published(gcs, plain, handle, missing)
            assert "error" in found or found == wanted, missing
            assert plain.load(handle) == wanted, missing


def test_graph_of_a_large_entry_is_copied_last(gcs: GcsStandIn, plain: Plain, host: ModelHost) -> None:
    handle = f"{host.url}/team/many/1"
    for missing in ("other050.txt", "saved_model.pb"):
        found = load_while_published(gcs, plain, handle, missing)
        assert "saved_model.pb" in str(found["error"])
        assert "value" in plain.load(handle)
