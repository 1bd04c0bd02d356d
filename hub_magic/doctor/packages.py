"""Whether `import tensorflow_hub` works, told by package metadata: nothing is imported."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from ..import_hooks import ImportHook, is_installed
from ..keras import imported_keras, wants_keras_2
from ..settings import KERAS_VARIABLE
from .finding import Finding
from .surroundings import Surroundings

# tensorflow_hub's own requirement (`_ensure_tf_install`), and the first version whose tf.keras is Keras 3.
_OLDEST = (1, 15)
_KERAS_3 = (2, 16)
_LAYER = "hub.KerasLayer"


def check_packages(here: Surroundings) -> Iterator[Finding]:
    """TensorFlow, tensorflow_hub, and what its import needs."""
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
        found = f"{version} is older than tensorflow_hub takes"
        return Finding("TensorFlow", "problem", found, here.fixes.install("--upgrade", "tensorflow"))
    return Finding("TensorFlow", "fine", version)


def _tensorflow_hub(here: Surroundings) -> Finding:
    if not is_installed("tensorflow_hub"):
        # It asks for tf_keras, which asks for `tensorflow` even where tensorflow-cpu is.
        words = ("tensorflow-hub",) if not is_installed("tensorflow") else ("--no-deps", "tensorflow-hub")
        return Finding(
            "tensorflow_hub", "problem", "tensorflow_hub is not installed", here.fixes.install(*words)
        )
    return Finding(
        "tensorflow_hub", "fine", f"tensorflow_hub {here.version_of('tensorflow-hub') or 'without metadata'}"
    )


def _pkg_resources(here: Surroundings) -> Finding:
    """tensorflow_hub 0.16.1 compares versions with it; setuptools 82 has it no more (tensorflow/hub#934)."""
    name = "pkg_resources"
    if "tensorflow_hub" in here.modules:
        return Finding(name, "fine", "not needed any more: tensorflow_hub is imported")
    setuptools = here.version_of("setuptools")
    if is_installed(name):
        return Finding(name, "fine", f"comes with setuptools {setuptools or 'of unknown version'}")
    missing = f"setuptools {setuptools} has no pkg_resources" if setuptools else "setuptools is not installed"
    fix = here.fixes.install("setuptools<82")
    if any(isinstance(one, ImportHook) and one.name == "tensorflow_hub" for one in sys.meta_path):
        found = f"{missing}; hub_magic lends tensorflow_hub what it needs in this session"
        return Finding(name, "fine", f"{found}, and programs without it need setuptools<82")
    return Finding(name, "problem", f"{missing}, which `import tensorflow_hub` needs", fix)


def _tf_keras(here: Surroundings, minor: tuple[int, ...]) -> Finding:
    """tensorflow_hub imports it beside Keras 3; its minor version is TensorFlow's."""
    name = "tf_keras"
    wanted = "{}.{}".format(*minor)
    # Without its dependencies, which are `tensorflow` whatever the name of the build that is here.
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
    """A model of Keras 3 takes no layer of Keras 2 (tensorflow/hub#920)."""
    keras = imported_keras(here.modules)
    if minor < _KERAS_3 or keras == 2:
        return Finding(_LAYER, "fine", "tf.keras is Keras 2, whose models take hub.KerasLayer")
    if wants_keras_2(here.env):
        if keras == 3:
            found = f"{KERAS_VARIABLE} was set after TensorFlow was imported, so tf.keras is Keras 3 still"
            return Finding(_LAYER, "warning", f"{found}; restart the kernel and set it first")
        if not is_installed("tf_keras"):
            found = f"{KERAS_VARIABLE} asks for tf_keras, which is not installed"
            return Finding(_LAYER, "problem", found, here.fixes.install("--no-deps", "tf-keras"))
        return Finding(_LAYER, "fine", "tf.keras will be Keras 2, whose models take hub.KerasLayer")
    version = here.version_of("keras") or "3"
    found = f"tf.keras is Keras {version}, whose models refuse hub.KerasLayer; hub.load works"
    if here.env.get(KERAS_VARIABLE):
        found += f" ({KERAS_VARIABLE}={here.env[KERAS_VARIABLE]!r} is not a word that TensorFlow takes)"
    if keras == 3:
        return Finding(_LAYER, "warning", f"{found}. Restart the kernel first", here.fixes.legacy_keras())
    return Finding(_LAYER, "warning", found, here.fixes.legacy_keras())


def _minor(version: str) -> tuple[int, ...]:
    """Major and minor of a version; () where it has none."""
    parts = version.split(".")[:2]
    return tuple(map(int, parts)) if len(parts) == 2 and all(map(str.isdecimal, parts)) else ()
