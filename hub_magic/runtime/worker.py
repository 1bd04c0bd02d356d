"""The worker: the process that holds the accelerator, and whether it can read this kernel's disk.

TensorFlow's own list of devices decides if it is already connected to a cluster. Otherwise the environment
names the worker, or this process is the only one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import ModuleType


@dataclass(frozen=True, slots=True)
class Worker:
    """The process that holds the accelerator.

    Attributes:
        kind: "none" without an accelerator; "local" for this process; "remote" for a worker reached over
            the network; "multi-host" for several machines, each with its own disk.
        endpoints: a remote worker's addresses as `TPUClusterResolver` takes them ("grpc://10.0.0.2:8470");
            the names of a multi-host slice's machines, or the slice's own name.
        job: its job ("/job:worker"), once TensorFlow is connected to it.
        tasks: every task but this process ("/job:worker/replica:0/task:0"), once TensorFlow is connected.
    """

    kind: Literal["none", "local", "remote", "multi-host"] = "none"
    endpoints: tuple[str, ...] = ()
    job: str | None = None
    tasks: tuple[str, ...] = ()


class Connection(NamedTuple):
    """The worker in TensorFlow's own list of devices.

    Attributes:
        worker: local or remote.
        accelerator: the worker's accelerator; None while TensorFlow has not yet listed its devices.
        signals: the evidence, for people to read.
    """

    worker: Worker
    accelerator: Literal["none", "gpu", "tpu"] | None
    signals: tuple[str, ...]


def named_worker(env: Mapping[str, str]) -> tuple[Worker, tuple[str, ...]] | None:
    """Return the worker that the environment names, and the signals; None if it names none.

    TensorFlow's order (`tpu/client/client.py`): the Kubernetes variable, then TPU_NAME. A plain name in
    TPU_NAME is no address: KubeRay puts the slice's name there on machines whose TPU is local.
    """
    for name in ("KUBE_GOOGLE_CLOUD_TPU_ENDPOINTS", "TPU_NAME", "COLAB_TPU_ADDR"):
        value = env.get(name, "").strip()
        if value and (name != "TPU_NAME" or value.startswith("grpc://")):
            return Worker("remote", tuple(map(_endpoint, _parts(value)))), (f"{name}={value}",)
    slice_name = env.get("TPU_NAME", "")
    if slice_name and env.get("TPU_LOAD_LIBRARY") == "0":
        return Worker("multi-host", (slice_name,)), ("TPU_LOAD_LIBRARY=0", f"TPU_NAME={slice_name}")
    for name in ("TPU_WORKER_HOSTNAMES", "TPU_PROCESS_ADDRESSES"):
        # torch_xla gives each process of one machine an address, so only distinct machines count.
        hosts = tuple(dict.fromkeys(part.partition(":")[0] for part in _parts(env.get(name, ""))))
        if len(hosts) > 1:
            return Worker("multi-host", hosts), (f"{name}={env[name]}",)
    return None


def connected_worker(modules: Mapping[str, ModuleType]) -> Connection | None:
    """Return the worker that TensorFlow is connected to, or this process if TensorFlow lists its TPU.

    None where TensorFlow is not imported, not initialised, or has only this computer's CPU and GPUs.
    The call initialises nothing: it reads the eager context only if that exists. The attributes have these
    names in TensorFlow 2.2 to 2.21; where a later version lacks them, the answer is None.
    """
    context: Any = getattr(modules.get("tensorflow.python.eager.context"), "_context", None)
    devices = getattr(context, "_logical_devices", None) or ()
    # A strategy of equal processes (MultiWorkerMirroredStrategy) rightly has no server definition here:
    # each process loads its models from its own disk.
    server = context.get_server_def() if hasattr(context, "get_server_def") else None
    on_tpu = [device for device in devices if device.device_type == "TPU"]
    tpu_tasks = [task for device in on_tpu if (task := _task(device.name))]
    tasks = _server_tasks(server) if server else dict.fromkeys(tpu_tasks, "")
    if not tasks:
        signal = f"TensorFlow lists TPU devices of this process: {len(on_tpu)}"
        return Connection(Worker("local"), "tpu", (signal,)) if on_tpu else None
    job = _main_job(tasks, tpu_tasks)
    endpoints = tuple(_endpoint(tasks[task]) for task in tasks if _job(task) == job and tasks[task])
    kinds = {device.device_type for device in devices if _task(device.name) in tasks}
    signals = tuple(f"TensorFlow is connected to {task}" for task in tasks)
    return Connection(Worker("remote", endpoints, job, tuple(tasks)), _accelerator(kinds), signals)


def _server_tasks(server: Any) -> dict[str, str]:
    """Return each task of the cluster except this process, with its address."""
    tasks = {
        f"/job:{job.name}/replica:0/task:{index}": job.tasks[index]
        for job in server.cluster.job
        for index in sorted(job.tasks)
    }
    tasks.pop(f"/job:{server.job_name}/replica:0/task:{server.task_index}", None)
    return tasks


def _main_job(tasks: Iterable[str], tpu_tasks: Iterable[str]) -> str:
    """Return the job with TPUs, or `worker`, or the first: parameter servers may run beside the workers."""
    jobs = [_job(task) for task in tasks]
    wanted = [*map(_job, tpu_tasks), "/job:worker"]
    return next((job for job in wanted if job in jobs), jobs[0])


def _accelerator(kinds: set[str]) -> Literal["none", "gpu", "tpu"] | None:
    if not kinds:
        return None
    # A TPU that is not initialised yet shows only its system device.
    return "tpu" if kinds & {"TPU", "TPU_SYSTEM"} else "gpu" if "GPU" in kinds else "none"


def _task(device: str) -> str:
    """Return the device's task; "" for a device of this process, which TensorFlow lists without a job."""
    match = re.match(r"/job:[^/]+/replica:\d+/task:\d+", device)
    return match[0] if match else ""


def _job(task: str) -> str:
    return task.partition("/replica:")[0]


def _endpoint(address: str) -> str:
    return f"grpc://{address.removeprefix('grpc://')}"


def _parts(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]
