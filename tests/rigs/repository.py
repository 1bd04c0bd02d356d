"""The places of this repository, and the environment of the processes that tests start."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

RIGS = Path(__file__).parent
REPOSITORY = RIGS.parents[1]


def process_environment(**variables: str) -> dict[str, str]:
    """Return this process's environment with the package and the rigs on the path, TensorFlow quiet."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(
            filter(None, [str(REPOSITORY), str(RIGS), os.environ.get("PYTHONPATH")])
        ),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
        **variables,
    }


def open_to_all(folder: Path) -> None:
    """Let other users into a folder of pytest's and those above it, which pytest closes to them."""
    temporary = Path(tempfile.gettempdir()).resolve()
    for one in (folder, *folder.parents):
        if temporary in one.resolve().parents:
            one.chmod(0o755)
