"""What a running TensorFlow tells of its worker: real ones, each in a process of its own."""

import json
import textwrap
from contextlib import contextmanager

import pytest
from fork_server import PIPE, run_python, start_python
from repository import process_environment

pytestmark = pytest.mark.tensorflow

SERVER = """
import sys
import tensorflow as tf
server = tf.distribute.Server.create_local_server()
print(server.target, flush=True)
sys.stdin.read()
"""
PRELUDE = """
import dataclasses, json, sys
from hub_magic.runtime import detect_runtime
answers = []
def ask():
    found = dataclasses.asdict(detect_runtime(env={}, root="/nowhere"))
    answers.append({"accelerator": found["accelerator"], "signals": found["signals"], **found["worker"]})
addresses = sys.argv[1:]
"""
ENVIRONMENT = process_environment()
ENVIRONMENT.pop("TF_CONFIG", None)


@contextmanager
def server():
    """A TensorFlow server in a second process; it ends when its input is closed."""
    with start_python("-c", SERVER, stdin=PIPE, stdout=PIPE, env=ENVIRONMENT) as process:
        yield process.stdout.readline().strip()


def client(program: str, *addresses: str) -> list[dict]:
    """What `ask()` told, each time the program asked."""
    source = PRELUDE + textwrap.dedent(program) + "\nprint(json.dumps(answers))\n"
    done = run_python("-c", source, *addresses, env=ENVIRONMENT, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_detection_without_a_connection_initialises_nothing():
    imported, running, distributed = client("""
        import tensorflow as tf
        from tensorflow.python.eager import context
        ask()
        assert not context.context()._initialized
        tf.constant(1.0) + 1
        ask()
        tf.distribute.MirroredStrategy(["CPU:0"])
        tf.distribute.MultiWorkerMirroredStrategy()
        ask()
    """)
    assert imported["kind"] == running["kind"] == distributed["kind"] == "none"


def test_connection_to_one_host_is_detected():
    with server() as address:
        waiting, running = client(
            """
            import tensorflow as tf
            from tensorflow.python.eager import context
            tf.config.experimental_connect_to_host(addresses[0])
            ask()
            assert not context.context()._initialized
            with tf.device("/job:worker"):
                tf.constant(1.0) + 1
            ask()
            """,
            address,
        )
    worker = {
        "endpoints": [address],
        "job": "/job:worker",
        "tasks": ["/job:worker/replica:0/task:0"],
        "signals": ["TensorFlow is connected to /job:worker/replica:0/task:0"],
    }
    assert worker.items() <= waiting.items()
    assert worker.items() <= running.items()
    assert waiting["kind"] == running["kind"] == "remote"
    assert running["accelerator"]["kind"] == "none"


def test_connection_to_a_cluster_finds_its_workers():
    """TensorFlow calls nobody before its first operation, so that nobody need answer."""
    (found,) = client("""
        import tensorflow as tf
        cluster = {"chief": ["a:1"], "ps": ["b:1"], "worker": ["c:1", "d:1"]}
        tf.config.experimental_connect_to_cluster(tf.train.ClusterSpec(cluster), job_name="chief")
        ask()
    """)
    assert found["job"] == "/job:worker"
    assert found["endpoints"] == ["grpc://c:1", "grpc://d:1"]
    assert found["tasks"] == [
        f"/job:{task}"
        for task in ("ps/replica:0/task:0", "worker/replica:0/task:0", "worker/replica:0/task:1")
    ]
