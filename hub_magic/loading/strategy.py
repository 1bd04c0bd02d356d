"""The TPU: connect and initialise it once, and explain failures."""

from __future__ import annotations

import os
import re
import socket
from typing import Any
from urllib.request import proxy_bypass

from ..errors import RouteError, SettingError, first_line
from ..runtime import Runtime

# Parts of TensorFlow's messages, and what they mean here. Sources: tensorflow/tensorflow#70827, #96203,
# googlecolab/colabtools#5203, Kaggle/docker-python#1499, `tpu/client/client.py`.
_MEANINGS = (
    (
        ("ConfigureDistributedTPU", "TPUs not found in the cluster", "No TPU platform found"),
        "this TensorFlow cannot use it",
    ),
    (
        ("libtpu_lockfile", "already in use"),
        "another process uses it; stop the other kernel, or restart this one",
    ),
    (
        ("Please provide a TPU Name",),
        "its address is unknown; set TPU_NAME to grpc://ADDRESS:PORT",
    ),
    (
        ("failed to connect", "connection refused", "deadline", "DNS resolution failed"),
        "its worker does not answer; check the address and whether the TPU is running",
    ),
)

_RETRIES = 10  # seconds for a TPU on the same network to answer


def connect_tpu(runtime: Runtime) -> Any:
    """Connect to the TPU that was detected, initialise it, and give a `TPUStrategy` on it.

    Initialising clears the TPU's memory: whoever calls this twice in a kernel loses what is on it.

    Raises:
        RouteError: there is no way to drive it from here; the message says why, and what to do.
    """
    if runtime.tensorflow.remedy:
        build = " ".join(filter(None, (runtime.tensorflow.package, runtime.tensorflow.version)))
        raise RouteError(
            f"This computer has a TPU, but {build or 'no TensorFlow'} cannot use it. "
            f"Run: {runtime.tensorflow.remedy} and restart; or use the CPU with %%hub_tpu --no-init."
        )
    import tensorflow as tf

    address = runtime.worker.endpoints[0] if runtime.worker.endpoints else "local"
    _check_answers(address)
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=address)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise RouteError(f"The TPU at {address!r} cannot be initialised: {_meaning(error)}.") from error


def _check_answers(address: str) -> None:
    """Knock where TensorFlow is going to connect: it would wait for minutes, and cannot be interrupted.

    Raises:
        RouteError: nobody opens.
    """
    found = re.fullmatch(r"grpc://\[?(?P<host>[^/]+?)\]?:(?P<port>\d+)", address)
    if not found or _goes_by_proxy(found["host"]):
        return
    try:
        socket.create_connection((found["host"], int(found["port"])), timeout=_RETRIES).close()
    except OSError as error:
        raise RouteError(
            f"The TPU at {address!r} does not answer ({error.strerror or error}). "
            "Check the address and whether the TPU is running; "
            "or use the CPU with %%hub_tpu --no-init."
        ) from error


def _goes_by_proxy(host: str) -> bool:
    """Whether gRPC asks a proxy for the connection, so that this machine need not reach the host itself."""
    proxies = ("grpc_proxy", "https_proxy", "http_proxy")
    return any(os.environ.get(name) for name in proxies) and not proxy_bypass(host)


def named_strategy(name: str, names: dict[str, Any]) -> Any:
    """The user's own strategy.

    Raises:
        SettingError: there is nothing of that name, or it is no `tf.distribute.Strategy`.
    """
    import tensorflow as tf

    if name not in names:
        raise SettingError(f"No variable {name!r} in the notebook. Create the strategy in an earlier cell.")
    strategy = names[name]
    if not isinstance(strategy, tf.distribute.Strategy):
        kind = type(strategy).__name__
        raise SettingError(
            f"--strategy {name}: it is a {kind}, not a tf.distribute strategy. Name the strategy."
        )
    return strategy


def _meaning(error: Exception) -> str:
    text = str(error)
    for parts, meaning in _MEANINGS:
        if any(part.lower() in text.lower() for part in parts):
            return meaning
    return f"TensorFlow says {first_line(error)!r}"
