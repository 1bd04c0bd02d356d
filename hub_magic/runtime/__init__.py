"""The runtime: the notebook's host, the accelerator, and whether its worker reads this kernel's disk.

The sources are environment variables, directory listings, `/sys`, package metadata and the shell's class:
no network, no import of TensorFlow, no opened device. Where TensorFlow is already connected or runs a TPU,
its own list of devices decides.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from .accelerator import Accelerator, find_accelerator, named_generation
from .build import TensorFlowBuild, find_build, versions_installed
from .worker import Connection, Worker, connected_worker, named_worker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType


Host: TypeAlias = Literal[
    "colab", "colab-enterprise", "workbench", "kaggle", "vscode", "jupyter", "terminal", "script"
]

# Source: `google/colab/auth.py` in googlecolab/colabtools.
_VERTEX_PRODUCTS: dict[str, Host] = {
    "COLAB_ENTERPRISE": "colab-enterprise",
    "WORKBENCH_INSTANCE": "workbench",
}


def find_host(env: Mapping[str, str], shell: type | None) -> tuple[Host, str]:
    """Return the host and the signal that identified it ("" for a script, which has none).

    A child process inherits its notebook's variables: a script started from a Colab cell is in "colab".

    Args:
        env: the environment.
        shell: the class of the IPython shell, or None outside IPython.
    """
    return _cloud_host(env, shell) or _local_host(env, shell)


def _cloud_host(env: Mapping[str, str], shell: type | None) -> tuple[Host, str] | None:
    product = env.get("VERTEX_PRODUCT", "")
    if product in _VERTEX_PRODUCTS:
        return _VERTEX_PRODUCTS[product], f"VERTEX_PRODUCT={product}"
    if shell and any(cls.__module__ == "google.colab._shell" for cls in shell.__mro__):
        return "colab", "shell google.colab._shell"
    # COLAB_TPU_ADDR is the only variable here known from the time of Colab's TPU Nodes.
    for name in ("KAGGLE_KERNEL_RUN_TYPE", "COLAB_RELEASE_TAG", "COLAB_TPU_1VM", "COLAB_TPU_ADDR"):
        if env.get(name):
            return "kaggle" if name.startswith("KAGGLE") else "colab", f"{name}={env[name]}"
    return None


def _local_host(env: Mapping[str, str], shell: type | None) -> tuple[Host, str]:
    if shell and not any(cls.__name__ == "ZMQInteractiveShell" for cls in shell.__mro__):
        return "terminal", f"shell {shell.__name__}"
    # VSCODE_PID is missing in WSL and in containers (holoviz/panel#5200).
    for name in ("VSCODE_PID", "VSCODE_CWD"):
        if env.get(name):
            return "vscode", f"{name}={env[name]}"
    if shell:
        return "jupyter", f"shell {shell.__name__}"
    parent = env.get("JPY_PARENT_PID")
    return ("jupyter", f"JPY_PARENT_PID={parent}") if parent else ("script", "")


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
    """The place where the kernel runs: host, accelerator, worker and TensorFlow build.

    Attributes:
        host: the kind of notebook, terminal or script.
        accelerator: the hardware that computes beside the CPU, where the worker is.
        worker: the process that holds the accelerator.
        tensorflow: the installed TensorFlow, and whether it can drive a TPU.
        signals: the evidence, for people to read: "COLAB_TPU_1VM=1", "8 PCI devices 1ae0:0063".

    Example:
        >>> detect_runtime().is_remote
        False
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
    """Return where this kernel runs.

    Args:
        env: the environment; `os.environ` by default.
        root: the file system's root, with `sys` and `dev` in it.
        shell: the class of the IPython shell (`type(get_ipython())`); None outside IPython.
        modules: the imported modules; `sys.modules` by default.
        versions: installed packages and their versions; this Python's metadata by default.
        platform: as `sys.platform`, the default; devices are searched on "linux" only.

    Example:
        >>> detect_runtime().accelerator.kind
        'none'
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
    """Return the worker's accelerator: this computer's, or the one that connection and environment report."""
    listed = connection.accelerator if connection else None
    if worker.kind == "remote":
        kind = listed or ("tpu" if is_named else "none")
        return Accelerator(kind, generation if kind == "tpu" else "", visible=bool(listed and kind != "none"))
    if (connection or is_named) and not (here.kind == "tpu" and here.visible):
        return Accelerator("tpu", generation, visible=listed == "tpu")
    return here
