"""A worker that cannot see the notebook's disk, for tests: a TensorFlow server in a second process.

`Cluster` starts one or two of them on this machine, each with an empty file system mounted over a directory of
the test's choice, as a TPU in another machine would find it. `run_client` runs code in a process of its own,
because a process can sensibly connect to one cluster only:

    with Cluster(hidden=tmp_path) as cluster:
        answer = run_client("report(tf.config.list_logical_devices()[-1].name)", cluster)
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parent.parent

# Port 0 lets the system choose; TensorFlow has no way to bind the loopback device only.
_SERVER = """
import sys
import tensorflow as tf
task = int(sys.argv[1])
server = tf.distribute.Server({"worker": {task: "localhost:0"}}, job_name="worker", task_index=task)
print(server.target.removeprefix("grpc://"), flush=True)
server.join()
"""

_PRELUDE = """
import faulthandler, json, os, sys
from pathlib import Path
faulthandler.dump_traceback_later(float(os.environ["RIG_TIMEOUT"]), exit=True)  # a client that hangs says where
import tensorflow as tf
if workers := json.loads(os.environ["RIG_WORKERS"]):
    tf.config.experimental_connect_to_cluster(tf.train.ClusterSpec({"worker": workers}))

def report(answer):
    Path(os.environ["RIG_ANSWER"]).write_text(json.dumps(answer))

"""


class RigUnavailableError(RuntimeError):
    """No worker with a file system of its own can be started here; the text is the reason."""


@dataclass
class RemoteWorker:
    """One worker: task `task` of job "worker".

    Where none can be started, the running test is skipped with the reason; in CI it fails.

    Attributes:
        hidden: the directory over which the worker sees an empty file system.
        task: its number in the cluster.
        mount: how that file system is mounted: "rw", "ro" for one it cannot write to, "size=64k" for a small one.
        log: where its standard error is kept.
        address: host and port, once started.
    """

    hidden: Path
    log: Path
    task: int = 0
    mount: str = "rw"
    address: str = ""
    _process: subprocess.Popen[str] | None = field(default=None, repr=False)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self):
        try:
            mount = mount_command(self.hidden, self.mount)
        except RigUnavailableError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(error))
        command = [*mount, sys.executable, "-c", _SERVER]
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [*command, str(self.task)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=_environment(),
            )
        # The line comes when the server listens; if the process dies, the pipe ends instead.
        self.address = self._process.stdout.readline().strip()
        if not self.address:
            self.stop()
            raise RuntimeError(f"The worker did not start:\n{self.log.read_text()}")
        return self

    def __exit__(self, *exc):
        self.stop()

    def stop(self) -> None:
        """End the process, as a machine that is switched off would."""
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


@dataclass
class Cluster:
    """Workers `/job:worker/task:0` to `tasks - 1`, started together and stopped at exit.

    Attributes:
        hidden: the directory over which each worker sees an empty file system of its own.
        tasks: how many workers.
        mount: how these are mounted, as in RemoteWorker.
        workers: the workers, once started.
    """

    hidden: Path
    tasks: int = 1
    mount: str = "rw"
    workers: tuple[RemoteWorker, ...] = ()
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, repr=False)

    @property
    def addresses(self) -> list[str]:
        return [worker.address for worker in self.workers]

    def __enter__(self):
        with self._stack:
            logs = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
            self.workers = tuple(
                self._stack.enter_context(RemoteWorker(self.hidden, logs / f"{task}.log", task, self.mount))
                for task in range(self.tasks)
            )
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *exc):
        self._stack.close()

    def logs(self) -> str:
        """What the workers wrote to their standard error, for diagnosis."""
        return "\n".join(f"--- {worker.address}\n{worker.log.read_text()[-4000:]}" for worker in self.workers)


def mount_command(hidden: Path, options: str = "rw") -> list[str]:
    """What to put before a command so that it sees an empty file system at `hidden`.

    Raises:
        RigUnavailableError: this machine allows no mount namespaces.
    """
    if sys.platform != "linux" or not shutil.which("unshare"):
        raise RigUnavailableError(
            "A worker with a file system of its own needs Linux and the unshare command."
        )
    # A user who is not root may still be root of a name space of their own, unless the system forbids it.
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    script = f'mount -t tmpfs -o {options} none "$0" && exec "$@"'
    command = [*unshare, "sh", "-c", script, str(hidden)]
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        reason = tried.stderr.strip() or f"exit code {tried.returncode}"
        raise RigUnavailableError(f"This system allows no mount of one's own: {reason}")
    return command


def run_client(code: str, cluster: Cluster | None, /, timeout: float = 120, **environment: str) -> Any:
    """Run `code` in a process connected to the cluster, if any; return what it gave to `report`, through JSON.

    The code finds `tf`, `Path`, `json`, `os`, `sys` and `report` in place. `environment` is added to the
    process's variables.

    Raises:
        AssertionError: the code failed; the text holds its output and the workers'.
    """
    with tempfile.TemporaryDirectory() as directory:
        answer, script = Path(directory) / "answer.json", Path(directory) / "client.py"
        script.write_text(_PRELUDE + textwrap.dedent(code))
        ran = subprocess.run(
            [sys.executable, str(script)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout + 30,
            env={
                **_environment(),
                "RIG_WORKERS": json.dumps(cluster.addresses if cluster else []),
                "RIG_ANSWER": str(answer),
                "RIG_TIMEOUT": str(timeout),
                **environment,
            },
        )
        assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr[-6000:]}\n{cluster.logs() if cluster else ''}"
        return json.loads(answer.read_text())


def _environment() -> dict[str, str]:
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests"), os.environ.get("PYTHONPATH", "")])
    return {
        **os.environ,
        "PYTHONPATH": path.strip(os.pathsep),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_USE_LEGACY_KERAS": "1",
        "CUDA_VISIBLE_DEVICES": "-1",
        "no_proxy": "127.0.0.1,localhost",  # gRPC heeds https_proxy otherwise
    }
