"""A TPU that cannot be connected or initialised is explained in one line; no TPU is at hand here."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from kernel import Kernel
from worker_rig import Cluster

pytestmark = [pytest.mark.tensorflow, pytest.mark.kernel]


@pytest.fixture
def hidden(tmp_path: Path) -> Path:
    folder = tmp_path / "hidden"
    folder.mkdir()
    return folder


def test_build_that_cannot_drive_the_tpu_stops_the_cell(tmp_path: Path) -> None:
    with Kernel(tmp_path / "k", COLAB_TPU_1VM="1", TPU_ACCELERATOR_TYPE="v5e-1") as kernel:
        kernel.ok("%load_ext hub_magic")
        assert kernel.ok("%hub_tpu").text.startswith("This computer has a TPU, but tensorflow 2.")
        assert "pip install tensorflow-tpu" in kernel.ok("%hub_tpu").text.splitlines()[0]
        cell = kernel.run("%%hub_tpu\nran = True")
        assert len(cell.error.splitlines()) == 1
        assert "cannot use it. Run: pip " in cell.error
        assert kernel.value("'ran' in dir()") is False
        assert kernel.value("'tensorflow' in __import__('sys').modules") is False
        kernel.ok("%%hub_tpu --no-init\nran = True")
        assert kernel.value("ran") is True


@pytest.mark.worker
def test_worker_without_a_tpu_stops_the_cell(tmp_path: Path, hidden: Path) -> None:
    with (
        Cluster(hidden=hidden) as cluster,
        Kernel(
            tmp_path / "k", TPU_NAME=f"grpc://{cluster.addresses[0]}", no_proxy="localhost,127.0.0.1"
        ) as kernel,
    ):
        kernel.ok("%load_ext hub_magic")
        assert f"its worker is remote (grpc://{cluster.addresses[0]})" in kernel.ok("%hub_tpu").text
        cell = kernel.run("%%hub_tpu\npass")
        assert cell.error == (
            f"RouteError: The TPU at 'grpc://{cluster.addresses[0]}' cannot be initialised: "
            "this TensorFlow cannot use it."
        )


def test_silent_tpu_is_reported_in_one_line(tmp_path: Path) -> None:
    """TensorFlow alone waits for minutes, deaf to an interrupt."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # taken, and nobody listens
        address = f"grpc://127.0.0.1:{held.getsockname()[1]}"
        with Kernel(tmp_path / "k", TPU_NAME=address, no_proxy="localhost,127.0.0.1") as kernel:
            kernel.ok("%load_ext hub_magic")
            assert kernel.run("%%hub_tpu\npass").error == (
                f"RouteError: The TPU at {address!r} does not answer (Connection refused). Check the "
                "address and whether the TPU is running; or use the CPU with %%hub_tpu --no-init."
            )
