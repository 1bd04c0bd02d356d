"""A worker that cannot see the notebook's disk, for tests: a TensorFlow server in a second process.

`Cluster` starts one or two workers on this computer, each with an empty file system mounted over a directory of
the test's choice, as on a TPU in another machine. `run_client` runs code in a separate process, because a process
can sensibly connect to one cluster only:

    with Cluster(hidden=tmp_path) as cluster:
        answer = run_client("report(tf.config.list_logical_devices()[-1].name)", cluster)
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import os
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fork_server
import pytest
from repository import process_environment

# Port 0 lets the system choose; TensorFlow cannot bind only the loopback device.
# Flags of unshare(2).
_NEW_MOUNTS = 0x20000
_NEW_USER = 0x10000000

_SERVER = """
import sys
from worker_rig import hide
task, hidden, mount = int(sys.argv[1]), sys.argv[2], sys.argv[3]
hide(hidden, mount)
import tensorflow as tf
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


@dataclass
class RemoteWorker:
    """One worker: task `task` of job "worker".

    If no worker can be started, the running test is skipped with the reason; in CI it fails.

    Attributes:
        hidden: the directory over which the worker sees an empty file system.
        task: its number in the cluster.
        mount: how that file system is mounted: "rw", "ro" for one it cannot write to, "size=64k" for a small one.
        log: the file of its standard error.
        address: host and port, once started.
    """

    hidden: Path
    log: Path
    task: int = 0
    mount: str = "rw"
    address: str = ""
    _process: fork_server.ForkedProcess | None = field(default=None, repr=False)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self):
        if reason := why_unavailable():
            if os.environ.get("CI"):
                raise RuntimeError(reason)
            pytest.skip(reason)
        reading, writing = os.pipe()
        server = fork_server.server()
        with self.log.open("w") as log:
            self._process = server.start(
                ["-c", _SERVER, str(self.task), str(self.hidden), self.mount],
                stdout=writing,
                stderr=log,
                env=_environment(),
            )
        os.close(writing)
        # The line arrives when the server listens; if the process dies, the pipe ends instead.
        with os.fdopen(reading) as said:
            self.address = said.readline().strip()
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


@dataclass
class Cluster:
    """Workers `/job:worker/task:0` to `tasks - 1`, started together and stopped at exit.

    Attributes:
        hidden: the directory over which each worker sees its own empty file system.
        tasks: the number of workers.
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
        """Return the workers' standard error, for diagnosis."""
        return "\n".join(f"--- {worker.address}\n{worker.log.read_text()[-4000:]}" for worker in self.workers)


def hide(directory: str | Path, options: str = "rw") -> None:
    """Show this process an empty file system at a directory; the process must have one thread.

    Raises:
        OSError: this computer allows no mount namespaces.
    """
    user, group = os.getuid(), os.getgid()
    # A user who is not root may still be root of a separate name space, unless the system forbids it.
    flags = _NEW_MOUNTS if user == 0 else _NEW_MOUNTS | _NEW_USER
    if ctypes.CDLL(None, use_errno=True).unshare(flags):
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")
    if user:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            Path("/proc/self", name).write_text(text)
    for words in (("--make-rprivate", "/"), ("-t", "tmpfs", "-o", options, "none", str(directory))):
        done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(done.stderr.strip())


@functools.cache
def why_unavailable() -> str | None:
    """Return why no process of this computer can hide a directory from itself; None if one can."""
    if sys.platform != "linux":
        return "A worker with a file system of its own needs Linux."
    with tempfile.TemporaryDirectory() as folder:
        code = "import sys; from worker_rig import hide; hide(sys.argv[1])"
        done = fork_server.run_python("-c", code, folder, env=_environment())
    if done.returncode:
        return f"This system allows no mount of one's own: {done.stderr.splitlines()[-1]}"
    return None


def run_client(code: str, cluster: Cluster | None, /, timeout: float = 120, **environment: str) -> Any:
    """Run `code` in a process connected to the cluster, if any; return the value passed to `report`, through JSON.

    The code can use `tf`, `Path`, `json`, `os`, `sys` and `report`. `environment` is added to the process's
    variables.

    Raises:
        AssertionError: the code failed; the text contains its output and the workers'.
    """
    with tempfile.TemporaryDirectory() as directory:
        answer, script = Path(directory) / "answer.json", Path(directory) / "client.py"
        script.write_text(_PRELUDE + textwrap.dedent(code))
        ran = fork_server.run_python(
            str(script),
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
    # gRPC respects https_proxy otherwise.
    return process_environment(TF_USE_LEGACY_KERAS="1", no_proxy="127.0.0.1,localhost")
