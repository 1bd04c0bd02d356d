"""Clients of the worker rig that load models and send files: their common beginning."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from worker_rig import Cluster, run_client

WORKER = "/job:worker/replica:0/task:0/device:CPU:0"

PRELUDE = """
from hub_magic.import_hooks import pkg_resources_stand_in
with pkg_resources_stand_in():
    import tensorflow_hub as hub
import tf_models
from hub_magic.errors import HubMagicError
from hub_magic.loading.relay import plan_relay, relay, worker_tasks

MODELS = Path(os.environ["MODELS"])
WORKER, HERE = "/job:worker/replica:0/task:0/device:CPU:0", "/job:localhost/replica:0/task:0/device:CPU:0"
LOCALHOST = tf.saved_model.LoadOptions(experimental_io_device="/job:localhost")

def on_worker(kind, directory, options=None, device=WORKER):
    try:
        with tf.device(device):
            result = tf_models.load(kind, directory, options)()
        return {"device": result.device, "numbers": result.numpy().tolist()}
    except Exception as error:
        return {"error": type(error).__name__, "text": str(error)}

def here(kind):
    with tf.device(HERE):
        return tf_models.load(kind, MODELS / kind)().numpy().tolist()

def send(directory, *, localhost=False, **keywords):
    report = relay(plan_relay(directory, has_variables_by_localhost=localhost), worker_tasks(), **keywords)
    return report.to_data()
"""


def needs_rig(test):
    return pytest.mark.tensorflow(pytest.mark.worker(test))


def ask(code: str, cluster: Cluster, models: Path, **environment: str):
    return run_client(PRELUDE + textwrap.dedent(code), cluster, MODELS=str(models), **environment)
