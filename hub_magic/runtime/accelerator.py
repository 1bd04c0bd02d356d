"""The accelerator: the chips of this computer, by directory listings and `/sys` alone.

Device nodes are never opened: opening a TPU's node takes it from other processes, and importing a
TensorFlow built for TPUs does the same until the process ends.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def names(directory: Path) -> list[str]:
    """Return the names in the directory."""
    try:
        return [path.name for path in directory.iterdir()]
    except OSError:
        return []


def text(path: Path) -> str:
    """Return the file's one line in lower case, as `/sys` keeps its values."""
    try:
        with path.open("rb", buffering=0) as file:  # a machine may have hundreds of these files
            return file.read(32).decode("ascii", "replace").strip().lower()
    except OSError:
        return ""


def exists(path: Path) -> bool:
    """Return whether the path exists."""
    try:
        return path.exists()
    except OSError:  # `Path.exists` lets PermissionError through before Python 3.14
        return False


# PCI device ids under Google's vendor id. The vendor alone is no proof: its network card gVNIC has it too.
# Sources: jax `jax/_src/hardware_utils.py`, torch_xla `_internal/tpu.py`, cloud-accelerator-diagnostics
# `tpu_info/device.py`; 0x0027 is v2 and v3, distinguished by the subsystem's id.
_GOOGLE = "0x1ae0"
_GENERATIONS = {
    "0x0027": "",
    "0x005e": "v4",
    "0x0062": "v5p",
    "0x0063": "v5e",
    "0x006f": "v6e",
    "0x0076": "tpu7x",
    "0x007c": "tpu8t",
    "0x0083": "tpu8i",
}
_SUBSYSTEMS = {"0x004e": "v2", "0x004f": "v3"}

# Variables set only on machines for TPUs. TPU_SKIP_MDS_QUERY, TPU_ML_PLATFORM and PJRT_DEVICE are
# excluded: importing jax or torch_xla writes them on any machine.
_TPU_VARIABLES = (
    "TPU_ACCELERATOR_TYPE",
    "ISTPUVM",
    "TPU_WORKER_ID",
    "TPU_WORKER_HOSTNAMES",
    "TPU_PROCESS_ADDRESSES",
    "TPU_NAME",
)


@dataclass(frozen=True, slots=True)
class Accelerator:
    """The hardware that computes beside the CPU, where the worker is.

    Attributes:
        kind: "none", "gpu" or "tpu".
        generation: a TPU's ("v2" to "v6e", "tpu7x"), or "" when unknown.
        chips: the number of chips, 0 when unknown; never taken from TPU_CHIPS_PER_HOST_BOUNDS, which
            says 4 on Colab's one-chip machines.
        visible: whether it was seen; False when only the environment names it, or hides it.
    """

    kind: Literal["none", "gpu", "tpu"] = "none"
    generation: str = ""
    chips: int = 0
    visible: bool = False


def find_accelerator(env: Mapping[str, str], root: Path | None) -> tuple[Accelerator, tuple[str, ...]]:
    """Return this computer's accelerator and the signals that identified it.

    Args:
        env: the environment.
        root: where `sys` and `dev` are; None on a system without them.
    """
    seen = root and (_tpu_on_bus(env, root) or _tpu_nodes(env, root))
    return seen or _tpu_expected(env) or (root and _gpu(env, root)) or (Accelerator(), ())


def named_generation(env: Mapping[str, str]) -> str:
    """Return the TPU's generation from TPU_ACCELERATOR_TYPE: Colab writes "v5e-1", Kaggle "v5litepod-8"."""
    generation = env.get("TPU_ACCELERATOR_TYPE", "").partition("-")[0]
    return "v5e" if generation == "v5litepod" else generation


def _tpu_on_bus(env: Mapping[str, str], root: Path) -> tuple[Accelerator, tuple[str, ...]] | None:
    chips = _chips_on_bus(root / "sys/bus/pci/devices")
    if not chips:
        return None
    device, subsystem = chips[0]
    generation = _GENERATIONS[device] or _SUBSYSTEMS.get(subsystem, "")
    signal = f"{_count(len(chips), 'PCI device')} 1ae0:{device[2:]}"
    return Accelerator("tpu", generation or named_generation(env), len(chips), visible=True), (signal,)


# Chips do not change while a kernel runs, and every `%%hub_tpu` asks.
@cache
def _chips_on_bus(bus: Path) -> tuple[tuple[str, str], ...]:
    """Return the device id and the subsystem id of each TPU chip."""
    google = [bus / name for name in names(bus) if text(bus / name / "vendor") == _GOOGLE]
    return tuple(
        (device, text(chip / "subsystem_device"))
        for chip in google
        if (device := text(chip / "device")) in _GENERATIONS
    )


def _tpu_nodes(env: Mapping[str, str], root: Path) -> tuple[Accelerator, tuple[str, ...]] | None:
    """Return a TPU found by numbered nodes. They count only beside a TPU's variable: any VFIO device has one.

    `/dev/accel` itself is a directory of other makers' NPUs.
    """
    variable = _tpu_variable(env)
    if not variable:
        return None
    for directory, pattern, shown in (
        ("dev", r"accel\d+", "/dev/accelN"),
        ("dev/vfio", r"\d+", "/dev/vfio/N"),
    ):
        count = _matching(root / directory, pattern)
        if count:
            signals = (variable, f"{_count(count, 'node')} {shown}")
            return Accelerator("tpu", named_generation(env), count, visible=True), signals
    return None


def _tpu_expected(env: Mapping[str, str]) -> tuple[Accelerator, tuple[str, ...]] | None:
    """Return a TPU that the environment names but that cannot be seen."""
    if env.get("COLAB_TPU_1VM") == "1" or env.get("ISTPUVM") or env.get("TPU_ACCELERATOR_TYPE"):
        return Accelerator("tpu", named_generation(env)), (_tpu_variable(env), "no TPU chip visible")
    return None


def _tpu_variable(env: Mapping[str, str]) -> str:
    if env.get("COLAB_TPU_1VM") == "1":
        return "COLAB_TPU_1VM=1"
    return next((f"{name}={env[name]}" for name in _TPU_VARIABLES if env.get(name)), "")


def _gpu(env: Mapping[str, str], root: Path) -> tuple[Accelerator, tuple[str, ...]] | None:
    """Return an NVIDIA GPU whose driver is loaded. A GPU only on the bus may belong to a virtual machine."""
    # WSL has no NVIDIA node: its driver is this library, installed by Windows.
    drivers = ("dev/nvidiactl", "proc/driver/nvidia", "usr/lib/wsl/lib/libcuda.so.1")
    driver = next((f"/{path}" for path in drivers if exists(root / path)), "")
    if not driver:
        return None
    hidden = env.get("CUDA_VISIBLE_DEVICES") in {"", "-1"}
    signals = (driver, f"CUDA_VISIBLE_DEVICES={env['CUDA_VISIBLE_DEVICES']}") if hidden else (driver,)
    return Accelerator("gpu", "", _matching(root / "dev", r"nvidia\d+"), visible=not hidden), signals


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _matching(directory: Path, pattern: str) -> int:
    return sum(re.fullmatch(pattern, name) is not None for name in names(directory))
