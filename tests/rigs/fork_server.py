"""Fresh processes from one with slow imports done: a fork costs 0.1 s, an import 1 to 10 s.

A process that has imported TensorFlow and has not used it can be forked (tried with 2.20 and 2.21). So can one that
has imported ipykernel and has no ZeroMQ context yet. `server(...)` returns this process's server for some imports;
`ForkServer.start` is like `subprocess.Popen`, and `run_python` like `subprocess.run`:

    done = run_python("-c", "import tensorflow as tf; print(tf.constant(1))", imports=TENSORFLOW)
    with start_python("-c", "print(input())", stdin=PIPE, stdout=PIPE) as process:
        said, _ = process.communicate("hub")

Variables that the modules read during their import are the server's.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from subprocess import PIPE
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from repository import process_environment

if TYPE_CHECKING:
    from typing_extensions import Self

KERNEL = (
    "ipykernel.kernelapp",
    "ipykernel.zmqshell",
    "ipykernel.heartbeat",
    "ipykernel.iostream",
    "ipykernel.debugger",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "sqlite3",
    "tornado.platform.asyncio",
)
GOOGLE = ("requests", "google.cloud.storage")
TENSORFLOW = (*GOOGLE, "numpy", "tensorflow")
TENSORFLOW_KERNEL = (*KERNEL, *TENSORFLOW)
_MAKING = threading.Lock()


class ForkedProcess:
    """A child of the fork server, with the part of `subprocess.Popen` that tests use. Its pipes are for text."""

    def __init__(self, status: IO[str], args: Sequence[str], pipes: Sequence[IO[str] | None]) -> None:
        self._status = status
        self.args = args
        self.stdin, self.stdout, self.stderr = pipes
        self.returncode: int | None = None
        line = status.readline()
        if not line:
            raise EOFError
        self.pid = int(line)

    def poll(self) -> int | None:
        return self.returncode if _is_open(self._status) else self.wait()

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if timeout is not None and _is_open(self._status, timeout):
                raise subprocess.TimeoutExpired(list(self.args), timeout)
            with self._status:
                line = self._status.readline()
            # No line means that the server was killed, and its children with it.
            self.returncode = int(line) if line else -signal.SIGKILL
        return self.returncode

    def communicate(self, said: str = "", timeout: float | None = None) -> tuple[str, str]:
        """Write to the child's input, close it, and return what the child writes until it ends."""
        found = {"stdout": "", "stderr": ""}

        def read(name: str, file: IO[str]) -> None:
            with file:
                found[name] = file.read()

        files = [(name, getattr(self, name)) for name in found if getattr(self, name) is not None]
        readers = [threading.Thread(target=read, args=one, daemon=True) for one in files]
        for reader in readers:
            reader.start()
        if self.stdin is not None:
            with contextlib.suppress(BrokenPipeError), self.stdin:
                self.stdin.write(said)
        for reader in readers:
            reader.join(timeout)
            if reader.is_alive():
                raise subprocess.TimeoutExpired(list(self.args), timeout or 0)
        self.wait(timeout)
        return found["stdout"], found["stderr"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Close the pipes, and wait for the child's end."""
        for file in (self.stdin, self.stdout, self.stderr):
            if file is not None:
                with contextlib.suppress(BrokenPipeError):
                    file.close()
        self.wait()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def _is_open(status: IO[str], timeout: float = 0) -> bool:
    """Return whether the child behind it still runs after that many seconds."""
    if status.closed:
        return False
    import select

    return not select.select([status], [], [], timeout)[0]


class ForkServer:
    """A process that has imported some modules, and forks a child for each request.

    Args:
        imports: the modules.
        variables: added to the environment of the imports.
    """

    def __init__(self, imports: Sequence[str], **variables: str) -> None:
        self._socket, theirs = socket.socketpair()
        self._asking = threading.Lock()
        # TensorFlow's C++ output during the import matters only if the import fails.
        self._log = tempfile.NamedTemporaryFile("w+", prefix="fork_server_")  # noqa: SIM115 - ends with the server
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", __file__, *imports],
                stdin=theirs,
                stdout=self._log,
                stderr=self._log,
                # Each child gets its own path, and that of the environment behind it.
                env={**process_environment(**variables), "PYTHONPATH": ""},
                start_new_session=True,  # an interrupt at the terminal is for pytest
            )
        atexit.register(self.stop)

    def start(
        self,
        args: Sequence[str],
        *,
        env: dict[str, str],
        cwd: str | os.PathLike[str] | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: Any = None,
        stderr: Any = None,
        start_new_session: bool = False,
    ) -> ForkedProcess:
        """Start a child; `args` are Python's: `-c CODE ...`, `-m MODULE ...` or `FILE ...`."""
        request = {
            "args": list(args),
            "env": env,
            "cwd": str(cwd or Path.cwd()),
            "session": start_new_session,
        }
        reading, writing = os.pipe()
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, writing)
            null = stack.enter_context(open(os.devnull, "r+"))
            files: list[int] = []
            pipes: list[IO[str] | None] = [None, None, None]
            for given, standard in ((stdin, 0), (stdout, 1), (stderr, 2)):
                if given is None:
                    files.append(standard)
                elif given == PIPE:
                    ends = os.pipe()
                    theirs, ours = ends if standard == 0 else ends[::-1]
                    stack.callback(os.close, theirs)
                    files.append(theirs)
                    pipes[standard] = os.fdopen(ours, "r" if standard else "w")
                elif given == subprocess.DEVNULL:
                    files.append(null.fileno())
                elif given == subprocess.STDOUT:
                    files.append(files[1])
                else:
                    files.append(given if isinstance(given, int) else given.fileno())
            data = json.dumps(request).encode()
            with self._asking:
                socket.send_fds(self._socket, [len(data).to_bytes(4, "big")], [*files, writing])
                self._socket.sendall(data)
        try:
            return ForkedProcess(os.fdopen(reading), args, pipes)
        except EOFError:
            said = Path(self._log.name).read_text()
            raise RuntimeError(f"The fork server has ended:\n{said}") from None

    def stop(self) -> None:
        """End the server, and with it its remaining children."""
        self._socket.close()
        self._process.wait()
        self._log.close()


def server(imports: tuple[str, ...] = TENSORFLOW, **variables: str) -> ForkServer:
    """Return this process's server for these imports; it lives as long as this process."""
    with _MAKING:
        return _made(imports, **variables)


@functools.cache
def _made(imports: tuple[str, ...], **variables: str) -> ForkServer:
    return ForkServer(imports, **variables)


def start_python(
    *args: str, imports: tuple[str, ...] = TENSORFLOW, env: dict[str, str] | None = None, **options: Any
) -> ForkedProcess:
    """Start Python in a forked process; the options are those of `ForkServer.start`."""
    return server(imports).start(args, env=env or process_environment(), **options)


def run_python(
    *args: str,
    imports: tuple[str, ...] = TENSORFLOW,
    env: dict[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    check: bool = False,
    timeout: float = 240,
) -> subprocess.CompletedProcess[str]:
    """Run Python in a forked process, and return its status and output.

    Raises:
        subprocess.CalledProcessError: with `check`, if the status is not 0.
        subprocess.TimeoutExpired: it took longer than that many seconds.
    """
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        started = start_python(*args, imports=imports, env=env, cwd=cwd, stdout=stdout, stderr=stderr)
        try:
            code = started.wait(timeout)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()
            raise
        said = []
        for file in (stdout, stderr):
            file.seek(0)
            said.append(file.read())
    done = subprocess.CompletedProcess([sys.executable, *args], code, *said)
    if check:
        done.check_returncode()
    return done


# ---------------------------------------------------------------- the server's side


def _serve(imports: Sequence[str]) -> None:
    """Import, then fork for each request until the client has closed the connection."""
    import importlib
    import selectors

    connection = socket.socket(fileno=os.dup(0))
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    before = dict(os.environ)
    for name in imports:
        # A module that is not installed fails in the child.
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)
    # TensorFlow sets variables during its import.
    added = {name: value for name, value in os.environ.items() if before.get(name) != value}
    warnings.simplefilter("ignore")  # Python 3.12 warns of a fork beside TensorFlow's threads
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    statuses: dict[int, int] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is woken or key.fd == woken:
                    os.read(woken, 1000)
                    _reap(statuses)
                elif not _answer(connection, statuses, (woken, wake), added):
                    for pid in statuses:
                        os.kill(pid, signal.SIGKILL)
                    return


def _answer(
    connection: socket.socket, statuses: dict[int, int], ours: tuple[int, int], added: dict[str, str]
) -> bool:
    """Fork a child for the next request, and return whether there was a request."""
    head, files, _, _ = socket.recv_fds(connection, 4, 4)
    if not head:
        return False
    data = b""
    size = int.from_bytes(head, "big")
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:  # the client has ended in the middle of a request
            return False
        data += more
    *standard, status = files
    pid = os.fork()
    if pid == 0:
        for number in (*statuses.values(), *ours):
            os.close(number)
        connection.close()
        request = json.loads(data)
        request["env"] = {**added, **request["env"]}
        _become(request, standard, status)
    for number in standard:
        os.close(number)
    statuses[pid] = status
    return True


def _reap(statuses: dict[int, int]) -> None:
    """Tell the client how its child ended."""
    for pid, status in list(statuses.items()):
        done, code = os.waitpid(pid, os.WNOHANG)
        if done:
            with contextlib.suppress(BrokenPipeError):
                os.write(status, f"{os.waitstatus_to_exitcode(code)}\n".encode())
            os.close(status)
            del statuses[pid]


def _become(request: dict[str, Any], standard: Sequence[int], status: int) -> None:
    """Act as the requested Python, to its end."""
    import runpy

    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if request["session"]:
        os.setsid()
    # The child writes this itself: the client may send signals to its group at once.
    os.write(status, f"{os.getpid()}\n".encode())
    os.close(status)
    for number, file in enumerate(standard):
        os.dup2(file, number)
    for file in {*standard} - {0, 1, 2}:
        os.close(file)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    tempfile.tempdir = None  # the value was found with the server's variables
    kind, *rest = request["args"]
    if rest[0:1] != ["ipykernel_launcher"]:
        # tqdm takes a process with these modules for a notebook's kernel.
        for name in [name for name in sys.modules if name.partition(".")[0] in {"IPython", "ipykernel"}]:
            del sys.modules[name]
    here = str(Path(__file__).parent)
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [*paths, *(path for path in sys.path if path not in {here, *paths})]
    code = 1
    try:
        if kind == "-c":
            sys.argv = ["-c", *rest[1:]]
            sys.path.insert(0, "")
            main = type(sys)("__main__")
            sys.modules["__main__"] = main
            exec(compile(rest[0], "<string>", "exec"), main.__dict__)
        elif kind == "-m":
            sys.argv = rest
            sys.path.insert(0, request["cwd"])
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        else:
            sys.argv = [kind, *rest]
            sys.path.insert(0, str(Path(kind).parent))
            runpy.run_path(kind, run_name="__main__")
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)  # noqa: T201
    except BaseException:  # noqa: BLE001 - as Python does at the end of a script
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(BaseException):
            threading._shutdown()
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(sys.argv[1:])
