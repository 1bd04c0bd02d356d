"""A model on this computer's disk: its files, and those that the worker reads itself.

TensorFlow has two loaders. That of TF2 models reads the variables where it is told to
(`LoadOptions.experimental_io_device`) and leaves only the assets to the worker. That of TF1 models knows no
such option: the worker reads variables and assets (`load_v1_in_v2.py`, TensorFlow 2.3 to 2.21).
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from ..cache.folders import look_into
from ..cache.savedmodel import read_saved_model
from ..errors import DamagedEntryError, RouteError
from ..facts import Fact


@dataclass(frozen=True, slots=True)
class ModelFile(Fact):
    """A file of a model.

    Attributes:
        name: its path in the model's directory, `/` between parts.
        size: bytes.
        changed: when it was last changed, in nanoseconds since 1970.
    """

    name: str
    size: int
    changed: int


@dataclass(frozen=True, slots=True)
class ModelFiles(Fact):
    """A model on this machine's disk.

    Attributes:
        directory: where it lies, as an absolute path.
        is_tf2: whether TensorFlow takes it for a TF2 model; False too where that cannot be told.
        files: all its files, sorted by name.
    """

    directory: str
    is_tf2: bool
    files: tuple[ModelFile, ...]

    @property
    def assets(self) -> tuple[ModelFile, ...]:
        """What the worker always reads itself: vocabularies and other files that the graph opens."""
        return tuple(file for file in self.files if file.name.startswith("assets/"))

    @property
    def variables(self) -> tuple[ModelFile, ...]:
        """The checkpoint: its index and its data."""
        return tuple(file for file in self.files if file.name.startswith("variables/"))

    @property
    def needs_more_than_localhost(self) -> str:
        """Why the worker cannot do with variables read by this machine; "" where it can."""
        if not self.is_tf2:
            return "it is in TF1 format, and the worker reads all of its files itself"
        if self.assets:
            return f"the worker reads its file {self.assets[0].name} itself"
        return ""


def find_model_files(directory: str | os.PathLike[str]) -> ModelFiles:
    """The model in this directory.

    Raises:
        RouteError: it is no directory of this machine, is empty, or cannot be read.
    """
    root = Path(directory).absolute()
    try:
        files = tuple(_files(root))
        is_tf2 = _is_tf2(root)
    except OSError as error:
        raise RouteError(f"The model in {root} cannot be read: {error}. Check its permissions.") from error
    if not files:
        raise RouteError(f"{root} holds no files. Check for damage with %hub_cache --verify.")
    return ModelFiles(str(root), is_tf2, files)


def _files(root: Path) -> list[ModelFile]:
    """Return the files below a folder, sorted by name; a link counts as the file that it leads to."""
    found: list[ModelFile] = []
    pending = [""] if root.is_dir() else []
    for prefix in pending:  # grows while it is read
        for item, facts in look_into(f"{root}/{prefix}"):
            name = prefix + item
            if stat.S_ISLNK(facts.st_mode):
                try:
                    facts = (root / name).stat()  # noqa: PLW2901 - the facts of what the link leads to
                except OSError:
                    continue
            elif stat.S_ISDIR(facts.st_mode):
                pending.append(f"{name}/")
            if stat.S_ISREG(facts.st_mode):
                found.append(ModelFile(name, facts.st_size, facts.st_mtime_ns))
    return sorted(found, key=lambda file: file.name.split("/"))


def _is_tf2(root: Path) -> bool:
    try:
        return read_saved_model(root).is_tf2
    except (FileNotFoundError, NotADirectoryError, DamagedEntryError):
        return False  # all the worker may want is sent then, and TensorFlow says what it cannot load
