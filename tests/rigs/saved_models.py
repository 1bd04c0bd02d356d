"""The models of tf_models, each made once for all tests of this process. Tests read them, and change copies only."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from fork_server import run_python
from repository import process_environment

_MAKE = """
import sys
from pathlib import Path
from hub_magic.import_hooks import pkg_resources_stand_in
with pkg_resources_stand_in():
    import tensorflow_hub
import tf_models
tf_models.make_model(sys.argv[1], Path(sys.argv[2]))
"""


@functools.cache
def models_folder() -> Path:
    """Return the folder that holds each model made so far under the name of its kind."""
    folder = Path(tempfile.mkdtemp(prefix="saved_models_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def saved_model(kind: str) -> Path:
    """Return the folder of a model of this kind, one of tf_models.KINDS."""
    root = models_folder()
    if kind == "keras_with_layer":
        saved_model("tf2_vocabulary")  # this model contains that one
    run_python("-c", _MAKE, kind, str(root), env=process_environment(TF_USE_LEGACY_KERAS="1"), check=True)
    return root / kind


def model_files(kind: str) -> dict[str, bytes]:
    """Return the files of a model of this kind by their paths in it."""
    folder = saved_model(kind)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
