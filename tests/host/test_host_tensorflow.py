"""The real tensorflow_hub against the host, each time in a process of its own."""

import json
import subprocess

import pytest
from fork_server import run_python
from repository import process_environment

from hub_magic.host import ModelHost, Request

pytestmark = pytest.mark.tensorflow

PRELUDE = """
import json, sys
from hub_magic.import_hooks import pkg_resources_stand_in
with pkg_resources_stand_in():
    import tensorflow_hub as hub
handle = sys.argv[1]
"""
LOAD = """
import os
model = hub.load(handle)
first = hub.resolve(handle)
print(json.dumps({
    "numbers": model(["magic", "worker"]).numpy().tolist(),
    "files": sorted(os.listdir(first)),
    "again": hub.resolve(handle) == first,
}))
"""
BUCKET = """
from tensorflow_hub.uncompressed_module_resolver import HttpUncompressedFileResolver
resolver = HttpUncompressedFileResolver()
try:
    answer = resolver._request_gcs_location(resolver._append_uncompressed_format_query(handle))
except ValueError as error:
    answer = str(error)
print(json.dumps(answer))
"""
EXPORT = """
import sys
import tensorflow as tf

class Words(tf.Module):
    def __init__(self):
        super().__init__()
        lines = tf.lookup.TextFileInitializer(sys.argv[2], tf.string, 0, tf.int64, 1, delimiter=",")
        self.table = tf.lookup.StaticHashTable(lines, -1)
        self.scale = tf.Variable(10.0)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
    def __call__(self, words):
        return self.scale * tf.cast(self.table.lookup(words), tf.float32)

tf.saved_model.save(Words(), sys.argv[1])
"""


def run(script, *arguments, **environment):
    done = run_python("-c", script, *map(str, arguments), env=process_environment(**environment))
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with one real model, which has a variable and a vocabulary file."""
    directory = tmp_path_factory.mktemp("served")
    vocabulary = directory / "vocabulary.csv"
    vocabulary.write_text("hub,0\nmagic,1\nworker,2\n")
    run(EXPORT, directory / "models/words/scale/1", vocabulary)
    return directory / "models"


@pytest.mark.parametrize("spelling", ["/words/scale/1", "/words/scale/1/", "/words/scale/1.tar.gz"])
def test_tensorflow_hub_loads_a_model_with_one_request(folder, tmp_path, spelling):
    with ModelHost(folder) as host:
        answer = json.loads(
            run(PRELUDE + LOAD, host.url + spelling, TFHUB_CACHE_DIR=str(tmp_path)).splitlines()[-1]
        )
        assert host.requests == (Request("GET", f"{spelling}?tf-hub-format=compressed", ""),)
    assert answer["numbers"] == [10.0, 20.0]
    assert answer["again"]
    assert {"assets", "saved_model.pb", "variables"} <= set(answer["files"])


def test_tensorflow_hub_reads_bucket_or_404_of_the_host(folder):
    with ModelHost(folder, gcs={"words/scale/1": "gs://bucket/words"}) as host:
        assert json.loads(run(PRELUDE + BUCKET, host.url + "/words/scale/1")) == "gs://bucket/words"
    with ModelHost(folder) as host:
        answer = json.loads(run(PRELUDE + BUCKET, host.url + "/words/scale/1"))
    assert answer == "Expected 303 See other HTTP response but received code 404"


def test_tensorflow_hub_loads_a_ready_archive(folder, tmp_path):
    (tmp_path / "models/words/scale").mkdir(parents=True)
    done = subprocess.run(
        ["tar", "-cz", "-f", tmp_path / "models/words/scale/1.tar.gz", "-C", folder / "words/scale/1", "."],
        check=True,
    )
    assert done.returncode == 0
    with ModelHost(tmp_path / "models") as host:
        handle = f"{host.url}/words/scale/1"
        answer = json.loads(
            run(PRELUDE + LOAD, handle, TFHUB_CACHE_DIR=str(tmp_path / "cache")).splitlines()[-1]
        )
    assert answer["numbers"] == [10.0, 20.0]
