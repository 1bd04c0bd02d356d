"""Fixtures for `%%hub_tpu` with a worker in a second process that cannot see the notebook's disk.

Models come from a real host over HTTP into a cache that is hidden from the worker, and are loaded in a real
kernel that is connected to the worker.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from kernel import Kernel, TensorFlowKernel
from saved_models import saved_model
from worker_rig import Cluster

from hub_magic.host import ModelHost

# Code that loads each kind of model from its URL and calls it; the host's result is computed beside it.
KINDS = {
    "plain": "hub.load(url)(numbers)",
    "vocabulary": "hub.load(url)(words)",
    "tf1_words": "hub.load(url).signatures['default'](words)['default']",
    "tf1_numbers": "hub.load(url).signatures['default'](numbers)['default']",
    "layer": "hub.KerasLayer(url)(numbers)",
    "keras": "tf_keras.models.load_model(hub.resolve(url))(words)",
    "resolved": "tf.saved_model.load(hub.resolve(url))(numbers)",
}
IMPORTS = """
import os
os.environ["TF_USE_LEGACY_KERAS"] = "1"
%load_ext hub_magic
import tensorflow as tf, tensorflow_hub as hub, tf_keras
words = tf.constant(["magic", "x", "hub"])
numbers = tf.reshape(tf.range(8.), (2, 4))
"""
# Connecting forgets the functions of earlier models; TensorFlow 2.20 may fail when they are collected later.
CONNECT = (
    "import gc; gc.collect()\n"
    "tf.config.experimental_connect_to_cluster(tf.train.ClusterSpec({{'worker': {addresses}}}))"
)
WORKER = "/job:worker/replica:0/task:0"
SAVED = {
    "plain": "tf2_plain",
    "vocabulary": "tf2_vocabulary",
    "tf1_words": "tf1_hub",
    "tf1_numbers": "tf1_hub_plain",
    "layer": "tf2_reusable",
    "keras": "keras_with_layer",
    "resolved": "tf2_plain",
}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Return the cache of the kernel, which no worker sees."""
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


@pytest.fixture
def host(tmp_path: Path) -> Iterator[ModelHost]:
    """Yield every kind of model, once for each of several routes, so that no route uses another's relay."""
    served = tmp_path / "served"
    for kind in KINDS:
        for name in ("auto", "relay", "localhost", "none"):
            shutil.copytree(saved_model(SAVED[kind]), served / "test" / f"{kind}-{name}" / "1")
    with ModelHost(served) as running:
        yield running


@pytest.fixture
def notebook(cache: Path, tmp_path: Path) -> Iterator[Kernel]:
    """Yield a kernel with the models' cache, before it is connected."""
    variables = {"TFHUB_CACHE_DIR": str(cache), "no_proxy": "127.0.0.1,localhost"}
    with TensorFlowKernel(tmp_path / "kernel", **variables) as kernel:
        kernel.ok(IMPORTS)
        yield kernel


def connect(kernel: Kernel, cluster: Cluster) -> None:
    kernel.ok(CONNECT.format(addresses=json.dumps(cluster.addresses)))
