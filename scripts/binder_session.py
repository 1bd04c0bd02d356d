"""The quickstart for a visitor of Binder: with the packages of `binder`, after its postBuild.

Runs in an environment made of `binder/requirements.txt`. Nothing is written into the repository.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from demo_session import nobody

ROOT = Path(__file__).resolve().parent.parent
MODELS = "hub_models_to_serve"  # the place beside the notebooks where they look for models


def main() -> int:
    """Return the exit status: 0 when all went well."""
    with nobody(), tempfile.TemporaryDirectory(prefix="binder_") as folder:
        repository = copy_repository(Path(folder))
        # As in Binder's image, `python` is the Python that the requirements were installed for.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        os.environ |= {"PATH": path, "TF_CPP_MIN_LOG_LEVEL": "3", "no_proxy": "127.0.0.1"}
        subprocess.run([repository / "binder" / "postBuild"], cwd=repository, check=True)
        models = repository / "notebooks" / MODELS
        made = models.stat().st_ino
        notebook = repository / "notebooks" / "quickstart.ipynb"
        subprocess.run([sys.executable, "-m", "jupyter", "execute", "--inplace", notebook], check=True)
        shown = outputs(notebook)
        # The notebook may have replaced the models.
        was_ready = models.stat().st_ino == made
    print(shown)
    works = was_ready and shown.count("unseen digits are read correctly") == 2
    print("Binder's quickstart " + ("works." if works else "shows something else than it should."))
    return int(not works)


def copy_repository(folder: Path) -> Path:
    """Copy the parts of a clone that the notebooks need; the package itself is installed editable."""
    made = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "hub_models*")
    for name in ("binder", "notebooks"):
        shutil.copytree(ROOT / name, folder / name, ignore=made)
    return folder


def outputs(notebook: Path) -> str:
    """Return the printed output of a notebook's cells."""
    cells = json.loads(notebook.read_text())["cells"]
    found = (output for cell in cells for output in cell.get("outputs", ()))
    return "".join("".join(output["text"]) for output in found if output.get("name") == "stdout")


if __name__ == "__main__":
    sys.exit(main())
