"""The time to detect the runtime: the median of 200 calls, and the first in a process."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from hub_magic import detect_runtime

CALLS = 200


def plant(root: Path, device: str, number: int) -> Path:
    for index in range(number):
        directory = root / f"sys/bus/pci/devices/0000:{index:02x}:00.0"
        directory.mkdir(parents=True)
        (directory / "vendor").write_text("0x1ae0\n" if device else "0x8086\n")
        (directory / "device").write_text(f"{device or '0x1234'}\n")
    return root


def milliseconds(root: Path) -> float:
    start = time.perf_counter()
    detect_runtime(root=root)
    return (time.perf_counter() - start) * 1000


with tempfile.TemporaryDirectory() as directory:
    print(f"first call in this process {milliseconds(Path('/')):6.2f} ms")
    machines = {
        "this machine": Path("/"),
        "8 TPU chips": plant(Path(directory, "tpu"), "0x0063", 8),
        "300 other PCI devices": plant(Path(directory, "large"), "", 300),
    }
    for name, root in machines.items():
        print(f"{name:26} {statistics.median(milliseconds(root) for _ in range(CALLS)):6.2f} ms")
