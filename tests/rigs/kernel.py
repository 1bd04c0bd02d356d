"""A real IPython kernel in a separate process, driven cell by cell.

Kernels are forked from a process that has imported ipykernel: each is as fresh as a launched kernel, after 0.1 s
instead of 1 to 2 s. `LaunchedKernel` starts a kernel as Jupyter does.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any
from unittest import mock

import fork_server
from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpec
from repository import REPOSITORY

if TYPE_CHECKING:
    from typing_extensions import Self

TIMEOUT = 240


@dataclass
class Cell:
    """The result of a cell."""

    status: str
    messages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def stdout(self) -> str:
        return self._stream("stdout")

    @property
    def stderr(self) -> str:
        return self._stream("stderr")

    @property
    def data(self) -> dict[str, str]:
        """Return the MIME bundle of the cell's result."""
        found = [m["content"]["data"] for m in self.messages if m["msg_type"] == "execute_result"]
        return found[-1] if found else {}

    @property
    def text(self) -> str:
        """Return the cell's result as text."""
        return self.data.get("text/plain", "")

    @property
    def html(self) -> str:
        return self.data.get("text/html", "")

    @property
    def errors(self) -> list[dict[str, Any]]:
        """Return every error shown: a plain cell shows one."""
        return [m["content"] for m in self.messages if m["msg_type"] == "error"]

    @property
    def error(self) -> str:
        """Return the traceback as shown, or the line of a UsageError, which IPython prints."""
        if self.errors:
            return "\n".join(self.errors[0]["traceback"])
        return self.stderr if self.status == "error" else ""

    def _stream(self, name: str) -> str:
        found = (m["content"] for m in self.messages if m["msg_type"] == "stream")
        return "".join(content["text"] for content in found if content["name"] == name)


class Kernel:
    """A kernel with its own home.

    Args:
        home: the folder of its profile, its temporary files and its working directory.
        env: variables set for it.

    Attributes:
        imports: the modules that it has imported when it starts.
    """

    imports = fork_server.KERNEL

    def __init__(self, home: Path, **env: str) -> None:
        self.home = home
        for folder in ("ipython", "tmp", "work"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        self.env = {
            **os.environ,
            "IPYTHONDIR": str(home / "ipython"),
            "TMPDIR": str(home / "tmp"),
            "PYTHONPATH": str(REPOSITORY),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "-1",
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
            **env,
        }
        self.manager = KernelManager(transport="ipc" if sys.platform != "win32" else "tcp")
        self.manager.ip = str(home / "channel")
        self.manager._kernel_spec = KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"], language="python"
        )

    def __enter__(self) -> Self:
        # TensorFlow's C++ output bypasses IPython; users do not see it in a cell.
        with (self.home / "kernel.log").open("w") as log:
            self._start(log)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=TIMEOUT)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()

    def _start(self, log: IO[str]) -> None:
        if self.manager.kernel_spec.argv[0] != sys.executable:  # the server runs this Python
            self._launch(log)
            return
        server = fork_server.server(self.imports)

        def launch(command: list[str], **options: Any) -> fork_server.ForkedProcess:
            known = ("env", "cwd", "stdout", "stderr")
            return server.start(
                command[1:], **{name: options[name] for name in known}, start_new_session=True
            )

        with mock.patch("jupyter_client.provisioning.local_provisioner.launch_kernel", launch):
            self._launch(log)

    def _launch(self, log: IO[str]) -> None:
        self.manager.start_kernel(env=self.env, cwd=str(self.home / "work"), stdout=log, stderr=log)

    def begin(self, code: str) -> str:
        """Start a cell without waiting for it, and return the message's id.

        With `stop_on_error` a kernel may abort the cell after a failed one, if it was sent as that one ended.
        """
        message: str = self.client.execute(code, allow_stdin=False, stop_on_error=False)
        return message

    def run(self, code: str, look: Callable[[dict[str, Any]], object] | None = None, **options: Any) -> Cell:
        """Run a cell and wait for its end; `look` gets each message as it arrives."""
        cell = Cell("")

        def hear(message: dict[str, Any]) -> None:
            cell.messages.append(message)
            if look is not None:
                look(message)

        settings = {"allow_stdin": False, "stop_on_error": False, "timeout": TIMEOUT, **options}
        reply = self.client.execute_interactive(code, output_hook=hear, **settings)
        cell.status = reply["content"]["status"]
        return cell

    def ok(self, code: str) -> Cell:
        """Run a cell that must succeed."""
        cell = self.run(code)
        assert cell.status == "ok", cell.error
        return cell

    def value(self, expression: str) -> Any:
        """Return the value of an expression in the kernel, which must be a literal."""
        reply = self.client.execute(
            "", silent=True, user_expressions={"it": f"repr({expression})"}, reply=True, timeout=TIMEOUT
        )
        found = reply["content"]["user_expressions"]["it"]
        assert found["status"] == "ok", found
        return ast.literal_eval(ast.literal_eval(found["data"]["text/plain"]))


class LaunchedKernel(Kernel):
    """A kernel started as Jupyter starts it, from nothing."""

    def _start(self, log: IO[str]) -> None:
        self._launch(log)


class TensorFlowKernel(Kernel):
    """A kernel that has imported TensorFlow, but not used it yet."""

    imports = fork_server.TENSORFLOW_KERNEL
