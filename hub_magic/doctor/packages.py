"""Checks of installed packages, the computer and the front end, by metadata: nothing is imported."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

from ..import_hooks import ImportHook, is_installed
from ..keras import imported_keras, wants_keras_2
from ..runtime import Runtime
from ..settings import KERAS_VARIABLE
from .context import Surroundings
from .diagnosis import Finding

# The requirement of tensorflow_hub (`_ensure_tf_install`), and the first version whose tf.keras is Keras 3.
_OLDEST = (1, 15)
_KERAS_3 = (2, 16)
_LAYER = "hub.KerasLayer"


def check_packages(here: Surroundings) -> Iterator[Finding]:
    """Yield findings about TensorFlow, tensorflow_hub, and what tensorflow_hub's import needs."""
    yield _tensorflow(here)
    yield _tensorflow_hub(here)
    if is_installed("tensorflow_hub"):
        yield _pkg_resources(here)
    minor = _minor(here.runtime.tensorflow.version)
    if minor:
        yield _tf_keras(here, minor)
        yield _keras_layer(here, minor)


def _tensorflow(here: Surroundings) -> Finding:
    build = here.runtime.tensorflow
    if not is_installed("tensorflow"):
        fix = here.fixes.run(build.remedy) if build.remedy else here.fixes.install("tensorflow")
        return Finding("TensorFlow", "problem", "TensorFlow is not installed", fix)
    version = f"{build.package} {build.version}" if build.version else "a TensorFlow without metadata"
    if () < _minor(build.version) < _OLDEST:
        found = f"{version} is too old for tensorflow_hub"
        return Finding("TensorFlow", "problem", found, here.fixes.install("--upgrade", "tensorflow"))
    return Finding("TensorFlow", "fine", version)


def _tensorflow_hub(here: Surroundings) -> Finding:
    if not is_installed("tensorflow_hub"):
        # tensorflow_hub requires tf_keras, which requires `tensorflow` even if tensorflow-cpu is installed.
        words = ("tensorflow-hub",) if not is_installed("tensorflow") else ("--no-deps", "tensorflow-hub")
        return Finding(
            "tensorflow_hub", "problem", "tensorflow_hub is not installed", here.fixes.install(*words)
        )
    return Finding(
        "tensorflow_hub", "fine", f"tensorflow_hub {here.version_of('tensorflow-hub') or 'without metadata'}"
    )


def _pkg_resources(here: Surroundings) -> Finding:
    """Check pkg_resources: tensorflow_hub 0.16.1 needs it, setuptools 82 lacks it (tensorflow/hub#934)."""
    name = "pkg_resources"
    if "tensorflow_hub" in here.modules:
        return Finding(name, "fine", "not needed any more: tensorflow_hub is imported")
    setuptools = here.version_of("setuptools")
    if is_installed(name):
        return Finding(name, "fine", f"comes with setuptools {setuptools or 'of unknown version'}")
    missing = f"setuptools {setuptools} has no pkg_resources" if setuptools else "setuptools is not installed"
    fix = here.fixes.install("setuptools<82")
    if any(isinstance(one, ImportHook) and one.name == "tensorflow_hub" for one in sys.meta_path):
        found = f"{missing}; hub_magic provides what tensorflow_hub needs in this session"
        return Finding(name, "fine", f"{found}, and programs without it need setuptools<82")
    return Finding(name, "problem", f"{missing}, which `import tensorflow_hub` needs", fix)


def _tf_keras(here: Surroundings, minor: tuple[int, ...]) -> Finding:
    """Check tf_keras: tensorflow_hub imports it beside Keras 3, and its minor version is TensorFlow's."""
    name = "tf_keras"
    wanted = "{}.{}".format(*minor)
    # No dependencies: they are `tensorflow`, whatever build is installed here.
    fix = here.fixes.install("--no-deps", f"tf-keras~={wanted}.0")
    if not is_installed(name):
        if minor < _KERAS_3:
            return Finding(name, "fine", f"not needed: TensorFlow {wanted} has Keras 2 of its own")
        found = f"tf_keras, which `import tensorflow_hub` needs beside TensorFlow {wanted}, is not installed"
        return Finding(name, "problem", found, fix)
    version = here.version_of("tf-keras") or ""
    if version and _minor(version) != minor and "nightly" not in here.runtime.tensorflow.package:
        found = f"tf_keras {version} is not for TensorFlow {here.runtime.tensorflow.version}"
        if name in here.modules:
            found += "; restart the kernel after the fix, because it is imported already"
        return Finding(name, "problem", found, fix)
    return Finding(name, "fine", f"tf_keras {version}".rstrip())


def _keras_layer(here: Surroundings, minor: tuple[int, ...]) -> Finding:
    """Check Keras layers: a model of Keras 3 accepts no layer of Keras 2 (tensorflow/hub#920)."""
    keras = imported_keras(here.modules)
    if minor < _KERAS_3 or keras == 2:
        return Finding(_LAYER, "fine", "tf.keras is Keras 2, which accepts hub.KerasLayer")
    if wants_keras_2(here.env):
        if keras == 3:
            found = f"{KERAS_VARIABLE} was set after TensorFlow was imported, so tf.keras is still Keras 3"
            return Finding(_LAYER, "warning", f"{found}; restart the kernel and set it first")
        if not is_installed("tf_keras"):
            found = f"{KERAS_VARIABLE} requires tf_keras, which is not installed"
            return Finding(_LAYER, "problem", found, here.fixes.install("--no-deps", "tf-keras"))
        return Finding(_LAYER, "fine", "tf.keras will be Keras 2, which accepts hub.KerasLayer")
    version = here.version_of("keras") or "3"
    found = f"tf.keras is Keras {version}, which does not accept hub.KerasLayer; hub.load works"
    if here.env.get(KERAS_VARIABLE):
        found += f" ({KERAS_VARIABLE}={here.env[KERAS_VARIABLE]!r} is not a value that TensorFlow accepts)"
    if keras == 3:
        return Finding(_LAYER, "warning", f"{found}. Restart the kernel first", here.fixes.legacy_keras())
    return Finding(_LAYER, "warning", found, here.fixes.legacy_keras())


def _minor(version: str) -> tuple[int, ...]:
    """Return major and minor of a version; () if it has none."""
    parts = version.split(".")[:2]
    return tuple(map(int, parts)) if len(parts) == 2 and all(map(str.isdecimal, parts)) else ()


_NAME = "widgets"
_REQUIRED = {"ipywidgets": (7, 7, 1), "anywidget": (0, 9)}
# Each package and its JupyterLab extension, a folder below one of Jupyter's data folders.
_EXTENSIONS = {
    "jupyterlab-widgets": "@jupyter-widgets/jupyterlab-manager",
    "anywidget": "anywidget",
}
_FETCHING = {
    "colab": "Colab's page fetches the browser's part from the internet",
    "vscode": "VS Code fetches the browser's part from the internet, or from this computer",
    "kaggle": "Kaggle's editor fetches the browser's part from the internet",
}


def check_front_end(here: Surroundings) -> Iterator[Finding]:
    """Yield findings about the packages of widgets, and where JupyterLab may find their JavaScript."""
    if not here.fixes.in_notebook or here.runtime.host in {"terminal", "script"}:
        yield Finding(_NAME, "fine", "none in a terminal, where %hub_cache shows a table")
    else:
        yield _faulty_package(here) or _in_browser(here)


def _faulty_package(here: Surroundings) -> Finding | None:
    for package, oldest in _REQUIRED.items():
        version = here.version_of(package)
        if version is None or _numbers(version) < oldest:
            found = f"{package} {version} is too old" if version else f"{package} is not installed"
            wanted = f"{package}>={'.'.join(map(str, oldest))}"
            return Finding(_NAME, "problem", f"{found} for the browser", here.fixes.install(wanted))
    return None


def _in_browser(here: Surroundings) -> Finding:
    both = ", ".join(f"{package} {here.version_of(package)}" for package in _REQUIRED)
    if here.runtime.host in _FETCHING:
        return Finding(_NAME, "fine", f"{both}; {_FETCHING[here.runtime.host]}")
    missing = [package for package, folder in _EXTENSIONS.items() if not _has_extension(here, folder)]
    if not missing:
        return Finding(_NAME, "fine", f"{both}, with their extensions of JupyterLab")
    if here.version_of("jupyterlab") is None and here.version_of("notebook") is None:
        where = "the server runs in another environment, which needs jupyterlab-widgets and anywidget, too"
        return Finding(_NAME, "unknown", f"{both}; {where}")
    found = f"{both}; JupyterLab lacks the extension of {' and '.join(missing)}"
    fix = here.fixes.install("--force-reinstall", "--no-deps", *missing)
    return Finding(_NAME, "problem", f"{found}. Restart its server after the fix", fix)


def _has_extension(here: Surroundings, folder: str) -> bool:
    """Return whether one of Jupyter's data folders, as `jupyter --paths` lists them, holds the extension."""
    named = [path for path in here.env.get("JUPYTER_PATH", "").split(os.pathsep) if path]
    home = here.env.get("JUPYTER_DATA_DIR") or os.path.expanduser("~/.local/share/jupyter")
    usual = (home, f"{sys.prefix}/share/jupyter", "/usr/local/share/jupyter", "/usr/share/jupyter")
    places = (Path(root, "labextensions", folder, "package.json") for root in (*named, *usual))
    return any(map(os.path.isfile, places))  # Path's own raises where access is denied


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdecimal())


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
    """Yield findings about the computer and its software."""
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
            f"{found}; {build} cannot use it",
            here.fixes.run(runtime.tensorflow.remedy),
        )
    if runtime.accelerator.kind == "tpu" and not runtime.is_remote and not runtime.accelerator.visible:
        return Finding("runtime", "warning", f"{found}, which this runtime should have, but is not visible")
    if runtime.is_remote:
        found += "; its worker cannot read this computer's files: %%hub_tpu sends models to it"
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
