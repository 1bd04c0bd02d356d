"""Where we run, told from sample environments as they were seen on real machines, and from what misleads."""

import dataclasses
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from repository import REPOSITORY
from runtime_samples import (
    COLAB_V5E,
    GKE_NODE,
    KAGGLE_V5E,
    LOCAL,
    NO_WORKER,
    NOTHING,
    SAMPLES,
    TPU_NODE,
    V4,
    V5E_1,
    V5E_8,
    nodes,
)

from hub_magic import detect_runtime
from hub_magic.runtime import Accelerator, TensorFlowBuild, Worker

STOCK = {"tensorflow": "2.20.0", "libtpu": "0.0.24"}  # a driver without chips proves nothing
FOR_TPU = {"tensorflow-tpu": "2.20.0", "libtpu": "0.0.14"}
INSTALL = "pip install tensorflow-tpu==2.20.0 libtpu==0.0.14"


@pytest.fixture
def plant(tmp_path):
    def plant(files):
        for path, content in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(content)
        return tmp_path

    return plant


@pytest.mark.parametrize("name", SAMPLES)
def test_sample_environment_is_detected(name, plant):
    env, files, shell, host, accelerator, worker = SAMPLES[name]
    found = detect_runtime(
        env=env, root=plant(files), shell=shell, modules={}, versions=STOCK, platform="linux"
    )
    assert (found.host, found.accelerator, found.worker) == (host, accelerator, worker)
    assert found.is_remote == (worker.kind in {"remote", "multi-host"})
    needs_build = accelerator.kind == "tpu" and worker.kind != "remote"
    assert found.tensorflow.remedy == (f"pip uninstall -y tensorflow && {INSTALL}" if needs_build else "")
    assert json.loads(json.dumps(dataclasses.asdict(found)))["worker"]["kind"] == worker.kind


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_systems_other_than_linux_have_no_devices(plant, platform):
    found = detect_runtime(env={}, root=plant(V4), modules={}, versions={}, platform=platform)
    assert found.accelerator == NOTHING
    assert found.worker == NO_WORKER


def test_signals_are_those_that_decided(plant):
    found = detect_runtime(env=KAGGLE_V5E, root=plant(V5E_8), modules={}, versions={}, platform="linux")
    assert found.signals == ("KAGGLE_KERNEL_RUN_TYPE=Interactive", "8 PCI devices 1ae0:0063")
    expected = detect_runtime(
        env=COLAB_V5E, root=plant({}) / "empty", modules={}, versions={}, platform="linux"
    )
    assert expected.signals[1:] == ("COLAB_TPU_1VM=1", "no TPU chip visible")
    node = detect_runtime(env=TPU_NODE, root=plant({}) / "empty", modules={}, versions={}, platform="linux")
    assert node.signals == ("COLAB_TPU_ADDR=10.117.35.210:8470", "TPU_NAME=grpc://10.117.35.210:8470")


@pytest.mark.parametrize(
    ("versions", "files", "build"),
    [
        (FOR_TPU, {}, TensorFlowBuild("tensorflow-tpu", "2.20.0", "0.0.14", drives_tpu=True)),
        (STOCK | FOR_TPU, {}, TensorFlowBuild("tensorflow-tpu", "2.20.0", "0.0.14", drives_tpu=True)),
        (
            {"tensorflow-tpu": "2.20.0"}, {},
            TensorFlowBuild("tensorflow-tpu", "2.20.0", remedy=f"pip uninstall -y tensorflow-tpu && {INSTALL}"),
        ),
        (
            {"tensorflow-cpu": "2.20.0", "libtpu": "0.0.24"}, {},
            TensorFlowBuild(
                "tensorflow-cpu", "2.20.0", "0.0.24", remedy=f"pip uninstall -y tensorflow-cpu && {INSTALL}"
            ),
        ),
        ({}, {}, TensorFlowBuild(remedy=INSTALL)),
        (
            {"tensorflow": "2.13.0"}, {"lib/libtpu.so": "", "usr/share/tpu/x.whl": ""},
            TensorFlowBuild("tensorflow", "2.13.0", "/lib/libtpu.so", drives_tpu=True),
        ),
    ],
)  # fmt: skip
def test_tensorflow_build_is_detected(plant, versions, files, build):
    found = detect_runtime(
        env=COLAB_V5E, root=plant(V5E_1 | files), modules={}, versions=versions, platform="linux"
    )
    assert found.tensorflow == build


def test_remote_worker_needs_no_local_tpu_build(plant):
    assert detect_runtime(env=TPU_NODE, root=plant({}), modules={}, versions=STOCK).tensorflow.remedy == ""


def test_tpu_library_named_by_the_environment_is_found(plant):
    root = plant({"opt/libtpu.so": ""})
    env = COLAB_V5E | {"TPU_LIBRARY_PATH": "/opt/libtpu.so"}
    found = detect_runtime(env=env, root=root, modules={}, versions={"tensorflow-tpu": "2.20.0"})
    assert found.tensorflow == TensorFlowBuild("tensorflow-tpu", "2.20.0", "/opt/libtpu.so", drives_tpu=True)


def test_versions_are_read_from_metadata(tmp_path, monkeypatch):
    # The second is what an interrupted uninstall leaves behind.
    for folder, metadata in (
        ("tensorflow_tpu-2.20.0", "Name: tensorflow-tpu\nVersion: 2.20.0\n"),
        ("libtpu-1", ""),
    ):
        (tmp_path / f"{folder}.dist-info").mkdir()
        if metadata:
            (tmp_path / f"{folder}.dist-info/METADATA").write_text(metadata)
    monkeypatch.syspath_prepend(tmp_path)
    found = detect_runtime(env={}, root=tmp_path, modules={})
    assert found.tensorflow == TensorFlowBuild("tensorflow-tpu", "2.20.0")


def test_defaults_are_read_at_the_call(monkeypatch):
    monkeypatch.setattr(os, "environ", {"VERTEX_PRODUCT": "WORKBENCH_INSTANCE"})
    assert detect_runtime().host == "workbench"


def context(*devices: tuple[str, str], **attributes) -> dict[str, ModuleType]:
    """TensorFlow's module of the eager context, as a TensorFlow with TPUs would have it."""
    module = ModuleType("tensorflow.python.eager.context")
    listed = [SimpleNamespace(name=f"{task}/device:{kind}:0", device_type=kind) for task, kind in devices]
    module._context = SimpleNamespace(_logical_devices=listed, **attributes)
    return {"tensorflow.python.eager.context": module}


WORKER = "/job:worker/replica:0/task:0"
JOBS = [SimpleNamespace(name=name, tasks={0: "10.0.0.2:8470"}) for name in ("localhost", "worker")]
SERVER = SimpleNamespace(job_name="localhost", task_index=0, cluster=SimpleNamespace(job=JOBS))


@pytest.mark.parametrize(
    ("env", "modules", "accelerator", "worker"),
    [
        ({}, context(("", "CPU"), ("", "TPU")), Accelerator("tpu", visible=True), LOCAL),
        (KAGGLE_V5E, context(("", "CPU"), ("", "TPU")), Accelerator("tpu", "v5e", visible=True), LOCAL),
        (GKE_NODE, context(("", "TPU")), Accelerator("tpu", visible=True), LOCAL),
        (
            {}, context(("", "CPU"), (WORKER, "CPU"), (WORKER, "TPU")),
            Accelerator("tpu", visible=True), Worker("remote", (), "/job:worker", (WORKER,)),
        ),
        # Connected, and no device listed yet: the environment says what will be there.
        (
            GKE_NODE, context(get_server_def=lambda: SERVER),
            Accelerator("tpu"), Worker("remote", ("grpc://10.0.0.2:8470",), "/job:worker", (WORKER,)),
        ),
        (
            {}, context((WORKER, "TPU_SYSTEM"), get_server_def=lambda: SERVER),
            Accelerator("tpu", visible=True), Worker("remote", ("grpc://10.0.0.2:8470",), "/job:worker", (WORKER,)),
        ),
        # Equal processes, each under its own job and with its own disk.
        ({}, context((WORKER, "CPU"), get_server_def=lambda: None), NOTHING, NO_WORKER),
        # Not initialised, or not as we know it.
        ({}, context(), NOTHING, NO_WORKER),
        ({}, {"tensorflow.python.eager.context": ModuleType("empty")}, NOTHING, NO_WORKER),
    ],
)  # fmt: skip
def test_running_tensorflow_decides_accelerator_and_worker(tmp_path, env, modules, accelerator, worker):
    found = detect_runtime(env=env, root=tmp_path, modules=modules, versions=STOCK, platform="linux")
    assert (found.accelerator, found.worker) == (accelerator, worker)
    assert found.tensorflow.remedy == ""
    assert found.tensorflow.drives_tpu == (worker == LOCAL)


def test_detection_opens_no_device_and_no_socket(plant):
    """No device is opened, no socket made, and nothing heavy imported; told by Python's own audit events."""
    root = plant(V5E_8 | V4 | nodes("nvidiactl", "nvidia0"))
    for node in (root / "dev").rglob("*"):
        if node.is_file():
            node.unlink()
            os.mkfifo(node)  # opening it would wait for ever
    program = """
        import sys
        seen = []
        sys.addaudithook(lambda event, args: seen.append((event, str(args[:1]))))
        from hub_magic.runtime import detect_runtime
        assert detect_runtime(root=sys.argv[1], platform="linux").accelerator.chips
        detect_runtime()
        opened = [path for event, path in seen if event == "open" and "/dev/" in path]
        assert not opened, opened
        assert not [event for event, _ in seen if event.startswith(("socket.", "subprocess.", "os.system"))]
        assert not {"tensorflow", "IPython", "jax", "libtpu"} & set(sys.modules)
    """
    run(program, root)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows forbids by other means than a mode")
def test_forbidden_directories_count_as_empty(plant):
    """The process has lost every right to the tree by the time it looks."""
    root = plant(V4 | {"usr/share/tpu/x": ""})
    program = """
        import os, pathlib, sys
        from hub_magic.runtime import detect_runtime
        if os.geteuid() == 0:  # whom no mode keeps out
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        try:
            pathlib.Path(sys.argv[1], "sys").stat()
            sys.exit("the tree is still open")
        except PermissionError:
            pass
        found = detect_runtime(env={}, root=sys.argv[1], versions={"tensorflow": "2.13.0"})
        assert found.accelerator.kind == "none", found
        assert not found.tensorflow.drives_tpu
    """
    root.chmod(0)
    try:
        run(program, root)
    finally:
        root.chmod(0o700)


def run(program: str, root: Path) -> None:
    """Run the program in a process of its own, which fails when an assertion does."""
    command = [sys.executable, "-c", textwrap.dedent(program), str(root)]
    subprocess.run(command, check=True, timeout=60, cwd=REPOSITORY)
