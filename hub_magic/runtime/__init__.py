"""Where we run: whose notebook, which accelerator, and whether its worker reads this kernel's disk.

Told by the environment's values, directory listings, `/sys`, package metadata and the shell's class: without
network, without importing TensorFlow, without opening a device. Where TensorFlow is already connected or runs
a TPU, its own list of devices decides.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .accelerator import Accelerator, find_accelerator, named_generation
from .build import TensorFlowBuild, find_build, versions_installed
from .host import Host, find_host
from .worker import Connection, Worker, connected_worker, named_worker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

__all__ = [
    "Accelerator",
    "Host",
    "Runtime",
    "TensorFlowBuild",
    "Worker",
    "detect_runtime",
    "versions_installed",
]


@dataclass(frozen=True, slots=True)
class Runtime:
    """Where the kernel runs.

    Attributes:
        host: whose notebook, terminal or script it is.
        accelerator: what computes beside the CPU, where the worker is.
        worker: the process that holds the accelerator.
        tensorflow: the installed TensorFlow, and whether it can drive a TPU.
        signals: what told so, to be read by people: "COLAB_TPU_1VM=1", "8 PCI devices 1ae0:0063".
    """

    host: Host
    accelerator: Accelerator
    worker: Worker
    tensorflow: TensorFlowBuild
    signals: tuple[str, ...]

    @property
    def is_remote(self) -> bool:
        """Whether a worker has to load models without this kernel's disk."""
        return self.worker.kind in {"remote", "multi-host"}


def detect_runtime(
    *,
    env: Mapping[str, str] | None = None,
    root: Path | str = "/",
    shell: type | None = None,
    modules: Mapping[str, ModuleType] | None = None,
    versions: Mapping[str, str] | None = None,
    platform: str | None = None,
) -> Runtime:
    """Where this kernel runs.

    Args:
        env: the environment; `os.environ` by default.
        root: the file system's root, with `sys` and `dev` in it.
        shell: the class of the IPython shell (`type(get_ipython())`); None outside IPython.
        modules: the imported modules; `sys.modules` by default.
        versions: installed packages and their versions; this Python's metadata by default.
        platform: as `sys.platform`, the default; devices are looked for on "linux" only.
    """
    env = os.environ if env is None else env
    root = Path(root)
    host, host_signal = find_host(env, shell)
    on_linux = (platform or sys.platform) == "linux"
    here, here_signals = find_accelerator(env, root if on_linux else None)
    connection = connected_worker(sys.modules if modules is None else modules)
    named = named_worker(env)
    if connection:
        worker, signals = connection.worker, connection.signals
    elif named:
        worker, signals = named
    else:
        worker, signals = Worker("none" if here.kind == "none" else "local"), ()
    accelerator = _of_worker(worker, here, connection, named is not None, named_generation(env))
    if accelerator is here:
        signals += here_signals
    tensorflow = find_build(
        env,
        root,
        versions,
        drives_tpu=connection is not None and worker.kind == "local",
        needs_tpu=accelerator.kind == "tpu" and worker.kind != "remote",
    )
    return Runtime(
        host, accelerator, worker, tensorflow, tuple(filter(None, dict.fromkeys((host_signal, *signals))))
    )


def _of_worker(
    worker: Worker, here: Accelerator, connection: Connection | None, is_named: bool, generation: str
) -> Accelerator:
    """The worker's accelerator: this machine's own, or what the connection and the environment say of it."""
    listed = connection.accelerator if connection else None
    if worker.kind == "remote":
        kind = listed or ("tpu" if is_named else "none")
        return Accelerator(kind, generation if kind == "tpu" else "", visible=bool(listed and kind != "none"))
    if (connection or is_named) and not (here.kind == "tpu" and here.visible):
        return Accelerator("tpu", generation, visible=listed == "tpu")
    return here
