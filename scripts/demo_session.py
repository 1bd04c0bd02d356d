"""The quickstart beside the host that serves its models: in JupyterLab, or headless with `--check`.

Runs in the environment that scripts/demo sets up. All its files are in one folder, `.demo`.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hub_magic.host import ModelHost

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "notebooks" / "quickstart.ipynb"
QUIET = "no-requests"  # the tag of cells that must not reach the host
CELL_TIMEOUT = 300  # seconds


def main() -> int:
    """Return the exit status: 0 when all went well."""
    parser = argparse.ArgumentParser(
        prog="scripts/demo", description="Open the quickstart in JupyterLab; Ctrl-C stops everything."
    )
    parser.add_argument(
        "--check", action="store_true", help="run the notebook headless instead, and print what it shows"
    )
    parser.add_argument(
        "--folder", type=Path, default=ROOT / ".demo", help="where everything is kept; default: .demo"
    )
    given, for_jupyter = parser.parse_known_args()
    from hub_magic.host import ModelHost  # after --help, which must answer before anything is installed

    folder = given.folder.resolve()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        with ModelHost(_make_models(folder / "models")) as host:
            print(f"The models are served at {host.url}", flush=True)
            direct = f"{os.environ.get('no_proxy', '')},127.0.0.1".strip(",")
            os.environ |= {"HUB_MAGIC_DEMO_HOST": host.url, "TF_CPP_MIN_LOG_LEVEL": "3", "no_proxy": direct}
            if not given.check:
                return open_notebook(folder / "quickstart", for_jupyter)
            with nobody(), tempfile.TemporaryDirectory(prefix="check_", dir=folder) as scratch:
                return check_notebook(host, Path(scratch), log=folder / "check.log")
    except KeyboardInterrupt:
        print("Stopped.")
        return 130 if given.check else 0  # an unfinished check proves nothing


def open_notebook(folder: Path, options: list[str]) -> int:
    """Open a fresh copy of the notebook in JupyterLab, with an empty cache, until Ctrl-C.

    The folder has the other lessons too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for cache in folder.glob("hub_models*"):
        shutil.rmtree(cache)
    for lesson in NOTEBOOK.parent.glob("*.ipynb"):
        shutil.copy(lesson, folder)
    copy = folder / NOTEBOOK.name
    print(f"Opening {copy}, a fresh copy of notebooks/{NOTEBOOK.name}. Ctrl-C stops everything.", flush=True)
    # Not the file as an argument: then the URL in the log, for users without a browser here, would lack it.
    shown = (f"--ServerApp.root_dir={folder}", f"--LabApp.default_url=/lab/tree/{copy.name}")
    command = [sys.executable, "-m", "jupyterlab", *shown, *options]
    if os.geteuid() == 0:
        command.append("--allow-root")  # needed in containers; it still listens on this computer only
    # In a separate session: at Ctrl-C JupyterLab would ask whether it should stop.
    lab = subprocess.Popen(command, start_new_session=True)
    try:
        return lab.wait()
    finally:
        lab.terminate()
        lab.wait()


def check_notebook(host: ModelHost, folder: Path, *, log: Path) -> int:
    """Run the notebook, print each cell with its output, and check that no tagged cell reached the host.

    Args:
        host: the host of the models.
        folder: the kernel's working directory.
        log: the file for output of the kernel's process beside its cells.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    failures = []
    with log.open("w") as kernel_log, client.setup_kernel(stderr=kernel_log):
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type != "code":
                continue
            before = len(host.requests)
            try:
                client.execute_cell(cell, index)
            except CellExecutionError:
                failures.append(f"cell {index} failed")
            except (CellTimeoutError, DeadKernelError) as error:
                failures.append(f"cell {index} did not end: {error} The kernel's log is {log}")
            asked = len(host.requests) - before
            if asked and QUIET in cell.metadata.get("tags", ()):
                failures.append(f"cell {index} made {asked} requests to the host, and must make none")
            _print_cell(cell, asked)
            if failures:
                break
    if not failures and not host.requests:
        failures.append("no cell asked the host for a model")
    print("The demo " + (f"failed: {failures[0]}." if failures else "works."))
    return bool(failures)


def _print_cell(cell: Any, asked: int) -> None:
    print("\n>>> " + cell.source.replace("\n", "\n... "))
    for text in filter(None, (_text(output).rstrip("\n") for output in cell.outputs)):
        print(text)
    if asked or QUIET in cell.metadata.get("tags", ()):
        print(f"[requests to the host: {asked}]")
    sys.stdout.flush()


def _text(output: Any) -> str:
    """Return an output of a cell as text."""
    if output.output_type == "stream":
        # A progress bar overwrites its own line; TensorFlow's C++ parts log when they are loaded.
        text = re.sub(r"[^\n]*\r(?!\n)", "", output.text)
        return re.sub(
            r"^(WARNING: All log messages before absl|[IWE]0000 ).*\n?", "", text, flags=re.MULTILINE
        )
    if output.output_type == "error":
        return re.sub(r"\x1b\[[\d;]*m", "", "\n".join(output.traceback))
    if "application/vnd.jupyter.widget-view+json" in output.data:
        return ""  # the text of a widget is its first state: a progress bar at 0 %
    return str(output.data.get("text/plain", ""))


def _make_models(directory: Path) -> Path:
    """Make the missing models of the demo, in a process that frees its memory."""
    if not directory.exists():
        print("Making the demo's models; this takes some seconds, once.", flush=True)
    made = subprocess.run(
        [sys.executable, str(ROOT / "notebooks" / "demo_models.py"), str(directory)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        sys.exit(f"{made.stderr}\nThe demo's models could not be made.")
    return directory


@contextmanager
def nobody() -> Iterator[None]:
    """Ignore the user's settings of IPython, Jupyter and TensorFlow Hub during the check."""
    for name in list(os.environ):
        if name.startswith(("TFHUB_", "JUPYTER_")) or name in {"TF_USE_LEGACY_KERAS", "PYTHONSTARTUP"}:
            del os.environ[name]
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"IPYTHONDIR": f"{home}/ipython", "JUPYTER_CONFIG_DIR": f"{home}/jupyter"}
        yield


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
