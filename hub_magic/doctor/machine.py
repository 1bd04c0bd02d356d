"""The runtime, whether this TensorFlow can drive its TPU, and the versions of all that matters."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator

from ..runtime import Runtime
from .finding import Finding
from .surroundings import Surroundings

_OURS = sys.modules[__name__.partition(".")[0]]
_PACKAGES = (
    "tensorflow-hub",
    "tf-keras",
    "keras",
    "setuptools",
    "ipython",
    "ipykernel",
    "ipywidgets",
    "anywidget",
    "jupyterlab",
    "jupyterlab-widgets",
    "notebook",
    "kagglehub",
)


def check_machine(here: Surroundings) -> Iterator[Finding]:
    """Where this runs, and what with."""
    yield _runtime(here)
    yield _versions(here)


def _runtime(here: Surroundings) -> Finding:
    runtime = here.runtime
    found = _in_words(runtime)
    if runtime.tensorflow.remedy:
        build = f"{runtime.tensorflow.package} {runtime.tensorflow.version}".strip() or "no TensorFlow"
        return Finding(
            "runtime",
            "problem",
            f"{found}; {build} cannot drive it",
            here.fixes.run(runtime.tensorflow.remedy),
        )
    if runtime.accelerator.kind == "tpu" and not runtime.is_remote and not runtime.accelerator.visible:
        return Finding("runtime", "warning", f"{found}, which is expected here and cannot be seen")
    if runtime.is_remote:
        found += "; its worker reads no file of this machine: %%hub_tpu takes models there"
    return Finding("runtime", "fine", found)


def _in_words(runtime: Runtime) -> str:
    accelerator = runtime.accelerator
    if accelerator.kind == "none":
        return f"{runtime.host}, without an accelerator"
    words = f"{accelerator.kind.upper()} {accelerator.generation}".strip()
    count = f"{accelerator.chips} of " if accelerator.chips > 1 else ""
    return f"{runtime.host}, {count}{words}, worker {runtime.worker.kind}"


def _versions(here: Surroundings) -> Finding:
    build = here.runtime.tensorflow
    named = [f"hub_magic {_OURS.__version__}", f"Python {platform.python_version()}"]
    if build.package:
        named.append(f"{build.package} {build.version}")
    if build.libtpu:
        named.append(f"libtpu {build.libtpu}")
    named += [f"{package} {version}" for package in _PACKAGES if (version := here.version_of(package))]
    # Not `platform.platform()`, which starts a process.
    named.append(f"{platform.system()} {platform.release()} {platform.machine()}")
    return Finding("versions", "fine", ", ".join(named))
