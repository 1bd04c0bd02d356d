"""The TensorFlow build: whether it can drive a TPU, by package metadata and never by importing it."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from .accelerator import exists

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

# Builds for TPUs come first: where two are installed, they decide (Colab's images had both until 2025).
_TPU_BUILDS = ("tensorflow-tpu", "tf-nightly-tpu")
_OTHER_BUILDS = ("tensorflow", "tensorflow-cpu", "tf-nightly", "tf-nightly-cpu")
_LIBTPU = ("libtpu", "libtpu-nightly")

# The newest build for TPUs on PyPI (2026-11), and the only one that exists for all of Python 3.10 to 3.13.
# It accepts any libtpu from 0.0.14 on, but newer versions were seen to end in "No TPU platform found"
# (Kaggle/docker-python#1499).
_INSTALL = "pip install tensorflow-tpu==2.20.0 libtpu==0.0.14"


@dataclass(frozen=True, slots=True)
class TensorFlowBuild:
    """The TensorFlow that `import tensorflow` imports.

    Attributes:
        package: the installed package's name, or "" when none is installed.
        version: its version, or "".
        libtpu: the version of the TPU driver's package, or the library's path, or "".
        drives_tpu: whether this build can drive a TPU in this computer; a remote worker brings its own build.
        remedy: the pip line that installs a fitting build, if a local TPU needs one; else "".
    """

    package: str = ""
    version: str = ""
    libtpu: str = ""
    drives_tpu: bool = False
    remedy: str = ""


def find_build(
    env: Mapping[str, str],
    root: Path,
    versions: Mapping[str, str] | None,
    *,
    drives_tpu: bool,
    needs_tpu: bool,
) -> TensorFlowBuild:
    """Return the TensorFlow build of this Python.

    Args:
        env: the environment.
        root: where `lib` and `usr` are.
        versions: installed packages and their versions; None reads them from the metadata of this Python.
        drives_tpu: True when TensorFlow already runs a TPU, which settles the question.
        needs_tpu: whether there is a TPU that this build has to drive.
    """
    version_of = versions_installed() if versions is None else versions.get
    package, version = _first(_TPU_BUILDS + _OTHER_BUILDS, version_of)
    libtpu = _first(_LIBTPU, version_of)[1] or _library(env, root)
    # Cloud TPU images name their own build plain `tensorflow`, and have this directory.
    for_tpu = package in _TPU_BUILDS or (package == "tensorflow" and exists(root / "usr/share/tpu"))
    drives_tpu = drives_tpu or (for_tpu and bool(libtpu))
    remedy = _remedy(version_of) if needs_tpu and not drives_tpu else ""
    return TensorFlowBuild(package, version, libtpu, drives_tpu, remedy)


def _remedy(version_of: Callable[[str], str | None]) -> str:
    """Return the pip line. It replaces all builds: they share the directory `tensorflow`."""
    present = " ".join(name for name in _TPU_BUILDS + _OTHER_BUILDS if version_of(name))
    return f"pip uninstall -y {present} && {_INSTALL}" if present else _INSTALL


def _first(names: tuple[str, ...], version_of: Callable[[str], str | None]) -> tuple[str, str]:
    return next(((name, version) for name in names if (version := version_of(name))), ("", ""))


def versions_installed() -> Callable[[str], str | None]:
    """Return a function from package to version in this Python, read anew after an install or removal."""
    state = tuple((path, _changed(path)) for path in sys.path)
    return partial(_installed_version, state)


def _changed(path: str) -> int:
    """Return when a directory's content last changed, in nanoseconds; 0 if there is no directory."""
    try:
        return os.stat(path).st_mtime_ns  # at each `%%hub_tpu`, for all of `sys.path`
    except OSError:
        return 0


@lru_cache(maxsize=64)
def _installed_version(_state: tuple[tuple[str, int], ...], package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        found = distribution(package)
    except PackageNotFoundError:
        return None
    # `version()` is not used: it warns or fails where an interrupted uninstall left a directory without
    # metadata, and parsing all of it takes longer than everything else here.
    text = found.read_text("METADATA") or found.read_text("PKG-INFO") or ""
    version = re.search(r"^Version:[ \t]*(\S+)", text, re.MULTILINE)
    return version[1] if version else None


def _library(env: Mapping[str, str], root: Path) -> str:
    """Return the TPU driver's library outside packages: from TPU_LIBRARY_PATH, or on Cloud TPU images."""
    path = env.get("TPU_LIBRARY_PATH") or "/lib/libtpu.so"
    return path if exists(root / path.lstrip("/")) else ""
